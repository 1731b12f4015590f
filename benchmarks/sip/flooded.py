"""A flood beside calls."""

import multiprocessing
from dataclasses import dataclass

from benchmarks.sip.bench import BESIDE_PER_S, SLACK_S, Bench, demand
from benchmarks.sip.flood import Flood

FLOOD_PER_S = 5_000
MEMORY_MAY_GROW_MB = 96.0


@dataclass(frozen=True, slots=True)
class Flooded:
    """`throttled` of the messages that were dropped unread; `memory_mb` how much the control process grew."""

    flood_per_s: float
    seconds: float
    calls: int
    calls_failed: int
    throttled: float
    memory_mb: float
    pdd_p99_ms: float
    cpu_share: float

    def tops(self) -> dict[str, object]:
        return {"flood_per_s": self.flood_per_s, "failed": self.calls_failed}


def measure_flood(bench: Bench, seconds: float) -> Flooded:
    """A flood beside calls. Raises NotDoneError when more than one call in a hundred failed, the source was not
    throttled, or memory grew."""
    hub = bench.hub
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    flood = Flood(hub.port, FLOOD_PER_S, seconds)
    process = context.Process(target=flood.run, args=(theirs,))
    # The first call proves its phone; a flood's neighbour is served from then on.
    with bench.callee(), bench.caller(BESIDE_PER_S, seconds, 1.0) as caller:
        memory, cpu = hub.memory_mb(), hub.cpu_s()
        process.start()
        sent, took = ours.recv()
        process.join()
        cpu = hub.cpu_s() - cpu
        calls = caller.finish(seconds + SLACK_S)
    throttled = hub.metric("commhub_sip_throttled_total", who="source")
    found = Flooded(
        flood_per_s=round(sent / took, 1),
        seconds=round(took, 1),
        calls=calls.succeeded + calls.failed,
        calls_failed=calls.failed,
        throttled=round(throttled / sent, 3),
        memory_mb=round(hub.memory_mb() - memory, 1),
        pdd_p99_ms=calls.percentile("1", 0.99),
        cpu_share=round(cpu / took, 2),
    )
    demand(sent >= 0.9 * FLOOD_PER_S * seconds, "the load could not flood", found)
    demand(calls.succeeded >= 0.99 * found.calls, "calls failed beside the flood", found)
    demand(found.throttled > 0.5, "the flood was not throttled", found)
    demand(found.memory_mb < MEMORY_MAY_GROW_MB, "memory grew", found)
    return found
