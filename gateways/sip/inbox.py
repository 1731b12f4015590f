"""The inbox of one leg: without a limit, and read by nobody but its actor.

`asyncio.Queue` may be bounded and read by many, and looks after both with every event; a leg has six, and there are two legs
to a call.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Events in their order. Iterating shows what waits, the oldest first, and takes nothing."""

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._reader: asyncio.Future[None] | None = None

    def put(self, event: T) -> None:
        """Add an event; never waits."""
        self._waiting.append(event)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def take(self) -> T:
        """The oldest event, once there is one."""
        while not self._waiting:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._waiting.popleft()

    def __iter__(self) -> Iterator[T]:
        return iter(self._waiting)
