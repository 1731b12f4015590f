"""Incidents (事件): what we dispatch, and how it is followed until somebody has it and it is closed.

Implements the inside ports `Registrar`, `TaskMoves`, `Attention` and `Tending`. The parts: registration (a report becomes
an incident), dispatching (choose, give, take), fieldwork (what responders tap), desk (what people order), tending (what
other hubs do with it), clocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from commhub.domain.account import Principal
from commhub.domain.facts import TimelineEntry
from commhub.domain.incident import Action, Incident
from commhub.domain.message import CardAction
from commhub.domain.report import Report
from commhub.domain.task import Task
from commhub.incidents import attention
from commhub.incidents.clocks import Clocks
from commhub.incidents.config import IncidentConfig
from commhub.incidents.crew import tried
from commhub.incidents.desk import Desk, Order
from commhub.incidents.dispatching import Case, Dispatcher
from commhub.incidents.fieldwork import Fieldwork
from commhub.incidents.registration import Registry
from commhub.incidents.tending import Tending
from commhub.kit.clock import Clock
from commhub.ports.decisions import Decisions, Ranking
from commhub.ports.inside import AckEffect, Outbox, Registration
from commhub.ports.store import IncidentQuery, Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class IncidentFile:
    """An incident with all that belongs to it, oldest first."""

    incident: Incident
    reports: Sequence[Report]
    tasks: Sequence[Task]


class IncidentService:
    """`run` is the loop of the clocks; without it timers wait and fire late."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        decisions: Decisions,
        outbox: Outbox,
        config: IncidentConfig | None = None,
    ) -> None:
        config = config or IncidentConfig()
        self._store = store
        self._clock = clock
        self._outbox = outbox
        self._dispatcher = Dispatcher(decisions, outbox, config)
        self._registry = Registry(clock, self._dispatcher, config)
        self._fieldwork = Fieldwork(clock, self._dispatcher, outbox, config)
        self._desk = Desk(clock, self._dispatcher)
        self._tending = Tending(clock, self._dispatcher)
        self._clocks = Clocks(store, clock, self._dispatcher, outbox, config)

    # --- for the desk --------------------------------------------------------------------------------

    async def act(
        self,
        incident_id: str,
        action: Action,
        principal: Principal,
        note: str | None = None,
        responder_id: str | None = None,
        target_id: str | None = None,
    ) -> Incident:
        """Do it in a transaction of its own. Raises NotFoundError, NotAllowedError, IllegalMoveError,
        RequirementError, or ConflictError (the responder is not free)."""
        order = Order(
            action=action,
            principal=principal,
            note=note,
            responder_id=responder_id,
            target_id=target_id,
        )
        async with self._store.begin() as uow:
            incident = await self.act_within(uow, incident_id, order)
        self.wake()
        return incident

    async def act_within(self, uow: UnitOfWork, incident_id: str, order: Order) -> Incident:
        """The same in the caller's transaction, who then calls `wake`."""
        return await self._desk.act(uow, incident_id, order)

    async def list(self, query: IncidentQuery) -> Sequence[Incident]:
        """Newest first."""
        async with self._store.read() as uow:
            return await uow.incidents.list(query)

    async def get(self, incident_id: str) -> Incident:
        """Raises NotFoundError."""
        async with self._store.read() as uow:
            return await uow.incidents.get(incident_id)

    async def file_of(self, incident_id: str) -> IncidentFile:
        """Raises NotFoundError."""
        async with self._store.read() as uow:
            return IncidentFile(
                incident=await uow.incidents.get(incident_id),
                reports=await uow.reports.of_incident(incident_id),
                tasks=await uow.tasks.of_incident(incident_id),
            )

    async def timeline(
        self, incident_id: str, after: int = 0, limit: int = 500
    ) -> Sequence[TimelineEntry]:
        """In the order written, from the entry after `after`. Raises NotFoundError."""
        async with self._store.read() as uow:
            await uow.incidents.get(incident_id)
            return await uow.timeline.of_incident(incident_id, after, limit)

    async def candidates(self, incident_id: str) -> Ranking:
        """Who would be asked now, and why the others would not. Raises NotFoundError."""
        async with self._store.read() as uow:
            incident = await uow.incidents.get(incident_id)
            case = await Case.load(uow, incident, self._clock.now())
            return self._dispatcher.rank(case, tried(case.tasks))

    # --- inside ports --------------------------------------------------------------------------------

    async def register(
        self, uow: UnitOfWork, registrations: Sequence[Registration]
    ) -> Sequence[Incident]:
        """See `commhub.ports.inside.Registrar`."""
        return await self._registry.register(uow, registrations)

    async def register_bare(self, uow: UnitOfWork, report: Report, attention: str) -> Incident:
        """See `commhub.ports.inside.Registrar`."""
        return await self._registry.register_bare(uow, report, attention)

    async def judge(
        self, uow: UnitOfWork, task_id: str, action: CardAction, responder_id: str | None
    ) -> AckEffect:
        """See `commhub.ports.inside.TaskMoves`."""
        return await self._fieldwork.judge(uow, task_id, action, responder_id)

    async def move_task(
        self,
        uow: UnitOfWork,
        task_id: str,
        action: CardAction,
        actor: str,
        at: datetime,
        note: str | None = None,
    ) -> None:
        """See `commhub.ports.inside.TaskMoves`."""
        await self._fieldwork.act(uow, task_id, action, actor, at, note)

    async def refresh_card(self, uow: UnitOfWork, task_id: str) -> None:
        """See `commhub.ports.inside.TaskMoves`."""
        await self._fieldwork.refresh_card(uow, task_id)

    async def raise_attention(
        self, uow: UnitOfWork, incident_id: str, code: str, text: str
    ) -> None:
        """See `commhub.ports.inside.Attention`."""
        incident = await uow.incidents.get(incident_id)
        if incident.is_open:
            marked = attention.raise_on(uow, incident, code, text, self._clock.now())
            await uow.incidents.update(marked)

    async def reopen(self, uow: UnitOfWork, incident_id: str, actor: str, note: str) -> Incident:
        """See `commhub.ports.inside.Tending`."""
        return await self._tending.reopen(uow, incident_id, actor, note)

    async def put_down(self, uow: UnitOfWork, incident_id: str, actor: str, note: str) -> Incident:
        """See `commhub.ports.inside.Tending`."""
        return await self._tending.put_down(uow, incident_id, actor, note)

    def wake(self) -> None:
        """Something was committed: a timer may be due sooner, a card wants to leave."""
        self._clocks.wake()
        self._outbox.wake()

    # --- clocks --------------------------------------------------------------------------------------

    async def fire_due(self) -> int:
        """Handle one batch of due timers; how many were handled."""
        return await self._clocks.fire_due()

    async def run(self) -> None:
        """Fire timers until cancelled."""
        await self._clocks.run()
