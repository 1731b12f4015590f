"""Everybody who could be sent, as one transaction sees them.

Read once per transaction and kept true while it dispatches, so that a batch of incidents does not give one
responder more than they can hold.
"""

from collections.abc import Collection, Mapping, Sequence

from commhub.domain.errors import ConflictError, NotFoundError
from commhub.domain.people import Responder, Unit
from commhub.domain.task import Task, TaskStage
from commhub.ports.decisions import Candidate
from commhub.ports.store import UnitOfWork

_LOST = frozenset({TaskStage.ESCALATED, TaskStage.RETURNED, TaskStage.CANCELLED})


class Crew:
    """Responders with their units and how many open tasks each has."""

    def __init__(
        self, units: Sequence[Unit], responders: Sequence[Responder], open_tasks: Mapping[str, int]
    ) -> None:
        self._units = {unit.id: unit for unit in units}
        self._responders = {responder.id: responder for responder in responders}
        self._open_tasks = dict(open_tasks)

    @classmethod
    async def load(cls, uow: UnitOfWork) -> "Crew":
        """Read in the caller's transaction: what it then dispatches is bounded by what it saw."""
        return cls(
            await uow.directory.units(),
            await uow.directory.responders(),
            await uow.tasks.open_counts(),
        )

    def responder(self, responder_id: str) -> Responder:
        """Raises NotFoundError."""
        try:
            return self._responders[responder_id]
        except KeyError:
            raise NotFoundError("no such responder", responder_id=responder_id) from None

    def name_of(self, responder_id: str) -> str:
        """Their name; the id of somebody who has left the directory."""
        known = self._responders.get(responder_id)
        return known.name if known else responder_id

    def unit_name(self, unit_id: str) -> str:
        unit = self._units.get(unit_id)
        return unit.name if unit else unit_id

    def candidates(self, tried: Collection[str] = ()) -> list[Candidate]:
        """All responders as the ranking wants them."""
        return [
            Candidate(
                responder=responder,
                team=self._team_of(responder),
                open_tasks=self._open_tasks.get(responder.id, 0),
                tried=responder.id in tried,
            )
            for responder in self._responders.values()
        ]

    def is_free(self, responder: Responder) -> bool:
        """On duty and below capacity; a leader takes what nobody else could and has no such bound."""
        return responder.leads or (
            responder.on_duty and self._open_tasks.get(responder.id, 0) < responder.capacity
        )

    def check_free(self, responder: Responder) -> None:
        """Raise ConflictError, saying why, when the responder cannot take one more task."""
        if self.is_free(responder):
            return
        reason = "off duty" if not responder.on_duty else "at capacity"
        raise ConflictError(
            f"the responder is {reason}",
            responder_id=responder.id,
            open_tasks=self._open_tasks.get(responder.id, 0),
            capacity=responder.capacity,
        )

    def leader(self, team: str, passed_over: Collection[str] = ()) -> Responder | None:
        """A duty leader: of that team before any other, on duty before off duty."""
        leaders = (r for r in self._responders.values() if r.leads and r.id not in passed_over)
        return min(
            leaders,
            key=lambda r: (
                not r.on_duty,
                self._team_of(r) != team,
                self._open_tasks.get(r.id, 0),
                r.id,
            ),
            default=None,
        )

    def took(self, responder_id: str) -> None:
        """Count one more open task."""
        self._open_tasks[responder_id] = self._open_tasks.get(responder_id, 0) + 1

    def gave_up(self, responder_id: str) -> None:
        """Count one open task less."""
        self._open_tasks[responder_id] = max(self._open_tasks.get(responder_id, 0) - 1, 0)

    def leads(self, responder_id: str) -> bool:
        known = self._responders.get(responder_id)
        return known is not None and known.leads

    def _team_of(self, responder: Responder) -> str:
        unit = self._units.get(responder.unit_id)
        return unit.team if unit else ""


def this_round(tasks: Sequence[Task]) -> Sequence[Task]:
    """The tasks since the incident was last handled: a reopened incident asks people anew."""
    handled = [i for i, task in enumerate(tasks) if task.stage is TaskStage.HANDLED]
    return tasks[handled[-1] + 1 :] if handled else tasks


def tried(tasks: Sequence[Task]) -> frozenset[str]:
    """Who had the incident in this round and lost it or gave it back."""
    return frozenset(task.responder_id for task in this_round(tasks) if task.stage in _LOST)
