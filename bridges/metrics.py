"""What control knows of its media workers, for Prometheus. The audio engine counts in plain integers
(`audio.counts`), because one tick touches them for hundreds of legs; they come over with the worker's load, and
`Published` turns them into counters that survive the worker.

Figures of calls are there while the call is, so that the number of series stays that of live calls.
"""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from bridges.protocol import WorkerLoad
from commhub.ports.media import LegMeter

ENGINE = Counter(
    "commhub_bridges_audio_total",
    "What the audio engine did and dropped, by kind",
    ["worker", "kind"],
)
LEGS = Gauge("commhub_bridges_legs", "Legs a media worker has", ["worker"])
BUSY = Gauge("commhub_bridges_busy_ratio", "Share of its time a worker is in a tick", ["worker"])
UP = Gauge("commhub_bridges_up", "Whether a media worker is reached and answers", ["worker"])
TAKEN_UP = Counter(
    "commhub_bridges_legs_restored_total",
    "Legs that control had to set up again after a worker was lost, by how it went",
    ["how"],
)
CALL_LEGS = Gauge("commhub_bridges_call_legs", "Legs of a live call", ["worker", "call"])
CALL_LOST = Gauge(
    "commhub_bridges_call_lost_packets",
    "Packets lost so far, all legs of a live call",
    ["worker", "call"],
)
CALL_CONCEALED = Gauge(
    "commhub_bridges_call_concealed_frames",
    "Frames made up so far, all legs of a live call",
    ["worker", "call"],
)
CALL_JITTER = Gauge(
    "commhub_bridges_call_jitter_seconds",
    "Interarrival jitter of a live call's worst leg",
    ["worker", "call"],
)
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
_OF_CALLS = (CALL_LEGS, CALL_LOST, CALL_CONCEALED, CALL_JITTER)


class Published:
    """Remembers what Prometheus has been told of one worker."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._boot_id = ""
        self._told: dict[str, int] = {}
        self._calls: set[str] = set()

    def update(self, load: WorkerLoad) -> None:
        """What a worker counted; a new life of it begins at 0."""
        if load.boot_id != self._boot_id:
            self._boot_id = load.boot_id
            self._told.clear()
        for kind, value in load.counts.items():
            ENGINE.labels(self._worker, kind).inc(max(0, value - self._told.get(kind, 0)))
            self._told[kind] = value
        LEGS.labels(self._worker).set(load.legs)
        BUSY.labels(self._worker).set(load.busy)

    def is_up(self, up: bool) -> None:
        UP.labels(self._worker).set(up)

    def calls(self, meters: Iterable[LegMeter]) -> None:
        """The calls a worker has; those it had and has no more are taken away."""
        by_call: dict[str, list[LegMeter]] = {}
        for meter in meters:
            by_call.setdefault(meter.call_id, []).append(meter)
        for call_id in self._calls - set(by_call):
            for gauge in _OF_CALLS:
                gauge.remove(self._worker, call_id)
        for call_id, legs in by_call.items():
            CALL_LEGS.labels(self._worker, call_id).set(len(legs))
            CALL_LOST.labels(self._worker, call_id).set(sum(leg.lost for leg in legs))
            CALL_CONCEALED.labels(self._worker, call_id).set(sum(leg.concealed for leg in legs))
            worst_ms = max(leg.jitter_ms for leg in legs)
            CALL_JITTER.labels(self._worker, call_id).set(worst_ms / 1000)
        self._calls = set(by_call)
