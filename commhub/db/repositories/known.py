"""What one unit of work knows of the rows of a noun, so that a step of a call asks once and writes what it changed.

Columns that stay are not written again: an index on one of them would be, and so would the check that its row is
still there. Where nobody else can write meanwhile a row that was read stays true and is not asked for twice, nor is one
that a former unit of work has left (`commhub/db/memory.py`).
"""

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar, cast

from commhub.db.codec import Rows
from commhub.db.memory import Key
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
        if not self._tx.is_alone:
            return None
        if (found := self._known.get(row_id)) is not None:
            return found
        kept = cast("T | None", self._tx.recall(self.key(row_id)))
        return None if kept is None else self.seen(kept)

    def key(self, row_id: str) -> Key:
        """Its name in the memory of those who write."""
        return self._rows.table, row_id

    def all(self) -> Collection[T]:
        return self._known.values()

    def seen(self, thing: T) -> T:
        """Note what was read."""
        self._known[thing.id] = thing
        return thing

    def add(self, thing: T) -> None:
        self._tx.add(self._rows.table, self._rows.to_row(thing))
        self._known[thing.id] = thing

    def update(self, thing: T) -> T | None:
        """Write what differs from what is known, which is returned, or the whole row. Raises NotFoundError with the next
        flush when the row is gone."""
        before = self._known.get(thing.id)
        changes = self._rows.to_row(thing) if before is None else self._rows.changes(before, thing)
        if changes:
            self._tx.update(self._rows.table, {**changes, "id": thing.id})
            self._known[thing.id] = thing
        return before
