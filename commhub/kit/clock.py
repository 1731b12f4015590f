"""Time as a dependency, so that tests script it instead of sleeping.

Wall time is always timezone-aware UTC; `monotonic` is for intervals and never goes back.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the hub asks what time it is."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; the zero is arbitrary."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
