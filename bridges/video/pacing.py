"""How fast a view that is behind may catch up: a bucket of bytes, filled at a multiple of what its path carries.

A newcomer gets the key frame and what followed it faster than it was made, but not as one burst: a thin path would lose the
half of it. All that catch up at once share what the processor can spare beside the live pictures (`Share`).
"""

from dataclasses import dataclass

_BURST_BYTES = 48_000
_WIDE = 0.9
_SHARE_PER_S = 120_000
"""Packets a second for all who catch up: about a third of a core."""
_SHARE_BURST = 4_000


@dataclass(slots=True)
class Pace:
    """The bucket of one view. `kbps` is how fast it is filled, `limit_kbps` what the path has shown not to exceed."""

    kbps: float = 20_000.0
    limit_kbps: float | None = None
    _bytes: float = _BURST_BYTES
    _at: float = 0.0

    def allowance(self, now: float) -> int:
        """Bytes that may go now."""
        if self._at:
            self._bytes = min(_BURST_BYTES, self._bytes + (now - self._at) * self.kbps * 125)
        self._at = now
        return int(self._bytes)

    def spend(self, used: int) -> None:
        self._bytes -= used

    def takes(self, burst: int, layer_kbps: float) -> bool:
        """Whether a burst of so many bytes of that layer may go to the path at once: always, unless the path is known to
        carry less than the layer; then as much as it carries in 50 ms."""
        known = self.limit_kbps
        return known is None or known >= _WIDE * layer_kbps or burst <= known * 6.25


class Share:
    """Packets for all views that are behind, together."""

    def __init__(self) -> None:
        self._packets = float(_SHARE_BURST)
        self._at = 0.0

    def left(self, now: float) -> int:
        if self._at:
            self._packets = min(_SHARE_BURST, self._packets + (now - self._at) * _SHARE_PER_S)
        self._at = now
        return int(self._packets)

    def spend(self, packets: int) -> None:
        self._packets -= packets
