"""Calls that cross to other hubs: what a neighbour was let call here, who has to make way for it, and the floors of it.

A neighbour's call is a call of ours with two legs: the one to its hub, and what it asked for. What it may ask, and with what
weight, `tiers` has agreed with it before (`ports.between`); by then nothing depends on what the call itself says.
"""

from collections.abc import Sequence
from typing import Protocol

from commhub.calls import moves, told
from commhub.calls.control import MAX_LEGS, ConferenceControl
from commhub.calls.orders import Orderly, Orders
from commhub.calls.rooms import RoomSoundService
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call, Cause, Direction, Leg, LegState
from commhub.domain.errors import InvalidError, NotFoundError, UnavailableError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.tier_calls import SHARES_ITSELF, takes_over
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.between import CALLER, Agreed, Agreements
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused
from commhub.ports.media import FloorAction
from commhub.ports.store import Also, Store, UnitOfWork


class Desk(Protocol):
    """What of the calls service is needed here."""

    control: ConferenceControl
    rooms: RoomSoundService

    def by_rule(self, call: Call) -> Call: ...
    async def carry_out(self, orders: Orders) -> None: ...
    async def leg_ended(
        self, leg_id: str, cause: Cause, detail: str | None, *, also: Also | None = None
    ) -> None: ...


