"""Our own bound on messages a member gets: WeCom drops the excess silently (D/90454), so it must not arise."""

from collections import deque

from commhub.kit.clock import Clock

# Messages allowed per seconds, to one member from one app.
LIMITS = ((30, 60.0), (1000, 3600.0))
_MOST_MEMBERS = 10_000


class MemberThrottle:
    """Counts sends per member over sliding windows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: dict[str, deque[float]] = {}

    def wait_s(self, user: str) -> float:
        """0 when one more may go now, else the seconds until it may."""
        now = self._clock.monotonic()
        times = self._sent.get(user.lower(), deque())
        waits = (times[-most] + window - now for most, window in LIMITS if len(times) >= most)
        return max([0.0, *waits])

    def note(self, user: str) -> None:
        """One message went out (or may have)."""
        now = self._clock.monotonic()
        if user.lower() not in self._sent and len(self._sent) >= _MOST_MEMBERS:
            self._forget_idle(now)
        self._sent.setdefault(user.lower(), deque(maxlen=LIMITS[-1][0])).append(now)

    def _forget_idle(self, now: float) -> None:
        longest = LIMITS[-1][1]
        self._sent = {u: times for u, times in self._sent.items() if times[-1] > now - longest}
