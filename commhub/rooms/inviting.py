"""Asking people, phones, radios and cameras into a room, each by what it is reached with.

A phone, a telephone outside, a radio group or a desk is rung into the room's call; a body camera is asked to go live;
a responder gets a link by WeCom (or whatever channel reaches them); anybody else gets a link that the desk hands on.
A link is a signed token of one invitation: it expires, and it can be revoked.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.room import (
    Invitation,
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    RoomRole,
    SourceState,
    kind_of,
)
from commhub.domain.room_facts import InvitationRevoked
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.inside import Notice, Notices
from commhub.ports.rooms import RoomRight, RoomToken, RoomTokens
from commhub.ports.store import Store, UnitOfWork
from commhub.rooms import moves, presence
from commhub.rooms.config import RoomConfig
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.people import add_camera, check_space, let_in, with_call
from commhub.rooms.waking import wake_camera

_RUNG = frozenset({Scheme.SIP, Scheme.TEL, Scheme.RADIO, Scheme.DESK})
_RIGHTS = {
    RoomRole.HOST: (RoomRight.HOST,),
    RoomRole.PRESENTER: (RoomRight.PUBLISH, RoomRight.VIEW),
    RoomRole.VIEWER: (RoomRight.VIEW,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation:
    """Whom to ask: `to` is an endpoint, a responder's id or `user:ACCOUNT`; left out, `name` is a guest who gets a link."""

    to: str | None = None
    name: str | None = None
    role: RoomRole = RoomRole.PRESENTER
    expires_in: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """`link` is shown once, to whoever asked for it; its fragment is the guest's secret."""

    participant: Participant
    invitation: Invitation | None = None
    link: str | None = None


