"""Fan-out between the processes of one hub through Redis publish/subscribe.

What one process publishes on its bus, the others hear on theirs. Redis is never the truth: a message lost with
a broken connection is found again as a row, so nothing here is stored or retried.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
from redis.asyncio import Redis

from commhub.kit.bus import Bus, Subscription
from commhub.kit.ids import new_id

log = structlog.get_logger(__name__)

M = TypeVar("M")


class Relay(Generic[M]):
    """Joins a bus to a Redis channel. `decode` answers None for what it cannot read (a newer process)."""

    def __init__(
        self,
        bus: Bus[M],
        redis_url: str,
        channel: str,
        *,
        encode: Callable[[M], str],
        decode: Callable[[str], M | None],
    ) -> None:
        self._bus = bus
        self._redis_url = redis_url
        self._channel = channel
        self._encode = encode
        self._decode = decode
        self._me = new_id()
        self.connected = False
        self.unreadable = 0

    async def run(self) -> None:
        """Relay both ways until cancelled. Raises redis.RedisError when the connection breaks; run it supervised."""
        async with (
            Redis.from_url(self._redis_url, decode_responses=True) as redis,
            redis.pubsub(ignore_subscribe_messages=True) as pubsub,
        ):
            await pubsub.subscribe(self._channel)
            self.connected = True
            try:
                with self._bus.subscribe(size=4096) as ours:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._send(redis, ours))
                        async for message in pubsub.listen():
                            self._receive(message["data"], ours)
            finally:
                self.connected = False

    async def _send(self, redis: Redis, ours: Subscription[M]) -> None:
        async for message in ours:
            await redis.publish(self._channel, f"{self._me} {self._encode(message)}")

    def _receive(self, text: str, ours: Subscription[M]) -> None:
        sender, _, body = text.partition(" ")
        if sender == self._me:
            return
        message = self._decode(body)
        if message is None:
            self.unreadable += 1
            log.warning("relay_message_unreadable", channel=self._channel, count=self.unreadable)
            return
        self._bus.publish(message, skip=ours)
