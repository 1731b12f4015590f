"""What every repository is: a transaction and the few queries all nouns share.

What is asked by a key, so that few rows answer it, is a `Question`: written once and answered at once. Lists that
grow with the town are SELECTs of the moment, carried to the database's thread.
"""

from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, select

from commhub.db.codec import Rows
from commhub.db.prepared import Prepared
from commhub.db.transaction import Transaction
from commhub.domain.errors import NotFoundError

T = TypeVar("T")


class Question(Generic[T]):
    """A SELECT of the tenant's rows of one noun; what `conditions` leave open are `bindparam`s by name."""

    def __init__(
        self,
        rows: Rows[T],
        *conditions: ColumnElement[bool],
        order_by: tuple[ColumnElement[Any], ...] = (),
    ) -> None:
        self.rows = rows
        statement = (
            select(*rows.columns)
            .where(rows.table.c.tenant == bindparam("tenant"), *conditions)
            .order_by(*order_by)
        )
        self.plain = Prepared(statement)
        self.locking = Prepared(statement.with_for_update(key_share=True))
        """In a write transaction: waits for the rows and holds them until its end (see `Transaction.lock`)."""


@cache
def _by(rows: Rows[Any], column: str) -> Question[Any]:
    return Question(rows, rows.table.c[column] == bindparam("value"))


class Repository:
    """A noun's rows inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    def _select(self, rows: Rows[T]) -> Select[tuple[object, ...]]:
        """The tenant's rows, in the columns `rows` reads."""
        return select(*rows.columns).where(self._tx.mine(rows.table))

    async def _all(self, rows: Rows[T], statement: Select[tuple[object, ...]]) -> list[T]:
        return [rows.from_row(row) for row in await self._tx.rows(statement)]

    async def _find(self, rows: Rows[T], statement: Select[tuple[object, ...]]) -> T | None:
        row = await self._tx.first(statement)
        return None if row is None else rows.from_row(row)

    async def _ask(self, question: Question[T], **values: object) -> list[T]:
        read, table = question.rows.from_row, question.rows.table
        return [read(row) for row in await self._tx.ask(question.plain, table, **values)]

    async def _find_by(self, rows: Rows[T], column: str, value: object) -> T | None:
        """The first row whose column is this value (not None)."""
        found = await self._ask(_by(rows, column), value=value)
        return found[0] if found else None

    async def _hold(self, rows: Rows[T], row_id: str) -> T | None:
        """The row by its id; in a write transaction nobody else changes it until the end."""
        question = _by(rows, "id")
        statement = question.locking if self._tx.is_writable else question.plain
        found = await self._tx.ask(statement, rows.table, value=row_id)
        return rows.from_row(found[0]) if found else None

    async def _get_held(self, rows: Rows[T], row_id: str, noun: str) -> T:
        found = await self._hold(rows, row_id)
        if found is None:
            raise absent(noun, row_id)
        return found

    async def _get(self, rows: Rows[T], row_id: str, noun: str) -> T:
        found = await self._find_by(rows, "id", row_id)
        if found is None:
            raise absent(noun, row_id)
        return found

    def _page(self, rows: Rows[T], before: str | None, limit: int) -> Select[tuple[object, ...]]:
        """Newest first: ids sort by the time they were made, so the id is the cursor."""
        statement = self._select(rows).order_by(rows.table.c.id.desc()).limit(limit)
        return statement if before is None else statement.where(rows.table.c.id < before)


def absent(noun: str, row_id: str) -> NotFoundError:
    return NotFoundError(f"there is no {noun} «{row_id[:64]}»", id=row_id)
