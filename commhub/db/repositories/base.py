"""What every repository is: a transaction and the few queries all nouns share."""

from typing import TypeVar

from sqlalchemy import Select, select

from commhub.db.codec import Rows
from commhub.db.transaction import Transaction
from commhub.domain.errors import NotFoundError

T = TypeVar("T")


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

    async def _find_by(self, rows: Rows[T], column: str, value: object) -> T | None:
        return await self._find(rows, self._select(rows).where(rows.table.c[column] == value))

    async def _hold(self, rows: Rows[T], row_id: str) -> T | None:
        """The row by its id; in a write transaction nobody else changes it until the end."""
        statement = self._select(rows).where(rows.table.c.id == row_id)
        return await self._find(rows, self._tx.lock(statement))

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
