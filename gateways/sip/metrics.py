"""Counters of the SIP edge. Sources are never label values: an attacker could make millions of them."""

from prometheus_client import Counter, Gauge

REQUESTS = Counter("commhub_sip_requests_total", "Requests received", ["method"])
RESPONSES = Counter("commhub_sip_responses_total", "Final responses sent", ["method", "status"])
MALFORMED = Counter("commhub_sip_malformed_total", "Messages that are no SIP", ["outcome"])
RETRANSMISSIONS = Counter("commhub_sip_retransmissions_total", "Messages sent again", ["kind"])
ABSORBED = Counter(
    "commhub_sip_absorbed_total", "Retransmissions received and answered from memory"
)
STRAYS = Counter("commhub_sip_strays_total", "Messages that belong to nothing we know", ["kind"])
AUTH_FAILURES = Counter("commhub_sip_auth_failures_total", "Wrong digests", ["method"])
AUTH_THROTTLED = Counter(
    "commhub_sip_auth_throttled_total", "Requests refused because their source guessed too often"
)
AUTH_REPLAYS = Counter("commhub_sip_auth_replays_total", "Digests seen before (RFC 7616 nc)")
OVERLOADED = Counter("commhub_sip_overloaded_total", "Requests refused with 503")
LEGS_ENDED = Counter("commhub_sip_legs_ended_total", "Legs ended", ["cause"])
CORE_FAILURES = Counter(
    "commhub_sip_core_failures_total", "Reports the core could not take", ["report"]
)
LEGS = Gauge("commhub_sip_legs", "Legs this edge carries now")
