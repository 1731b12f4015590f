"""The accept clock (接单时限): whoever does not accept in time loses the incident to the next.

Timers are rows; firing one, its fact, the next task, its card and the next timer are one transaction, so a kill
at any moment neither loses a step nor doubles it. Each timer has a transaction of its own that takes the
incident's row first and then looks at the timer again. A timer that cannot be handled is set aside with its
error, the desk is told, and the others go on.
"""

from dataclasses import replace
from datetime import datetime

import structlog

from commhub.domain.errors import DomainError, UnavailableError
from commhub.domain.facts import ClockExpired, TaskEscalated
from commhub.domain.incident import Incident, Stage
from commhub.domain.task import Task, TaskAction, TaskStage
from commhub.domain.timer import Timer, TimerState
from commhub.incidents import attention
from commhub.incidents.attention import Why
from commhub.incidents.config import IncidentConfig
from commhub.incidents.dispatching import Case, Choice, Dispatcher
from commhub.incidents.metrics import CLOCKS
from commhub.kit.clock import Clock
from commhub.kit.patience import Patience
from commhub.kit.supervise import Doorbell
from commhub.ports.inside import Outbox
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

CLOCK = "clock"
WAITING_FOR_SOMEBODY = frozenset({Stage.REGISTERED, Stage.RETURNED, Stage.REOPENED})
SOONEST_S = 0.2


