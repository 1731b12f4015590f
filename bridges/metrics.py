"""What the worker counts, for Prometheus. The audio engine counts in plain integers (`audio.counts`), because
one tick touches them for hundreds of legs; `Published` carries them over once a second."""

from prometheus_client import Counter, Gauge

from bridges.audio.counts import Counts

ENGINE = Counter(
    "commhub_bridges_audio_total", "What the audio engine did and dropped, by kind", ["kind"]
)
LEGS = Gauge("commhub_bridges_legs", "Legs the media worker has")
CONTROLS = Gauge("commhub_bridges_controls", "Control connections to this media worker")
REFUSED = Counter(
    "commhub_bridges_refused_requests_total", "Requests of control that were refused", ["code"]
)
EVENTS_DROPPED = Counter(
    "commhub_bridges_events_dropped_total", "Events nobody was there for, or who was too slow"
)
RECONNECTIONS = Counter(
    "commhub_bridges_connection_losses_total", "Lost connections from control to a media worker"
)


class Published:
    """Remembers what Prometheus has been told of an engine's counts."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def update(self, counts: Counts, legs: int) -> None:
        for kind, value in counts.as_dict().items():
            ENGINE.labels(kind).inc(value - self._told.get(kind, 0))
            self._told[kind] = value
        LEGS.set(legs)
