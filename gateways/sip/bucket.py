"""A token bucket: so many at once after a silence, then so many a second."""

from gateways.sip.config import Rate


class Bucket:
    """`dropped` and `dropped_at` are the owner's to keep."""

    __slots__ = ("at", "dropped", "dropped_at", "tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self.tokens = rate.burst
        self.at = now
        self.dropped = 0
        self.dropped_at = 0.0

    def take(self, rate: Rate, now: float) -> bool:
        """Whether there is room for one more."""
        tokens = min(rate.burst, self.tokens + (now - self.at) * rate.per_s)
        self.at = now
        if tokens < 1:
            self.tokens = tokens
            return False
        self.tokens = tokens - 1
        return True
