"""SQLite connections, each on a thread of its own.

SQLite answers in microseconds and the trip between event loop and thread costs more than most statements. So what
is small and sure to be is done at once, on the event loop's own thread, while nothing of the lane is under way;
the rest (lists, whatever waits for the disk or for another process) travels as whole functions: everything that goes
together is one trip. A trip that was begun is finished even when nobody waits for it any more, and the lane's single
thread keeps the order.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from commhub.db.prepared import driver_of

R = TypeVar("R")

log = structlog.get_logger(__name__)


class Lane:
    """One connection, opened at the first need and again after it broke."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: Connection | None = None
        self._under_way: deque[None] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether the connection is there and nobody uses it: what is small may be done at once."""
        return not self._under_way and self._connection is not None

    def at_once(self, work: Callable[[Connection], R]) -> R:
        """Do work on the caller's thread, which waits for it. Only while the lane is idle."""
        return self._do(work)

    def start(self, work: Callable[[Connection], R]) -> asyncio.Future[R]:
        """Send work on its way. Awaiting the future may be given up; the work is done nevertheless."""
        return asyncio.wrap_future(self._send(work))

    async def run(self, work: Callable[[Connection], R]) -> R:
        return await self.start(work)

    def post_rollback(self) -> None:
        """End a transaction that only read, at once or without waiting for it: what comes next on this lane comes
        after it."""
        if self.is_idle:
            self.at_once(self.reset)
        elif self._under_way:
            self._send(self.reset)

    def reset(self, connection: Connection) -> None:
        """Roll all back. A connection that is still inside a transaction then (its COMMIT failed) or cannot
        even be asked is thrown away. As work of the lane only."""
        try:
            connection.rollback()
            # What was begun without SQLAlchemy's knowing.
            driver_of(connection).rollback()
            is_clean = not driver_of(connection).in_transaction
        except (SQLAlchemyError, sqlite3.Error):
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

    def _send(self, work: Callable[[Connection], R]) -> Future[R]:
        self._under_way.append(None)
        trip = self._thread.submit(self._do, work)
        # On whichever thread ends it, and before anybody hears of the end; a deque needs no lock for that.
        trip.add_done_callback(lambda _: self._under_way.pop())
        return trip

    def _do(self, work: Callable[[Connection], R]) -> R:
        if self._connection is None:
            self._connection = self._engine.connect()
        return work(self._connection)

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

    async def take(self) -> Lane:
        """A lane whose transaction begins with the first question; to be given back."""
        await self._places.acquire()
        return self._free.pop()

    def give_back(self, lane: Lane) -> None:
        """End its transaction."""
        lane.post_rollback()
        self._free.append(lane)
        self._places.release()

    async def close(self) -> None:
        for lane in self._all:
            await lane.close()
