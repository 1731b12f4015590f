"""SQLite: one writer at a time, several readers beside it, and commits shared by those who wait.

A commit waits for the disk (`synchronous=FULL`), and only one can run. So when somebody already queues for
the writer, a finished turn does not commit at once: the next turn goes on in the same database
transaction behind a savepoint of its own, and one commit then serves all of them (group commit). Nobody's
`commit` returns before the disk has it, and nobody who saw another's unsettled rows leaves before they are
settled. Alone, a turn is BEGIN IMMEDIATE … COMMIT with no detour.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from commhub.db.errors import translated
from commhub.db.lanes import Lane, ReadingLanes
from commhub.db.metrics import GROUPED_TURNS
from commhub.db.pending import Batch
from commhub.db.transaction import Run
from commhub.domain.errors import UnavailableError

R = TypeVar("R")

Publish = Callable[[], None]

log = structlog.get_logger(__name__)


class Group:
    """Turns that finished and wait for one commit. `broken`: the database gave up on all of them."""

    def __init__(self) -> None:
        self.publish: list[Publish] = []
        self.broken: BaseException | None = None
        self._settled: asyncio.Future[BaseException | None] = (
            asyncio.get_running_loop().create_future()
        )

    def settle(self, failure: BaseException | None) -> None:
        """Tell everybody; None: it is on the disk, and the facts go out."""
        self._settled.set_result(failure)
        if failure is None:
            for publish in self.publish:
                publish()

    async def wait(self) -> None:
        """Raises UnavailableError when the commit failed."""
        failure = await asyncio.shield(self._settled)
        if failure is not None:
            raise UnavailableError("the database lost the commit") from failure


class SqliteTurn:
    """Implements commhub.db.backend.Turn; it holds the writer until it ends."""

    def __init__(self, backend: "SqliteBackend", group: Group | None) -> None:
        self._backend = backend
        self._lane = backend.writer
        self._group = group
        self._touched = False

    async def run(self, work: Callable[[Connection], R], /) -> R:
        return await self._lane.run(lambda connection: self._inside(connection, work))

    async def commit(self, last: Batch, publish: Publish) -> None:
        alone = self._group is None and not self._backend.somebody_waits

        def finish(connection: Connection) -> None:
            try:
                self._inside(connection, last.send)
                nested = connection.get_nested_transaction()
                if nested is not None:
                    nested.commit()
                if alone:
                    connection.commit()
            except BaseException:
                self._undo(connection)
                raise

        def committed() -> None:
            if alone:
                publish()
            else:
                self._group = self._backend.join(publish)

        if self._touched or last:
            await self._end(finish, committed)
        elif self._group is None:
            self._backend.release()
            publish()
        else:
            self._backend.join(publish)
            self._backend.release()
        if self._group is not None:
            await self._group.wait()

    async def rollback(self) -> None:
        if not self._touched:
            self._backend.release()
            return
        await self._end(self._undo, lambda: None)
        if self._group is not None:
            await self._group.wait()

    def _inside(self, connection: Connection, work: Callable[[Connection], R]) -> R:
        if not self._touched:
            self._touched = True
            if self._group is not None:
                connection.begin_nested()
        return work(connection)

    async def _end(self, work: Callable[[Connection], None], then: Callable[[], None]) -> None:
        """Do the turn's last work, then `then` if it succeeded, and let the next turn begin: all of that
        also when the caller is cancelled meanwhile."""

        def ended(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                then()
            if self._group is not None and self._group.broken is not None:
                self._backend.give_up(self._group)
            self._backend.release()

        ending = self._lane.start(work)
        ending.add_done_callback(ended)
        with translated():
            await asyncio.shield(ending)

    def _undo(self, connection: Connection) -> None:
        """Take back this turn only. When its savepoint is gone, because the database gave up on the whole
        transaction by itself, the finished turns before it are lost with it."""
        if self._group is None:
            self._lane.reset(connection)
            return
        nested = connection.get_nested_transaction()
        if nested is None:
            return
        try:
            nested.rollback()
        except SQLAlchemyError as failure:
            self._group.broken = failure
            self._lane.reset(connection)


class SqliteBackend:
    """Implements commhub.db.backend.Backend."""

    is_sqlite = True

    def __init__(self, writer: Engine, reader: Engine, readers: int) -> None:
        self.writer = Lane(writer, "sqlite-writer")
        self._readers = ReadingLanes(reader, readers)
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._group: Group | None = None
        self._committing: set[asyncio.Task[None]] = set()

    async def turn(self) -> SqliteTurn:
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        return SqliteTurn(self, self._group)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Run]:
        async with self._readers.lane() as lane:
            yield lane.run

    async def close(self) -> None:
        await asyncio.gather(*self._committing)
        await self.writer.close()
        await self._readers.close()

    # --- for turns -----------------------------------------------------------------------------------

    @property
    def somebody_waits(self) -> bool:
        """Whether another turn could use the transaction that is open now."""
        return self._waiting > 0

    def join(self, publish: Publish) -> Group:
        """Leave a finished turn to the next commit. The first one of a group calls for that commit, which
        queues for the writer behind the turns that wait already."""
        if self._group is None:
            self._group = Group()
            committing = asyncio.create_task(self._commit_group(), name="sqlite-ending")
            self._committing.add(committing)
            committing.add_done_callback(self._committing.discard)
        self._group.publish.append(publish)
        return self._group

    def release(self) -> None:
        """Let the next turn begin."""
        self._lock.release()

    def give_up(self, group: Group) -> None:
        """The group's transaction is gone; the next turn begins a new one."""
        self._group = None
        group.settle(group.broken)

    async def _commit_group(self) -> None:
        async with self._lock:
            group, self._group = self._group, None
            if group is None:
                return
            failure: Exception | None = None
            try:
                await self.writer.run(Connection.commit)
            except Exception as error:
                log.exception("group_commit_failed", turns=len(group.publish))
                failure = error
                await self.writer.run(self.writer.reset)
            GROUPED_TURNS.observe(len(group.publish))
            group.settle(failure)
