"""What the host does with those in a room, and they with themselves: the waiting room, mute, remove, roles, hands.

Whoever hosts is a participant of that role or anybody who may place calls: the desk is never locked out of a room of
its own hub. Each step is on the audit.
"""

from dataclasses import dataclass, replace

from commhub.domain.account import Permission, Principal
from commhub.domain.errors import ConflictError, NotAllowedError
from commhub.domain.room import (
    Participant,
    ParticipantState,
    Room,
    RoomRole,
    SessionRight,
    Source,
    SourceKind,
    SourceState,
    clean_name,
)
from commhub.kit.clock import Clock
from commhub.ports.store import Store, UnitOfWork
from commhub.rooms import moves, presence
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.people import find_user, let_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who asks: somebody signed in, or the bearer of a link as this participant."""

    principal: Principal
    participant_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantWish:
    """What is wanted of a participant; None leaves a thing as it is. Of oneself only the hand, and of a guest before they come in
    the name."""

    role: RoomRole | None = None
    sound_muted: bool | None = None
    picture_muted: bool | None = None
    hand_raised: bool | None = None
    name: str | None = None


class Host:
    """Host controls."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly

    async def require(self, room_id: str, who: Who) -> None:
        """Raises NotAllowedError for somebody who is no host, NotFoundError for an unknown room."""
        async with self._store.read() as uow:
            await check_host(uow, await uow.rooms.get(room_id), who)

    async def let_in(self, room_id: str, participant_id: str, who: Who) -> Participant:
        """From the waiting room into the meeting; also whoever was removed, if the host regrets it."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room, one = await self._both(uow, room_id, participant_id, who)
            waits = one.state in {ParticipantState.WAITING, ParticipantState.REMOVED}
            if waits:
                await let_in(uow, room, one, who.principal.actor, now, orders)
                await self._audit(uow, "room.let_in", room, one, who)
                await presence.settle(uow, room, now, orders)
            after = await moves.participant_of(uow, room_id, participant_id)
        await self._orderly.carry_out(orders, who.principal)
        return after

    async def remove(self, room_id: str, participant_id: str, who: Who) -> Participant:
        """Out of the room, or not let into it; links to them are good for nothing any more. Removed twice is once."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room, one = await self._both(uow, room_id, participant_id, who)
            if one.state is not ParticipantState.REMOVED:
                why = "denied" if one.state is ParticipantState.WAITING else "removed"
                actor = who.principal.actor
                await self._cut_off(uow, room, one, why, orders)
                one = await moves.move(uow, room, one, ParticipantState.REMOVED, now, actor, why)
                for link in await uow.rooms.invitations_of(room_id):
                    if link.participant_id == one.id and link.revoked_at is None:
                        await uow.rooms.update_invitation(replace(link, revoked_at=now))
                await self._audit(uow, "room.remove", room, one, who, why)
        await self._orderly.carry_out(orders, who.principal)
        return one

    async def change(
        self, room_id: str, participant_id: str, wish: ParticipantWish, who: Who
    ) -> Participant:
        """Mute sound or picture, change the role, raise or lower the hand, choose a name. Raises NotAllowedError for what only a
        host does, ConflictError for what is too early or too late, InvalidError for a name that is none."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            one = await moves.participant_of(uow, room_id, participant_id)
            if not _is_own_affair(one, wish, who):
                await check_host(uow, room, who)
            wanted = {
                name: value
                for name in ("role", "sound_muted", "picture_muted", "hand_raised")
                if (value := getattr(wish, name)) is not None
            }
            if wish.name is not None:
                wanted["name"] = _chosen_name(one, wish.name, who)
            if wish.hand_raised and one.state is not ParticipantState.JOINED:
                raise ConflictError("only who is in the room raises a hand")
            after = await moves.change(uow, room, one, wanted, now, who.principal.actor)
            if after.name != one.name:
                for source in await uow.rooms.sources_of(room.id):
                    if source.participant_id == one.id:
                        await uow.rooms.update_source(replace(source, label=after.name))
            if after != one and set(wanted) != {"hand_raised"}:
                words = " ".join(f"{name}={value}" for name, value in wanted.items())
                await self._audit(uow, "room.change_participant", room, one, who, words)
            await self._apply(uow, room, after, wish, orders)
        await self._orderly.carry_out(orders, who.principal)
        return after

    async def _apply(
        self, uow: UnitOfWork, room: Room, one: Participant, wish: ParticipantWish, orders: Orders
    ) -> None:
        """Ordered anew even when nothing changed: the last order may have been lost."""
        if wish.sound_muted is not None and one.leg_id is not None:
            orders.silence.append((one.leg_id, wish.sound_muted))
        if wish.picture_muted is not None:
            for source in await uow.rooms.sources_of(room.id):
                if source.participant_id == one.id:
                    await _mute(uow, source, wish.picture_muted, orders)
        if wish.role is RoomRole.VIEWER:
            now = self._clock.now()
            for session in await uow.rooms.sessions_of(room.id):
                if session.participant_id == one.id and session.right is SessionRight.PUBLISH:
                    await moves.close_session(uow, room, session, "viewer", now)
                    orders.release.append(session.id)
            await presence.settle(uow, room, now, orders)

    async def mute_source(self, room_id: str, source_id: str, who: Who, *, muted: bool) -> Source:
        """One picture of perhaps several. Raises ConflictError for one that is over."""
        orders = Orders()
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            await check_host(uow, room, who)
            source = await moves.source_of(uow, room_id, source_id)
            if source.state is SourceState.ENDED:
                raise ConflictError("this picture is over")
            after = await _mute(uow, source, muted, orders)
            if after != source:
                why = "muted" if muted else "unmuted"
                now, actor = self._clock.now(), who.principal.actor
                moves.tell_source(uow, room, after, now, actor, why)
                await uow.audit.append(now, actor, "room.mute_source", source_id, "ok", why)
        await self._orderly.carry_out(orders, who.principal)
        return after

    async def leave(self, room_id: str, who: Who) -> None:
        """Go: one's own sessions and leg end. Whoever is not there is fine (a retry)."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(room_id)
            one = await self.me(uow, room, who)
            if one is None or not room.is_open:
                return
            await self._cut_off(uow, room, one, "left", orders)
            if one.state in {ParticipantState.JOINED, ParticipantState.WAITING}:
                await moves.move(
                    uow, room, one, ParticipantState.LEFT, now, who.principal.actor, "left"
                )
        await self._orderly.carry_out(orders, who.principal)

    async def me(self, uow: UnitOfWork, room: Room, who: Who) -> Participant | None:
        """As whom somebody takes part."""
        if who.participant_id is not None:
            return await moves.participant_of(uow, room.id, who.participant_id)
        return await find_user(uow, room, who.principal)

    # --- inside ------------------------------------------------------------------------------------------

    async def _both(
        self, uow: UnitOfWork, room_id: str, participant_id: str, who: Who
    ) -> tuple[Room, Participant]:
        room = await moves.open_room(uow, room_id)
        await check_host(uow, room, who)
        return room, await moves.participant_of(uow, room_id, participant_id)

    async def _cut_off(
        self, uow: UnitOfWork, room: Room, one: Participant, why: str, orders: Orders
    ) -> None:
        now = self._clock.now()
        for session in await uow.rooms.sessions_of(room.id):
            if session.participant_id == one.id:
                await moves.close_session(uow, room, session, why, now)
                orders.release.append(session.id)
        for source in await uow.rooms.sources_of(room.id):
            is_on = source.state in {SourceState.LIVE, SourceState.STARTING}
            if source.participant_id != one.id:
                continue
            if source.device is not None and is_on:
                orders.stop.append(source)
            if source.kind is SourceKind.RTSP:
                await moves.end_pulled(uow, room, source, now, "system", orders)
        if one.leg_id is not None and one.leg_id not in orders.hang_up:
            orders.hang_up.append(one.leg_id)

    async def _audit(
        self,
        uow: UnitOfWork,
        action: str,
        room: Room,
        one: Participant,
        who: Who,
        detail: str = "",
    ) -> None:
        shown = f"{one.id} {detail}".strip()
        actor = who.principal.actor
        await uow.audit.append(self._clock.now(), actor, action, room.id, "ok", shown)


