"""Rows that the writer knows by heart, so that the next step of a call need not ask for what the last one wrote.

SQLite has one writer. What a write transaction read or wrote stays true until another one writes it, and every other
one either passes here as well or comes from another process, which SQLite tells of (`PRAGMA data_version`). So each
turn leaves what it knows to the next one, and a turn that failed to commit leaves nothing. Whoever changes such a row
past its repository must drop it here. On PostgreSQL others write at the same time, and nothing is kept.
"""

import sqlite3
from collections.abc import Iterable, Mapping

Key = tuple[object, str]
"""What kind of thing it is, and its id among these."""

_MOST = 16_384


class Memory:
    """Bounded: what was not needed for longest goes first. Used only by whoever holds the writer."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._kept: dict[Key, object] = {}
        self._source: sqlite3.Connection | None = None
        self._version = 0

    def check(self, source: sqlite3.Connection) -> None:
        """Inside a transaction of `source` that nobody else can write in: forget all if others wrote since the last."""
        version = source.execute("PRAGMA data_version").fetchone()[0]
        if source is not self._source or version != self._version:
            self.forget()
            self._source, self._version = source, version

    def recall(self, key: Key) -> object | None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._kept[key] = found
        return found

    def learn(self, news: Mapping[Key, object], gone: Iterable[Key]) -> None:
        """Take over what a finished turn knows, and drop what is `gone` or no longer sure."""
        kept = self._kept
        for key, thing in news.items():
            kept.pop(key, None)
            kept[key] = thing
        for key in gone:
            kept.pop(key, None)
        while len(kept) > self._most:
            del kept[next(iter(kept))]

    def forget(self) -> None:
        """Everything: a commit was lost."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
