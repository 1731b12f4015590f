"""What a run found, and whether the engine did its work."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.audio.load import TONES, LoadReport
from benchmarks.audio.subject import Used

HEARD_DB = 20.0
ABSENT_DB = -30.0
LOST_AT_MOST = 0.005
MISSED_AT_MOST = 0.05


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine's CPU time so far, in its own units."""

    total: int
    softirq: int

    @classmethod
    def now(cls) -> "Machine":
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        times = [int(one) for one in fields]
        return cls(sum(times), times[6])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`us_per_leg_tick`: CPU of the whole worker process. Percentages are of the measured time."""

    legs: int
    sockets: str
    features: tuple[str, ...] = ("source and SSRC lock", "levels", "silence watch")
    us_per_leg_tick: float
    system_share_pct: float
    missed_pct: float
    p50_ms: float | None
    p95_ms: float | None
    softirq_pct_machine: float
    load_cpu_pct: float
    load_latest_ms: float
    received_ratio: float
    concealed_pct: float
    sampled_legs: int
    counts: dict[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, legs: int, own: bool, before: Used, after: Used, machine: Machine,
        machine_after: Machine, load: LoadReport,
    ) -> "Figures":  # fmt: skip
        counts = {name: after.counts[name] - before.counts[name] for name in after.counts}
        user, system = after.user_s - before.user_s, after.system_s - before.system_s
        elapsed = after.at - before.at
        ticks = max(counts["ticks"], 1)
        latencies = np.array(load.latencies_ms[len(load.latencies_ms) // 4 :])
        return cls(
            legs=legs,
            sockets="a pair a leg" if own else "shared pair",
            us_per_leg_tick=round((user + system) / ticks / legs * 1e6, 2),
            system_share_pct=round(100 * system / (user + system), 1),
            missed_pct=round(100 * counts["missed_ticks"] / ticks, 3),
            p50_ms=_percentile(latencies, 50),
            p95_ms=_percentile(latencies, 95),
            softirq_pct_machine=round(
                100 * (machine_after.softirq - machine.softirq)
                / max(machine_after.total - machine.total, 1), 1,
            ),
            load_cpu_pct=round(100 * load.cpu_s / load.seconds, 1),
            load_latest_ms=round(load.latest_ms, 1),
            received_ratio=round(counts["received"] / (legs * 50 * elapsed), 4),
            concealed_pct=round(100 * counts["concealed"] / (legs * ticks), 3),
            sampled_legs=len(load.levels),
            counts={name: value for name, value in counts.items() if value},
            faults=tuple(_faults(legs, load, counts)),
        )  # fmt: skip

    def verify(self) -> None:
        """Raises AssertionError with everything that was wrong."""
        assert not self.faults, "; ".join(self.faults)

    def line(self) -> str:
        return (
            f"{self.legs} legs, {self.sockets}: {self.us_per_leg_tick} µs per leg and tick "
            f"({self.system_share_pct} % in the kernel), missed {self.missed_pct} %, "
            f"p50 {self.p50_ms} ms, p95 {self.p95_ms} ms, concealed {self.concealed_pct} %; "
            f"machine softirq {self.softirq_pct_machine} %, load {self.load_cpu_pct} % of its core"
        )


def _percentile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", part: int) -> float | None:
    return round(float(np.percentile(values, part)), 1) if len(values) else None


def _faults(legs: int, load: LoadReport, counts: dict[str, int]) -> list[str]:
    faults = []
    if not load.levels:
        faults.append("no leg was sampled")
    for place, levels in load.levels:
        floor = levels["floor"]
        heard = [levels[f"{tone:g}"] for n, tone in enumerate(TONES) if n != place]
        own = levels[f"{TONES[place]:g}"]
        if min(heard) < floor + HEARD_DB:
            faults.append(f"a leg did not hear the others ({levels})")
        if own - max(heard) > ABSENT_DB:
            faults.append(f"a leg heard itself ({levels})")
    if counts["failed_ticks"]:
        faults.append(f"{counts['failed_ticks']} ticks failed")
    # A report is asked for in the middle of a tick, at either end.
    due = (counts["ticks"] - 2) * legs
    if counts["sent"] < (1 - LOST_AT_MOST) * due:
        faults.append(f"{counts['sent']} packets were sent where {due} were due")
    # The far ends listen longer than is measured, so they have at least what was sent meanwhile.
    if load.received < (1 - LOST_AT_MOST) * counts["sent"]:
        faults.append(f"{counts['sent']} packets were sent and {load.received} arrived")
    if counts["received"] < (1 - LOST_AT_MOST) * due:
        faults.append(f"{counts['received']} packets were received where {due} were due")
    if counts["missed_ticks"] > MISSED_AT_MOST * counts["ticks"]:
        faults.append(f"{counts['missed_ticks']} ticks missed: this machine is too busy to measure")
    return faults
