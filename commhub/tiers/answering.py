"""Calls of neighbours: what they may ring here, and with what weight, is agreed over the link before a call comes by SIP.

An agreement is a user of our SIP edge that exists for half a minute and for one call; the call itself is believed nothing.
Implements `ports.between.Agreements`.
"""

from dataclasses import dataclass

from commhub.domain.call import TALKING, Cause, Direction, Leg
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.tier import Order, Peering, ShareRight, check_order
from commhub.domain.tier_calls import (
    SHARES_ITSELF,
    CallWeight,
    Claim,
    HubLeg,
    takes_over,
    weight_of,
)
from commhub.domain.tier_rooms import CascadeState
from commhub.kit.clock import Clock
from commhub.kit.ids import new_secret
from commhub.ports.between import Agreed
from commhub.ports.inward import IncomingCall
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.telephony import HubTrunk
from commhub.ports.tiers import Body, TierWords
from commhub.tiers.asked import incident_in_common
from commhub.tiers.calling import BUSY, RING
from commhub.tiers.directory import SharedDirectoryService
from commhub.tiers.holdings import CALLABLE

GOOD_FOR_S = 30.0
_MOST = 1_000
_USER_BYTES = 24


class BusyError(ConflictError):
    """What is asked for talks with somebody who need not make way."""

    code = BUSY


@dataclass(slots=True)
class _Agreement:
    """`leg_id` is set by the call that came of it."""

    peer: str
    their_leg: str
    agreed: Agreed
    until: float
    leg_id: str | None = None


class HubCallers:
    """Answers «may I call that» and knows the call that comes of it. `sip` is where our phones' edge is, «host:port»."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: SharedDirectoryService,
        trunk: HubTrunk,
        sip: str | None,
        words: TierWords,
    ) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._trunk = trunk
        self._sip = sip
        self._agreements: dict[str, _Agreement] = {}
        words.on_ask(RING, self._ring)

    # --- over the link -----------------------------------------------------------------------------------

    async def _ring(self, peering: Peering, body: Body) -> Body:
        endpoint, caller = (
            Endpoint.parse(str(body["endpoint"])),
            Endpoint.parse(str(body["caller"])),
        )
        their_leg = str(body["leg"])
        if endpoint.hub is not None or caller.hub is not None or not 0 < len(their_leg) <= 64:
            raise InvalidError("a hub asks for what is ours, in the name of its own")
        claim = Claim(CallWeight(str(body["weight"])), peering.relation)
        async with self._store.read() as uow:
            into = await self._room_of(uow, peering, endpoint)
            if into is None:
                await self._directory.check(uow, peering, endpoint, ShareRight.CALL)
                await self._check_free(uow, endpoint, claim)
            incident_id = await incident_in_common(uow, peering, body.get("incident"))
        agreed = Agreed(
            endpoint=endpoint,
            claim=claim,
            into=into,
            incident_id=incident_id,
            title=str(body.get("title") or peering.name)[:64],
        )
        return self._agree(peering, their_leg, caller, agreed)

    def _agree(self, peering: Peering, their_leg: str, caller: Endpoint, agreed: Agreed) -> Body:
        now = self._clock.monotonic()
        self._agreements = {user: one for user, one in self._agreements.items() if one.until > now}
        user = new_secret(_USER_BYTES)
        visitor = Endpoint(caller.scheme, caller.name, peering.peer)
        self._trunk.expect(user, visitor, GOOD_FOR_S)
        # The call may come at the last moment, and be offered again after a commit that failed.
        self._agreements[user] = _Agreement(peering.peer, their_leg, agreed, now + 2 * GOOD_FOR_S)
        return {"user": user, "sip": self._sip}

    async def _room_of(self, uow: UnitOfWork, peering: Peering, endpoint: Endpoint) -> str | None:
        """The call of a room of ours that the neighbour asks for; None for what is no room. Raises NotFoundError."""
        if endpoint.scheme is not Scheme.ROOM:
            if endpoint.scheme not in CALLABLE:
                raise InvalidError(f"{endpoint} can be seen, and not called")
            return None
        check_order(peering, Order.CALL_SHARED)
        joined = any(
            one.peer == peering.peer and one.state is not CascadeState.ENDED
            for one in await uow.cascades.of_room(endpoint.name)
        )
        if not joined:
            await self._directory.check(uow, peering, endpoint, ShareRight.CALL)
        room = await uow.rooms.find(endpoint.name)
        if room is None or not room.is_open or room.call_id is None:
            raise NotFoundError(f"{endpoint} is not open")
        return room.call_id

    async def _check_free(self, uow: UnitOfWork, endpoint: Endpoint, asking: Claim) -> None:
        """Raises BusyError, saying who has it."""
        if endpoint.scheme in SHARES_ITSELF:
            return
        for leg in await uow.calls.live_legs(endpoint.scheme):
            if leg.endpoint != endpoint or leg.state not in TALKING:
                continue
            holding, who = await self.claim_of(leg)
            if not takes_over(asking, holding):
                raise BusyError(f"{endpoint} is in a call of {who}")

    # --- ports.between.Agreements ------------------------------------------------------------------------

    async def kept(self, uow: UnitOfWork, incoming: IncomingCall) -> Agreed | Cause:
        """See `ports.between.Agreements`."""
        agreement = self._agreements.get(incoming.called)
        if agreement is None or agreement.peer != incoming.caller.hub:
            return Cause.NOT_FOUND
        if agreement.leg_id not in (None, incoming.leg_id):
            return Cause.NOT_ALLOWED
        if await uow.shared_directory.find_their_leg(agreement.peer, agreement.their_leg):
            # Asked for twice (our answer was lost): whichever came first is the call.
            return Cause.NOT_ALLOWED
        agreement.leg_id = incoming.leg_id
        await uow.shared_directory.put_hub_leg(
            HubLeg(
                leg_id=incoming.leg_id,
                peer=agreement.peer,
                their_leg=agreement.their_leg,
                endpoint=agreement.agreed.endpoint,
                weight=agreement.agreed.claim.weight,
                agreed_at=self._clock.now(),
                by=str(Endpoint(incoming.caller.scheme, incoming.caller.name)),
            )
        )
        return agreement.agreed

    async def claim_of(self, leg: Leg) -> tuple[Claim, str]:
        """See `ports.between.Agreements`."""
        async with self._store.read() as uow:
            for other in await uow.calls.legs_of(leg.call_id):
                if other.direction is not Direction.INBOUND or other.endpoint.hub is None:
                    continue
                known = await uow.shared_directory.find_hub_leg(other.id)
                peering = await uow.peerings.find(other.endpoint.hub)
                if known is not None and peering is not None:
                    return Claim(known.weight, peering.relation), peering.name
            call = await uow.calls.get(leg.call_id)
            level = None
            if call.incident_id is not None:
                level = (await uow.incidents.get(call.incident_id)).level
            return Claim(weight_of(call.created_by, level)), f"this hub ({call.created_by})"
