"""Use cases of rooms: opening, finding, changing and ending them.

What happens at the door is in `entering`, what the host does in `hosting`, what the picture engine tells in
`video_events`. Every wish is committed first (`moves`) and ordered afterwards (`orders`).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError, NotFoundError
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    RoomRole,
    Source,
    SourceState,
)
from commhub.domain.room_facts import RoomOpened
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.store import Store, UnitOfWork
from commhub.rooms import moves, presence
from commhub.rooms.config import RoomConfig
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.people import add_camera, let_in

_NUMBER_DIGITS = 4
_TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRoom:
    """What the desk asks for. A meeting opens its call at once; a drill stays among those of its incident."""

    name: str
    mode: RoomMode = RoomMode.MEETING
    incident_id: str | None = None
    lobby: bool = False
    recording: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomWish:
    """What the host wants of the room; None leaves a thing as it is. `spotlight` is a source's id, «» for whoever speaks."""

    name: str | None = None
    locked: bool | None = None
    lobby: bool | None = None
    spotlight: str | None = None


@dataclass(frozen=True, slots=True)
class RoomFile:
    """A room with everybody and everything in it, oldest first."""

    room: Room
    participants: Sequence[Participant]
    sources: Sequence[Source]


async def load(uow: UnitOfWork, room: Room) -> RoomFile:
    """The room's file as it is in this transaction."""
    return RoomFile(
        room, await uow.rooms.participants_of(room.id), await uow.rooms.sources_of(room.id)
    )


class RoomService:
    """Rooms as a whole."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly, config: RoomConfig) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly
        self._config = config

    # --- opening -----------------------------------------------------------------------------------------

    async def open(self, uow: UnitOfWork, new: NewRoom, by: Principal) -> RoomFile:
        """Open a room in the caller's transaction; whoever opens it hosts it. Raises NotFoundError for an unknown incident,
        ConflictError for one that is over."""
        incident = None
        if new.incident_id is not None:
            incident = await uow.incidents.get(new.incident_id)
            if not incident.is_open:
                raise ConflictError(
                    "this incident is over; open a room of its own", stage=incident.stage
                )
        number = await self._free_number(uow)
        room = Room(
            id=new_id(),
            number=number,
            dial=self._config.prefix + number,
            name=new.name,
            created_at=self._clock.now(),
            created_by=by.actor,
            mode=new.mode,
            incident_id=new.incident_id,
            lobby=new.lobby,
            recording=new.recording,
            drill=incident is not None and incident.drill,
        )
        return await self._write(uow, room, by)

    async def open_live(self, uow: UnitOfWork, device_id: str, by: Principal) -> RoomFile:
        """The standing live view of a body camera, opened when there is none yet. Nothing is sent until somebody watches.
        Raises NotFoundError, InvalidError for a device that is no camera."""
        device = await uow.fleet.get(device_id)
        known = await uow.rooms.find_of_device(device_id)
        if known is not None:
            return await load(uow, known)
        number = await self._free_number(uow)
        room = Room(
            id=new_id(),
            number=number,
            dial=self._config.prefix + number,
            name=device.name,
            created_at=self._clock.now(),
            created_by=by.actor,
            mode=RoomMode.LIVE,
            device=device_id,
        )
        await self._write(uow, room, by)
        await add_camera(uow, room, device_id, room.created_at, by.actor)
        return await load(uow, room)

    async def _write(self, uow: UnitOfWork, room: Room, by: Principal) -> RoomFile:
        call_id = None
        if room.mode is RoomMode.MEETING:
            call_id = (await self._orderly.sound.open(uow, room, by.actor)).id
        room = replace(room, call_id=call_id)
        await uow.rooms.add(room)
        uow.record(
            RoomOpened(
                at=room.created_at,
                actor=by.actor,
                incident_id=room.incident_id,
                room_id=room.id,
                name=room.name,
                number=room.number,
                mode=room.mode.value,
                call_id=call_id,
            )
        )
        await uow.audit.append(room.created_at, by.actor, "room.open", room.id, "ok", room.name)
        if by.kind == "user" and room.mode is RoomMode.MEETING:
            host = Participant(
                id=new_id(),
                room_id=room.id,
                kind=ParticipantKind.USER,
                name=by.display_name or by.name,
                created_at=room.created_at,
                role=RoomRole.HOST,
                account=by.actor,
                admitted=True,
            )
            await moves.add(uow, room, host, by.actor, told=False)
        return await load(uow, room)

    async def _free_number(self, uow: UnitOfWork) -> str:
        """A number nobody can guess from another, that is no phone's either."""
        taken = await uow.rooms.numbers_in_use()
        for _ in range(_TRIES):
            number = str(
                secrets.randbelow(9 * 10 ** (_NUMBER_DIGITS - 1)) + 10 ** (_NUMBER_DIGITS - 1)
            )
            dial = self._config.prefix + number
            if dial not in taken and await uow.sip.find_account(dial) is None:
                return number
        raise ConflictError("no number is free for another room; end one first")

    # --- finding -----------------------------------------------------------------------------------------

    async def get(self, room_id: str) -> RoomFile:
        """Raises NotFoundError."""
        async with self._store.read() as uow:
            room = await uow.rooms.find(room_id)
            if room is None:
                raise NotFoundError("there is no such room", id=room_id)
            return await load(uow, room)

    async def list(
        self, *, open_only: bool, incident_id: str | None, before: str | None, limit: int
    ) -> Sequence[RoomFile]:
        """Newest first."""
        async with self._store.read() as uow:
            rooms = await uow.rooms.list(open_only, incident_id, before, limit)
            return [await load(uow, room) for room in rooms]

    # --- the whole room ----------------------------------------------------------------------------------

    async def change(self, room_id: str, wish: RoomWish, by: Principal) -> RoomFile:
        """Name, lock, waiting room, spotlight. Raises NotFoundError, ConflictError when it has ended."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            wanted: dict[str, object] = {
                name: value
                for name in ("name", "locked", "lobby")
                if (value := getattr(wish, name)) is not None
            }
            if wish.spotlight is not None:
                shown = wish.spotlight or None
                if shown is not None:
                    source = await moves.source_of(uow, room_id, shown)
                    if source.state is SourceState.ENDED:
                        raise ConflictError("this picture is over")
                wanted["spotlight"] = shown
                orders.spotlight.append((room_id, shown))
            changed = await moves.alter(uow, room, wanted, now, by.actor)
            if changed != room:
                words = " ".join(f"{name}={value}" for name, value in wanted.items())
                await uow.audit.append(now, by.actor, "room.change", room_id, "ok", words)
            if room.lobby and not changed.lobby:
                await self._let_all_in(uow, changed, by, orders)
            file = await load(uow, changed)
        await self._orderly.carry_out(orders, by)
        return file

    async def _let_all_in(self, uow: UnitOfWork, room: Room, by: Principal, orders: Orders) -> None:
        """The waiting room is no more, so nobody waits in it."""
        for one in await uow.rooms.participants_of(room.id):
            if one.state is ParticipantState.WAITING:
                await let_in(uow, room, one, by.actor, self._clock.now(), orders)
        await presence.settle(uow, room, self._clock.now(), orders)

    async def end(self, room_id: str, by: Principal) -> None:
        """End it for everybody. One that has ended is fine (a retry)."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(room_id)
            if room.is_open:
                await moves.end(uow, room, now, by.actor, orders)
                await uow.audit.append(now, by.actor, "room.end", room_id, "ok")
        await self._orderly.carry_out(orders, by)
