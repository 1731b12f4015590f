"""Phones' pictures follow what happens in rooms: who is let in, whose role changes, which leg is taken elsewhere."""

from typing import Protocol

from commhub.domain.call_facts import LegTransferred
from commhub.domain.errors import DomainError
from commhub.domain.facts import Fact
from commhub.domain.room_facts import ParticipantChanged, ParticipantMoved
from commhub.kit.bus import Bus
from commhub.ports.store import Store

_FACTS = 4096


class Repicturing(Protocol):
    """The SIP edge."""

    async def repicture(self, leg_id: str) -> None: ...


class PictureFollower:
    """Says to the edge which legs' pictures to look at again. A fact that is lost costs a picture until the next one of that
    participant, never a voice."""

    def __init__(self, store: Store, bus: Bus[Fact], edge: Repicturing) -> None:
        self._store = store
        self._bus = bus
        self._edge = edge

    async def run(self) -> None:
        """Until cancelled."""
        with self._bus.subscribe(_FACTS, _is_of_pictures) as facts:
            async for fact in facts:
                if isinstance(fact, LegTransferred):
                    await self._edge.repicture(fact.leg_id)
                elif isinstance(fact, ParticipantMoved | ParticipantChanged):
                    await self._look_at(fact.participant_id)

    async def _look_at(self, participant_id: str) -> None:
        try:
            async with self._store.read() as uow:
                one = await uow.rooms.find_participant(participant_id)
        except DomainError:
            return
        if one is not None and one.leg_id is not None:
            await self._edge.repicture(one.leg_id)


def _is_of_pictures(fact: Fact) -> bool:
    return isinstance(fact, LegTransferred | ParticipantMoved | ParticipantChanged)
