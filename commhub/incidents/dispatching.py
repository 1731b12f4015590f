"""Dispatching (派遣): choose a responder, give them the task, start the accept clock, queue the card.

All of it happens in the caller's transaction on a `Case`: one incident, locked, with what the next step needs.
Who is free is asked and taken in that same transaction, so «unavailable» is enforced, not only shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from commhub.domain.errors import InvalidError, NotFoundError
from commhub.domain.facts import (
    SYSTEM,
    ResponderShortfall,
    RespondersRanked,
    StageMoved,
    TaskDispatched,
    TaskMoved,
)
from commhub.domain.incident import INCIDENT_MOVES, Action, Incident, Stage, move_incident
from commhub.domain.people import Responder
from commhub.domain.report import Report
from commhub.domain.task import Task, TaskAction, move_task
from commhub.domain.timer import ClockName, Timer
from commhub.incidents import attention, cards, kept
from commhub.incidents.attention import Why
from commhub.incidents.config import IncidentConfig
from commhub.incidents.crew import Crew, this_round, tried
from commhub.incidents.metrics import DISPATCHED, RANKING_FAILED
from commhub.kit.ids import new_id
from commhub.ports.decisions import Decision, Decisions, EscalationStep, Ranking
from commhub.ports.inside import Outbox
from commhub.ports.store import UnitOfWork

log = structlog.get_logger(__name__)

SHOWN_RANKED = 5
SHOWN_EXCLUDED = 20
DUTY_LEADER = "duty_leader"


@dataclass(slots=True)
class Case:
    """An incident whose row this transaction holds. `step` is the next one of its accept clock."""

    uow: UnitOfWork
    now: datetime
    incident: Incident
    decision: Decision
    report: Report
    crew: Crew
    tasks: list[Task]
    step: int = 1

    @classmethod
    async def load(cls, uow: UnitOfWork, incident: Incident, now: datetime) -> "Case":
        """Read what belongs to `incident`, which the caller has got in this transaction."""
        reports = await uow.reports.of_incident(incident.id)
        if not reports:
            raise InvalidError("the incident has no report to decide by", incident_id=incident.id)
        timers = await uow.timers.of_incident(incident.id)
        return cls(
            uow=uow,
            now=now,
            incident=incident,
            decision=kept.recall(incident.decision),
            report=reports[0],
            crew=await Crew.load(uow),
            tasks=list(await uow.tasks.of_incident(incident.id)),
            step=max((timer.step for timer in timers), default=0) + 1,
        )

    @property
    def open_tasks(self) -> list[Task]:
        return [task for task in self.tasks if task.is_open]

    def task(self, task_id: str) -> Task:
        """Raises NotFoundError."""
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise NotFoundError("no such task of this incident", task_id=task_id)

    async def put(self, task: Task) -> None:
        """Write a changed task."""
        self.tasks = [task if known.id == task.id else known for known in self.tasks]
        await self.uow.tasks.update(task)

    async def save(self) -> None:
        await self.uow.incidents.update(self.incident)


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask next (None: nobody is left), and the ranking behind it."""

    ranking: Ranking
    responder: Responder | None
    is_fallback: bool = False


