"""What one unit of work knows of the rows of a noun, so that a step of a call asks once and writes what it changed.

Columns that stay are not written again: an index on one of them would be, and so would the check that its row is
still there. Where nobody else can write meanwhile a row that was read stays true and is not asked for twice.
"""

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from commhub.db.codec import Rows
from commhub.db.transaction import Transaction


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


class Known(Generic[T]):
    """Rows by their id."""

    def __init__(self, transaction: Transaction, rows: Rows[T]) -> None:
        self._tx = transaction
        self._rows = rows
        self._known: dict[str, T] = {}

    def still(self, row_id: str) -> T | None:
        """The row as it was read or written, where it cannot have changed since."""
        return self._known.get(row_id) if self._tx.is_alone else None

    def all(self) -> Iterable[T]:
        return self._known.values()

    def seen(self, thing: T) -> T:
        """Note what was read."""
        self._known[thing.id] = thing
        return thing

    def add(self, thing: T) -> None:
        self._tx.add(self._rows.table, self._rows.to_row(thing))
        self._known[thing.id] = thing

    def update(self, thing: T) -> None:
        """Write what differs from what is known, or the whole row. Raises NotFoundError with the next flush when the
        row is gone."""
        before = self._known.get(thing.id)
        changes = self._rows.to_row(thing) if before is None else self._rows.changes(before, thing)
        if changes:
            self._tx.update(self._rows.table, {**changes, "id": thing.id})
            self._known[thing.id] = thing
