"""One database transaction as the repositories see it: owned rows, writes that wait, questions that answer.

Statements run as plain functions of a synchronous SQLAlchemy `Connection`; `Run` carries them to wherever the
connection lives: SQLite's thread (one trip for whatever goes together), or asyncpg's side of a greenlet.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, FromClause, Select, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from commhub.db.codec import Row
from commhub.db.errors import translated
from commhub.db.pending import (
    Batch,
    Owner,
    Pending,
    Work,
    dialect_insert,
    insert_or_leave,
)

R = TypeVar("R")


class Run(Protocol):
    """Carries work to the connection and brings back its result or its exception."""

    async def __call__(self, work: Callable[[Connection], R], /) -> R: ...


@cache
def _insert_or_replace(table: Table, *, on_sqlite: bool) -> sqlite.Insert | postgresql.Insert:
    statement = dialect_insert(table, on_sqlite=on_sqlite)
    keys = [column.name for column in table.primary_key]
    replaced = {
        column.name: statement.excluded[column.name]
        for column in table.c
        if column.name not in {*keys, "hub"}
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=replaced)


class Transaction:
    """Repositories add, update and ask here. A `writable=False` one is a snapshot and refuses writes.

    After a failure of the database the transaction is over: whatever is asked of it raises that failure.
    """

    def __init__(self, run: Run, owner: Owner, *, on_sqlite: bool, writable: bool) -> None:
        self.owner = owner
        self.on_sqlite = on_sqlite
        self.failure: Exception | None = None
        self._run = run
        self._writable = writable
        self._pending = Pending(owner)

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

    def defer(self, work: Work) -> None:
        """Run `work` on the connection as late as possible: at the commit, or at `flush`."""
        self.must_write()
        self._pending.defer(work)

    async def flush(self) -> None:
        """Send everything that waits."""
        await self._call(self._pending.take_all().send)

    def last_writes(self) -> Batch:
        """What the commit has to send first."""
        return self._pending.take_all()

    # --- writes that answer --------------------------------------------------------------------------

    async def insert_new(self, table: Table, row: Row) -> bool:
        """Insert now; False when one of its unique keys is there already (also: when another transaction
        that held the key has committed it meanwhile)."""
        return await self.write(table, insert_or_leave(table, on_sqlite=self.on_sqlite), row) > 0

    async def put(self, table: Table, row: Row) -> None:
        """Insert, or replace the row with the same primary key (its hub of origin stays)."""
        await self.write(table, _insert_or_replace(table, on_sqlite=self.on_sqlite), row)

    async def write(self, table: Table, statement: Any, row: Row | None = None) -> int:
        """Run an INSERT, UPDATE or DELETE on `table` after what waits for it; return the rows it touched."""
        self.must_write()
        if row is not None:
            row["tenant"], row["hub"] = self.owner.tenant, self.owner.hub
        touched: int = await self._after_pending(
            [table], lambda connection: connection.execute(statement, row).rowcount
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
        """All rows of a SELECT from plain tables, after what waits for these was sent."""
        tables = statement.get_final_froms() if self._pending else ()
        return await self._after_pending(
            tables, lambda connection: connection.execute(statement).all()
        )

    async def first(self, statement: Select[Any]) -> Any | None:
        """The first row, or None."""
        rows = await self.rows(statement)
        return rows[0] if rows else None

    async def value(self, statement: Select[Any]) -> Any | None:
        """The first column of the first row, or None."""
        rows = await self.rows(statement)
        return rows[0][0] if rows else None

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

    async def _after_pending(
        self, tables: Iterable[FromClause], work: Callable[[Connection], R]
    ) -> R:
        batch = self._pending.take_for(tables)
        if batch is None:
            return await self._call(work)

        def both(connection: Connection) -> R:
            batch.send(connection)
            return work(connection)

        return await self._call(both)

    async def _call(self, work: Callable[[Connection], R]) -> R:
        if self.failure is not None:
            raise self.failure
        try:
            with translated():
                return await self._run(work)
        except Exception as failure:
            self.failure = failure
            raise
