"""What calls/ counts."""

from prometheus_client import Counter

RECORDINGS_FAILED = Counter(
    "commhub_calls_recordings_failed_total", "Recordings that ended early or never began"
)
RECORDINGS_DELETED = Counter(
    "commhub_calls_recordings_deleted_total", "Recordings whose time was up"
)
