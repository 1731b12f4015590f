"""The sound of rooms: a room (会议) has a call, whose legs are its phones, radios, desks and browsers.

Implements `ports.inside.RoomSound`. Such a call is a call like any other, but that it lives as long as its room does
and that who dials the room's number is answered at once. Who may come in, the rooms feature says (`DialledRooms`).
"""

from dataclasses import replace

from commhub.calls import moves, told
from commhub.calls.control import MAX_LEGS, ConferenceControl, LegWish
from commhub.calls.orders import Orderly, Orders, own_desk
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call, Cause, Direction, Leg, LegState
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.domain.people import Endpoint
from commhub.domain.room import Room
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.inside import DialledRooms, RoomVoices
from commhub.ports.inward import CallsIn, IncomingAccepted, IncomingCall, IncomingRefused
from commhub.ports.store import Also, Store, UnitOfWork


class RoomSoundService:
    """Calls of rooms. `connect` it to the feature that knows the rooms."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        orderly: Orderly,
        control: ConferenceControl,
        calls: CallsIn,
    ) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly
        self._control = control
        self._calls = calls
        self._rooms: DialledRooms | None = None
        self._voices: RoomVoices | None = None

    def connect(self, rooms: DialledRooms, voices: RoomVoices) -> None:
        self._rooms, self._voices = rooms, voices

    async def voice_heard(self, leg_id: str, level_dbov: float | None) -> None:
        """What the media engine hears of watched legs, for whoever had them watched."""
        if self._voices is not None:
            await self._voices.voice_heard(leg_id, level_dbov)

    def engine_came(self) -> None:
        if self._voices is not None:
            self._voices.engine_came()

    # --- somebody dials ----------------------------------------------------------------------------------

    async def offered(
        self, incoming: IncomingCall, also: Also | None
    ) -> IncomingAccepted | IncomingRefused | None:
        """The answer to a caller of a room's number; None when it is none, or the leg is known already. `also` as in
        `ports.inward.CallsIn`."""
        if self._rooms is None or not self._rooms.may_be_room(incoming.called):
            return None
        async with self._store.begin() as uow:
            if await uow.calls.find_leg(incoming.leg_id) is not None:
                return None
            entrance = await self._rooms.dialled(uow, incoming)
            if entrance is None:
                return None
            if isinstance(entrance, Cause):
                return IncomingRefused(cause=entrance)
            call = await moves.live_call(uow, entrance.call_id)
            leg = Leg(
                id=incoming.leg_id,
                call_id=call.id,
                endpoint=incoming.caller,
                created_at=self._clock.now(),
                direction=Direction.INBOUND,
                state=LegState.RINGING,
                name=incoming.display_name,
                held=entrance.held,
            )
            await self._add(uow, call, leg, f"phone:{incoming.caller.name}")
            if also is not None:
                await also(uow)
        # Posted to its driver, which answers as soon as it has heard that the leg was accepted.
        await self._orderly.carry_out(Orders(answer=[leg]))
        return IncomingAccepted(call_id=call.id)

    # --- ports.inside.RoomSound --------------------------------------------------------------------------

    def address(self, text: str, by: Principal) -> Endpoint:
        """See `ports.inside.RoomSound`."""
        return own_desk(self._orderly.endpoint(text), by)

    async def open(self, uow: UnitOfWork, room: Room, actor: str) -> Call:
        """A call without legs yet; the room's own fact tells of it."""
        call = Call(
            id=new_id(),
            created_at=self._clock.now(),
            created_by=actor,
            incident_id=room.incident_id,
            title=room.name[:64],
            room_id=room.id,
        )
        await uow.calls.add(call)
        return call

    async def seat(
        self, call_id: str, endpoint: Endpoint, name: str, by: Principal, *, muted: bool = False
    ) -> Leg:
        """See `ports.inside.RoomSound`."""
        if not self._orderly.carries(endpoint):
            raise InvalidError(f"{endpoint} can have no leg here")
        async with self._store.begin() as uow:
            call = await moves.live_call(uow, call_id)
            live = [leg for leg in await uow.calls.legs_of(call_id) if leg.is_live]
            known = next((leg for leg in live if leg.endpoint == endpoint), None)
            if known is not None:
                return known
            if len(live) >= MAX_LEGS:
                raise InvalidError(f"a call has at most {MAX_LEGS} legs")
            leg = Leg(
                id=new_id(),
                call_id=call_id,
                endpoint=endpoint,
                created_at=self._clock.now(),
                name=name,
                muted=muted,
            )
            await self._add(uow, call, leg, by.actor)
        # Who had the leg placed answers for it, not who opened the room.
        order = [(leg, replace(call, created_by=by.actor))]
        for failed, reason in await self._orderly.carry_out(Orders(place=order)):
            await self._calls.leg_ended(failed.id, Cause.FAILED, reason)
        return leg

    async def mute(self, leg_id: str, muted: bool, by: Principal) -> None:
        """See `ports.inside.RoomSound`."""
        await self._change(leg_id, LegWish(muted=muted), by)

    async def hold(self, leg_id: str, held: bool, by: Principal) -> None:
        """See `ports.inside.RoomSound`."""
        await self._change(leg_id, LegWish(held=held), by)

    async def hang_up(self, leg_id: str, by: Principal) -> None:
        """See `ports.inside.RoomSound`."""
        async with self._store.begin() as uow:
            orders = await moves.end_leg(
                uow,
                leg_id,
                Cause.DESK,
                None,
                self._clock.now(),
                actor=by.actor,
                tell_driver=True,
            )
        await self._orderly.carry_out(orders)

    async def close(self, call_id: str, by: Principal) -> None:
        """See `ports.inside.RoomSound`."""
        orders = Orders()
        async with self._store.begin() as uow:
            try:
                call = await uow.calls.get(call_id)
            except NotFoundError:
                return
            if call.is_live:
                now = self._clock.now()
                await moves.close(uow, call, Cause.CALL_ENDED, by.actor, now, orders)
        await self._orderly.carry_out(orders)

    # --- inside ------------------------------------------------------------------------------------------

    async def _add(self, uow: UnitOfWork, call: Call, leg: Leg, actor: str) -> None:
        await uow.calls.add_leg(leg)
        uow.record(told.moved(leg, call, at=leg.created_at, actor=actor))

    async def _change(self, leg_id: str, wish: LegWish, by: Principal) -> None:
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
        if leg is not None and leg.state in TALKING:
            await self._control.change_leg(leg.call_id, leg_id, wish, by)
