"""Write together what arrives together: many callers, one transaction, one fsync (group commit).

While one write is under way the next callers queue; the first of them then writes for all. A caller that is
cancelled takes nobody with it: what it had begun to write for others is written again by the next one, so
`write` must be repeatable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_MOST = 200


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    answer: R | Exception | None = None
    is_done: bool = False


class Together(Generic[T, R]):
    """`write` answers each item in order, with an exception in the place of an item that failed for itself."""

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        at_most: int = AT_MOST,
    ) -> None:
        self._write = write
        self._at_most = at_most
        self._queue: list[_Waiting[T, R]] = []
        self._writing = asyncio.Lock()

    async def put(self, item: T) -> R:
        """Return the answer to `item` once it is written. Raises what `write` raised or answered for it."""
        waiting: _Waiting[T, R] = _Waiting(item)
        self._queue.append(waiting)
        try:
            async with self._writing:
                while not waiting.is_done:
                    await self._write_next()
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            raise
        if isinstance(waiting.answer, Exception):
            raise waiting.answer
        return waiting.answer  # type: ignore[return-value] # `is_done` says that it was answered

    async def _write_next(self) -> None:
        batch = self._queue[: self._at_most]
        answers: Sequence[R | Exception]
        try:
            answers = await self._write([waiting.item for waiting in batch])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch, who raises it
            answers = [error] * len(batch)
        # Only now: a cancelled write leaves its batch in the queue for the next writer.
        del self._queue[: len(batch)]
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.answer, waiting.is_done = answer, True