async def check_host(uow: UnitOfWork, room: Room, who: Who) -> None:
    """Raises NotAllowedError."""
    if who.participant_id is None:
        if who.principal.may(Permission.CALL):
            return
        one = await find_user(uow, room, who.principal)
    else:
        one = await moves.participant_of(uow, room.id, who.participant_id)
    if one is None or one.role is not RoomRole.HOST or one.state is ParticipantState.REMOVED:
        raise NotAllowedError("only the host of this room does this")


def _is_own_affair(one: Participant, wish: ParticipantWish, who: Who) -> bool:
    if (wish.role, wish.sound_muted, wish.picture_muted) != (None, None, None):
        return False
    if who.participant_id is not None:
        return who.participant_id == one.id
    return one.account == who.principal.actor


def _chosen_name(one: Participant, text: str, who: Who) -> str:
    """At the door, and not later: those inside know each other by name. Who has an account has a name."""
    if who.participant_id != one.id:
        raise NotAllowedError("only a guest chooses a name, and only their own")
    if one.state is ParticipantState.JOINED:
        raise ConflictError("you are in the meeting by your name already")
    return clean_name(text)


async def _mute(uow: UnitOfWork, source: Source, muted: bool, orders: Orders) -> Source:
    if source.state is not SourceState.ENDED:
        orders.mute.append((source.id, muted))
    if source.muted is muted:
        return source
    after = replace(source, muted=muted)
    await uow.rooms.update_source(after)
    return after
