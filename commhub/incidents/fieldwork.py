"""What responders do to their tasks by tapping a card: accept, finish, give back (退单).

Implements `ports.inside.TaskMoves`. The first accept wins, because a task is judged and moved under its
incident's row; whoever comes later is told who has it now, and nothing moves.
"""

from datetime import datetime

from commhub.domain.errors import IllegalMoveError
from commhub.domain.incident import Action
from commhub.domain.message import CardAction
from commhub.domain.task import TASK_MOVES, Task, TaskAction, TaskStage
from commhub.incidents import attention, cards
from commhub.incidents.config import IncidentConfig
from commhub.incidents.dispatching import Case, Dispatcher
from commhub.kit.clock import Clock
from commhub.ports.inside import AckEffect, Outbox
from commhub.ports.store import UnitOfWork

_LOST = frozenset({TaskStage.ESCALATED, TaskStage.CANCELLED})
_DONE_ALREADY = {
    CardAction.ACCEPT: frozenset({TaskStage.ACCEPTED, TaskStage.ON_SCENE, TaskStage.HANDLED}),
    CardAction.FINISH: frozenset({TaskStage.HANDLED}),
    CardAction.RETURN: frozenset({TaskStage.RETURNED}),
}


def effect_of(task: Task, action: CardAction) -> AckEffect:
    """What the tap would do in the task's present stage."""
    if task.stage in _LOST:
        return AckEffect.LATE
    if task.stage in _DONE_ALREADY[action]:
        return AckEffect.REPEATED
    sources, _ = TASK_MOVES[TaskAction(action)]
    return AckEffect.DONE if task.stage in sources else AckEffect.ILLEGAL


class Fieldwork:
    """Moves tasks for those who hold them."""

    def __init__(
        self, clock: Clock, dispatcher: Dispatcher, outbox: Outbox, config: IncidentConfig
    ) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._config = config

    async def judge(
        self, uow: UnitOfWork, task_id: str, action: CardAction, responder_id: str | None
    ) -> AckEffect:
        """See `commhub.ports.inside.TaskMoves.judge`."""
        task = await self._locked(uow, task_id)
        if responder_id != task.responder_id:
            return AckEffect.NOT_YOURS
        return effect_of(task, action)

    async def act(
        self,
        uow: UnitOfWork,
        task_id: str,
        action: CardAction,
        actor: str,
        at: datetime,
        note: str | None = None,
    ) -> None:
        """See `commhub.ports.inside.TaskMoves.act`."""
        case = await self._case(uow, task_id)
        task = case.task(task_id)
        if effect_of(task, action) is not AckEffect.DONE:
            raise IllegalMoveError(
                f"the task is {task.stage}, so it cannot {action}", stage=task.stage, action=action
            )
        match action:
            case CardAction.ACCEPT:
                await self._accept(case, task, actor, at, note)
            case CardAction.FINISH:
                await self._finish(case, task, actor, at, note)
            case CardAction.RETURN:
                await self._give_back(case, task, actor, at, note)
        await case.save()

    async def refresh_card(self, uow: UnitOfWork, task_id: str) -> None:
        """See `commhub.ports.inside.TaskMoves.refresh_card`."""
        case = await self._case(uow, task_id)
        task = case.task(task_id)
        holders = [other.responder_id for other in case.tasks if other.id != task_id]
        holder = case.incident.responder_id if case.incident.responder_id in holders else None
        change = cards.state_of(
            task,
            self._config.time_zone,
            holder=case.crew.name_of(holder) if holder else None,
        )
        await self._outbox.change_card(uow, task_id, change)

    async def _accept(
        self, case: Case, task: Task, actor: str, at: datetime, note: str | None
    ) -> None:
        await self._dispatcher.stop_clock(case)
        await self._dispatcher.advance(case, task, TaskAction.ACCEPT, actor=actor, at=at, note=note)
        self._dispatcher.follow(case, Action.ACCEPT, actor=actor, at=at, note=note)
        case.incident = attention.settle(case.incident)

    async def _finish(
        self, case: Case, task: Task, actor: str, at: datetime, note: str | None
    ) -> None:
        await self._dispatcher.advance(case, task, TaskAction.FINISH, actor=actor, at=at, note=note)
        if not case.open_tasks:
            self._dispatcher.follow(case, Action.HANDLE, actor=actor, at=at, note=note)

    async def _give_back(
        self, case: Case, task: Task, actor: str, at: datetime, note: str | None
    ) -> None:
        await self._dispatcher.stop_clock(case)
        await self._dispatcher.withdraw(
            case, task, TaskAction.RETURN, actor=actor, at=at, note=note
        )
        self._dispatcher.follow(case, Action.RETURN, actor=actor, at=at, note=note)
        if not await self._dispatcher.ask_next(case):
            await self._dispatcher.look_again(case)

    async def _locked(self, uow: UnitOfWork, task_id: str) -> Task:
        """The task as it stands once its incident's row is ours."""
        task = await uow.tasks.get(task_id)
        await uow.incidents.get(task.incident_id)
        return await uow.tasks.get(task_id)

    async def _case(self, uow: UnitOfWork, task_id: str) -> Case:
        task = await uow.tasks.get(task_id)
        incident = await uow.incidents.get(task.incident_id)
        return await Case.load(uow, incident, self._clock.now())
