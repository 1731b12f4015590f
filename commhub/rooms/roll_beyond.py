"""A roll-call's items of other hubs (点调 over tiers): each hub below is called itself, and tells what it found of its people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from commhub.domain.roll_call import RollCall, RollCallItem, Verdict
from commhub.domain.room import Participant, Room
from commhub.domain.tier import Relation
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork


async def hubs_below(uow: UnitOfWork, room: Room) -> Sequence[tuple[Participant, str]]:
    """The hubs below us that are joined, or should be, each as the participant it is here."""
    found = []
    for cascade in await uow.cascades.of_room(room.id):
        if cascade.goes_on and cascade.relation is Relation.LOWER and cascade.participant_id:
            one = await uow.rooms.find_participant(cascade.participant_id)
            if one is not None:
                found.append((one, cascade.peer))
    return found


def hub_item(roll_call: RollCall, hub: tuple[Participant, str]) -> RollCallItem:
    """A hub that is called: it is there when it answers."""
    one, peer = hub
    return RollCallItem(
        id=new_id(),
        roll_call_id=roll_call.id,
        participant_id=one.id,
        name=one.name,
        called_at=roll_call.created_at,
        rung=True,
        peer=peer,
    )


def await_hub(item: RollCallItem, *, last_chance: bool) -> RollCallItem:
    """Nothing is looked for here: what is not told in time was not found."""
    if item.is_settled or not last_chance:
        return item
    late = Verdict.ABSENT if item.answered_at is None else Verdict.FAULTY
    return replace(item, verdict=late)


@dataclass(frozen=True, slots=True)
class Answer:
    """That a hub below was reached: since when, and how far it is away over the link."""

    at: datetime
    round_trip_ms: float | None


def answered(item: RollCallItem, answer: Answer) -> RollCallItem:
    """The hub answered; it is present once it is through with its own roll."""
    return replace(
        item,
        answered_at=item.answered_at or answer.at,
        round_trip_ms=answer.round_trip_ms or item.round_trip_ms,
    )