class Dispatcher:
    """The steps that dispatching is made of; none of them commits."""

    def __init__(self, decisions: Decisions, outbox: Outbox, config: IncidentConfig) -> None:
        self._decisions = decisions
        self._outbox = outbox
        self._config = config

    # --- choosing ------------------------------------------------------------------------------------

    def rank(self, case: Case, passed_over: frozenset[str]) -> Ranking:
        """The ranking now. One that fails is logged and empty, so that the duty leader is asked."""
        try:
            return self._decisions.rank(
                case.decision, case.report, case.crew.candidates(passed_over), case.now
            )
        except Exception:
            RANKING_FAILED.inc()
            log.exception("ranking_failed", incident=case.incident.id)
            return Ranking(ranked=(), excluded=(), shortfall=("ranking_failed",))

    def choose(self, case: Case, *, instead_of: Task | None = None, again: bool = False) -> Choice:
        """Choose the best who is free and has not had it; then a duty leader who has not; then, if `again`, the
        duty leader once more, as often as the rules say."""
        passed_over = tried(case.tasks) | ({instead_of.responder_id} if instead_of else set())
        ranking = self.rank(case, passed_over)
        for ranked in ranking.ranked:
            if ranked.responder_id in passed_over:
                continue
            responder = case.crew.responder(ranked.responder_id)
            if case.crew.is_free(responder):
                return Choice(ranking, responder)
        return Choice(ranking, self._leader(case, ranking, passed_over, again=again), True)

    def _leader(
        self, case: Case, ranking: Ranking, passed_over: frozenset[str], *, again: bool
    ) -> Responder | None:
        if ranking.fallback is not None and ranking.fallback not in passed_over:
            return case.crew.responder(ranking.fallback)
        leader = case.crew.leader(case.decision.team, passed_over)
        if leader is not None or not again:
            return leader
        asked = sum(case.crew.leads(task.responder_id) for task in this_round(case.tasks))
        return case.crew.leader(case.decision.team) if asked < self.leader_asks(case) else None

    def leader_asks(self, case: Case) -> int:
        """How often the duty leader is asked altogether."""
        step = _leader_step(case.decision)
        return max(step.repeat, 1) if step else self._config.leader_asks

    def explain(self, case: Case, choice: Choice) -> None:
        """Put the ranking on the timeline, and the shortfall when nobody qualified."""
        case.uow.record(
            RespondersRanked(
                at=case.now,
                actor="rules",
                incident_id=case.incident.id,
                ranked=tuple(
                    {
                        "responder": ranked.responder_id,
                        "name": case.crew.name_of(ranked.responder_id),
                        "score": ranked.score,
                        "reasons": list(ranked.reasons),
                    }
                    for ranked in choice.ranking.ranked[:SHOWN_RANKED]
                ),
                excluded=tuple(
                    {
                        "responder": excluded.responder_id,
                        "name": case.crew.name_of(excluded.responder_id),
                        "reason": excluded.reason,
                    }
                    for excluded in choice.ranking.excluded[:SHOWN_EXCLUDED]
                ),
            )
        )
        if choice.is_fallback:
            case.uow.record(
                ResponderShortfall(
                    at=case.now,
                    actor="rules",
                    incident_id=case.incident.id,
                    reasons=choice.ranking.shortfall or ("nobody_free",),
                    fallback=choice.responder.name if choice.responder else None,
                )
            )

    # --- giving and taking tasks ---------------------------------------------------------------------

    async def ask_next(self, case: Case) -> bool:
        """Give the task to whoever is next, or ask the desk and look again later. Returns whether there was one."""
        choice = self.choose(case)
        is_news = choice.responder is not None or not attention.has(
            case.incident, Why.NOBODY_AVAILABLE
        )
        if is_news:
            self.explain(case, choice)
        if choice.responder is None:
            self._nobody(case, choice)
            return False
        await self.send(case, choice.responder, to_leader=choice.is_fallback)
        return True

    def _nobody(self, case: Case, choice: Choice) -> None:
        reasons = "; ".join(choice.ranking.shortfall) or "nobody free"
        case.incident = attention.raise_on(
            case.uow,
            case.incident,
            Why.NOBODY_AVAILABLE,
            f"nobody can be asked ({reasons})",
            case.now,
        )

    async def send(
        self, case: Case, responder: Responder, *, actor: str = SYSTEM, to_leader: bool = False
    ) -> None:
        """Give the incident to `responder`: task, clock and card. The incident is dispatched from now on."""
        step = _leader_step(case.decision) if to_leader else None
        due_at = case.now + (step.every if step and step.every else self.accept_within(case))
        task = Task(
            id=new_id(),
            incident_id=case.incident.id,
            responder_id=responder.id,
            unit_id=responder.unit_id,
            dispatched_at=case.now,
            attempt=len(case.tasks) + 1,
        )
        case.tasks.append(task)
        case.crew.took(responder.id)
        case.incident = attention.settle(
            replace(
                case.incident,
                stage=Stage.DISPATCHED,
                unit_id=responder.unit_id,
                responder_id=responder.id,
                accept_by=due_at,
                updated_at=case.now,
            )
        )
        await case.uow.tasks.add(task)
        case.uow.record(
            TaskDispatched(
                at=case.now,
                actor=actor,
                incident_id=case.incident.id,
                task_id=task.id,
                responder_id=responder.id,
                responder=responder.name,
                unit=case.crew.unit_name(responder.unit_id),
                attempt=task.attempt,
                accept_by=due_at,
            )
        )
        await self.arm(case, due_at, task)
        via = step.via if step and step.via else case.decision.channels
        await self._queue_card(case, task, responder, via)
        DISPATCHED.inc()

    async def _queue_card(
        self, case: Case, task: Task, responder: Responder, channels: Sequence[str]
    ) -> None:
        card = cards.card_of(
            case.incident,
            task,
            case.report.text,
            zone=self._config.time_zone,
            link=self._config.link,
        )
        if not await self._outbox.queue_card(case.uow, card, responder, channels):
            case.incident = attention.raise_on(
                case.uow,
                case.incident,
                Why.UNREACHABLE,
                f"{responder.name} has no address on any channel in service",
                case.now,
            )

    async def withdraw(
        self,
        case: Case,
        task: Task,
        action: TaskAction,
        *,
        actor: str,
        at: datetime,
        holder: str | None = None,
        note: str | None = None,
    ) -> None:
        """End an open task without its being done; its card says who has the incident now."""
        case.crew.gave_up(task.responder_id)
        await self.advance(case, task, action, actor=actor, at=at, holder=holder, note=note)

    async def advance(
        self,
        case: Case,
        task: Task,
        action: TaskAction,
        *,
        actor: str,
        at: datetime,
        holder: str | None = None,
        note: str | None = None,
    ) -> None:
        """Move a task, and its card with it. Raises IllegalMoveError."""
        moved = move_task(task, action, at, note)
        await case.put(moved)
        case.uow.record(
            TaskMoved(
                at=at,
                actor=actor,
                incident_id=case.incident.id,
                task_id=task.id,
                responder_id=task.responder_id,
                responder=case.crew.name_of(task.responder_id),
                action=action.value,
                after=moved.stage.value,
                note=note,
            )
        )
        await self._outbox.change_card(
            case.uow,
            task.id,
            cards.state_of(moved, self._config.time_zone, holder=holder, by=_name_of(case, actor)),
        )

    def follow(
        self, case: Case, action: Action, *, actor: str, at: datetime, note: str | None = None
    ) -> None:
        """Let the incident follow its task to the stage `action` leads to, if it stands where that is legal."""
        move = INCIDENT_MOVES[action]
        if case.incident.stage not in move.sources:
            return
        before = case.incident.stage
        case.incident = move_incident(case.incident, move, at)
        case.uow.record(
            StageMoved(
                at=at,
                actor=actor,
                incident_id=case.incident.id,
                action=action.value,
                before=before.value,
                after=case.incident.stage.value,
                note=note,
            )
        )

    # --- the accept clock ----------------------------------------------------------------------------

    def accept_within(self, case: Case) -> timedelta:
        return case.decision.clocks.get(ClockName.ACCEPT, self._config.accept_within)

    async def arm(self, case: Case, due_at: datetime, task: Task | None = None) -> None:
        """Start the next step of the accept clock; without a task it is the time to look for somebody again."""
        await case.uow.timers.arm(
            Timer(
                id=new_id(),
                incident_id=case.incident.id,
                clock=ClockName.ACCEPT,
                step=case.step,
                due_at=due_at,
                task_id=task.id if task else None,
            )
        )
        case.step += 1

    async def look_again(self, case: Case, after: timedelta | None = None) -> None:
        """Arm the clock of an incident that nobody has."""
        await self.arm(case, case.now + (after or self._config.look_again_after))

    async def stop_clock(self, case: Case) -> None:
        await case.uow.timers.cancel(case.incident.id, ClockName.ACCEPT)


def _name_of(case: Case, actor: str) -> str:
    """What people read of an actor: a name; of a clock nothing."""
    kind, _, name = actor.partition(":")
    return case.crew.name_of(name) if kind == "responder" else name


def _leader_step(decision: Decision) -> EscalationStep | None:
    """What the rules say of the accept clock and the duty leader, if anything."""
    return next(
        (s for s in decision.escalation if s.clock == ClockName.ACCEPT and s.to == DUTY_LEADER),
        None,
    )
