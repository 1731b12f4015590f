"""The store's door: write transactions that publish after their commit, and reads that are snapshots."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from commhub.db.backend import Backend
from commhub.db.engine import open_backend, parse_url
from commhub.db.errors import translated
from commhub.db.pending import Owner
from commhub.db.reading import Reading
from commhub.db.repositories.audit import AuditVerdict, ChainHead
from commhub.db.schema import require_current_schema
from commhub.db.writing import Queue, Writing
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
        self._queue: Queue = {}

    def begin(self) -> Writing:
        """A write transaction. Raises UnavailableError when the database cannot be had or lost the commit;
        ConflictError or InvalidError when what was written does not go together with what is there."""
        return Writing(self._backend, self._owner, self._clock, self._publish, self._queue)

    def read(self) -> Reading:
        """A snapshot, taken at the first question. Raises UnavailableError."""
        return Reading(self._backend, self._owner, self._clock)

    @property
    def is_shared(self) -> bool:
        """A SQLite file is one hub's."""
        return not self._backend.is_sqlite

    @property
    def behind_s(self) -> float:
        """How long whoever waits longest for a write transaction has waited by now; 0 when nobody does."""
        first = next(iter(self._queue.values()), None)
        return 0.0 if first is None else self._clock.monotonic() - first

    async def verify_audit(self, anchor: ChainHead | None = None) -> AuditVerdict:
        """Walk the audit's hash chain in one snapshot; `anchor` is a head noted elsewhere earlier."""
        async with self.read() as unit:
            return await unit.audit.verify(anchor)

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
