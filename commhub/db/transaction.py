"""One database transaction as the repositories see it: owned rows, writes that wait, questions that answer.

Statements run as plain functions of a synchronous SQLAlchemy `Connection`; `Run` carries them to wherever the
connection lives: SQLite's thread (one trip for whatever goes together), or asyncpg's side of a greenlet.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, FromClause, Select, Table, func, select
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.visitors import iterate

from commhub.db.codec import Row
from commhub.db.errors import translated
from commhub.db.memory import Key
from commhub.db.pending import Batch, Owner, Pending, Work, insert_or_leave, insert_or_replace
from commhub.db.prepared import Prepared

R = TypeVar("R")


class Run(Protocol):
    """Carries work to the connection and brings back its result or its exception. `small` work takes microseconds:
    it may be done at once, on the event loop's thread."""

    async def __call__(self, work: Callable[[Connection], R], /, *, small: bool = False) -> R: ...


Recall = Callable[[Key], object | None]
Tell = Callable[[dict[Key, object], set[Key]], None]
"""Adds what is known, and what is gone or no longer sure."""


def _nothing(key: Key) -> None:
    del key


class Transaction:
    """Repositories add, update and ask here. A `writable=False` one is a snapshot and refuses writes.

    After a failure of the database the transaction is over: whatever is asked of it raises that failure.
    """

    def __init__(
        self,
        run: Run,
        owner: Owner,
        *,
        on_sqlite: bool,
        writable: bool,
        recall: Recall = _nothing,
    ) -> None:
        self.owner = owner
        self.on_sqlite = on_sqlite
        self.failure: Exception | None = None
        self._run = run
        self._writable = writable
        self._pending = Pending(owner)
        self.recall = recall
        """What a former transaction left (`memory`); None where that cannot be relied on."""
        self._tellers: list[Tell] = []

    # --- what the next one may rely on -----------------------------------------------------------------

    def leaves(self, tell: Tell) -> None:
        """Have `tell` asked at the commit what its repository knows."""
        self._tellers.append(tell)

    def news(self) -> tuple[Mapping[Key, object], Iterable[Key]]:
        """What is known at the end, and what is gone."""
        known: dict[Key, object] = {}
        gone: set[Key] = set()
        for tell in self._tellers:
            tell(known, gone)
        return known, gone

    def close(self) -> None:
        """Nothing is asked of it any more. It lets go of the repositories, which hold it: what refers to each other in
        a ring is left to the garbage collector, whose walks stop the process in the middle of calls."""
        self._tellers.clear()

    # --- writes that wait ----------------------------------------------------------------------------

    def add(self, table: Table, row: Row, *, once: bool = False) -> None:
        """Insert with the next flush. Raises ConflictError there when a unique key is taken, unless `once`:
        then the row is left out."""
        self.must_write()
        self._pending.add(table, row, once=once)

    def update(self, table: Table, row: Row) -> None:
        """Write the row's columns over the one with its key, with the next flush, which raises NotFoundError
        when there is none. The last word counts."""
        self.must_write()
        self._pending.update(table, row)

    def put_later(self, table: Table, row: Row) -> None:
        """Insert, or replace the row with the same primary key (its hub of origin stays), with the next flush. For a table
        whose rows refer to no others."""
        self._own(row)
        self.change_later(
            table, insert_or_replace(table, tuple(row), on_sqlite=self.on_sqlite), row
        )

    def change_later(self, table: Table, statement: Prepared, row: Row) -> None:
        """Run a prepared statement about one row with the next flush, after what was said before it about this table."""
        self.must_write()
        self._pending.say(table, statement, row)

    def defer(self, work: Work) -> None:
        """Run `work` on the connection as late as possible: at the commit, or at `flush`."""
        self.must_write()
        self._pending.defer(work)

    async def flush(self) -> None:
        """Send everything that waits."""
        batch = self._pending.take_all()
        await self._call(batch.send, small=batch.is_small)

    def last_writes(self) -> Batch:
        """What the commit has to send first."""
        return self._pending.take_all()

    # --- writes that answer --------------------------------------------------------------------------

    async def insert_new(self, table: Table, row: Row) -> bool:
        """Insert now; False when one of its unique keys is there already (also: when another transaction
        that held the key has committed it meanwhile)."""
        self._own(row)
        statement = insert_or_leave(table, tuple(row), on_sqlite=self.on_sqlite)
        return await self.change(table, statement, row) > 0

    async def put(self, table: Table, row: Row) -> None:
        """Insert, or replace the row with the same primary key (its hub of origin stays)."""
        self._own(row)
        statement = insert_or_replace(table, tuple(row), on_sqlite=self.on_sqlite)
        await self.change(table, statement, row)

    async def change(self, table: Table, statement: Prepared, row: Row) -> int:
        """Run a prepared INSERT, UPDATE or DELETE of few rows after what waits for `table`; return the rows it
        touched."""
        self.must_write()
        return await self._after_pending(
            [table], lambda connection: statement.run(connection, row), small=True
        )

    async def write(self, table: Table, statement: Any) -> int:
        """The same for a statement that is made for this once, and for many rows."""
        self.must_write()
        touched: int = await self._after_pending(
            [table], lambda connection: connection.execute(statement).rowcount
        )
        return touched

    async def write_returning(self, table: Table, statement: Any) -> Any:
        """Like `write`, for a statement with RETURNING of one value."""
        self.must_write()
        return await self._after_pending(
            [table], lambda connection: connection.execute(statement).scalar_one()
        )

    # --- reads ---------------------------------------------------------------------------------------

    async def rows(self, statement: Select[Any]) -> Sequence[Any]:
        """All rows of a SELECT, after what waits for the tables it names was sent."""
        tables = _tables_of(statement) if self._pending else ()
        return await self._after_pending(
            tables, lambda connection: connection.execute(statement).all()
        )

    async def ask(self, question: Prepared, table: Table, **values: object) -> Sequence[Any]:
        """The few rows of a prepared SELECT from `table`, which names `tenant` itself."""
        values["tenant"] = self.owner.tenant
        return await self._after_pending(
            (table,), lambda connection: question.rows(connection, values), small=True
        )

    async def first(self, statement: Select[Any]) -> Any | None:
        """The first row, or None."""
        rows = await self.rows(statement)
        return rows[0] if rows else None

    async def value(self, statement: Select[Any]) -> Any | None:
        """The first column of the first row, or None."""
        rows = await self.rows(statement)
        return rows[0][0] if rows else None

    @property
    def is_writable(self) -> bool:
        return self._writable

    @property
    def is_alone(self) -> bool:
        """Whether nobody else can write meanwhile, so that what was read or written stays true: SQLite has one
        writer."""
        return self._writable and self.on_sqlite

    def mine(self, table: Table) -> ColumnElement[bool]:
        """The condition that a row is this tenant's."""
        return table.c.tenant == self.owner.tenant

    def claim(self, statement: Select[Any]) -> Select[Any]:
        """In a write transaction: lock the rows found and skip those another process holds (SQLite has one
        writer, so nobody else can hold any)."""
        return statement.with_for_update(skip_locked=True) if self._writable else statement

    def lock(self, statement: Select[Any]) -> Select[Any]:
        """In a write transaction: wait for the rows found and hold them until its end. Their keys never change, so
        rows that refer to them may come meanwhile (FOR NO KEY UPDATE)."""
        return statement.with_for_update(key_share=True) if self._writable else statement

    async def hold(self, name: str) -> None:
        """In a write transaction: wait until nobody else of this tenant holds `name`, and hold it until the end.
        SQLite has one writer, who holds everything."""
        if self._writable and not self.on_sqlite:
            key = func.hashtextextended(f"{self.owner.tenant} {name}", 0)
            await self.value(select(func.pg_advisory_xact_lock(key)))

    # --- the connection ------------------------------------------------------------------------------

    def must_write(self) -> None:
        """Raises RuntimeError in a snapshot: a mistake of the caller."""
        if not self._writable:
            raise RuntimeError("a unit of work from store.read() cannot write")

    def _own(self, row: Row) -> None:
        row["tenant"], row["hub"] = self.owner.tenant, self.owner.hub

    async def _after_pending(
        self,
        tables: Iterable[FromClause],
        work: Callable[[Connection], R],
        *,
        small: bool = False,
    ) -> R:
        batch = self._pending.take_for(tables)
        if batch is None:
            return await self._call(work, small=small)

        def both(connection: Connection) -> R:
            batch.send(connection)
            return work(connection)

        return await self._call(both, small=small and batch.is_small)

    async def _call(self, work: Callable[[Connection], R], *, small: bool = False) -> R:
        if self.failure is not None:
            raise self.failure
        try:
            with translated():
                return await self._run(work, small=small)
        except Exception as failure:
            self.failure = failure
            raise


def _tables_of(statement: Select[Any]) -> set[Table]:
    """Those in joins and subqueries, too. SQLAlchemy's own answer (`get_final_froms`) compiles the whole statement for it."""
    return {element for element in iterate(statement) if isinstance(element, Table)}
