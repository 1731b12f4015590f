"""Reports (上报): what somebody or something told us, kept before we say so, and decided on once.

Implements `ports.inward.ReportsIn` for every edge, `ports.inside.Intake` for `POST incidents` and `ports.inside.Adoption` for
what other hubs opened.
"""

from commhub.domain.incident import Incident
from commhub.domain.report import Report
from commhub.kit.clock import Clock
from commhub.ports.decisions import Decisions
from commhub.ports.inside import Registrar
from commhub.ports.inward import NewReport, ReportReceipt
from commhub.ports.store import Store, UnitOfWork
from commhub.reports.deciding import Decider, DecidingConfig
from commhub.reports.intake import Intake


class ReportService:
    """`run` is the decision loop; without it reports are safe but wait."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        decisions: Decisions,
        registrar: Registrar,
        config: DecidingConfig | None = None,
    ) -> None:
        self._store = store
        self._registrar = registrar
        self._decider = Decider(store, clock, decisions, registrar, config or DecidingConfig())
        self._intake = Intake(store, clock, on_received=self._decider.wake)

    async def submit(self, report: NewReport) -> ReportReceipt:
        """Commit a report. Raises ConflictError (same key, other content) or InvalidError."""
        return await self._intake.submit(report)

    async def adopt(
        self, uow: UnitOfWork, report: NewReport, incident_id: str, origin: str
    ) -> Incident:
        """See `commhub.ports.inside.Adoption`."""
        written = await self._intake.write_within(uow, report)
        return await self._decider.decide_within(uow, written, incident_id, origin)

    def wake(self) -> None:
        """What was adopted is committed."""
        self._registrar.wake()

    async def get(self, report_id: str) -> Report:
        """Raises NotFoundError."""
        async with self._store.read() as uow:
            return await uow.reports.get(report_id)

    async def wait_for_incident(self, report_id: str, timeout_s: float) -> str:
        """See `commhub.ports.inside.Intake`."""
        return await self._decider.wait(report_id, timeout_s)

    async def decide_waiting(self) -> int:
        """Decide on one batch of waiting reports; how many left the queue."""
        return await self._decider.decide_waiting()

    async def run(self) -> None:
        """Decide on waiting reports until cancelled."""
        await self._decider.run()
