"""The pictures of phones (SIP video). Implements `ports.rooms.RoomPictures`.

A phone's voice is a leg of the room's call; its picture is a session of the leg's id, and its source is called like its
participant, so that a call which comes back shows the same source again.
"""

from commhub.domain.call import Leg
from commhub.domain.room import (
    Participant,
    ParticipantState,
    Room,
    RoomMode,
    RoomRole,
    Source,
    SourceKind,
    must_wait,
)
from commhub.kit.clock import Clock
from commhub.ports.rooms import RoomPicture, RoomRight, RoomSession, RoomsIn
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.video import SPEAKER
from commhub.rooms import moves


class PhonePictures:
    """Of the legs of all rooms."""

    def __init__(self, store: Store, clock: Clock, doors: RoomsIn) -> None:
        self._store = store
        self._clock = clock
        self._doors = doors

    async def picture_of(self, leg_id: str) -> RoomPicture | None:
        """See `ports.rooms.RoomPictures`."""
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
            if leg is None or not leg.is_live:
                return None
            for room_id in (await uow.calls.rooms_of([leg.call_id])).values():
                room = await uow.rooms.find(room_id)
                one = None if room is None else await _whose(uow, room, leg)
                if room is not None and one is not None:
                    return RoomPicture(
                        room_id=room.id,
                        participant_id=one.id,
                        source_id=one.id,
                        waits=must_wait(room, one),
                        may_show=one.role is not RoomRole.VIEWER,
                    )
        return None

    async def picture_agreed(self, leg_id: str, picture: RoomPicture, *, sends: bool) -> None:
        """See `ports.rooms.RoomPictures`."""
        if sends:
            await self._make_source(picture)
        session = RoomSession(
            session_id=leg_id,
            room_id=picture.room_id,
            participant_id=picture.participant_id,
            right=RoomRight.PUBLISH if sends else RoomRight.VIEW,
            source_id=picture.source_id if sends else SPEAKER,
        )
        await self._doors.session_opened(session)

    async def picture_over(self, leg_id: str, reason: str) -> None:
        """See `ports.rooms.RoomPictures`."""
        await self._doors.session_closed(leg_id, reason)

    async def _make_source(self, picture: RoomPicture) -> None:
        async with self._store.begin() as uow:
            room = await uow.rooms.get(picture.room_id)
            if await uow.rooms.find_source(picture.source_id) is not None:
                return
            one = await moves.participant_of(uow, room.id, picture.participant_id)
            source = Source(
                id=picture.source_id,
                room_id=room.id,
                participant_id=one.id,
                kind=SourceKind.SIP,
                label=one.name,
                created_at=self._clock.now(),
                muted=one.picture_muted,
                unit_id=one.unit_id,
            )
            await uow.rooms.add_source(source)


async def _whose(uow: UnitOfWork, room: Room, leg: Leg) -> Participant | None:
    """The participant that the leg carries, or is about to."""
    if not room.is_open or room.mode is not RoomMode.MEETING:
        return None
    people = await uow.rooms.participants_of(room.id)
    by_leg = next((one for one in people if one.leg_id == leg.id), None)
    one = by_leg or next((one for one in people if one.endpoint == leg.endpoint), None)
    return None if one is None or one.state is ParticipantState.REMOVED else one
