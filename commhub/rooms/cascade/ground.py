"""What all parts of the cascade stand on, and the few steps they share inside a unit of work."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from commhub.domain.people import Endpoint, Scheme
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
)
from commhub.domain.tier import Peering
from commhub.domain.tier_facts import CascadeMoved
from commhub.domain.tier_rooms import CascadeState, RoomCascade
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.rooms import RoomsIn, RoomTokens
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import TierLinks
from commhub.rooms import moves
from commhub.rooms.config import RoomConfig
from commhub.rooms.legs import HUB
from commhub.rooms.orders import Orderly
from commhub.rooms.people import check_space
from commhub.rooms.service import RoomService
from commhub.rooms.video_events import VideoEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """`us` is this hub's name; `look` has the follower look at a room (None: at all) soon."""

    us: str
    store: Store
    clock: Clock
    links: TierLinks
    orderly: Orderly
    doors: RoomsIn
    rooms: RoomService
    events: VideoEvents
    tokens: RoomTokens
    config: RoomConfig
    look: Callable[[str | None], None]


def account_of(peer: str) -> str:
    """As whom a neighbour is known in our rooms."""
    return f"{HUB}{peer}"


async def guest_hub(
    uow: UnitOfWork, room: Room, peering: Peering, at: datetime, actor: str
) -> Participant:
    """The neighbour as a participant of the room: one, however often it is joined. Raises ConflictError for a room that is full."""
    account = account_of(peering.peer)
    for one in await uow.rooms.participants_of(room.id):
        if one.account != account:
            continue
        if one.state is ParticipantState.REMOVED:
            return await moves.move(uow, room, one, ParticipantState.INVITED, at, actor)
        return one
    await check_space(uow, room)
    one = Participant(
        id=new_id(),
        room_id=room.id,
        kind=ParticipantKind.TIER,
        name=peering.name[:64],
        created_at=at,
        account=account,
        admitted=True,
    )
    return await moves.add(uow, room, one, actor, told=False)


def voice_address(cascade: RoomCascade) -> Endpoint | None:
    """What is called for the voices of the other half."""
    if cascade.their_room is None:
        return None
    return Endpoint(Scheme.ROOM, cascade.their_room, cascade.peer)


async def shift(
    uow: UnitOfWork,
    room: Room,
    before: RoomCascade | None,
    after: RoomCascade,
    actor: str,
    at: datetime,
) -> RoomCascade:
    """Write a join, have its participant be where it is, and tell what moved."""
    await uow.cascades.put(after)
    if before is not None and before.state is after.state and before.reason == after.reason:
        return after
    await _place(uow, room, after, at, actor)
    uow.record(
        CascadeMoved(
            at=at,
            actor=actor,
            incident_id=room.incident_id,
            room_id=room.id,
            peer=after.peer,
            state=after.state.value,
            reason=after.reason,
        )
    )
    return after


async def _place(
    uow: UnitOfWork, room: Room, cascade: RoomCascade, at: datetime, actor: str
) -> None:
    if cascade.participant_id is None:
        return
    one = await moves.participant_of(uow, room.id, cascade.participant_id)
    if one.state is ParticipantState.REMOVED:
        return
    if cascade.state is CascadeState.JOINED:
        await moves.move(uow, room, one, ParticipantState.JOINED, at, actor)
    elif one.state is ParticipantState.JOINED:
        why = "lost" if cascade.state is CascadeState.DOWN else "left"
        await moves.move(uow, room, one, ParticipantState.LEFT, at, actor, why)
