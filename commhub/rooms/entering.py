"""The door of a room: who may come in, as whom, and what they may send, see and hear.

Implements `ports.rooms.RoomsIn` for browsers, encoders and cameras; phones come by `dialling`. A room's row is taken first, so of two who come at the same moment one is after the other. Nobody joins by asking: who has an
answered session or a talking leg is there (`presence.settle`).
"""

from collections.abc import Sequence
from dataclasses import replace

from commhub.domain.account import Permission, Principal
from commhub.domain.call import Leg
from commhub.domain.errors import (
    ConflictError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.room import (
    Invitation,
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    RoomRole,
    Session,
    SessionRight,
    Source,
    SourceKind,
    SourceState,
    may_enter,
    must_wait,
)
from commhub.domain.viewing import may_view
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.rooms import (
    CAMERA,
    SCREEN,
    Admission,
    Asking,
    RoomRight,
    RoomSession,
    RoomToken,
    Seat,
)
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.video import SPEAKER, Layer
from commhub.rooms import moves, presence
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.people import a_user, check_space, find_user, unit_of, with_call
from commhub.rooms.waking import wake

_OWN = {CAMERA: SourceKind.CAMERA, SCREEN: SourceKind.SCREEN}
_MAX_KBPS = {Layer.MAIN: 8_000, Layer.SUB: 2_000, Layer.LOW: 600}


class Doors:
    """Lets people in, and knows what carries them."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly

    # --- ports.rooms.RoomsIn -----------------------------------------------------------------------------

    async def is_room(self, room: str) -> bool:
        """See `ports.rooms.RoomsIn`."""
        async with self._store.read() as uow:
            return await uow.rooms.find(room) is not None

    async def admit(self, asking: Asking) -> Admission:
        """See `ports.rooms.RoomsIn`. A camera that sends nothing is asked to, and UnavailableError says to come again."""
        unit_id = await unit_of(self._store, asking.principal)
        orders = Orders()
        async with self._store.begin() as uow:
            room = await self._room(uow, asking.room)
            one = await self._who(uow, room, asking, unit_id)
            if not may_enter(room, one):
                removed = one.state is ParticipantState.REMOVED
                why = "you were removed from this room" if removed else "the room is locked"
                raise NotAllowedError(why)
            admission = await self._let_in(uow, room, one, asking, orders)
        await self._orderly.carry_out(orders)
        if isinstance(admission, str):
            raise UnavailableError(admission)
        return admission

    async def _room(self, uow: UnitOfWork, room_id: str) -> Room:
        room = await uow.rooms.get(room_id)
        if not room.is_open:
            raise NotFoundError("this room has ended")
        return room

    async def _let_in(
        self, uow: UnitOfWork, room: Room, one: Participant, asking: Asking, orders: Orders
    ) -> Admission | str:
        now = self._clock.now()
        if must_wait(room, one):
            await moves.move(uow, room, one, ParticipantState.WAITING, now, one.account or "system")
            return Admission(
                room_id=room.id,
                participant_id=one.id,
                name=one.name,
                source_id=asking.source,
                waiting=True,
            )
        if asking.right is RoomRight.VIEW:
            return await self._to_view(uow, room, one, asking, orders)
        return await self._to_publish(uow, room, one, asking)

    # --- who it is ---------------------------------------------------------------------------------------

    async def _who(
        self, uow: UnitOfWork, room: Room, asking: Asking, unit_id: str | None
    ) -> Participant:
        if asking.token is not None:
            return await self._by_token(uow, room, asking, asking.token)
        if asking.principal is None:
            raise NotAllowedError("nobody asks")
        known = await find_user(uow, room, asking.principal)
        if known is not None:
            return known
        return await self._newcomer(uow, room, asking.principal, unit_id)

    async def _newcomer(
        self, uow: UnitOfWork, room: Room, principal: Principal, unit_id: str | None
    ) -> Participant:
        """Somebody signed in who was not invited: the desk takes part in any meeting, and who looks at a camera is a viewer."""
        meets = room.mode is RoomMode.MEETING
        if not principal.may(Permission.CALL if meets else Permission.VIEW):
            raise NotAllowedError("you are not invited to this room")
        await check_space(uow, room)
        role = RoomRole.PRESENTER if meets else RoomRole.VIEWER
        one = a_user(room, principal, role, unit_id, self._clock.now())
        return await moves.add(uow, room, one, principal.actor, told=False)

    async def _by_token(
        self, uow: UnitOfWork, room: Room, asking: Asking, token: RoomToken
    ) -> Participant:
        link = await check_token(uow, room, token, self._clock)
        if link is not None and link.used_at is None:
            await uow.rooms.update_invitation(replace(link, used_at=self._clock.now()))
        if not token.allows(asking.right):
            raise NotAllowedError(f"this token does not allow to {asking.right} here")
        if token.source_id not in (None, asking.source):
            raise NotAllowedError("this token is for another source")
        if token.layer is not None and asking.layer < token.layer:
            raise NotAllowedError("this token is for a lower layer")
        if token.participant_id is not None:
            return await moves.participant_of(uow, room.id, token.participant_id)
        return await self._bearer(uow, room, token)

    async def _bearer(self, uow: UnitOfWork, room: Room, token: RoomToken) -> Participant:
        """Whoever holds a token without a name, such as an encoder: one participant a token."""
        account = f"token:{token.id}"
        for one in await uow.rooms.participants_of(room.id):
            if one.account == account:
                return one
        await check_space(uow, room)
        publishes = token.allows(RoomRight.PUBLISH)
        one = Participant(
            id=new_id(),
            room_id=room.id,
            kind=ParticipantKind.TIER,
            name=token.id[:64],
            created_at=self._clock.now(),
            role=RoomRole.PRESENTER if publishes else RoomRole.VIEWER,
            account=account,
            admitted=True,
        )
        return await moves.add(uow, room, one, token.made_by, told=False)

    # --- what they may -----------------------------------------------------------------------------------

    async def _to_publish(
        self, uow: UnitOfWork, room: Room, one: Participant, asking: Asking
    ) -> Admission:
        if one.role is RoomRole.VIEWER:
            raise NotAllowedError("viewers of this room show nothing")
        source = await self._own_source(uow, room, one, asking.source)
        if source.kind is SourceKind.TIER:
            remote = await uow.cascades.find_source(source.id)
            if remote is None or remote.wanted is None:
                raise ConflictError("nobody here looks at this picture any more")
        # The voice comes with the camera's main stream, once.
        sound = source.kind is not SourceKind.SCREEN and asking.layer is Layer.MAIN
        meets = room.mode is RoomMode.MEETING
        return Admission(
            room_id=room.id,
            participant_id=one.id,
            name=one.name,
            source_id=source.id,
            layer=asking.layer,
            may_talk=sound and meets,
            may_hear=sound and meets,
            own_sound=sound and not meets and not one.sound_muted,
            is_screen=source.kind is SourceKind.SCREEN,
            max_kbps=_MAX_KBPS[asking.layer],
        )

    async def _own_source(self, uow: UnitOfWork, room: Room, one: Participant, name: str) -> Source:
        own = [s for s in await uow.rooms.sources_of(room.id) if s.participant_id == one.id]
        kind = _OWN.get(name)
        if kind is None:
            found = next((source for source in own if source.id == name), None)
            if found is None:
                raise NotFoundError("this room has no such source of yours")
            return found
        known = next((source for source in own if source.kind is kind), None)
        if known is not None:
            return known
        source = Source(
            id=new_id(),
            room_id=room.id,
            participant_id=one.id,
            kind=kind,
            label=one.name,
            created_at=self._clock.now(),
            muted=one.picture_muted,
            unit_id=one.unit_id,
        )
        await uow.rooms.add_source(source)
        return source

    async def _to_view(
        self, uow: UnitOfWork, room: Room, one: Participant, asking: Asking, orders: Orders
    ) -> Admission | str:
        meets = room.mode is RoomMode.MEETING
        if asking.source != SPEAKER:
            source = await moves.source_of(uow, room.id, asking.source)
            roles = asking.principal.roles if asking.principal else frozenset()
            if not may_view(
                source, roles, one.unit_id, takes_part=meets or asking.token is not None
            ):
                raise NotAllowedError("this picture belongs to another department")
            if source.state is not SourceState.LIVE:
                return await wake(uow, room, source, asking.layer, self._clock, orders)
        elif not meets:
            raise InvalidError("nobody speaks in this room; name a source")
        return Admission(
            room_id=room.id,
            participant_id=one.id,
            name=one.name,
            source_id=asking.source,
            layer=asking.layer,
            # Whoever publishes hears on that connection; who only looks has no other.
            may_hear=meets and asking.source == SPEAKER,
            own_sound=not meets,
        )

    # --- what carries them -------------------------------------------------------------------------------

    async def seat(self, room_id: str, participant_id: str) -> Seat:
        """See `ports.rooms.RoomsIn`."""
        async with self._store.begin() as uow:
            room = await self._room(uow, room_id)
            one = await moves.participant_of(uow, room_id, participant_id)
            if one.state is ParticipantState.REMOVED or must_wait(room, one):
                raise NotAllowedError("you are not in this room")
            room = await with_call(uow, room, self._orderly.sound)
        if room.call_id is None:
            raise ConflictError("this room has no sound")
        by = Principal(id=one.id, name=one.name, kind="guest", roles=frozenset())
        endpoint = Endpoint(Scheme.ROOM, one.id)
        leg = await self._orderly.sound.seat(
            room.call_id, endpoint, one.name, by, muted=one.sound_muted
        )
        await self._remember(room_id, leg)
        return Seat(call_id=leg.call_id, leg_id=leg.id)

    async def _remember(self, room_id: str, leg: Leg) -> None:
        async with self._store.begin() as uow:
            await uow.rooms.get(room_id)
            one = await moves.participant_of(uow, room_id, leg.endpoint.name)
            if one.leg_id != leg.id:
                await uow.rooms.update_participant(replace(one, leg_id=leg.id))

    async def session_opened(self, session: RoomSession) -> None:
        """See `ports.rooms.RoomsIn`. Raises NotAllowedError for somebody who was removed meanwhile."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await self._room(uow, session.room_id)
            one = await moves.participant_of(uow, room.id, session.participant_id)
            if one.state is ParticipantState.REMOVED:
                raise NotAllowedError("you were removed from this room")
            known = await uow.rooms.find_session(session.session_id)
            row = Session(
                id=session.session_id,
                room_id=room.id,
                participant_id=one.id,
                right=SessionRight.PUBLISH
                if session.right is RoomRight.PUBLISH
                else SessionRight.VIEW,
                source_id=session.source_id,
                opened_at=known.opened_at if known else now,
                layer=int(session.layer),
                leg_id=session.leg_id,
            )
            await uow.rooms.put_session(row)
            source = await uow.rooms.find_source(session.source_id)
            if source is not None:
                await self._carried(uow, room, source, row)
            if known is not None and known.source_id != row.source_id:
                await self._looked_away(uow, known.source_id)
            if known is None or known.source_id != row.source_id:
                who = one.account or f"guest:{one.name}"
                await uow.audit.append(now, who, f"room.{row.right}", row.source_id, "ok", room.id)
            await presence.settle(uow, room, now, orders)
        await self._orderly.carry_out(orders)
        self._orderly.looked(room.id)

    async def _looked_away(self, uow: UnitOfWork, source_id: str) -> None:
        """A view was switched: from now on nobody may want that picture any more."""
        source = await uow.rooms.find_source(source_id)
        if source is not None:
            await uow.rooms.update_source(replace(source, wanted_at=self._clock.now()))

    async def _carried(self, uow: UnitOfWork, room: Room, source: Source, session: Session) -> None:
        now = self._clock.now()
        if session.right is SessionRight.VIEW:
            await uow.rooms.update_source(replace(source, wanted_at=now))
        elif source.state in {SourceState.IDLE, SourceState.ENDED}:
            await moves.shift(uow, room, source, SourceState.STARTING, now, "system")

    async def session_closed(self, session_id: str, reason: str) -> None:
        """See `ports.rooms.RoomsIn`."""
        orders, now = Orders(), self._clock.now()
        async with self._store.read() as uow:
            known = await uow.rooms.find_session(session_id)
        if known is None or known.closed_at is not None:
            return
        async with self._store.begin() as uow:
            room = await uow.rooms.get(known.room_id)
            session = await uow.rooms.find_session(session_id)
            if session is not None and session.closed_at is None:
                await moves.close_session(uow, room, session, reason, now)
                await presence.settle(uow, room, now, orders)
        await self._orderly.carry_out(orders)
        self._orderly.looked(room.id)

    async def find_session(self, session_id: str) -> RoomSession:
        """See `ports.rooms.RoomsIn`."""
        async with self._store.read() as uow:
            session = await uow.rooms.find_session(session_id)
        if session is None or session.closed_at is not None:
            raise NotFoundError("this session is over")
        return _shown(session)

    async def sessions_of(self, leg_id: str) -> Sequence[RoomSession]:
        """See `ports.rooms.RoomsIn`."""
        async with self._store.read() as uow:
            return [_shown(one) for one in await uow.rooms.sessions_with_leg(leg_id)]


async def check_token(
    uow: UnitOfWork, room: Room, token: RoomToken, clock: Clock
) -> Invitation | None:
    """The invitation that the token is of, if any. Raises NotAllowedError for a token of another room, or a revoked link."""
    if token.room_id != room.id:
        raise NotAllowedError("this token is for another room")
    invitation = await uow.rooms.find_invitation(token.id)
    if invitation is not None and not invitation.is_good(clock.now()):
        raise NotAllowedError("this invitation was revoked, or its time is over")
    return invitation


def _shown(session: Session) -> RoomSession:
    return RoomSession(
        session_id=session.id,
        room_id=session.room_id,
        participant_id=session.participant_id,
        right=RoomRight(session.right.value),
        source_id=session.source_id,
        layer=Layer(session.layer),
        leg_id=session.leg_id,
    )
