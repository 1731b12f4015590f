"""The in-process bus: it tells the living that something is there, and is never the only carrier.

Whatever must survive is a row; a subscriber that misses a message finds the row. So a slow subscriber
loses its oldest messages (counted) instead of holding up the publisher.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

M = TypeVar("M")


class Subscription(Generic[M]):
    """A bounded queue of what was published since it was opened, as far as it is wanted."""

    def __init__(self, size: int, wants: Callable[[M], bool] | None = None) -> None:
        self._queue: asyncio.Queue[M] = asyncio.Queue(size)
        self._wants = wants
        self.dropped = 0

    def offer(self, message: M) -> None:
        if self._wants is not None and not self._wants(message):
            return
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(message)

    async def get(self) -> M:
        return await self._queue.get()

    async def __aiter__(self) -> AsyncIterator[M]:
        while True:
            yield await self.get()


class Bus(Generic[M]):
    """Fan-out to every open subscription, in the order of publishing. One event loop only."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription[M]] = set()

    def publish(self, message: M, *, skip: Subscription[M] | None = None) -> None:
        """Offer `message` to every open subscription but `skip` (whoever brought it from elsewhere)."""
        for subscription in self._subscriptions:
            if subscription is not skip:
                subscription.offer(message)

    @contextmanager
    def subscribe(
        self, size: int = 1024, wants: Callable[[M], bool] | None = None
    ) -> Iterator[Subscription[M]]:
        """`wants` is asked at each publishing, so it must be quick: nobody is woken for what it refuses."""
        subscription: Subscription[M] = Subscription(size, wants)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
