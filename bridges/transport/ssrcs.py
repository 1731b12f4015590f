"""The streams (SSRCs) one far end sends. libsrtp keeps a state for each, so there is a limit; but a far end that begins anew
often enough, as encoders do, uses another SSRC each time and must not be deaf to us for it. So at the limit the one that was
silent for longest makes room, when it was silent for a while.

A forgotten stream has no replay window any more: what was recorded of it could be sent to us again by somebody on the far
end's own address. That is why nothing is forgotten before there is need, nor by a packet that was not yet opened.
"""

from collections.abc import Iterable
from itertools import islice

LIMIT = 16
"""Voice, and three layers of camera and screen with their repairs."""
IDLE_S = 10.0
"""A stream that was silent for so long is over, or a layer a browser has switched off: it may come again by the same rule."""


class Ssrcs:
    """Those of one far end, the longest silent first. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._heard_at: dict[int, float] = {}
        self._candidates: set[int] = set()

    def __len__(self) -> int:
        return len(self._heard_at)

    def may_speak(self, ssrc: int, now: float) -> bool:
        """Whether a packet of it is worth opening. A new one is a candidate until `spoke`: what comes in one batch must
        not be more than there is room for, either."""
        if ssrc in self._heard_at or ssrc in self._candidates:
            return True
        to_forget = len(self._heard_at) + len(self._candidates) - LIMIT
        if to_forget >= 0:
            heard_at = next(islice(self._heard_at.values(), to_forget, None), now)
            if now - heard_at < IDLE_S:
                return False
        self._candidates.add(ssrc)
        return True

    def spoke(self, ssrcs: Iterable[int], now: float) -> list[int]:
        """Packets of these, or none, were opened of what came; those that are to be forgotten for them."""
        self._candidates.clear()
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
