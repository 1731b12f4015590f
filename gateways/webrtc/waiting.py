"""Legs that are waited for: a desk that rings, a browser whose sound was lost. One task a leg, and the last word on it.

Both drivers of browsers' legs hold one of these; what they wait for is theirs to say.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import DomainError
from commhub.ports.inward import CallsIn
from commhub.ports.media import MediaEngine

log = structlog.get_logger(__name__)


class WaitingLegs(AbstractAsyncContextManager["WaitingLegs"]):
    """`kind` names the driver in tasks and log lines."""

    def __init__(self, kind: str, media: MediaEngine, calls: CallsIn) -> None:
        self._kind = kind
        self._media = media
        self._calls = calls
        self._tasks = asyncio.TaskGroup()
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "WaitingLegs":
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in list(self._waiting.values()):
            task.cancel()
        await self._tasks.__aexit__(exc_type, exc, traceback)

    def __contains__(self, leg_id: str) -> bool:
        return leg_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, leg_id: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, which waits, unless `stop` comes first."""
        task = self._tasks.create_task(
            self._guarded(leg_id, work), name=f"{self._kind}-leg-{leg_id}"
        )
        self._waiting[leg_id] = task
        task.add_done_callback(lambda done: self._done(leg_id, done))

    def stop(self, leg_id: str) -> None:
        """What was waited for has come, or nobody wants it any more."""
        task = self._waiting.pop(leg_id, None)
        if task is not None:
            task.cancel()

    async def end(self, leg_id: str, cause: Cause, detail: str | None) -> None:
        """Nothing came: the leg is over, for the core and for the media engine."""
        try:
            await self._calls.leg_ended(leg_id, cause, detail)
            await self._media.release(leg_id)
        except DomainError as error:
            log.warning("browser_leg_not_ended", kind=self._kind, leg_id=leg_id, reason=str(error))

    def _done(self, leg_id: str, task: "asyncio.Task[None]") -> None:
        if self._waiting.get(leg_id) is task:
            del self._waiting[leg_id]

    async def _guarded(self, leg_id: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:  # supervisor: one leg's failure takes no other leg down
            log.exception("browser_leg_failed", kind=self._kind, leg_id=leg_id)
