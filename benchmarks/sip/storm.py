"""Ten thousand phones register anew, with calls beside them: what follows a power cut."""

from dataclasses import dataclass

from benchmarks.sip.bench import BESIDE_PER_S, SLACK_S, Bench, demand

STORM_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Storm:
    """`calls_failed` of the calls that went on beside it."""

    phones: int
    register_storm_s: float
    failed: int
    calls: int
    calls_failed: int
    register_p99_ms: float

    def tops(self) -> dict[str, object]:
        failed = self.failed + self.calls_failed
        return {"register_storm_s": self.register_storm_s, "failed": failed}


def measure_storm(bench: Bench, phones: int, rate: float) -> Storm:
    """All phones register anew, with calls beside them. Raises NotDoneError when one failed."""
    seconds = phones / rate
    with (
        bench.callee(),
        bench.caller(BESIDE_PER_S, seconds, 1.0) as caller,
        bench.registrations(rate, phones) as storm,
    ):
        registered = storm.finish(STORM_WITHIN_S + SLACK_S)
        calls = caller.finish(seconds + SLACK_S)
    found = Storm(
        phones=phones,
        register_storm_s=round(registered.seconds, 2),
        failed=registered.failed,
        calls=calls.succeeded + calls.failed,
        calls_failed=calls.failed,
        register_p99_ms=registered.percentile("1", 0.99),
    )
    demand(registered.succeeded == phones, "registrations failed", found)
    demand(not found.calls_failed, "calls failed beside the storm", found)
    return found