class Clocks:
    """Fires due timers."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        dispatcher: Dispatcher,
        outbox: Outbox,
        config: IncidentConfig,
    ) -> None:
        self._store = store
        self._clock = clock
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._config = config
        self._bell = Doorbell()
        self._patience = Patience(clock)

    def wake(self) -> None:
        """A timer was armed; it may be due before the one we sleep for."""
        self._bell.ring()

    async def run(self) -> None:
        """Fire timers until cancelled. Raises when the store cannot even be read."""
        while True:
            if not await self.fire_due():
                await self._bell.wait(await self._idle_s())

    async def _idle_s(self) -> float:
        async with self._store.read() as uow:
            next_due = await uow.timers.next_due()
        if next_due is None:
            return self._config.poll_s
        left_s = (next_due - self._clock.now()).total_seconds()
        return min(max(left_s, SOONEST_S), self._config.poll_s)

    async def fire_due(self) -> int:
        """Handle one batch of due timers, each for itself, and return how many were handled."""
        async with self._store.read() as uow:
            due = await uow.timers.due(self._clock.now(), self._config.batch + len(self._patience))
        self._patience.keep_only({timer.id for timer in due})
        handled = 0
        for timer in self._patience.ready(due, lambda t: t.id):
            handled += await self._handle(timer)
        if handled:
            self._outbox.wake()
        return handled

    async def _handle(self, timer: Timer) -> bool:
        try:
            outcome = await self._fire(timer)
        except UnavailableError as error:
            log.warning("timer_postponed", timer=timer.id, error=str(error))
            self._patience.failed(timer.id)
            return False
        except Exception as error:
            failures = self._patience.failed(timer.id)
            log.exception("timer_failed", timer=timer.id, failures=failures)
            if isinstance(error, DomainError) or failures >= self._config.tries:
                await self._set_aside(timer, repr(error))
            return False
        CLOCKS.labels(timer.clock, outcome).inc()
        return True

    async def _fire(self, timer: Timer) -> str:
        async with self._store.begin() as uow:
            incident = await uow.incidents.get(timer.incident_id)
            now = self._clock.now()
            current = await _current(uow, timer)
            if current is None or current.state is not TimerState.ARMED or current.due_at > now:
                return "stale"
            await uow.timers.update(replace(current, state=TimerState.FIRED))
            return await self._expire(uow, incident, current, now)

    async def _expire(
        self, uow: UnitOfWork, incident: Incident, timer: Timer, now: datetime
    ) -> str:
        if timer.task_id is None and incident.stage not in WAITING_FOR_SOMEBODY:
            return "stale"
        case = await Case.load(uow, incident, now)
        if timer.task_id is None:
            outcome = await self._look_again(case, timer)
        else:
            task = case.task(timer.task_id)
            if task.stage is not TaskStage.DISPATCHED:
                return "stale"
            outcome = await self._escalate(case, timer, task)
        await case.save()
        return outcome

    async def _look_again(self, case: Case, timer: Timer) -> str:
        """Nobody could be asked before; the same row waits on, so that an incident alone at night stays one row."""
        if case.open_tasks:
            return "stale"
        if await self._dispatcher.ask_next(case):
            return "dispatched"
        await self._put_off(case, timer)
        return "nobody"

    async def _escalate(self, case: Case, timer: Timer, task: Task) -> str:
        choice = self._dispatcher.choose(case, instead_of=task, again=True)
        is_news = choice.responder is not None or not attention.has(
            case.incident, Why.NOBODY_ACCEPTS
        )
        if is_news:
            case.uow.record(
                ClockExpired(
                    at=case.now,
                    actor=CLOCK,
                    incident_id=case.incident.id,
                    clock=timer.clock.value,
                    step=timer.step,
                    due_at=timer.due_at,
                )
            )
            self._dispatcher.explain(case, choice)
            self._record_escalation(case, task, choice)
        if choice.responder is None:
            return await self._give_up(case, timer)
        await self._dispatcher.withdraw(
            case,
            task,
            TaskAction.ESCALATE,
            actor=CLOCK,
            at=case.now,
            holder=choice.responder.name,
        )
        await self._dispatcher.send(
            case, choice.responder, actor=CLOCK, to_leader=choice.is_fallback
        )
        return "escalated"

    def _record_escalation(self, case: Case, task: Task, choice: Choice) -> None:
        case.uow.record(
            TaskEscalated(
                at=case.now,
                actor=CLOCK,
                incident_id=case.incident.id,
                task_id=task.id,
                from_responder=case.crew.name_of(task.responder_id),
                to_responder=choice.responder.name if choice.responder else None,
                reason="not accepted in time" if choice.responder else "nobody is left to ask",
            )
        )

    async def _give_up(self, case: Case, timer: Timer) -> str:
        """The last one asked keeps the task, so that a late accept still counts; the desk is told. While the town
        has no leader at all we go on looking; after the leader was asked often enough it is the desk's turn."""
        case.incident = attention.raise_on(
            case.uow,
            case.incident,
            Why.NOBODY_ACCEPTS,
            f"asked {len(case.tasks)} times, nobody accepted",
            case.now,
        )
        if case.crew.leader(case.decision.team) is None:
            await self._put_off(case, timer)
        return "nobody"

    async def _put_off(self, case: Case, timer: Timer) -> None:
        await case.uow.timers.update(
            replace(timer, due_at=case.now + self._config.look_again_after)
        )

    async def _set_aside(self, timer: Timer, error: str) -> None:
        """Quarantine the timer and tell the desk; when the incident cannot even be marked, the timer alone."""
        CLOCKS.labels(timer.clock, "quarantined").inc()
        aside = replace(timer, state=TimerState.QUARANTINED, error=error[:1000])
        try:
            async with self._store.begin() as uow:
                incident = await uow.incidents.get(timer.incident_id)
                await uow.timers.update(aside)
                marked = attention.raise_on(
                    uow,
                    incident,
                    Why.CLOCK_FAILED,
                    f"the {timer.clock} clock failed and follows this incident no more: {error}",
                    self._clock.now(),
                )
                await uow.incidents.update(marked)
        except Exception:
            log.exception("timer_mark_failed", timer=timer.id)
            async with self._store.begin() as uow:
                await uow.timers.update(aside)


async def _current(uow: UnitOfWork, timer: Timer) -> Timer | None:
    timers = await uow.timers.of_incident(timer.incident_id)
    return next((t for t in timers if t.id == timer.id), None)
