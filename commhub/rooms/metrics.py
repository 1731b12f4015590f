"""Counters of rooms."""

from prometheus_client import Counter

RECORDINGS_FAILED = Counter(
    "commhub_room_recordings_failed_total", "Recordings of pictures that ended early"
)
RECORDINGS_DELETED = Counter(
    "commhub_room_recordings_deleted_total", "Recordings of pictures whose time was up"
)
ROLL_CALL_ITEMS = Counter("commhub_roll_call_items_total", "Answers to roll-calls", ["verdict"])
CAMERAS_STOPPED = Counter("commhub_cameras_stopped_total", "Cameras that nobody watched any more")
