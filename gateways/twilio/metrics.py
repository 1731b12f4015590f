"""What the Twilio gateway counts."""

from prometheus_client import Counter, Gauge

LEGS_ENDED = Counter("commhub_twilio_legs_ended", "Telephone legs that ended, by cause", ["cause"])
REFUSED_NUMBERS = Counter(
    "commhub_twilio_numbers_refused", "Numbers that were not called, by reason", ["reason"]
)
API_ERRORS = Counter("commhub_twilio_api_errors", "Error codes Twilio answered", ["code"])
REFUSED = Counter("commhub_twilio_refused", "Requests and sockets refused, by reason", ["reason"])
STREAMS = Gauge("commhub_twilio_streams", "Media streams open now")
MALFORMED = Counter(
    "commhub_twilio_malformed", "Messages of media streams dropped, by reason", ["reason"]
)
DROPPED = Counter("commhub_twilio_packets_dropped", "Audio packets dropped, by reason", ["reason"])
CLEARED = Counter("commhub_twilio_backlogs_cleared", "Backlogs of audio at Twilio thrown away")
CORE_FAILURES = Counter(
    "commhub_twilio_core_failures", "Reports the core could not commit at once", ["report"]
)
