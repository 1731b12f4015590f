"""Phones that dial a room's number. Implements `ports.inside.DialledRooms`: calls ask here inside their transaction.

A waiting room holds a caller on the line, with music and unheard, until the host lets them in; a locked room refuses.
"""

from dataclasses import replace

import structlog

from commhub.domain.call import Cause
from commhub.domain.room import Participant, Room, RoomMode, may_enter, must_wait
from commhub.kit.clock import Clock
from commhub.ports.inside import Entrance, RoomSound
from commhub.ports.inward import IncomingCall
from commhub.ports.store import UnitOfWork
from commhub.rooms import moves, presence
from commhub.rooms.people import check_space, with_call

log = structlog.get_logger(__name__)


class Numbers:
    """The numbers of rooms, which begin with `prefix`."""

    def __init__(self, prefix: str, sound: RoomSound, clock: Clock) -> None:
        self._prefix = prefix
        self._sound = sound
        self._clock = clock

    def may_be_room(self, number: str) -> bool:
        """See `ports.inside.DialledRooms`."""
        rest = number.removeprefix(self._prefix)
        return number.startswith(self._prefix) and rest.isascii() and rest.isdecimal()

    async def dialled(self, uow: UnitOfWork, incoming: IncomingCall) -> Entrance | Cause | None:
        """See `ports.inside.DialledRooms`."""
        found = await uow.rooms.find_dialled(incoming.called)
        if found is None:
            return None
        room = await uow.rooms.get(found.id)
        if not room.is_open or room.mode is not RoomMode.MEETING:
            return Cause.NOT_ALLOWED
        known = await self._known(uow, room, incoming)
        one = known or await presence.stranger(
            uow, room, incoming.caller, incoming.display_name, self._clock.now()
        )
        if not may_enter(room, one):
            log.info("room_caller_refused", room_id=room.id)
            return Cause.NOT_ALLOWED
        room = await with_call(uow, room, self._sound)
        caller = replace(one, leg_id=incoming.leg_id)
        if known is None:
            await check_space(uow, room)
            await moves.add(uow, room, caller, f"phone:{incoming.caller.name}", told=False)
        else:
            await uow.rooms.update_participant(caller)
        return Entrance(call_id=str(room.call_id), held=must_wait(room, caller))

    async def _known(
        self, uow: UnitOfWork, room: Room, incoming: IncomingCall
    ) -> Participant | None:
        """As whom somebody called the last time, unless that one is still on the line."""
        for one in await uow.rooms.participants_of(room.id):
            if one.endpoint != incoming.caller:
                continue
            leg = await uow.calls.find_leg(one.leg_id) if one.leg_id is not None else None
            if leg is None or not leg.is_live:
                return one
        return None
