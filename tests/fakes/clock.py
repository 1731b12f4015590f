"""A clock that moves only when the test says so."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class ScriptedClock:
    """A `commhub.kit.clock.Clock` whose wall and monotonic time advance together, by hand."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> datetime:
        """Let `seconds` pass and return the new wall time."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        return self._now
