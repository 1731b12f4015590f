"""What the desk does to an incident: the table of moves says what is legal, this page what else follows.

An action on the incident moves its tasks with it (on behalf of those who hold them), stops or starts the accept
clock, and changes the cards, all in the caller's transaction.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from commhub.domain.account import Principal
from commhub.domain.errors import (
    IllegalMoveError,
    InvalidError,
    NotAllowedError,
)
from commhub.domain.facts import IncidentAbsorbed, IncidentMerged, StageMoved
from commhub.domain.incident import (
    Action,
    Given,
    Incident,
    check_move,
    move_incident,
)
from commhub.domain.people import Role
from commhub.domain.task import Task, TaskAction, TaskStage
from commhub.incidents.dispatching import Case, Dispatcher
from commhub.kit.clock import Clock
from commhub.ports.store import UnitOfWork

_ON_BEHALF = frozenset({Role.DISPATCHER, Role.DUTY_LEADER, Role.COMMANDER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An action with what came with it, and who asked for it."""

    action: Action
    principal: Principal
    note: str | None = None
    responder_id: str | None = None
    target_id: str | None = None

    @property
    def actor(self) -> str:
        return self.principal.actor


class Desk:
    """Performs orders."""

    def __init__(self, clock: Clock, dispatcher: Dispatcher) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._effects: Mapping[Action, Callable[[Case, Order], Awaitable[None]]] = {
            Action.DISPATCH: self._dispatch,
            Action.ACCEPT: self._accept,
            Action.ARRIVE: self._arrive,
            Action.HANDLE: self._handle,
            Action.RETURN: self._return,
            Action.RESUME: self._watch,
            Action.REOPEN: self._watch,
            Action.MERGE: self._merge,
        }

    async def act(self, uow: UnitOfWork, incident_id: str, order: Order) -> Incident:
        """Do it. Raises NotFoundError, NotAllowedError, IllegalMoveError, RequirementError, ConflictError."""
        incident = await _lock(uow, incident_id, order.target_id)
        tasks = await uow.tasks.of_incident(incident_id)
        move = check_move(incident, order.action, order.principal.roles, _given(order, tasks))
        _check_own(order, tasks)
        now = self._clock.now()
        moved = move_incident(incident, move, now)
        uow.record(
            StageMoved(
                at=now,
                actor=order.actor,
                incident_id=incident_id,
                action=order.action.value,
                before=incident.stage.value,
                after=moved.stage.value,
                note=order.note,
            )
        )
        if order.action is Action.COMMENT:
            await uow.incidents.update(moved)
            return moved
        # Whoever acts on an incident has looked at it.
        case = await Case.load(uow, replace(moved, needs_attention=None), now)
        if not case.open_tasks:
            await self._dispatcher.stop_clock(case)
        if effect := self._effects.get(order.action):
            await effect(case, order)
        await case.save()
        return case.incident

    async def _dispatch(self, case: Case, order: Order) -> None:
        """Send somebody; whoever had it until now is told who has it instead."""
        responder = case.crew.responder(str(order.responder_id))
        for task in case.open_tasks:
            await self._dispatcher.withdraw(
                case,
                task,
                TaskAction.CANCEL,
                actor=order.actor,
                at=case.now,
                holder=responder.name,
                note=order.note,
            )
        case.crew.check_free(responder)
        await self._dispatcher.stop_clock(case)
        await self._dispatcher.send(case, responder, actor=order.actor)

    async def _accept(self, case: Case, order: Order) -> None:
        await self._dispatcher.stop_clock(case)
        await self._advance(case, order, TaskAction.ACCEPT, TaskStage.DISPATCHED)

    async def _arrive(self, case: Case, order: Order) -> None:
        await self._advance(case, order, TaskAction.ARRIVE, TaskStage.ACCEPTED)

    async def _handle(self, case: Case, order: Order) -> None:
        await self._advance(case, order, TaskAction.FINISH, TaskStage.ACCEPTED, TaskStage.ON_SCENE)

    async def _advance(
        self, case: Case, order: Order, action: TaskAction, *stages: TaskStage
    ) -> None:
        for task in case.open_tasks:
            if task.stage in stages:
                await self._dispatcher.advance(
                    case, task, action, actor=order.actor, at=case.now, note=order.note
                )

    async def _return(self, case: Case, order: Order) -> None:
        """Take it back. When the desk sends nobody in time, the next responder is asked."""
        await self._dispatcher.stop_clock(case)
        for task in case.open_tasks:
            await self._dispatcher.withdraw(
                case, task, TaskAction.RETURN, actor=order.actor, at=case.now, note=order.note
            )
        await self._watch(case, order)

    async def _watch(self, case: Case, order: Order) -> None:
        """The desk has the length of the accept clock to send somebody; nothing waits for ever unseen."""
        del order
        await self._dispatcher.look_again(case, self._dispatcher.accept_within(case))

    async def _merge(self, case: Case, order: Order) -> None:
        target = await case.uow.incidents.get(str(order.target_id))
        if target.id == case.incident.id:
            raise InvalidError("an incident cannot be merged into itself")
        if target.drill != case.incident.drill:
            raise InvalidError("a drill and a real incident cannot be merged")
        if not target.is_open:
            raise IllegalMoveError(
                f"the incident to merge into is {target.stage}", stage=target.stage
            )
        await self._dispatcher.stop_clock(case)
        for task in case.open_tasks:
            await self._dispatcher.withdraw(
                case, task, TaskAction.CANCEL, actor=order.actor, at=case.now, note=order.note
            )
        case.incident = replace(case.incident, merged_into=target.id)
        case.uow.record(
            IncidentMerged(
                at=case.now,
                actor=order.actor,
                incident_id=case.incident.id,
                into=target.id,
                note=order.note,
            )
        )
        case.uow.record(
            IncidentAbsorbed(
                at=case.now,
                actor=order.actor,
                incident_id=target.id,
                absorbed=case.incident.id,
                number=case.incident.number,
                note=order.note,
            )
        )


async def _lock(uow: UnitOfWork, incident_id: str, target_id: str | None) -> Incident:
    """Take the incident's row, and the target's, in the order of their ids."""
    found = {key: await uow.incidents.get(key) for key in sorted({incident_id, *_some(target_id)})}
    return found[incident_id]


def _some(target_id: str | None) -> tuple[str, ...]:
    return (target_id,) if target_id else ()


def _given(order: Order, tasks: Sequence[Task]) -> Given:
    """What the requirements are checked against. Handling ends the tasks that were accepted, on behalf of
    whoever reported by voice, so only those that nobody accepted stand in its way."""
    open_tasks = [task for task in tasks if task.is_open]
    if order.action is Action.HANDLE:
        open_tasks = [task for task in open_tasks if task.stage is TaskStage.DISPATCHED]
    return Given(
        note=order.note,
        responder_id=order.responder_id,
        target_id=order.target_id,
        open_tasks=len(open_tasks),
    )


def _check_own(order: Order, tasks: Sequence[Task]) -> None:
    """A responder's own account (named like the responder) acts on its own task only."""
    if order.principal.roles & _ON_BEHALF or order.action is Action.COMMENT:
        return
    if not any(task.is_open and task.responder_id == order.principal.name for task in tasks):
        raise NotAllowedError("this incident is not dispatched to you", action=order.action)
