"""What follows at an incident of ours from what other hubs do with it: given again it is reopened, given back it is put down.

Implements `ports.inside.Tending`. Neither is an action of the desk: nobody here presses a button for it, so it is no row of
the table of moves.
"""

from dataclasses import replace

from commhub.domain.facts import StageMoved
from commhub.domain.incident import INCIDENT_MOVES, Action, Incident, Stage, move_incident
from commhub.domain.task import TaskAction
from commhub.incidents.dispatching import Case, Dispatcher
from commhub.kit.clock import Clock
from commhub.ports.store import UnitOfWork

_REOPENED_FROM = frozenset({Stage.CLOSED, Stage.SCORED, Stage.REJECTED})


class Tending:
    """See `commhub.ports.inside.Tending`."""

    def __init__(self, clock: Clock, dispatcher: Dispatcher) -> None:
        self._clock = clock
        self._dispatcher = dispatcher

    async def reopen(self, uow: UnitOfWork, incident_id: str, actor: str, note: str) -> Incident:
        """See `commhub.ports.inside.Tending.reopen`."""
        incident = await uow.incidents.get(incident_id)
        if incident.stage not in _REOPENED_FROM:
            return incident
        case = await Case.load(uow, incident, self._clock.now())
        case.incident = move_incident(incident, INCIDENT_MOVES[Action.REOPEN], case.now)
        self._say(case, incident, Action.REOPEN, actor, note)
        await self._dispatcher.look_again(case, self._dispatcher.accept_within(case))
        await case.save()
        return case.incident

    async def put_down(self, uow: UnitOfWork, incident_id: str, actor: str, note: str) -> Incident:
        """See `commhub.ports.inside.Tending.put_down`."""
        incident = await uow.incidents.get(incident_id)
        if not incident.is_open:
            return incident
        case = await Case.load(uow, incident, self._clock.now())
        await self._dispatcher.stop_clock(case)
        for task in case.open_tasks:
            await self._dispatcher.withdraw(
                case, task, TaskAction.CANCEL, actor=actor, at=case.now, note=note
            )
        case.incident = replace(
            case.incident, stage=Stage.REJECTED, updated_at=case.now, needs_attention=None
        )
        self._say(case, incident, Action.REJECT, actor, note)
        await case.save()
        return case.incident

    def _say(self, case: Case, before: Incident, action: Action, actor: str, note: str) -> None:
        case.uow.record(
            StageMoved(
                at=case.now,
                actor=actor,
                incident_id=before.id,
                action=action.value,
                before=before.stage.value,
                after=case.incident.stage.value,
                note=note,
            )
        )
