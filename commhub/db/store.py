"""The store's door: write transactions that publish after their commit, and reads that are snapshots."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from commhub.db.backend import Backend
from commhub.db.engine import open_backend, parse_url
from commhub.db.errors import translated
from commhub.db.metrics import TRANSACTIONS, WRITE_SECONDS
from commhub.db.pending import Owner
from commhub.db.repositories.audit import AuditVerdict, ChainHead
from commhub.db.schema import require_current_schema
from commhub.db.transaction import Run, Transaction
from commhub.db.unit_of_work import SqlUnitOfWork
from commhub.domain.facts import Fact
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock


class SqlStore:
    """Implements commhub.ports.store.Store on SQLite and PostgreSQL."""

    def __init__(self, backend: Backend, bus: Bus[Fact], owner: Owner, clock: Clock) -> None:
        self._backend = backend
        self._bus = bus
        self._owner = owner
        self._clock = clock

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqlUnitOfWork]:
        """A write transaction. Raises UnavailableError when the database cannot be had or lost the commit;
        ConflictError or InvalidError when what was written does not go together with what is there."""
        began = self._clock.monotonic()
        outcome = "failed"
        try:
            turn = await self._backend.turn()
            transaction = self._transaction(turn.run, writable=True)
            unit = SqlUnitOfWork(transaction, self._clock)
            try:
                yield unit
            except BaseException:
                outcome = "rolled_back" if transaction.failure is None else "failed"
                await turn.rollback()
                raise
            if transaction.failure is not None:
                # Somebody caught it inside; half a transaction is still none.
                await turn.rollback()
                raise transaction.failure
            await turn.commit(transaction.last_writes(), partial(self._publish, unit.facts))
            outcome = "committed"
        finally:
            TRANSACTIONS.labels(outcome).inc()
            WRITE_SECONDS.observe(self._clock.monotonic() - began)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlUnitOfWork]:
        """A snapshot, taken at the first question. Raises UnavailableError."""
        async with self._backend.snapshot() as run:
            yield SqlUnitOfWork(self._transaction(run, writable=False), self._clock)

    async def verify_audit(self, anchor: ChainHead | None = None) -> AuditVerdict:
        """Walk the audit's hash chain in one snapshot; `anchor` is a head noted elsewhere earlier."""
        async with self.read() as unit:
            return await unit.audit.verify(anchor)

    def _transaction(self, run: Run, *, writable: bool) -> Transaction:
        return Transaction(run, self._owner, on_sqlite=self._backend.is_sqlite, writable=writable)

    def _publish(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._bus.publish(fact)


@asynccontextmanager
async def open_store(
    url: str, *, bus: Bus[Fact], clock: Clock, tenant: str = "default", hub: str = "hub"
) -> AsyncIterator[SqlStore]:
    """The store behind `url`, whose schema `migrate(url)` has made.

    Raises StoreError for a wrong URL or a schema of another version, UnavailableError when nothing answers.
    """
    backend = open_backend(parse_url(url))
    try:
        with translated():
            async with backend.snapshot() as run:
                await run(require_current_schema)
        yield SqlStore(backend, bus, Owner(tenant, hub), clock)
    finally:
        await backend.close()
