"""What calls/ counts."""

from prometheus_client import Counter

RECORDINGS_FAILED = Counter(
    "commhub_calls_recordings_failed_total", "Recordings that ended early or never began"
)
ALERTS = Counter("commhub_calls_alerts_total", "Alert calls, by what came of them", ["outcome"])
RECORDINGS_DELETED = Counter(
    "commhub_calls_recordings_deleted_total", "Recordings whose time was up"
)
