"""Steps of joins inside a unit of work: finding one, and undoing all that came of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from commhub.domain.room import ParticipantState, Room, SessionRight, SourceState
from commhub.domain.tier_rooms import CascadeState, RoomCascade
from commhub.ports.store import UnitOfWork
from commhub.rooms import moves
from commhub.rooms.cascade.ground import shift
from commhub.rooms.legs import is_hub
from commhub.rooms.orders import Orders


async def join_with(uow: UnitOfWork, room_id: str, peer: str) -> RoomCascade | None:
    """The room's join with that hub, one that has ended too."""
    joins = await uow.cascades.of_room(room_id)
    return next((one for one in joins if one.peer == peer), None)


def hubs_here(us: str, cascades: Sequence[RoomCascade], but: str) -> tuple[str, ...]:
    """Everybody in the meeting on this side of the join with `but`."""
    beyond = [hub for one in cascades if one.goes_on and one.peer != but for hub in one.hubs]
    return tuple(dict.fromkeys((us, *beyond)))


async def end_join(
    uow: UnitOfWork,
    room: Room,
    cascade: RoomCascade,
    at: datetime,
    actor: str,
    reason: str | None,
    orders: Orders,
) -> None:
    """The join is over: the other's pictures and voices go, and ours go there no more."""
    for remote in await uow.cascades.sources_of(room.id):
        if remote.peer == cascade.peer:
            await drop_source(uow, room, remote.source_id, at, orders)
    for uplink in await uow.cascades.uplinks_of(room.id):
        if uplink.peer == cascade.peer:
            await uow.cascades.delete_uplink(uplink.id)
            orders.release.append(uplink.id)
    if cascade.participant_id is not None:
        one = await uow.rooms.find_participant(cascade.participant_id)
        if one is not None and one.leg_id is not None:
            orders.hang_up.append(one.leg_id)
    after = replace(cascade, state=CascadeState.ENDED, beyond=(), reason=reason)
    await shift(uow, room, cascade, after, actor, at)


async def drop_source(
    uow: UnitOfWork, room: Room, source_id: str, at: datetime, orders: Orders
) -> None:
    """A picture of another hub is over here; told of again, it is the same one."""
    for session in await uow.rooms.sessions_of(room.id):
        if session.source_id == source_id and session.right is SessionRight.PUBLISH:
            orders.release.append(session.id)
            await moves.close_session(uow, room, session, "over", at)
    remote = await uow.cascades.find_source(source_id)
    if remote is not None and (remote.wanted is not None or remote.refused is not None):
        await uow.cascades.put_source(replace(remote, wanted=None, refused=None))
    source = await uow.rooms.find_source(source_id)
    if source is not None and source.state is not SourceState.ENDED:
        await moves.shift(uow, room, source, SourceState.ENDED, at, "system", "over")


async def has_own_people(uow: UnitOfWork, room: Room) -> bool:
    """Whether somebody of this hub is there, who may not be done talking."""
    return any(
        one.state is ParticipantState.JOINED and not is_hub(one)
        for one in await uow.rooms.participants_of(room.id)
    )
