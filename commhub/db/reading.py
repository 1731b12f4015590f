"""One `async with store.read()`: a snapshot and the repositories over it. A class, as `writing` is, for what it costs."""

from types import TracebackType

from commhub.db.backend import Backend
from commhub.db.pending import Owner
from commhub.db.transaction import Transaction
from commhub.db.unit_of_work import SqlUnitOfWork
from commhub.kit.clock import Clock


class Reading:
    """Entered once. What it raises is said at `SqlStore.read`."""

    def __init__(self, backend: Backend, owner: Owner, clock: Clock) -> None:
        self._backend = backend
        self._owner = owner
        self._clock = clock

    async def __aenter__(self) -> SqlUnitOfWork:
        self._snapshot = self._backend.snapshot()
        run = await self._snapshot.__aenter__()
        transaction = Transaction(
            run, self._owner, on_sqlite=self._backend.is_sqlite, writable=False
        )
        return SqlUnitOfWork(transaction, self._clock)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._snapshot.__aexit__(kind, error, trace)
