"""How somebody or something becomes a participant, and who a signed-in person is in a room."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from commhub.domain.account import Principal
from commhub.domain.device import DeviceKind
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    RoomRole,
    Source,
    SourceKind,
    SourceState,
)
from commhub.kit.ids import new_id
from commhub.ports.inside import RoomSound
from commhub.ports.store import Store, UnitOfWork
from commhub.rooms import moves
from commhub.rooms.orders import Orders

MAX_PARTICIPANTS = 300


async def unit_of(store: Store, principal: Principal | None) -> str | None:
    """The department of a person: that of the responder of the same name."""
    if principal is None or principal.kind != "user":
        return None
    async with store.read() as uow:
        with suppress(NotFoundError):
            return (await uow.directory.get_responder(principal.name)).unit_id
    return None


async def find_user(uow: UnitOfWork, room: Room, principal: Principal) -> Participant | None:
    """As whom somebody signed in takes part."""
    people = await uow.rooms.participants_of(room.id)
    return next((one for one in people if one.account == principal.actor), None)


def a_user(
    room: Room, principal: Principal, role: RoomRole, unit_id: str | None, at: datetime
) -> Participant:
    """Somebody signed in, as a participant."""
    return Participant(
        id=new_id(),
        room_id=room.id,
        kind=ParticipantKind.USER if principal.kind == "user" else ParticipantKind.TIER,
        name=principal.display_name or principal.name,
        created_at=at,
        role=role,
        account=principal.actor,
        unit_id=unit_id,
    )


async def check_space(uow: UnitOfWork, room: Room) -> None:
    """Raises ConflictError for a room that is full."""
    if len(await uow.rooms.participants_of(room.id)) >= MAX_PARTICIPANTS:
        raise ConflictError(f"a room has at most {MAX_PARTICIPANTS} participants")


async def with_call(uow: UnitOfWork, room: Room, sound: RoomSound) -> Room:
    """A meeting whose call the desk ended gets another as soon as somebody wants to talk."""
    if room.mode is not RoomMode.MEETING:
        return room
    if room.call_id is not None and (await uow.calls.get(room.call_id)).is_live:
        return room
    call = await sound.open(uow, room, room.created_by)
    again = replace(room, call_id=call.id)
    await uow.rooms.update(again)
    return again


async def let_in(
    uow: UnitOfWork, room: Room, one: Participant, actor: str, at: datetime, orders: Orders
) -> Participant:
    """Whoever waits, or was removed, may come in: a browser offers now, a phone is heard from now on. `presence.settle` follows."""
    if one.state is ParticipantState.JOINED:
        return one
    moved = await moves.move(uow, room, one, ParticipantState.INVITED, at, actor)
    inside = replace(moved, admitted=True)
    await uow.rooms.update_participant(inside)
    if one.leg_id is not None:
        orders.hold.append((one.leg_id, False))
    return inside


async def add_camera(
    uow: UnitOfWork, room: Room, device_id: str, at: datetime, actor: str
) -> tuple[Participant, Source]:
    """A body camera of the fleet as a participant, with a source that can be started; those it has already. Raises
    NotFoundError, InvalidError for a device that is no camera or whose credential was revoked."""
    device = await uow.fleet.get(device_id)
    if device.kind is not DeviceKind.BODYCAM or device.revoked:
        raise InvalidError(f"{device_id} is no body camera that can be asked for its picture")
    known = [one for one in await uow.rooms.sources_of(room.id) if one.device == device_id]
    if known:
        return await moves.participant_of(uow, room.id, known[0].participant_id), known[0]
    owner = None
    if device.responder_id is not None:
        owner = await uow.directory.get_responder(device.responder_id)
    one = Participant(
        id=new_id(),
        room_id=room.id,
        kind=ParticipantKind.CAMERA,
        name=device.name,
        created_at=at,
        endpoint=Endpoint(Scheme.CAMERA, device_id),
        unit_id=owner.unit_id if owner else None,
        admitted=True,
    )
    await moves.add(uow, room, one, actor)
    source = Source(
        id=new_id(),
        room_id=room.id,
        participant_id=one.id,
        kind=SourceKind.BODYCAM,
        label=device.name,
        created_at=at,
        state=SourceState.IDLE,
        device=device_id,
        unit_id=one.unit_id,
    )
    await uow.rooms.add_source(source)
    return one, source
