"""SQLite: one writer at a time, several readers beside it, and commits shared by those who come together.

A commit waits for the disk (`synchronous=FULL`), and only one can run. So when somebody already queues for
the writer, or the last commit was only just made, a finished turn does not commit at once: the next turn goes on in
the same database transaction behind a savepoint of its own, and one commit then serves all of them (group commit).
Nobody's `commit` returns before the disk has it, and nobody who saw another's unsettled rows leaves before they are
settled. Alone, a turn is BEGIN IMMEDIATE … COMMIT with no detour.

What waits for the disk or for another process's lock does so on the lane's thread; statements of a turn that are
small are done at once (`lanes`).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from commhub.db.errors import translated
from commhub.db.lanes import Lane, ReadingLanes
from commhub.db.memory import Key, Memory
from commhub.db.metrics import GROUPED_TURNS
from commhub.db.pending import Batch
from commhub.db.prepared import driver_of
from commhub.db.transaction import Run
from commhub.domain.errors import UnavailableError

R = TypeVar("R")

Publish = Callable[[], None]

# So many more turns share a commit when they come fast, and nobody waits noticeably longer.
COMMITS_APART_S = 0.004

# After so many statements that were done at once, one goes to the thread: others go on meanwhile.
AT_ONCE = 64

log = structlog.get_logger(__name__)


class Group:
    """Turns that finished and wait for one commit. `broken`: the database gave up on all of them."""

    def __init__(self) -> None:
        self.publish: list[Publish] = []
        self.broken: BaseException | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._is_settled = False
        self._failure: BaseException | None = None

    def settle(self, failure: BaseException | None) -> None:
        """Tell everybody; None: it is on the disk, and the facts go out."""
        self._is_settled, self._failure = True, failure
        if failure is None:
            # Before the writers go on: whoever is told by both hears the fact first.
            for publish in self.publish:
                publish()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def wait(self) -> None:
        """Raises UnavailableError when the commit failed."""
        if not self._is_settled:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        if self._failure is not None:
            raise UnavailableError("the database lost the commit") from self._failure


class SqliteTurn:
    """Implements commhub.db.backend.Turn; it holds the writer until it ends."""

    def __init__(self, backend: "SqliteBackend", group: Group | None) -> None:
        self._backend = backend
        self._lane = backend.writer
        self._group = group
        self._has_begun = False
        self._has_seen = False
        """Whether it knows of what others of its group wrote and nobody has committed."""
        self._asked = 0

    async def run(self, work: Callable[[Connection], R], /, *, small: bool = False) -> R:
        self._asked += 1
        if small and self._asked % AT_ONCE and self._begins_at_once():
            return self._lane.at_once(work)
        return await self._lane.run(lambda connection: self._inside(connection, work))

    def recall(self, key: Key) -> object | None:
        if self._group is None:
            return self._backend.memory.recall(key) if self._begins_at_once() else None
        if not self._lane.is_idle:
            return None
        # The group holds the writer already: no savepoint is needed to remember.
        self._has_seen = True
        return self._backend.memory.recall(key)

    def learn(self, news: Mapping[Key, object], gone: Iterable[Key]) -> None:
        self._backend.memory.learn(news, gone)

    async def commit(self, last: Batch, publish: Publish) -> None:
        if self._has_begun or last:
            alone = self._group is None and self._backend.nobody_else_comes
            if last.is_small and (self._needs_no_savepoint(last) or self._begins_at_once()):
                await self._finish_at_once(last, publish, alone=alone)
            else:
                await self._finish(last, publish, alone=alone)
        elif self._group is None:
            self._backend.release()
            publish()
        else:
            self._backend.join(publish)
            self._backend.release()
        if self._group is not None:
            await self._group.wait()

    async def rollback(self) -> None:
        if self._lane.is_idle:
            if self._has_begun:
                self._lane.at_once(self._undo)
            self._leave()
        else:
            # What was begun and given up is finished first.
            await self._end(self._undo, lambda: None)
        if self._group is not None and (self._has_begun or self._has_seen):
            await self._group.wait()

    # --- its beginning -------------------------------------------------------------------------------

    def _begins_at_once(self) -> bool:
        """Whether its statements may be done at once: nothing is under way, and the transaction is there without
        waiting for another process. What goes wrong here goes wrong again on the thread, which tells of it."""
        if not self._lane.is_idle:
            return False
        if not self._has_begun:
            self._has_begun = self._lane.at_once(self._begin_unless_locked)
        return self._has_begun

    def _needs_no_savepoint(self, last: Batch) -> bool:
        """Whether all there is of it is one statement in a group's transaction: there is nothing else to take back."""
        return (
            self._group is not None and not self._has_begun and last.is_one and self._lane.is_idle
        )

    def _begin_unless_locked(self, connection: Connection) -> bool:
        try:
            self._begin(connection)
        except (SQLAlchemyError, sqlite3.Error):
            return False
        return True

    def _begin(self, connection: Connection, *, patience_s: float = 0.0) -> None:
        driver = driver_of(connection)
        if self._group is not None:
            driver.execute("SAVEPOINT turn")
            return
        self._backend.be_patient(driver, patience_s)
        try:
            driver.execute("BEGIN IMMEDIATE")
            connection.begin()
            self._backend.memory.check(driver)
        except BaseException:
            self._lane.reset(connection)
            raise

    def _inside(self, connection: Connection, work: Callable[[Connection], R]) -> R:
        if not self._has_begun:
            self._begin(connection, patience_s=self._backend.patience_s)
            self._has_begun = True
        return work(connection)

    # --- its end -------------------------------------------------------------------------------------

    async def _finish_at_once(self, last: Batch, publish: Publish, *, alone: bool) -> None:
        send = self._send_last if self._has_begun else self._send_one
        try:
            with translated():
                self._lane.at_once(partial(send, last))
        except BaseException:
            self._backend.memory.forget()
            self._leave()
            raise
        if alone:
            await self._end(self._commit, partial(self._backend.settle_alone, publish))
        else:
            self._group = self._backend.join(publish)
            self._leave()

    async def _finish(self, last: Batch, publish: Publish, *, alone: bool) -> None:
        def finish(connection: Connection) -> None:
            self._send_last(last, connection)
            if alone:
                self._commit(connection)

        def finished() -> None:
            if alone:
                self._backend.settle_alone(publish)
            else:
                self._group = self._backend.join(publish)

        await self._end(finish, finished)

    def _send_one(self, last: Batch, connection: Connection) -> None:
        """One statement (`_needs_no_savepoint`); what it did before it failed SQLite has taken back."""
        try:
            last.send(connection)
        except BaseException as failure:
            if self._group is not None and not driver_of(connection).in_transaction:
                self._group.broken = failure
                self._lane.reset(connection)
            raise

    def _send_last(self, last: Batch, connection: Connection) -> None:
        try:
            self._inside(connection, last.send)
            if self._group is not None:
                driver_of(connection).execute("RELEASE turn")
        except BaseException:
            self._undo(connection)
            raise

    def _commit(self, connection: Connection) -> None:
        try:
            connection.commit()
        except BaseException:
            self._undo(connection)
            raise

    async def _end(self, work: Callable[[Connection], None], then: Callable[[], None]) -> None:
        """Do the turn's last work on the lane's thread, then `then` if it succeeded, and let the next turn begin: all
        of that also when the caller is cancelled meanwhile."""

        def ended(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                then()
            else:
                self._backend.memory.forget()
            self._leave()

        ending = self._lane.start(work)
        ending.add_done_callback(ended)
        with translated():
            await asyncio.shield(ending)

    def _leave(self) -> None:
        """Let the next turn begin."""
        if self._group is not None and self._group.broken is not None:
            self._backend.give_up(self._group)
        self._backend.release()

    def _undo(self, connection: Connection) -> None:
        """Take back this turn only. When its savepoint is gone, because the database gave up on the whole
        transaction by itself, the finished turns before it are lost with it."""
        if not self._has_begun:
            return
        if self._group is None:
            self._lane.reset(connection)
        else:
            try:
                driver_of(connection).execute("ROLLBACK TO turn")
                driver_of(connection).execute("RELEASE turn")
            except sqlite3.Error as failure:
                self._group.broken = failure
                self._lane.reset(connection)


class SqliteSnapshot:
    """A read transaction on a lane of its own; it begins with the first question."""

    def __init__(self, lanes: ReadingLanes) -> None:
        self._lanes = lanes
        self._asked = 0

    async def __aenter__(self) -> Run:
        self._lane = await self._lanes.take()
        return self.run

    async def __aexit__(self, *why: object) -> None:
        self._lanes.give_back(self._lane)

    async def run(self, work: Callable[[Connection], R], /, *, small: bool = False) -> R:
        self._asked += 1
        if small and self._asked % AT_ONCE and self._lane.is_idle:
            return self._lane.at_once(lambda connection: self._inside(connection, work))
        return await self._lane.run(lambda connection: self._inside(connection, work))

    def _inside(self, connection: Connection, work: Callable[[Connection], R]) -> R:
        driver = driver_of(connection)
        if not driver.in_transaction:
            driver.execute("BEGIN")
        return work(connection)


class SqliteBackend:
    """Implements commhub.db.backend.Backend."""

    is_sqlite = True

    def __init__(self, writer: Engine, reader: Engine, readers: int, *, patience_s: float) -> None:
        self.patience_s = patience_s
        self.writer = Lane(writer, "sqlite-writer")
        self.memory = Memory()
        self._patience: tuple[sqlite3.Connection, float] | None = None
        self._readers = ReadingLanes(reader, readers)
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._group: Group | None = None
        self._committing: set[asyncio.Task[None]] = set()
        self._settled_at = 0.0

    async def turn(self) -> SqliteTurn:
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        return SqliteTurn(self, self._group)

    def snapshot(self) -> SqliteSnapshot:
        return SqliteSnapshot(self._readers)

    async def close(self) -> None:
        await asyncio.gather(*self._committing)
        await self.writer.close()
        await self._readers.close()

    # --- for turns -----------------------------------------------------------------------------------

    @property
    def nobody_else_comes(self) -> bool:
        """Whether no other turn is likely to share the transaction that is open now."""
        return self._waiting == 0 and self._pause_s() <= 0

    def _pause_s(self) -> float:
        """Until the next commit may be made."""
        return self._settled_at + COMMITS_APART_S - asyncio.get_running_loop().time()

    def join(self, publish: Publish) -> Group:
        """Leave a finished turn to the next commit. The first one of a group calls for that commit, which after a
        pause queues for the writer behind the turns that wait already."""
        if self._group is None:
            self._group = Group()
            committing = asyncio.create_task(self._commit_group(), name="sqlite-ending")
            self._committing.add(committing)
            committing.add_done_callback(self._committing.discard)
        self._group.publish.append(publish)
        return self._group

    def settle_alone(self, publish: Publish) -> None:
        """A turn has committed by itself."""
        self._settled_at = asyncio.get_running_loop().time()
        publish()

    def be_patient(self, driver: sqlite3.Connection, seconds: float) -> None:
        """How long the next BEGIN waits for another process's lock; nothing later of a transaction has to."""
        if self._patience is None or self._patience != (driver, seconds):
            driver.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}")
            self._patience = (driver, seconds)

    def release(self) -> None:
        """Let the next turn begin."""
        self._lock.release()

    def give_up(self, group: Group) -> None:
        """The group's transaction is gone; the next turn begins a new one."""
        self._group = None
        self.memory.forget()
        group.settle(group.broken)

    async def _commit_group(self) -> None:
        if (pause_s := self._pause_s()) > 0:
            await asyncio.sleep(pause_s)
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
                self.memory.forget()
                await self.writer.run(self.writer.reset)
            GROUPED_TURNS.observe(len(group.publish))
            self._settled_at = asyncio.get_running_loop().time()
            group.settle(failure)
