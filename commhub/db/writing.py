"""One `async with store.begin()`: from the wait for its turn to the commit, measured.

A class and not a generator, because every step of every call passes here.
"""

from collections.abc import Callable
from functools import partial
from types import TracebackType

from commhub.db.backend import Backend
from commhub.db.metrics import ENDED, WRITE_SECONDS
from commhub.db.pending import Owner
from commhub.db.transaction import Transaction
from commhub.db.unit_of_work import SqlUnitOfWork
from commhub.domain.facts import Fact
from commhub.kit.clock import Clock

Queue = dict["Writing", float]
"""Who waits for a turn, and since when; the oldest first."""


class Writing:
    """Entered once. What it raises is said at `SqlStore.begin`."""

    def __init__(
        self,
        backend: Backend,
        owner: Owner,
        clock: Clock,
        publish: Callable[[list[Fact]], None],
        queue: Queue,
    ) -> None:
        self._backend = backend
        self._owner = owner
        self._clock = clock
        self._publish = publish
        self._queue = queue

    async def __aenter__(self) -> SqlUnitOfWork:
        self._began = self._queue[self] = self._clock.monotonic()
        try:
            self._turn = await self._backend.turn()
        except BaseException:
            self._count("failed")
            raise
        finally:
            del self._queue[self]
        self._transaction = Transaction(
            self._turn.run,
            self._owner,
            on_sqlite=self._backend.is_sqlite,
            writable=True,
            recall=self._turn.recall,
        )
        self._unit = SqlUnitOfWork(self._transaction, self._clock)
        return self._unit

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failure = self._transaction.failure
        outcome = "failed"
        try:
            if error is not None or failure is not None:
                outcome = "rolled_back" if failure is None else "failed"
                await self._turn.rollback()
                if error is None and failure is not None:
                    # Somebody caught it inside; half a transaction is still none.
                    raise failure
                return
            self._turn.learn(*self._transaction.news())
            await self._turn.commit(
                self._transaction.last_writes(), partial(self._publish, self._unit.facts)
            )
            outcome = "committed"
        finally:
            self._transaction.close()
            self._count(outcome)

    def _count(self, outcome: str) -> None:
        ENDED[outcome].inc()
        WRITE_SECONDS.observe(self._clock.monotonic() - self._began)
