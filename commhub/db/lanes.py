"""SQLite connections, each on a thread of its own.

SQLite answers in microseconds and the trip between event loop and thread costs more than most statements, so
work travels as whole functions: everything that goes together is one trip. A trip that was begun is
finished even when nobody waits for it any more, and the lane's single thread keeps the order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

R = TypeVar("R")

log = structlog.get_logger(__name__)


class Lane:
    """One connection, opened at the first need and again after it broke."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: Connection | None = None

    def start(self, work: Callable[[Connection], R]) -> asyncio.Future[R]:
        """Send work on its way. Awaiting the future may be given up; the work is done nevertheless."""
        return asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    async def run(self, work: Callable[[Connection], R]) -> R:
        return await self.start(work)

    def post_rollback(self) -> None:
        """End the transaction without waiting for it: what comes next on this lane comes after it."""
        self._thread.submit(self._rollback)

    def reset(self, connection: Connection) -> None:
        """Roll all back. A connection that is still inside a transaction then (its COMMIT failed) or cannot
        even be asked is thrown away. On the lane's thread only."""
        try:
            connection.rollback()
            is_clean = not getattr(connection.connection.dbapi_connection, "in_transaction", True)
        except SQLAlchemyError:
            log.warning("database_rollback_failed", exc_info=True)
            is_clean = False
        if not is_clean:
            log.warning("database_connection_dropped")
            connection.invalidate()
            connection.close()
            self._connection = None

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _do(self, work: Callable[[Connection], R]) -> R:
        if self._connection is None:
            self._connection = self._engine.connect()
        return work(self._connection)

    def _rollback(self) -> None:
        if self._connection is not None:
            self.reset(self._connection)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ReadingLanes:
    """A few lanes for snapshots; who comes when all are taken waits."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._free = [Lane(engine, f"sqlite-reader-{place}") for place in range(count)]
        self._all = tuple(self._free)
        self._places = asyncio.Semaphore(count)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """A lane whose transaction begins with the first question and is rolled back at the end."""
        async with self._places:
            lane = self._free.pop()
            try:
                yield lane
            finally:
                lane.post_rollback()
                self._free.append(lane)

    async def close(self) -> None:
        for lane in self._all:
            await lane.close()
