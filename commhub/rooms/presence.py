"""Who is there, inside one unit of work. Nobody ever says it: `settle` reads it from the sessions and legs that there are.

Its caller has the room's row already (`moves.open_room`).
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from commhub.domain.call import TALKING, Leg
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.room import Participant, ParticipantState, Room, kind_of, must_wait
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.rooms.legs import is_at, is_hub
from commhub.rooms.moves import add, move
from commhub.rooms.orders import Orders

_THERE = frozenset({ParticipantState.INVITED, ParticipantState.LEFT})


async def settle(uow: UnitOfWork, room: Room, at: datetime, orders: Orders) -> None:
    """Have the participants be where their legs and sessions say they are. Said twice, nothing happens."""
    legs = await uow.calls.legs_of(room.call_id) if room.call_id is not None else ()
    people = list(await uow.rooms.participants_of(room.id))
    live = {leg.id for leg in legs if leg.is_live}
    for leg in legs:
        if leg.id in live and not leg.listen_only:
            await _claim(uow, room, people, leg, at, live - {leg.id})
    seen = {session.participant_id for session in await uow.rooms.sessions_of(room.id)}
    by_id = {leg.id: leg for leg in legs}
    for one in people:
        await _place(uow, room, one, by_id.get(one.leg_id or ""), one.id in seen, at, orders)


async def _claim(
    uow: UnitOfWork,
    room: Room,
    people: list[Participant],
    leg: Leg,
    at: datetime,
    others: Collection[str],
) -> None:
    """Find whose leg this is. One that the desk had rung into the call makes a participant of its own, and so does a second one of
    another hub (`others` are the legs that live, too)."""
    if any(one.leg_id == leg.id for one in people):
        return
    known = next((one for one in people if is_at(one, leg)), None)
    if known is not None and is_hub(known) and known.leg_id in others:
        known = None
    if known is not None:
        mine = replace(known, leg_id=leg.id)
        await uow.rooms.update_participant(mine)
        people[people.index(known)] = mine
        return
    if leg.endpoint.scheme is Scheme.ROOM:
        return
    one = await add(
        uow, room, await stranger(uow, room, leg.endpoint, leg.name, at), "system", told=False
    )
    mine = replace(one, leg_id=leg.id, admitted=True)
    await uow.rooms.update_participant(mine)
    people.append(mine)


async def stranger(
    uow: UnitOfWork, room: Room, endpoint: Endpoint, name: str | None, at: datetime
) -> Participant:
    """A participant who is only known by an address: named as the directory knows its owner."""
    owner = await uow.directory.find_by_endpoint(endpoint)
    return Participant(
        id=new_id(),
        room_id=room.id,
        kind=kind_of(endpoint),
        name=(owner.name if owner else None) or name or endpoint.name,
        created_at=at,
        endpoint=endpoint,
        unit_id=owner.unit_id if owner else None,
    )


async def _place(
    uow: UnitOfWork,
    room: Room,
    one: Participant,
    leg: Leg | None,
    has_session: bool,
    at: datetime,
    orders: Orders,
) -> None:
    if is_hub(one):
        # A hub is there while the rooms are joined, whether or not anything of it is seen or heard (`cascade`).
        if one.state is ParticipantState.REMOVED and leg is not None and leg.is_live:
            orders.hang_up.append(leg.id)
        return
    talks = leg is not None and leg.state in TALKING
    there = talks or has_session
    gone = not there and one.state is ParticipantState.JOINED
    gave_up = one.state is ParticipantState.WAITING and leg is not None and not leg.is_live
    if one.state is ParticipantState.REMOVED:
        if leg is not None and leg.is_live:
            orders.hang_up.append(leg.id)
    elif there and one.state in _THERE and must_wait(room, one):
        await move(uow, room, one, ParticipantState.WAITING, at, "system")
        if leg is not None and talks and not leg.held:
            orders.hold.append((leg.id, True))
    elif there and (
        one.state in _THERE or (one.admitted and one.state is ParticipantState.WAITING)
    ):
        await move(uow, room, one, ParticipantState.JOINED, at, _actor_of(one))
    elif gone or gave_up:
        await move(uow, room, one, ParticipantState.LEFT, at, _actor_of(one))


def _actor_of(one: Participant) -> str:
    if one.account is not None:
        return one.account
    return f"leg:{one.endpoint}" if one.endpoint is not None else f"guest:{one.name}"
