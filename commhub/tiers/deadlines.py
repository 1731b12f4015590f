"""Deadlines between hubs: a check-in (报到) and a supervision (督办) are rows that both hubs keep under one id, and both move.

Here is what is alike of them: which row is meant, whose it is to move, and that a move is written, told to the desks and put on the
timeline in one go. What moves there are is `domain.tier_moves`.
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from commhub.domain.errors import NotAllowedError, NotFoundError
from commhub.domain.tier import CheckIn, Peering, Supervision
from commhub.domain.tier_facts import CheckInMoved, SupervisionMoved
from commhub.ports.store import UnitOfWork
from commhub.tiers.common import Common

RowT = TypeVar("RowT", bound=CheckIn | Supervision)


class Deadlines(ABC, Generic[RowT]):
    """All rows of one kind."""

    noun: ClassVar[str]
    """As people are told of it."""

    def __init__(self, common: Common) -> None:
        self._common = common

    @abstractmethod
    async def find(self, uow: UnitOfWork, row_id: str) -> RowT | None:
        """The row of that id."""

    @abstractmethod
    async def _write(self, uow: UnitOfWork, row: RowT) -> None:
        """Insert or replace it."""

    @abstractmethod
    def _moved(self, row: RowT, at: datetime, actor: str) -> CheckInMoved | SupervisionMoved:
        """The timeline's line of what became of it."""

    async def get(self, uow: UnitOfWork, incident_id: str, row_id: str) -> RowT:
        """One of the incident, which is taken first. Raises NotFoundError."""
        await uow.incidents.get(incident_id)
        row = await self.find(uow, row_id)
        if row is None or row.incident_id != incident_id:
            raise NotFoundError(f"there is no such {self.noun} of this incident", id=row_id)
        return row

    async def theirs(
        self, uow: UnitOfWork, peering: Peering, incident_id: str, row_id: str, *, given: bool
    ) -> RowT:
        """One in common with that neighbour, given by us or by them. Raises NotFoundError, NotAllowedError."""
        row = await self.get(uow, incident_id, row_id)
        if row.peer != peering.peer or row.given is not given:
            raise NotAllowedError(f"this {self.noun} is not {peering.peer}'s to move")
        return row

    async def check_new(self, uow: UnitOfWork, row_id: str) -> None:
        """Raises NotAllowedError when a neighbour brings an id that is there already."""
        if await self.find(uow, row_id) is not None:
            raise NotAllowedError(f"this {self.noun} is there already", id=row_id)

    async def put(self, uow: UnitOfWork, row: RowT, actor: str | None) -> None:
        """Write what became of it. Without `actor` it happened at the other hub, whose line of it comes with the others."""
        await self._write(uow, row)
        self._common.changed(uow, row.incident_id)
        if actor is not None:
            uow.record(self._moved(row, self._common.clock.now(), actor))


class CheckIns(Deadlines[CheckIn]):
    """Who was whistled for."""

    noun = "check-in"

    async def find(self, uow: UnitOfWork, row_id: str) -> CheckIn | None:
        return await uow.shares.find_check_in(row_id)

    async def _write(self, uow: UnitOfWork, row: CheckIn) -> None:
        await uow.shares.put_check_in(row)

    def _moved(self, row: CheckIn, at: datetime, actor: str) -> CheckInMoved:
        return CheckInMoved(
            at=at,
            actor=actor,
            incident_id=row.incident_id,
            check_in_id=row.id,
            peer=row.peer,
            unit=row.unit,
            state=row.state.value,
            by=row.by,
            note=row.note,
        )


class Supervisions(Deadlines[Supervision]):
    """What was ordered to be done, or said."""

    noun = "supervision"

    async def find(self, uow: UnitOfWork, row_id: str) -> Supervision | None:
        return await uow.shares.find_supervision(row_id)

    async def _write(self, uow: UnitOfWork, row: Supervision) -> None:
        await uow.shares.put_supervision(row)

    def _moved(self, row: Supervision, at: datetime, actor: str) -> SupervisionMoved:
        return SupervisionMoved(
            at=at,
            actor=actor,
            incident_id=row.incident_id,
            supervision_id=row.id,
            peer=row.peer,
            state=row.state.value,
            answer=row.answer,
        )
