"""How far this process is behind its work, so that an edge can say «later» while that still helps.

A moment's hiccup is no overload: what counts is the delay that does not go away, the smallest one of the last while
(the standing queue of RFC 8289). Delays come from the event loop, measured here by a beat that comes late, and from
whatever queue somebody puts under watch.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from commhub.kit.clock import Clock

Reading = Callable[[], float]
"""Seconds the oldest thing in a queue waits by now; 0 for an empty one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig:
    """Seconds. Behind is who was at least `target_s` late at every one of the `beats` last looks, `every_s` apart."""

    target_s: float = 0.1
    every_s: float = 0.02
    beats: int = 5


class Load:
    """A reading of the process. `run` beats; nothing is behind before it does."""

    def __init__(self, clock: Clock, config: LoadConfig | None = None) -> None:
        self._clock = clock
        self._config = config or LoadConfig()
        self._delays: deque[float] = deque(maxlen=self._config.beats)
        self._queues: dict[str, Reading] = {}

    def watch(self, name: str, reading: Reading) -> None:
        """Count the delay of this queue, too."""
        self._queues[name] = reading

    @property
    def behind_s(self) -> float:
        """The standing delay, in seconds; 0 while there was not enough time to tell."""
        return min(self._delays) if len(self._delays) == self._config.beats else 0.0

    @property
    def is_behind(self) -> bool:
        """Whether new work had better wait until what is there is done."""
        return self.behind_s >= self._config.target_s

    def beat(self, late_s: float) -> None:
        """Note one look: the loop was that late."""
        self._delays.append(max(late_s, *(reading() for reading in self._queues.values()), 0.0))

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            due = self._clock.monotonic() + self._config.every_s
            await asyncio.sleep(self._config.every_s)
            self.beat(self._clock.monotonic() - due)
