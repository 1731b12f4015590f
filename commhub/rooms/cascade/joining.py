"""How two rooms become one and part again, and how both sides find together after a link was down.

Who is asked has its half of the room before it answers; the asking side keeps the join as ASKED until then, so that one whose answer
was lost, or that was wished for while the link was down, is asked again. Rooms are joined as a tree: a hub that is in the
meeting already by another way is refused, or its voices would go in circles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import structlog

from commhub.domain.account import Principal
from commhub.domain.errors import (
    ConflictError,
    DomainError,
    IllegalMoveError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from commhub.domain.room import Room, RoomMode
from commhub.domain.tier import Order, Peering, Relation, check_order
from commhub.domain.tier_rooms import CascadeState, RoomCascade
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body, TierRefusedError
from commhub.rooms import moves
from commhub.rooms.cascade import said
from commhub.rooms.cascade.errands import Errands
from commhub.rooms.cascade.ground import Ground, account_of, guest_hub, shift
from commhub.rooms.cascade.parting import end_join, has_own_people, hubs_here, join_with
from commhub.rooms.cascade.said import JoinAsk, Standing
from commhub.rooms.orders import Orders
from commhub.rooms.service import NewRoom

log = structlog.get_logger(__name__)

_ANSWER_S = 5.0
"""For each hub of a chain, which the next one waits for."""
_INCIDENTS_ROOMS = 20


class Joining:
    """Joins of this hub's rooms with those of its neighbours."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.errands = Errands("join")
        self._since: dict[tuple[str, str], float] = {}
        self._up_at: dict[str, float] = {}

    # --- the desk ----------------------------------------------------------------------------------------

    async def join(
        self, room_id: str, peer: str, by: Principal, beyond: Sequence[str] = ()
    ) -> RoomCascade:
        """Invite a neighbour into a meeting, and through it its own neighbours, one behind the other (`beyond`). Again it is the same
        join. While the link is down it is ASKED, and done when that is back; whom it is to invite is in the row until it has answered.

        Raises NotFoundError, ConflictError for a room that has ended or is no meeting, TierRefusedError with the neighbour's words.
        """
        ground, now = self._ground, self._ground.clock.now()
        async with ground.store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            if room.mode is not RoomMode.MEETING:
                raise ConflictError("only a meeting is joined with another hub's")
            peering = await uow.peerings.get(peer)
            if not peering.is_active:
                raise NotAllowedError(f"the peering with {peer} is revoked", peer=peer)
            known = await join_with(uow, room_id, peer)
            cascade = known
            if cascade is None or not cascade.goes_on:
                one = await guest_hub(uow, room, peering, now, by.actor)
                cascade = RoomCascade(
                    room_id=room_id,
                    peer=peer,
                    relation=peering.relation,
                    state=CascadeState.ASKED,
                    created_at=now,
                    created_by=by.actor,
                    participant_id=one.id,
                    beyond=tuple(beyond),
                )
                await shift(uow, room, known, cascade, by.actor, now)
            elif beyond and cascade.beyond != tuple(beyond):
                cascade = replace(cascade, beyond=tuple(beyond))
                await shift(uow, room, known, cascade, by.actor, now)
            await uow.audit.append(now, by.actor, "room.join", room_id, "ok", peer)
        if cascade.state is CascadeState.JOINED and not beyond:
            return cascade
        try:
            return await self.ask(room_id, peer)
        except UnavailableError as error:
            log.info("join_waits", room_id=room_id, peer=peer, reason=str(error))
            return cascade

    async def leave(self, room_id: str, peer: str, by: Principal) -> None:
        """Part with a neighbour. Twice is once. Raises NotFoundError for one that was never joined."""
        ground, now, orders = self._ground, self._ground.clock.now(), Orders()
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(room_id)
            cascade = await join_with(uow, room_id, peer)
            if cascade is None:
                raise NotFoundError(f"this room is not joined with {peer}")
            if cascade.goes_on:
                await uow.audit.append(now, by.actor, "room.part", room_id, "ok", peer)
                await end_join(uow, room, cascade, now, by.actor, None, orders)
        await self._parted(cascade, orders)

    async def removed(self, cascade: RoomCascade) -> None:
        """Its host has sent the neighbour out of our half."""
        ground, now, orders = self._ground, self._ground.clock.now(), Orders()
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(cascade.room_id)
            await end_join(uow, room, cascade, now, "system", "removed", orders)
        await self._parted(cascade, orders)

    def ask_again(self, room_id: str, peer: str) -> None:
        """A join that waits for the link, or whose answer was lost; also one that holds, when others are to be invited by it."""
        if self._ground.links.state_of(peer).up:
            self.errands.send(f"{room_id}-{peer}", partial(self._ask_again, room_id, peer))

    async def _ask_again(self, room_id: str, peer: str) -> None:
        await self.ask(room_id, peer)

    # --- with the neighbour ------------------------------------------------------------------------------

    async def ask(self, room_id: str, peer: str) -> RoomCascade:
        """Have the neighbour join. Raises UnavailableError (it stays ASKED), TierRefusedError (it is ended, with the reason)."""
        ground = self._ground
        async with ground.store.read() as uow:
            room = await uow.rooms.get(room_id)
            cascades = await uow.cascades.of_room(room_id)
            known = await join_with(uow, room_id, peer)
        asked = JoinAsk(
            room=room.id,
            name=room.name,
            hubs=hubs_here(ground.us, cascades, peer),
            incident_id=room.incident_id,
            beyond=known.beyond if known is not None else (),
        )
        try:
            patience_s = _ANSWER_S * (1 + len(asked.beyond))
            answer = await ground.links.ask(peer, said.JOIN, asked.body(), patience_s)
        except TierRefusedError as error:
            await self._refused(room_id, peer, str(error))
            raise
        return await self._answered(room_id, peer, answer, asked.beyond)

    async def accept(self, peering: Peering, body: Body) -> Body:
        """Answer `room.join`: have a half of the room. Asked again, the same half."""
        check_order(peering, Order.JOIN_ROOM)
        asked = JoinAsk.read(body)
        ground, now = self._ground, self._ground.clock.now()
        actor = account_of(peering.peer)
        async with ground.store.begin() as uow:
            room, known = await self._half(uow, peering, asked)
            cascades = await uow.cascades.of_room(room.id)
            ours = hubs_here(ground.us, cascades, peering.peer)
            twice = sorted(set(ours) & set(asked.hubs))
            if twice:
                raise IllegalMoveError(
                    f"a loop: {', '.join(twice)} is in this meeting already by another way",
                    hubs=twice,
                )
            one = await guest_hub(uow, room, peering, now, actor)
            cascade = RoomCascade(
                room_id=room.id,
                peer=peering.peer,
                relation=peering.relation,
                state=CascadeState.JOINED,
                created_at=known.created_at if known else now,
                created_by=known.created_by if known else actor,
                their_room=asked.room,
                participant_id=one.id,
                hubs=asked.hubs,
                beyond=known.beyond if known else (),
            )
            await shift(uow, room, known, cascade, actor, now)
            if known is None:
                await uow.audit.append(now, actor, "room.join", room.id, "ok", asked.room)
        self._since[room.id, peering.peer] = ground.clock.monotonic()
        notes = await self._join_beyond(room.id, peering, asked.beyond)
        ground.look(room.id)
        async with ground.store.read() as uow:
            hubs = hubs_here(ground.us, await uow.cascades.of_room(room.id), peering.peer)
        return {"room": room.id, "hubs": list(hubs), "notes": notes}

    async def heard_left(self, peering: Peering, body: Body) -> None:
        """`room.left`: the other side parted, or ended its half. A half that was only opened for it ends, too."""
        room_id = said.id_of(body, "room")
        async with self._ground.store.read() as uow:
            cascade = await join_with(uow, room_id, peering.peer)
        if cascade is not None and cascade.goes_on:
            await self._over(cascade, f"{peering.name} has left")

    # --- links -------------------------------------------------------------------------------------------

    async def link_moved(self, peering: Peering, up: bool) -> None:
        """The link came up: say how all joins are here. Or it went down, and with it the joins over it."""
        ground = self._ground
        if up:
            self._up_at[peering.peer] = ground.clock.monotonic()
            await self.tell_standing(peering.peer)
            ground.look(None)
            return
        await self._go_down(peering)

    async def tell_standing(self, peer: str, *, is_reply: bool = False) -> None:
        """Say `room.joins`. Only one side may have noticed that the link was away, so what is no reply is replied to."""
        async with self._ground.store.read() as uow:
            standings = [await self._standing(uow, one) for one in await uow.cascades.going(peer)]
        joins = [standing.body() for standing in standings]
        self._ground.links.tell(peer, said.JOINS, {"joins": joins, "reply": is_reply})

    async def heard_joins(self, peering: Peering, body: Body) -> Mapping[str, Standing]:
        """`room.joins`: what the other side does not know any more is over, what it knows holds. Returns the standings by our rooms."""
        ground, standings = self._ground, Standing.read_all(body)
        told = {one.theirs: one for one in standings if one.theirs is not None}
        # It has its half and has not heard our answer yet: that is under way, or it asks again.
        asking = {one.room for one in standings if one.theirs is None}
        async with ground.store.read() as uow:
            mine = await uow.cascades.going(peering.peer)
        held: dict[str, Standing] = {}
        for cascade in mine:
            standing = told.get(cascade.room_id)
            if standing is not None and standing.room == cascade.their_room:
                held[cascade.room_id] = standing
                await self._holds(cascade)
            elif cascade.their_room is not None and not (
                cascade.their_room in asking or self._is_new(cascade)
            ):
                await self._over(cascade, f"{peering.name} does not have its half any more")
        ground.look(None)
        return held

    def _is_new(self, cascade: RoomCascade) -> bool:
        """Joined since the link came up: what the other side said at its begin is older."""
        since = self._since.get((cascade.room_id, cascade.peer))
        return since is not None and since >= self._up_at.get(cascade.peer, 0.0)

    async def _holds(self, known: RoomCascade) -> None:
        ground = self._ground
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(known.room_id)
            cascade = await join_with(uow, known.room_id, known.peer)
            if cascade is not None and cascade.state is CascadeState.DOWN:
                after = replace(cascade, state=CascadeState.JOINED, reason=None)
                await shift(uow, room, cascade, after, "system", ground.clock.now())

    async def _go_down(self, peering: Peering) -> None:
        ground, orders = self._ground, Orders()
        async with ground.store.read() as uow:
            joined = [
                one
                for one in await uow.cascades.going(peering.peer)
                if one.state is CascadeState.JOINED
            ]
        for known in joined:
            async with ground.store.begin() as uow:
                room = await uow.rooms.get(known.room_id)
                cascade = await join_with(uow, known.room_id, known.peer)
                if cascade is None or cascade.state is not CascadeState.JOINED:
                    continue
                now = ground.clock.now()
                if not peering.is_active:
                    why = "the peering was revoked"
                    await end_join(uow, room, cascade, now, "system", why, orders)
                    continue
                after = replace(cascade, state=CascadeState.DOWN, reason="the link is down")
                await shift(uow, room, cascade, after, "system", now)
        await ground.orderly.carry_out(orders)
        ground.look(None)

    async def _standing(self, uow: UnitOfWork, cascade: RoomCascade) -> Standing:
        wants = [
            one.their_source
            for one in await uow.cascades.sources_of(cascade.room_id)
            if one.peer == cascade.peer and one.wanted is not None
        ]
        one = cascade.participant_id and await uow.rooms.find_participant(cascade.participant_id)
        leg = await uow.calls.find_leg(one.leg_id) if one and one.leg_id else None
        return Standing(
            room=cascade.room_id,
            theirs=cascade.their_room,
            wants=tuple(wants),
            voice=leg is not None and leg.is_live,
        )

    # --- inside ------------------------------------------------------------------------------------------

    async def _half(
        self, uow: UnitOfWork, peering: Peering, asked: JoinAsk
    ) -> tuple[Room, RoomCascade | None]:
        """Our half of their room: the one there is, that of the incident we share, or a new one."""
        for one in await uow.cascades.going(peering.peer):
            if one.their_room == asked.room:
                room = await uow.rooms.get(one.room_id)
                if room.is_open:
                    return room, one
        incident_id = None
        if asked.incident_id is not None:
            share = await uow.shares.find(asked.incident_id, peering.peer)
            if share is not None and (await uow.incidents.get(asked.incident_id)).is_open:
                incident_id = asked.incident_id
        if incident_id is not None:
            for room in await uow.rooms.list(True, incident_id, None, _INCIDENTS_ROOMS):
                joined = await join_with(uow, room.id, peering.peer)
                if room.mode is RoomMode.MEETING and (joined is None or not joined.goes_on):
                    return await uow.rooms.get(room.id), None
        hub = Principal(id=peering.peer, name=peering.peer, kind="hub", roles=frozenset())
        new = NewRoom(name=asked.name, incident_id=incident_id)
        return (await self._ground.rooms.open(uow, new, hub)).room, None

    async def _answered(
        self, room_id: str, peer: str, answer: Body, told: Sequence[str]
    ) -> RoomCascade:
        ground = self._ground
        theirs, hubs = said.id_of(answer, "room"), said.hubs_of(answer, "hubs")
        notes = "; ".join(str(one)[:200] for one in said.list_of(answer, "notes", 16)) or None
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(room_id)
            known = await join_with(uow, room_id, peer)
            if known is None or not known.goes_on or not room.is_open:
                raise ConflictError("this room was parted from it, or ended, meanwhile")
            after = replace(
                known,
                state=CascadeState.JOINED,
                their_room=theirs,
                hubs=hubs,
                # Whom the desk named while this was asked is still to be told.
                beyond=() if known.beyond == tuple(told) else known.beyond,
                reason=notes,
            )
            await shift(uow, room, known, after, known.created_by, ground.clock.now())
        self._since[room_id, peer] = ground.clock.monotonic()
        ground.look(room_id)
        return after

    async def _refused(self, room_id: str, peer: str, reason: str) -> None:
        ground, orders = self._ground, Orders()
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(room_id)
            known = await join_with(uow, room_id, peer)
            if known is not None and known.goes_on:
                await end_join(uow, room, known, ground.clock.now(), "system", reason, orders)
        await ground.orderly.carry_out(orders)

    async def _join_beyond(
        self, room_id: str, peering: Peering, beyond: Sequence[str]
    ) -> list[str]:
        """Invite those beyond us, as far as who asks may; what did not come about is a sentence."""
        if not beyond:
            return []
        if peering.relation is not Relation.UPPER:
            return [f"{beyond[0]}: only a hub above us has us invite others"]
        by = Principal(id=peering.peer, name=peering.peer, kind="hub", roles=frozenset())
        try:
            joined = await self.join(room_id, beyond[0], by, beyond[1:])
        except DomainError as error:
            return [f"{beyond[0]}: {error}"]
        if joined.state is not CascadeState.JOINED:
            return [f"{beyond[0]}: asked, but the link to it is down"]
        return [] if joined.reason is None else [joined.reason]

    async def _over(self, known: RoomCascade, reason: str) -> None:
        ground, now, orders = self._ground, self._ground.clock.now(), Orders()
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(known.room_id)
            cascade = await join_with(uow, known.room_id, known.peer)
            if cascade is None or not cascade.goes_on:
                return
            actor = account_of(known.peer)
            await end_join(uow, room, cascade, now, actor, reason, orders)
            if room.is_open and room.created_by == actor and not await has_own_people(uow, room):
                await moves.end(uow, room, now, actor, orders)
        await ground.orderly.carry_out(orders)
        ground.look(known.room_id)

    async def end_all(self, room_id: str) -> None:
        """The room has ended: part with everybody it was joined with."""
        ground, now = self._ground, self._ground.clock.now()
        async with ground.store.read() as uow:
            going = [one for one in await uow.cascades.of_room(room_id) if one.goes_on]
        for cascade in going:
            orders = Orders()
            async with ground.store.begin() as uow:
                room = await uow.rooms.get(room_id)
                await end_join(uow, room, cascade, now, "system", "the room has ended", orders)
            await self._parted(cascade, orders)

    async def _parted(self, cascade: RoomCascade, orders: Orders) -> None:
        ground = self._ground
        await ground.orderly.carry_out(orders)
        if cascade.their_room is not None:
            # Lost, it is found when the link comes back and this join is not among those told.
            ground.links.tell(cascade.peer, said.LEFT, {"room": cascade.their_room})
        ground.look(cascade.room_id)
