"""What the store needs of a database: turns to write, snapshots to read."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from commhub.db.memory import Key
from commhub.db.pending import Batch
from commhub.db.transaction import Run


class Turn(Protocol):
    """One write transaction. Exactly one of `commit` and `rollback` ends it, even when its caller is
    cancelled meanwhile."""

    @property
    def run(self) -> Run: ...

    def recall(self, key: Key) -> object | None:
        """What a former turn left (`memory`); None where nothing can be relied on."""
        ...

    def learn(self, news: Mapping[Key, object], gone: Iterable[Key]) -> None:
        """What the next turns may rely on once this one has committed; said right before `commit`."""
        ...

    async def commit(self, last: Batch, publish: Callable[[], None]) -> None:
        """Send `last`, commit, then call `publish`, in the order of the commits. When it raises, all of the
        turn was rolled back: UnavailableError, ConflictError, InvalidError or NotFoundError."""
        ...

    async def rollback(self) -> None: ...


class Backend(Protocol):
    """A database."""

    @property
    def is_sqlite(self) -> bool: ...

    async def turn(self) -> Turn:
        """Begin a write transaction. Raises UnavailableError."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Run]:
        """A read transaction. Raises UnavailableError."""
        ...

    async def close(self) -> None: ...
