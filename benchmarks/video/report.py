"""What a run came to, and whether the forwarder did its work at all."""

from dataclasses import dataclass

import numpy as np

from benchmarks.video import stream
from benchmarks.video.load import Load, LoadReport

_DECODED_AT_LEAST = 20
"""Pictures of a sampled viewer, from its first key frame on."""
_REPAIRED_AT_LEAST = 0.9
FEATURES = ("nack cache", "rtx", "rtcp", "rewriting", "gop cache", "estimates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`us_per_packet`: CPU of the whole process, its share in the kernel beside it, for each packet that arrived at a viewer.
    `delay` from the camera's send to the kernel's receipt at the viewer; `first_picture` from a viewer's handshake to
    the last packet of its first key frame."""

    subject: str
    subscribers: int
    us_per_packet: float
    kernel_pct: float
    core_pct: float
    packets_per_s: int
    lost: int
    expected: int
    delay_p50_ms: float
    delay_p95_ms: float
    delay_p99_ms: float
    first_picture_ms_p95: float
    decoded_pictures: int
    repaired: int
    load_core_pct: float
    features: tuple[str, ...]
    counts: dict[str, int]
    faults: tuple[str, ...]

    @classmethod
    def of(cls, subject: str, load: Load, found: LoadReport, counts: dict[str, int]) -> "Figures":
        p50, p95, p99 = found.delays_ms
        return cls(
            subject=subject,
            subscribers=load.viewers,
            us_per_packet=round(found.cpu_s * 1e6 / max(found.received, 1), 2),
            kernel_pct=round(100 * found.kernel_s / max(found.cpu_s, 1e-9), 1),
            core_pct=round(100 * found.cpu_s / found.seconds, 1),
            packets_per_s=round(found.received / found.seconds),
            lost=found.lost,
            expected=found.expected,
            delay_p50_ms=p50,
            delay_p95_ms=p95,
            delay_p99_ms=p99,
            first_picture_ms_p95=round(float(np.percentile(found.first_picture_ms, 95)), 1),
            decoded_pictures=sum(map(len, found.decoded)),
            repaired=found.repaired,
            load_core_pct=round(100 * found.load_cpu_s / found.seconds, 1),
            features=FEATURES if counts else (),
            counts={name: value for name, value in counts.items() if value},
            faults=tuple(_faults(load, found, counts)),
        )

    def verify(self) -> None:
        """Raises AssertionError with everything that was wrong."""
        assert not self.faults, "; ".join(self.faults)

    def line(self) -> str:
        return (
            f"{self.subject}: {self.subscribers} viewers of 1080p30: {self.us_per_packet} µs per packet "
            f"({self.kernel_pct} % in the kernel; {self.core_pct} % of the core at {self.packets_per_s} packets/s), "
            f"lost {self.lost} of {self.expected}, delay p50 {self.delay_p50_ms} p95 {self.delay_p95_ms} p99 {self.delay_p99_ms} ms, "
            f"first picture p95 {self.first_picture_ms_p95} ms; {self.decoded_pictures} pictures decoded, "
            f"{self.repaired} packets repaired; load {self.load_core_pct} % of its core"
        )


def _faults(load: Load, found: LoadReport, counts: dict[str, int]) -> list[str]:
    pictures = stream.pictures()
    due = stream.RATE * found.seconds * sum(map(len, pictures)) / len(pictures)
    checks = [
        (found.sent >= 0.9 * due, f"the camera sent {found.sent} packets where {due:.0f} were due"),
        (
            found.received >= 0.9 * found.expected,
            f"{found.received} packets came where {found.expected} were due",
        ),
        (bool(found.decoded), "nobody's pictures were decoded"),
    ]
    checks += [
        (
            len(sizes) >= _DECODED_AT_LEAST and set(sizes) == {(stream.WIDTH, stream.HEIGHT)},
            f"a viewer decoded {len(sizes)} pictures of {set(sizes)}",
        )
        for sizes in found.decoded
    ]
    if counts:
        checks += _own_checks(load, found, counts)
    return [sentence for is_well, sentence in checks if not is_well]


def _own_checks(load: Load, found: LoadReport, counts: dict[str, int]) -> list[tuple[bool, str]]:
    """What we say of ourselves, against what the viewers found."""
    return [
        (
            counts["sent"] >= found.received,
            f"{counts['sent']} packets were sent and {found.received} came",
        ),
        (
            found.repaired >= _REPAIRED_AT_LEAST * found.nacked,
            f"{found.nacked} packets were asked for again, {found.repaired} came",
        ),
        (
            found.reports >= 0.5 * load.viewers * found.seconds,
            f"{found.reports} sender reports came",
        ),
        (not counts["unsealed"], f"{counts['unsealed']} packets were refused by libsrtp"),
        (not counts["unsent"], f"{counts['unsent']} packets were not taken by the socket"),
    ]
