"""What devices/ counts."""

from prometheus_client import Counter, Gauge

CONNECTED = Gauge("commhub_devices_connected", "1 while connected to the broker", ["connection"])
RECONNECTIONS = Counter(
    "commhub_devices_connection_losses_total", "Lost connections to the broker", ["connection"]
)
RECEIVED = Counter("commhub_devices_messages_total", "Messages from the field", ["verb"])
REFUSED = Counter(
    "commhub_devices_refused_total", "Messages from the field that were refused", ["verb", "reason"]
)
RETRIED = Counter(
    "commhub_devices_retries_total", "Messages whose commit failed and was tried again", ["verb"]
)
FLOODED = Counter(
    "commhub_devices_flooded_total", "Messages dropped because one device sent too many at once"
)
COALESCED = Counter(
    "commhub_devices_coalesced_total", "Telemetry replaced by newer telemetry before it was stored"
)
SOS = Counter("commhub_devices_sos_total", "SOS answers sent to devices", ["outcome"])
FRAMES_IN = Counter("commhub_devices_voice_frames_in_total", "Voice frames from the field")
FRAMES_OUT = Counter("commhub_devices_voice_frames_out_total", "Voice frames handed to the broker")
FRAMES_BAD = Counter(
    "commhub_devices_voice_frames_bad_total", "Voice messages that were no frames", ["reason"]
)
FRAMES_DROPPED = Counter(
    "commhub_devices_voice_frames_dropped_total",
    "Oldest outgoing voice frames, dropped at the bound",
)
BROKER_STARTS = Counter("commhub_devices_broker_starts_total", "Starts of the embedded broker")
