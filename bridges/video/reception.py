"""How a layer is received, for our receiver reports (RFC 3550 §6.4, A.3, A.8)."""

from bridges.video.feedback import ReportBlock, SenderInfo
from bridges.video.intake import CLOCK_RATE, signed


class Reception:
    """One stream's counters. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._base = -1
        self._highest = -1
        self._received = 0
        self._told_expected = 0
        self._told_received = 0
        self._transit: float | None = None
        self._jitter = 0.0
        self._report: tuple[int, float] | None = None
        self.last_at = 0.0

    def take(self, count: int, highest: int, newest: int, now: float) -> None:
        """A batch of `count` packets of which the newest has that timestamp."""
        if self._base < 0:
            self._base = highest - count + 1
        self._highest = highest
        self._received += count
        self.last_at = now
        transit = now * CLOCK_RATE - newest
        if self._transit is not None:
            away = abs(signed(int(transit - self._transit) & 0xFFFFFFFF))
            self._jitter += (away - self._jitter) / 16
        self._transit = transit

    def heard_report(self, sender: SenderInfo, now: float) -> None:
        """Its sender report, for LSR and DLSR."""
        self._report = (sender.ntp_timestamp >> 16 & 0xFFFFFFFF, now)

    @property
    def lost(self) -> int:
        """Packets that never came so far; not below 0."""
        return max(0, self._expected - self._received)

    @property
    def _expected(self) -> int:
        return 0 if self._base < 0 else self._highest - self._base + 1

    def block(self, ssrc: int, now: float) -> ReportBlock | None:
        """What to tell since the last time; None before the first packet."""
        if self._base < 0:
            return None
        expected = self._expected - self._told_expected
        lost = expected - (self._received - self._told_received)
        self._told_expected, self._told_received = self._expected, self._received
        middle, since = (0, 0.0) if self._report is None else self._report
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=min(255, lost * 256 // expected) if expected > 0 and lost > 0 else 0,
            packets_lost=self._expected - self._received,
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(self._jitter),
            lsr=middle,
            dlsr=int((now - since) * 65536) & 0xFFFFFFFF if middle else 0,
        )
