"""What control knows of its media workers, for Prometheus. The audio engine counts in plain integers
(`audio.counts`), because one tick touches them for hundreds of legs; they come over with the worker's load, and
`Published` turns them into counters that survive the worker.

Figures of calls are there while the call is, so that the number of series stays that of live calls. They are made out
of the last meters when somebody scrapes: a series of its own costs objects and a lock, and few are ever looked at.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

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


class CallFigures(Collector):
    """The calls of every worker, as they were measured last."""

    def __init__(self) -> None:
        self._meters: dict[str, Sequence[LegMeter]] = {}

    def put(self, worker: str, meters: Iterable[LegMeter]) -> None:
        """All legs the worker has now, in place of those it had."""
        self._meters[worker] = tuple(meters)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        legs = _family("legs", "Legs of a live call")
        lost = _family("lost_packets", "Packets lost so far, all legs of a live call")
        concealed = _family("concealed_frames", "Frames made up so far, all legs of a live call")
        jitter = _family("jitter_seconds", "Interarrival jitter of a live call's worst leg")
        # A scrape may be in another thread than the pool.
        for worker, meters in list(self._meters.items()):
            for call_id, of_call in _by_call(meters).items():
                whose = [worker, call_id]
                legs.add_metric(whose, len(of_call))
                lost.add_metric(whose, sum(leg.lost for leg in of_call))
                concealed.add_metric(whose, sum(leg.concealed for leg in of_call))
                jitter.add_metric(whose, max(leg.jitter_ms for leg in of_call) / 1000)
        yield from (legs, lost, concealed, jitter)


def _family(what: str, says: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"commhub_bridges_call_{what}", says, labels=["worker", "call"])


def _by_call(meters: Iterable[LegMeter]) -> dict[str, list[LegMeter]]:
    calls: dict[str, list[LegMeter]] = {}
    for meter in meters:
        calls.setdefault(meter.call_id, []).append(meter)
    return calls


CALLS = CallFigures()
REGISTRY.register(CALLS)


class Published:
    """Remembers what Prometheus has been told of one worker."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._boot_id = ""
        self._told: dict[str, int] = {}

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
        CALLS.put(self._worker, meters)
