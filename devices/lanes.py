"""One lane a device: its messages in order, one at a time; different devices side by side.

So a device whose message cannot be committed just now, or that floods us, holds up nobody but itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(AbstractAsyncContextManager["Lanes[T]"], Generic[T]):
    """`work(lane, item)` must not raise; a lane exists while it has items. Leaving the context cancels what is
    under way, at an await."""

    def __init__(self, name: str, work: Callable[[str, T], Awaitable[None]], limit: int) -> None:
        self._name = name
        self._work = work
        self._limit = limit
        self._lanes: dict[str, deque[T]] = {}
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Lanes[T]":
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(exc_type, exc, traceback)

    def put(self, lane: str, item: T) -> bool:
        """Append to the lane. False, and nothing appended, when it holds `limit` items already."""
        waiting = self._lanes.get(lane)
        if waiting is not None:
            if len(waiting) >= self._limit:
                return False
            waiting.append(item)
            return True
        self._lanes[lane] = deque([item])
        task = self._tasks.create_task(self._drive(lane), name=f"{self._name}-{lane}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    async def _drive(self, lane: str) -> None:
        waiting = self._lanes[lane]
        try:
            while waiting:
                await self._work(lane, waiting.popleft())
        finally:
            del self._lanes[lane]
