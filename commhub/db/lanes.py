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
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from commhub.db.prepared import driver_of

R = TypeVar("R")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Trip(Generic[R]):
    """Work on its way to the thread, and who waits for it."""

    work: Callable[[Connection], R]
    future: asyncio.Future[R]

    def arrive(self, result: R | None, error: BaseException | None) -> None:
        """On the event loop."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)  # type: ignore[arg-type] # without an error there is a result
        else:
            self.future.set_exception(error)


class Lane:
    """One connection, opened at the first need and again after it broke.

    The thread is a bare one: every commit goes there and back, and an executor's futures cost as much as the commit.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._inbox: SimpleQueue[_Trip[Any] | None] = SimpleQueue()
        self._thread: Thread | None = None
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
        if self._thread is None:
            self._thread = Thread(target=self._travel, name=self._name, daemon=True)
            self._thread.start()
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._under_way.append(None)
        self._inbox.put(_Trip(work, future))
        return future

    async def run(self, work: Callable[[Connection], R]) -> R:
        return await self.start(work)

    def post_rollback(self) -> None:
        """End a transaction that only read, at once or without waiting for it: what comes next on this lane comes
        after it."""
        if self.is_idle:
            self.at_once(self.reset)
        elif self._under_way:
            self.start(self.reset)

    def reset(self, connection: Connection) -> None:
        """Roll all back. A connection that is still inside a transaction then (its COMMIT failed) or cannot
        even be asked is thrown away. As work of the lane only."""
        try:
            connection.rollback()
            # What was begun without SQLAlchemy's knowing.
            driver = driver_of(connection)
            if driver.in_transaction:
                driver.rollback()
            is_clean = not driver.in_transaction
        except (SQLAlchemyError, sqlite3.Error):
            log.warning("database_rollback_failed", exc_info=True)
            is_clean = False
        if not is_clean:
            log.warning("database_connection_dropped")
            connection.invalidate()
            connection.close()
            self._connection = None

    async def close(self) -> None:
        """After whatever is under way."""
        if self._thread is not None:
            await self.start(self._close)
            self._inbox.put(None)

    def _travel(self) -> None:
        while (trip := self._inbox.get()) is not None:
            result, error = None, None
            try:
                result = self._do(trip.work)
            except BaseException as caught:  # noqa: BLE001 - it belongs to whoever waits, and the thread goes on
                error = caught
            # Before anybody hears of the end; a deque needs no lock for that.
            self._under_way.pop()
            try:
                trip.future.get_loop().call_soon_threadsafe(trip.arrive, result, error)
            except RuntimeError:
                log.debug("database_answer_for_nobody", lane=self._name)

    def _do(self, work: Callable[[Connection], R]) -> R:
        if self._connection is None:
            self._connection = self._engine.connect()
        return work(self._connection)

    def _close(self, connection: Connection) -> None:
        connection.close()
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
