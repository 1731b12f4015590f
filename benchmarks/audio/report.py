"""What a run found, and whether the engine did its work."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.audio.load import REPORT_EVERY_MS, TONES, Load, LoadReport
from benchmarks.audio.used import Used

HEARD_DB = 20.0
ABSENT_DB = -30.0
LOST_AT_MOST = 0.005
MISSED_AT_MOST = 0.05


_OUR_FEATURES = (
    "source and SSRC lock", "RTCP", "concealment", "adaptive playout", "levels", "silence watch",
)  # fmt: skip


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
    """`us_per_leg_tick`: CPU of the whole process. Percentages are of the measured time; `missed_pct` of the ticks
    by our own count, for a peer that counts none the part of the packets due that never came."""

    subject: str
    legs: int
    party: int
    features: tuple[str, ...]
    us_per_leg_tick: float
    system_share_pct: float
    missed_pct: float
    p50_ms: float | None
    p95_ms: float | None
    softirq_pct_machine: float
    load_cpu_pct: float
    load_latest_ms: float
    concealed_pct: float
    reports_per_s: float
    sampled_legs: int
    counts: dict[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, subject: str, load: Load, before: Used, after: Used, machine: Machine,
        machine_after: Machine, heard: LoadReport,
    ) -> "Figures":  # fmt: skip
        counts = {name: after.counts[name] - before.counts[name] for name in after.counts}
        user, system = after.user_s - before.user_s, after.system_s - before.system_s
        ticks = counts.get("ticks", round((after.at - before.at) * 50))
        due = load.legs * heard.seconds * 50
        latencies = np.array(heard.latencies_ms[len(heard.latencies_ms) // 4 :])
        return cls(
            subject=subject,
            legs=load.legs,
            party=load.party,
            features=_OUR_FEATURES if counts else (),
            us_per_leg_tick=round((user + system) / ticks / load.legs * 1e6, 2),
            system_share_pct=round(100 * system / max(user + system, 1e-9), 1),
            missed_pct=round(
                100 * (counts["missed_ticks"] / ticks if counts else 1 - heard.received / due), 3
            ),
            p50_ms=_percentile(latencies, 50),
            p95_ms=_percentile(latencies, 95),
            softirq_pct_machine=round(
                100 * (machine_after.softirq - machine.softirq)
                / max(machine_after.total - machine.total, 1), 1,
            ),
            load_cpu_pct=round(100 * heard.cpu_s / heard.seconds, 1),
            load_latest_ms=round(heard.latest_ms, 1),
            concealed_pct=round(100 * counts.get("concealed", 0) / (load.legs * ticks), 3),
            reports_per_s=round(heard.reports / heard.seconds, 1),
            sampled_legs=len(heard.levels),
            counts={name: value for name, value in counts.items() if value},
            faults=(*_tone_faults(load, heard), *_count_faults(load, heard, counts)),
        )  # fmt: skip

    def verify(self) -> None:
        """Raises AssertionError with everything that was wrong."""
        assert not self.faults, "; ".join(self.faults)

    def line(self) -> str:
        return (
            f"{self.subject}: {self.legs} legs in calls of {self.party}: {self.us_per_leg_tick} µs per leg and tick "
            f"({self.system_share_pct} % in the kernel), missed {self.missed_pct} %, "
            f"p50 {self.p50_ms} ms, p95 {self.p95_ms} ms, concealed {self.concealed_pct} %; "
            f"{self.reports_per_s} reports/s; machine softirq {self.softirq_pct_machine} %, load {self.load_cpu_pct} % of its core"
        )


def _percentile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", part: int) -> float | None:
    return round(float(np.percentile(values, part)), 1) if len(values) else None


def _tone_faults(load: Load, heard: LoadReport) -> list[str]:
    faults = [] if heard.levels else ["no leg was sampled"]
    for voice, levels in heard.levels:
        others = [levels[f"{tone:g}"] for n, tone in enumerate(TONES[: load.talkers]) if n != voice]
        if min(others) < levels["floor"] + HEARD_DB:
            faults.append(f"a leg did not hear the others ({levels})")
        if voice >= 0 and levels[f"{TONES[voice]:g}"] - max(others) > ABSENT_DB:
            faults.append(f"a leg heard itself ({levels})")
    return faults


def _count_faults(load: Load, heard: LoadReport, counts: dict[str, int]) -> list[str]:
    """What our own counts and the far ends' say of each other; a peer's cost is in its `missed_pct`."""
    if not counts:
        return []
    faults = []
    if counts["failed_ticks"]:
        faults.append(f"{counts['failed_ticks']} ticks failed")
    # A report is asked for in the middle of a tick, at either end.
    due = (counts["ticks"] - 2) * load.legs
    if counts["sent"] < (1 - LOST_AT_MOST) * due:
        faults.append(f"{counts['sent']} packets were sent where {due} were due")
    # The far ends listen longer than is measured, so they have at least what was sent meanwhile.
    if heard.received < (1 - LOST_AT_MOST) * counts["sent"]:
        faults.append(f"{counts['sent']} packets were sent and {heard.received} arrived")
    if counts["received"] < (1 - LOST_AT_MOST) * (1 - load.loss) * due:
        faults.append(f"{counts['received']} packets were received where {due} were due")
    if counts["missed_ticks"] > MISSED_AT_MOST * counts["ticks"]:
        faults.append(f"{counts['missed_ticks']} ticks missed: this machine is too busy to measure")
    if load.reports and heard.reports < 0.5 * load.legs * heard.seconds * 1000 / REPORT_EVERY_MS:
        faults.append(f"{heard.reports} RTCP reports came in {heard.seconds:.0f} s")
    return faults
