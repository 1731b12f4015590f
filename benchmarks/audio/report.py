"""What a run found, and whether the engine did its work."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.audio.load import RADIO_TONE, REPORT_EVERY_MS, TONES, Load, LoadReport, delays_ms
from benchmarks.audio.radios import RadioReport, Radios
from benchmarks.audio.used import Used

HEARD_DB = 20.0
ABSENT_DB = -30.0
LOST_AT_MOST = 0.005
MISSED_AT_MOST = 0.05
NEAR_HZ = 5.0


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
        latencies = np.array(delays_ms(heard.marks_sent, heard.marks_heard))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioFigures:
    """Radios beside phones: delays between the begin of a mark at one end and at the other."""

    phones: Figures
    groups: int
    frames_from_radios: int
    frames_to_radios: int
    codecs_to_radios: dict[str, int]
    radio_to_phone_p50_ms: float | None
    radio_to_phone_p95_ms: float | None
    phone_to_radio_p50_ms: float | None
    phone_to_radio_p95_ms: float | None
    faults: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, phones: Figures, radios: Radios, at_phones: LoadReport, at_radios: RadioReport
    ) -> "RadioFigures":
        inward = np.array(delays_ms(at_radios.marks_sent, at_phones.marks_heard))
        outward = np.array(delays_ms(at_phones.marks_sent, at_radios.marks_heard))
        return cls(
            phones=phones,
            groups=radios.groups,
            frames_from_radios=at_radios.sent,
            frames_to_radios=at_radios.received,
            codecs_to_radios=at_radios.codecs,
            radio_to_phone_p50_ms=_percentile(inward, 50),
            radio_to_phone_p95_ms=_percentile(inward, 95),
            phone_to_radio_p50_ms=_percentile(outward, 50),
            phone_to_radio_p95_ms=_percentile(outward, 95),
            faults=tuple(_radio_faults(radios, phones, at_phones, at_radios)),
        )

    def verify(self) -> None:
        """Raises AssertionError with everything that was wrong."""
        assert not self.faults, "; ".join(self.faults)

    def line(self) -> str:
        return (
            f"{self.phones.line()}\n{self.groups} groups: {self.frames_from_radios} frames from radios, "
            f"{self.frames_to_radios} to radios ({self.codecs_to_radios}); radio to phone "
            f"p50 {self.radio_to_phone_p50_ms} p95 {self.radio_to_phone_p95_ms} ms, phone to radio "
            f"p50 {self.phone_to_radio_p50_ms} p95 {self.phone_to_radio_p95_ms} ms"
        )


def _radio_faults(
    radios: Radios, phones: Figures, at_phones: LoadReport, heard: RadioReport
) -> list[str]:
    faults = []
    for leg, levels in at_phones.levels.items():
        spoken = radios.spoken_by_radio(leg // phones.party)
        if spoken and levels[f"{RADIO_TONE:g}"] < levels["floor"] + HEARD_DB:
            faults.append(f"a phone did not hear the radio ({levels})")
    for group in range(radios.groups // 2, radios.groups - 1):
        loudest = heard.loudest_hz.get(group, 0.0)
        if min(abs(loudest - tone) for tone in TONES) > NEAR_HZ:
            faults.append(f"group {group} heard {loudest} Hz from its call")
    if not phones.counts.get("radio_received"):
        faults.append("no frame of a radio reached the engine")
    if phones.counts.get("radio_undecodable"):
        faults.append(f"{phones.counts['radio_undecodable']} frames could not be decoded")
    return faults


def _percentile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", part: int) -> float | None:
    return round(float(np.percentile(values, part)), 1) if len(values) else None


def _tone_faults(load: Load, heard: LoadReport) -> list[str]:
    faults = [] if heard.levels else ["no leg was sampled"]
    for leg, levels in heard.levels.items():
        voice = load.voice(leg)
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
