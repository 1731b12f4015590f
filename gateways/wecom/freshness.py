"""Old and replayed callbacks: a signed request is good for ten minutes, and its nonce for one content.

WeCom itself sends an unanswered callback again up to three times, so the same request is let through a few
times (the core makes it one); the same nonce with other content, or again and again, is somebody else's doing.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from gateways.wecom.errors import ForgeryError

WINDOW_S = 600.0
# Three retries, and as many again from a second address of a proxy in between.
MOST_REPEATS = 8
_MOST_REMEMBERED = 50_000


@dataclass(slots=True)
class _Seen:
    signature: str
    at: float
    times: int = 1


class Freshness:
    """Remembers the nonces of the last ten minutes. Ask only after the signature was found good, or a
    stranger could fill the memory."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], _Seen] = OrderedDict()

    def check(self, signature: str, timestamp: str, nonce: str, now: datetime) -> None:
        """Raises ForgeryError with reason stale or replayed."""
        at = now.timestamp()
        if not timestamp.isdecimal() or len(timestamp) > 12 or abs(at - int(timestamp)) > WINDOW_S:
            raise ForgeryError("stale")
        self._forget(at)
        seen = self._seen.get((timestamp, nonce))
        if seen is None:
            self._seen[timestamp, nonce] = _Seen(signature, at)
            return
        seen.times += 1
        if seen.signature != signature or seen.times > MOST_REPEATS:
            raise ForgeryError("replayed")

    def _forget(self, at: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen.values()))
            # A timestamp may lie a window ahead of us and be fresh for two.
            if at - oldest.at <= 2 * WINDOW_S and len(self._seen) < _MOST_REMEMBERED:
                return
            self._seen.popitem(last=False)
