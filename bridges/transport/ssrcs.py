"""The streams (SSRCs) one far end sends. libsrtp keeps a state for each, so there is a limit; but a far end that begins anew
often enough, as encoders do, uses another SSRC each time and must not be deaf to us for it. So at the limit the one that was
silent for longest makes room, when it was silent for a while.

A forgotten stream has no replay window any more: what was recorded of it could be sent to us again by somebody on the far
end's own address. That is why nothing is forgotten before there is need, nor by a packet that was not yet opened.
"""

from collections.abc import Iterable

LIMIT = 16
"""Voice, and three layers of camera and screen with their repairs."""
IDLE_S = 10.0
"""A stream that was silent for so long is over, or a layer a browser has switched off: it may come again by the same rule."""


class Ssrcs:
    """Those of one far end, the longest silent first. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._heard_at: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._heard_at)

    def may_speak(self, ssrc: int, now: float) -> bool:
        """Whether a packet of it is worth opening."""
        heard_at = self._heard_at
        if ssrc in heard_at or len(heard_at) < LIMIT:
            return True
        return now - next(iter(heard_at.values())) >= IDLE_S

    def spoke(self, ssrcs: Iterable[int], now: float) -> list[int]:
        """Packets of these were opened; those that are to be forgotten for them."""
        heard_at = self._heard_at
        for ssrc in ssrcs:
            # Taken out first, so that it stands last.
            heard_at.pop(ssrc, None)
            heard_at[ssrc] = now
        surplus = len(heard_at) - LIMIT
        if surplus <= 0:
            return []
        forgotten = list(heard_at)[:surplus]
        for ssrc in forgotten:
            del heard_at[ssrc]
        return forgotten