class Invitations:
    """Use cases of inviting."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        orderly: Orderly,
        tokens: RoomTokens,
        notices: Notices,
        config: RoomConfig,
    ) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly
        self._tokens = tokens
        self._notices = notices
        self._config = config
        self.borrow: Callable[[str, Endpoint, Principal], Awaitable[Participant]] | None = None
        """Has another hub put a camera of its own into the room."""

    async def invite(self, room_id: str, new: NewInvitation, by: Principal) -> Invited:
        """Ask somebody in. Asked again, the same participant is rung or written to again.

        Raises NotFoundError, InvalidError for an address nothing reaches, ConflictError for a room that has ended.
        """
        if new.to is None or (":" not in new.to):
            return await self._by_link(room_id, new, None, by)
        if new.to.startswith("user:"):
            return await self._account(room_id, new, by)
        endpoint = Endpoint.parse(new.to)
        if endpoint.scheme is Scheme.CAMERA and endpoint.hub is not None:
            if self.borrow is None:
                raise InvalidError("this hub has no neighbours")
            return Invited(participant=await self.borrow(room_id, endpoint, by))
        if endpoint.scheme is Scheme.CAMERA:
            return await self._camera(room_id, endpoint, by)
        if endpoint.scheme in _RUNG:
            return await self._ring(room_id, new, self._orderly.sound.address(new.to, by), by)
        return await self._by_link(room_id, new, endpoint, by)

    async def all(self, room_id: str) -> Sequence[Invitation]:
        """The links of a room, oldest first."""
        async with self._store.read() as uow:
            await uow.rooms.get(room_id)
            return await uow.rooms.invitations_of(room_id)

    async def revoke(self, room_id: str, invitation_id: str, by: Principal) -> Invitation:
        """Make a link good for nothing. Who came in by it stays until removed. Revoked twice is once."""
        now = self._clock.now()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(room_id)
            link = await uow.rooms.find_invitation(invitation_id)
            if link is None or link.room_id != room_id:
                raise NotFoundError("this room has no such invitation")
            if link.revoked_at is None:
                link = replace(link, revoked_at=now)
                await uow.rooms.update_invitation(link)
                one = await moves.participant_of(uow, room_id, link.participant_id)
                uow.record(
                    InvitationRevoked(
                        at=now,
                        actor=by.actor,
                        incident_id=room.incident_id,
                        room_id=room_id,
                        participant_id=one.id,
                        participant=one.name,
                    )
                )
                await uow.audit.append(now, by.actor, "room.revoke", room_id, "ok", invitation_id)
        return link

    # --- each by its own way -----------------------------------------------------------------------------

    async def _ring(
        self, room_id: str, new: NewInvitation, endpoint: Endpoint, by: Principal
    ) -> Invited:
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            if room.mode is not RoomMode.MEETING:
                raise ConflictError("this room has no sound to be rung into")
            room = await with_call(uow, room, self._orderly.sound)
            one = await self._known(uow, room, endpoint)
            if one is None:
                await check_space(uow, room)
                stranger = await presence.stranger(uow, room, endpoint, new.name, self._clock.now())
                one = await moves.add(
                    uow, room, replace(stranger, role=new.role, admitted=True), by.actor
                )
            await self._audit(uow, room, str(endpoint), by)
        leg = await self._orderly.sound.seat(
            str(room.call_id), endpoint, one.name, by, muted=one.sound_muted
        )
        orders = Orders()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(room_id)
            one = replace(await moves.participant_of(uow, room_id, one.id), leg_id=leg.id)
            await uow.rooms.update_participant(one)
            await presence.settle(uow, room, self._clock.now(), orders)
            one = await moves.participant_of(uow, room_id, one.id)
        await self._orderly.carry_out(orders, by)
        return Invited(participant=one)

    async def _camera(self, room_id: str, endpoint: Endpoint, by: Principal) -> Invited:
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            await check_space(uow, room)
            one, source = await add_camera(uow, room, endpoint.name, now, by.actor)
            if one.state is ParticipantState.REMOVED:
                one = await let_in(uow, room, one, by.actor, now, orders)
            if source.state is not SourceState.LIVE:
                await wake_camera(uow, room, source, self._clock, orders)
            await self._audit(uow, room, str(endpoint), by)
        await self._orderly.carry_out(orders, by)
        return Invited(participant=one)

    async def _account(self, room_id: str, new: NewInvitation, by: Principal) -> Invited:
        """Somebody with an account: their desk shows the room, and a link would only be lost."""
        account = str(new.to)
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            user = await uow.accounts.find_user(account.removeprefix("user:"))
            if user is None or user.disabled:
                raise NotFoundError("there is no such account")
            people = await uow.rooms.participants_of(room_id)
            one = next((known for known in people if known.account == account), None)
            if one is None:
                await check_space(uow, room)
                one = Participant(
                    id=new_id(),
                    room_id=room_id,
                    kind=ParticipantKind.USER,
                    name=user.display_name or user.name,
                    created_at=self._clock.now(),
                    role=new.role,
                    account=account,
                    admitted=True,
                )
                await moves.add(uow, room, one, by.actor)
            await self._audit(uow, room, account, by)
        return Invited(participant=one)

    async def _by_link(
        self, room_id: str, new: NewInvitation, endpoint: Endpoint | None, by: Principal
    ) -> Invited:
        now = self._clock.now()
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            one = await self._guest(uow, room, new, endpoint, by)
            link = Invitation(
                id=new_id(),
                room_id=room_id,
                participant_id=one.id,
                created_at=now,
                created_by=by.actor,
                expires_at=now + (new.expires_in or self._config.invitation_for),
                sent_to=new.to,
            )
            await uow.rooms.add_invitation(link)
            shown = self._link(link, one)
            if new.to is not None:
                await self._notices.notify(uow, new.to, self._notice(room, shown, by), by)
            await self._audit(uow, room, new.to or one.name, by)
        self._notices.wake()
        return Invited(participant=one, invitation=link, link=shown)

    async def _guest(
        self,
        uow: UnitOfWork,
        room: Room,
        new: NewInvitation,
        endpoint: Endpoint | None,
        by: Principal,
    ) -> Participant:
        now = self._clock.now()
        owner = None
        if endpoint is not None:
            owner = await uow.directory.find_by_endpoint(endpoint)
        elif new.to is not None:
            owner = await uow.directory.get_responder(new.to)
            endpoint = owner.endpoint(Scheme.WECOM)
        if endpoint is not None:
            known = await self._known(uow, room, endpoint)
            if known is not None:
                return known
        name = new.name or (owner.name if owner else None) or (endpoint.name if endpoint else None)
        if not name:
            raise InvalidError("a guest has a name")
        await check_space(uow, room)
        guest = Participant(
            id=new_id(),
            room_id=room.id,
            kind=kind_of(endpoint) if endpoint else ParticipantKind.GUEST,
            name=name,
            created_at=now,
            role=new.role,
            endpoint=endpoint,
            unit_id=owner.unit_id if owner else None,
        )
        return await moves.add(uow, room, guest, by.actor)

    async def _known(self, uow: UnitOfWork, room: Room, endpoint: Endpoint) -> Participant | None:
        """The participant of that address; whoever was removed is welcome again."""
        people = await uow.rooms.participants_of(room.id)
        one = next((known for known in people if known.endpoint == endpoint), None)
        if one is not None and one.state is ParticipantState.REMOVED:
            one = await moves.move(
                uow, room, one, ParticipantState.INVITED, self._clock.now(), "system"
            )
        return one

    def _link(self, link: Invitation, one: Participant) -> str:
        token = RoomToken(
            id=link.id,
            room_id=link.room_id,
            rights=_RIGHTS[one.role],
            expires_at=int(link.expires_at.timestamp()),
            made_by=link.created_by,
            participant_id=one.id,
        )
        # A fragment is never sent to a server, so no log of any proxy has it.
        return f"{self._config.public_url}/meet/{link.room_id}#{self._tokens.sign(token)}"

    def _notice(self, room: Room, link: str, by: Principal) -> Notice:
        drill = "【演练】" if room.drill else ""
        host = by.display_name or by.name
        return Notice(
            title=f"{drill}会议邀请：{room.name}",
            body=f"{host}邀请您参加会议。电话入会请拨 {room.dial}。",
            incident_id=room.incident_id,
            link=link,
        )

    async def _audit(self, uow: UnitOfWork, room: Room, whom: str, by: Principal) -> None:
        await uow.audit.append(self._clock.now(), by.actor, "room.invite", room.id, "ok", whom)
