"""Remember which rows failed and when to try them again, so that one bad row neither spins nor blocks.

Kept in memory on purpose: after a restart every waiting row gets a fresh chance at once.
"""

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from commhub.kit.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling delays with jitter: `first_s` after the first failure, never more than `most_s`."""

    first_s: float = 1.0
    most_s: float = 60.0

    def after(self, failures: int) -> timedelta:
        """How long to wait after that many failures, from 1."""
        whole = min(self.first_s * 2.0 ** min(failures - 1, 30), self.most_s)
        return timedelta(seconds=whole * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, not a secret


class Patience:
    """Failures per key. Forget a key when its row went through or left the queue."""

    def __init__(self, clock: Clock, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._failed: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        """How many rows are being waited for: ask the store for that many more, or they hide the others."""
        return len(self._failed)

    def ready(self, rows: Iterable[T], key: Callable[[T], str]) -> list[T]:
        """The rows that never failed or have waited long enough."""
        now = self._clock.monotonic()
        return [row for row in rows if self._failed.get(key(row), (0, now))[1] <= now]

    def failed(self, key: str) -> int:
        """Count a failure and return how many there were."""
        failures = self._failed.get(key, (0, 0.0))[0] + 1
        wait_s = self._backoff.after(failures).total_seconds()
        self._failed[key] = (failures, self._clock.monotonic() + wait_s)
        return failures

    def forget(self, key: str) -> None:
        self._failed.pop(key, None)

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget all rows but these: they left the queue some other way."""
        for key in self._failed.keys() - set(keys):
            del self._failed[key]
