"""Complete calls: at one rate, at the highest that is held, and at three times as many as the hub can do."""

import math
import time
from dataclasses import dataclass, replace

from benchmarks.sip.bench import SLACK_S, Bench, NotDoneError, demand, highest, settled

# A few more than a thousand, as not all of them are up at the moment somebody looks.
DIALOGS = 1_050
# A slow hub is not measured for longer than this a call; it then has fewer dialogs open.
LONGEST_TALK_S = 20.0
OVERLOAD = 3
# A rate is looked for by steps of so many seconds; whoever fails should not be waited for.
_PROBE_PER_S, _PROBE_S, _PROBE_TALK_S = 30.0, 4.0, 1.0
_STEP_S, _STEP_PATIENCE_S = 5.0, 6
# Of what its CPU time promises, a core can be given so much. With the few calls of the probe every step is a turn of the
# loop and a commit of its own, and what the hub does besides counts: a call looks twice as dear as it is.
_AT_FIRST, _UP, _DOWN = 2.0, 1.2, 0.8
# Rates nearer to each other than this are one.
_FINE = 1.04
_SEARCH_S = 29.0
_KEPT_UP = 0.7


@dataclass(frozen=True, slots=True)
class Calls:
    """`pdd`: from the caller's INVITE with its digest to ringing; `answer`: to the answer of a phone that does so at
    once; both are what the hub adds. `pdd_p99_ms` is that at `pdd_at_per_s`, below saturation where the highest rate was
    looked for, and `top_pdd_p99_ms` that at `calls_per_s`. `failed` counts whoever was turned away. `cpu_ms` of control
    per call."""

    calls_per_s: float
    failed: int
    open_dialogs: int
    pdd_at_per_s: float
    pdd_p50_ms: float
    pdd_p99_ms: float
    top_pdd_p99_ms: float
    answer_p99_ms: float
    retransmitted: int
    cpu_ms: float

    def tops(self) -> dict[str, object]:
        return {
            "calls_per_s": self.calls_per_s,
            "open_dialogs": self.open_dialogs,
            "pdd_p99_ms": self.pdd_p99_ms,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class Overload:
    """Calls offered at `offered_per_s`, `OVERLOAD` times what the hub can do: `calls_per_s` were completed, `shed` told
    503 at once, `failed` neither. `cpu_share` is the part of a core that the hub used meanwhile: on a machine that has
    other work it gets no whole one, and a hub that turns away what it had the time for shows here."""

    sustainable_per_s: float
    offered_per_s: float
    calls_per_s: float
    shed: int
    failed: int
    pdd_p50_ms: float
    pdd_p99_ms: float
    cpu_share: float

    def tops(self) -> dict[str, object]:
        return {"overload_calls_per_s": self.calls_per_s, "failed": self.failed}


def measure_calls(
    bench: Bench, rate: float, seconds: float, talk_s: float | None = None, patience_s: int = 32
) -> Calls:
    """Calls at `rate`, each so long that about `DIALOGS` are open (a call is two). Raises NotDoneError when one
    failed, or the hub saw others than the callers made."""
    talk_s = min(DIALOGS / 2 / rate, LONGEST_TALK_S) if talk_s is None else talk_s
    hub = bench.hub
    legs_before, cpu_before = hub.metric("commhub_sip_legs_ended_total"), hub.cpu_s()
    shed_before = hub.metric("commhub_sip_shed_total")
    with bench.callee(), bench.caller(rate, seconds, talk_s, patience_s) as caller:
        with highest(lambda: hub.metric("commhub_sip_legs")) as open_legs:
            counted = caller.finish(seconds + talk_s + SLACK_S)
        ended = settled(lambda: hub.metric("commhub_sip_legs") == 0)
    legs = hub.metric("commhub_sip_legs_ended_total") - legs_before
    shed = round(hub.metric("commhub_sip_shed_total") - shed_before)
    completed = counted.succeeded - shed
    pdd_p99_ms = counted.percentile("1", 0.99)
    per_s = completed / max(counted.seconds - talk_s, 0.001)
    found = Calls(
        # SIPp hurries at its beginning; more than was asked for is not what was held.
        calls_per_s=round(min(per_s, rate), 1),
        failed=counted.failed + shed,
        open_dialogs=int(open_legs[0]),
        pdd_at_per_s=rate,
        pdd_p50_ms=counted.percentile("1", 0.5),
        pdd_p99_ms=pdd_p99_ms,
        top_pdd_p99_ms=pdd_p99_ms,
        answer_p99_ms=counted.percentile("2", 0.99),
        retransmitted=counted.retransmitted,
        cpu_ms=round(1000 * (hub.cpu_s() - cpu_before) / max(completed, 1), 2),
    )
    demand(counted.succeeded + counted.failed == round(rate * seconds), "calls are missing", found)
    demand(not found.failed, "calls failed", found)
    demand(ended, "legs were left behind", found)
    demand(legs == 2 * counted.succeeded, f"{legs:.0f} legs ended", found)
    return found


def find_rate(bench: Bench) -> Calls:
    """The highest rate that is held, by a few short steps from what a few calls cost; its figures, with the post-dial
    delay of those few, far below. Raises NotDoneError when none was held."""
    began = time.monotonic()
    calm = measure_calls(bench, _PROBE_PER_S, _PROBE_S, _PROBE_TALK_S, _STEP_PATIENCE_S)
    rate = _promised(calm)
    best: Calls | None = None
    missed: NotDoneError | None = None
    too_much = math.inf
    while time.monotonic() - began <= _SEARCH_S - _STEP_S:
        try:
            best = measure_calls(bench, rate, _STEP_S, patience_s=_STEP_PATIENCE_S)
            rate = _between(rate, min(too_much, rate * _UP * _UP))
        except NotDoneError as error:
            missed, too_much = error, rate
            rate = round(rate * _DOWN) if best is None else _between(best.pdd_at_per_s, rate)
        if best is not None and rate < best.pdd_at_per_s * _FINE:
            break
    if best is None:
        raise missed or NotDoneError("no rate was held", calm)
    return replace(
        best,
        pdd_at_per_s=calm.pdd_at_per_s,
        pdd_p50_ms=calm.pdd_p50_ms,
        pdd_p99_ms=calm.pdd_p99_ms,
    )


def _between(held: float, too_much: float) -> int:
    return round(math.sqrt(held * too_much))


def _calm(bench: Bench) -> Calls:
    """What a few calls cost, whether all of them succeeded or not."""
    try:
        return measure_calls(bench, _PROBE_PER_S, _PROBE_S, _PROBE_TALK_S)
    except NotDoneError as error:
        if not isinstance(error.figures, Calls) or error.figures.calls_per_s <= 0:
            raise
        return error.figures


def _promised(calm: Calls) -> float:
    return float(max(round(_AT_FIRST * 1000 / max(calm.cpu_ms, 0.1)), 10))


def measure_overload(bench: Bench, rate: float | None, seconds: float) -> Overload:
    """Calls at `OVERLOAD` times `rate`, which the hub can do (None: what its CPU time promises). Raises NotDoneError when
    it completes much less than it can, or lets calls hang instead of turning them away."""
    if rate is None:
        rate = _promised(_calm(bench))
    offered, talk_s, hub = OVERLOAD * rate, 1.0, bench.hub
    shed, cpu_s = hub.metric("commhub_sip_shed_total"), hub.cpu_s()
    with bench.callee(), bench.caller(offered, seconds, talk_s) as caller:
        counted = caller.finish(seconds + talk_s + SLACK_S)
        cpu_s = hub.cpu_s() - cpu_s
        ended = settled(lambda: hub.metric("commhub_sip_legs") == 0)
    shed = hub.metric("commhub_sip_shed_total") - shed
    found = Overload(
        sustainable_per_s=rate,
        offered_per_s=offered,
        calls_per_s=round((counted.succeeded - shed) / max(counted.seconds - talk_s, 0.001), 1),
        shed=round(shed),
        failed=counted.failed,
        pdd_p50_ms=counted.percentile("1", 0.5),
        pdd_p99_ms=counted.percentile("1", 0.99),
        cpu_share=round(cpu_s / max(counted.seconds, 0.001), 2),
    )
    total = counted.succeeded + counted.failed
    demand(total == round(offered * seconds), "calls are missing", found)
    demand(found.calls_per_s >= _KEPT_UP * rate, "the hub collapsed", found)
    demand(counted.failed <= 0.01 * total, "calls hung", found)
    demand(ended, "legs were left behind", found)
    return found