class NeighbourCalls:
    """Implements `ports.between.FloorsHere` and `TierVoice`."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly, desk: Desk) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly
        self._desk = desk
        self._agreements: Agreements | None = None
        self._visitors: set[str] = set()

    def connect(self, agreements: Agreements) -> None:
        self._agreements = agreements

    # --- a neighbour calls -------------------------------------------------------------------------------

    async def offered(
        self, incoming: IncomingCall, also: Also | None
    ) -> IncomingAccepted | IncomingRefused:
        """As `ports.inward.CallsIn.call_offered`."""
        making_way, orders = Orders(), Orders()
        async with self._store.begin() as uow:
            known = await uow.calls.find_leg(incoming.leg_id)
            if known is not None and not known.is_live:
                return IncomingRefused(cause=known.cause or Cause.FAILED)
            if known is not None:
                if also is not None:
                    await also(uow)
                return IncomingAccepted(call_id=known.call_id)
            agreed = await self._kept(uow, incoming)
            if isinstance(agreed, Cause):
                return IncomingRefused(cause=agreed)
            if agreed.into is not None:
                call = await self._join(uow, agreed.into, incoming, orders)
            elif await self._make_way(uow, agreed, incoming, making_way):
                call = await self._open(uow, agreed, incoming, orders)
            else:
                return IncomingRefused(cause=Cause.BUSY)
            if also is not None:
                await also(uow)
        self._visitors.add(incoming.leg_id)
        # First, or the terminal would be busy with what it is taken from.
        await self._desk.carry_out(making_way)
        await self._desk.carry_out(orders)
        return IncomingAccepted(call_id=call.id)

    async def _kept(self, uow: UnitOfWork, incoming: IncomingCall) -> Agreed | Cause:
        if self._agreements is None:
            return Cause.NOT_FOUND
        return await self._agreements.kept(uow, incoming)

    async def _make_way(
        self, uow: UnitOfWork, agreed: Agreed, incoming: IncomingCall, orders: Orders
    ) -> bool:
        """Whether the terminal is free, or taken from whatever had it."""
        held = await talking_legs(uow, agreed.endpoint)
        if self._agreements is None:
            return not held
        for leg in held:
            claim, _ = await self._agreements.claim_of(leg)
            if not takes_over(agreed.claim, claim):
                return False
        taker = f"hub:{incoming.caller.hub}"
        for leg in held:
            detail = f"taken by a call of {incoming.caller.hub}"
            await moves.take_leg(uow, leg, detail, taker, self._clock.now(), orders)
        return True

    async def _open(
        self, uow: UnitOfWork, agreed: Agreed, incoming: IncomingCall, orders: Orders
    ) -> Call:
        now = self._clock.now()
        call = self._desk.by_rule(
            Call(
                id=new_id(),
                created_at=now,
                created_by=f"hub:{incoming.caller.hub}",
                incident_id=agreed.incident_id,
                title=agreed.title,
            )
        )
        inbound = self._inbound(call, incoming)
        outbound = Leg(id=new_id(), call_id=call.id, endpoint=agreed.endpoint, created_at=now)
        await moves.open_call(uow, call, (inbound, outbound), call.created_by)
        orders.place.append((outbound, call))
        return call

    async def _join(
        self, uow: UnitOfWork, call_id: str, incoming: IncomingCall, orders: Orders
    ) -> Call:
        """Into a room's call, which answers by itself."""
        call = await moves.live_call(uow, call_id)
        live = [leg for leg in await uow.calls.legs_of(call_id) if leg.is_live]
        if len(live) >= MAX_LEGS:
            raise InvalidError(f"a call has at most {MAX_LEGS} legs")
        leg = self._inbound(call, incoming)
        await uow.calls.add_leg(leg)
        uow.record(told.moved(leg, call, at=leg.created_at, actor=f"hub:{incoming.caller.hub}"))
        orders.answer.append(leg)
        return call

    def _inbound(self, call: Call, incoming: IncomingCall) -> Leg:
        return Leg(
            id=incoming.leg_id,
            call_id=call.id,
            endpoint=incoming.caller,
            created_at=self._clock.now(),
            direction=Direction.INBOUND,
            state=LegState.RINGING,
            name=incoming.display_name,
        )

    # --- we call what a neighbour talks with (双接入) -----------------------------------------------------

    def know(self, legs: Sequence[Leg]) -> None:
        """These live; those of them by which neighbours call are looked at when somebody else wants what they talk with."""
        self._visitors.update(
            leg.id
            for leg in legs
            if leg.is_live and leg.direction is Direction.INBOUND and leg.endpoint.hub is not None
        )

    async def ring(self, call: Call, legs: Sequence[Leg]) -> None:
        """Have the legs of a call of ours placed, but for terminals that a neighbour's call has and need not give up."""
        busy = await self._busy(call, legs) if self._visitors else {}
        for leg_id, who in busy.items():
            await self._desk.leg_ended(leg_id, Cause.BUSY, f"in a call of {who}")
        placed = [(leg, call) for leg in legs if leg.id not in busy]
        await self._desk.carry_out(Orders(place=placed))

    async def _busy(self, call: Call, legs: Sequence[Leg]) -> dict[str, str]:
        """Who has which, by the id of the leg that wants it; what may be taken is taken."""
        wanted = {leg.endpoint: leg for leg in legs if leg.endpoint.scheme not in SHARES_ITSELF}
        busy: dict[str, str] = {}
        taken: list[Leg] = []
        if self._agreements is None:
            return busy
        for held in await self._lent():
            leg = wanted.get(held.endpoint)
            if leg is None or held.id == leg.id:
                continue
            asking, _ = await self._agreements.claim_of(leg)
            holding, who = await self._agreements.claim_of(held)
            if takes_over(asking, holding):
                taken.append(held)
            else:
                busy[leg.id] = who
        if taken:
            orders, now = Orders(), self._clock.now()
            async with self._store.begin() as uow:
                for held in taken:
                    detail = f"taken by a call of {call.created_by}"
                    await moves.take_leg(uow, held, detail, call.created_by, now, orders)
            await self._desk.carry_out(orders)
        return busy

    async def _lent(self) -> list[Leg]:
        """The legs of ours that talk in calls of neighbours."""
        lent: list[Leg] = []
        async with self._store.read() as uow:
            for leg_id in list(self._visitors):
                visitor = await uow.calls.find_leg(leg_id)
                if visitor is None or not visitor.is_live:
                    self._visitors.discard(leg_id)
                    continue
                others = await uow.calls.legs_of(visitor.call_id)
                lent += [leg for leg in others if leg.id != leg_id and leg.state in TALKING]
        return lent

    # --- ports.between.FloorsHere ------------------------------------------------------------------------

    async def press_for(self, leg_id: str, down: bool, by: Principal) -> None:
        """See `ports.between.FloorsHere`."""
        call_id, groups = await self._groups_of(leg_id)
        if not groups:
            raise NotFoundError("no radio group is in this call")
        async with self._store.begin() as uow:
            what = "floor.press" if down else "floor.release"
            await uow.audit.append(self._clock.now(), by.actor, what, call_id, "ok")
        for group in groups:
            await self._orderly.media.key_group(call_id, group, down)

    async def command_for(
        self,
        leg_id: str,
        group: str,
        action: FloorAction,
        participant: str | None,
        by: Principal,
    ) -> None:
        """See `ports.between.FloorsHere`."""
        call_id, groups = await self._groups_of(leg_id)
        if group not in groups:
            raise NotFoundError(f"the group {group} is not in this call")
        who = f"call:{call_id}" if participant == CALLER else participant
        await self._desk.control.command_floor(group, action, who, by)

    async def _groups_of(self, leg_id: str) -> tuple[str, Sequence[str]]:
        """The call of a neighbour's leg, and our groups in it."""
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
            if leg is None or not leg.is_live:
                raise NotFoundError("this call is over")
            return leg.call_id, await groups_in(uow, leg.call_id)

    # --- ports.between.TierVoice -------------------------------------------------------------------------

    async def connect_room(self, peer: str, call_id: str, their_room: str, by: Principal) -> Leg:
        """See `ports.between.TierVoice`."""
        endpoint = Endpoint(Scheme.ROOM, their_room, peer)
        if not self._orderly.carries(endpoint):
            raise UnavailableError("this hub carries no calls to others")
        return await self._desk.rooms.seat(call_id, endpoint, peer, by)


async def talking_legs(uow: UnitOfWork, endpoint: Endpoint) -> list[Leg]:
    """The legs by which a terminal talks already; none for what takes part in several calls at once."""
    if endpoint.scheme in SHARES_ITSELF:
        return []
    live = await uow.calls.live_legs(endpoint.scheme)
    return [leg for leg in live if leg.endpoint == endpoint and leg.state in TALKING]


async def groups_in(uow: UnitOfWork, call_id: str) -> list[str]:
    """The talk groups of this hub that are legs of the call."""
    return [
        await moves.group_of(uow, leg.endpoint)
        for leg in await uow.calls.legs_of(call_id)
        if leg.is_live and leg.endpoint.scheme is Scheme.RADIO and leg.endpoint.hub is None
    ]
