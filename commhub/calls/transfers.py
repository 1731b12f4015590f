"""Calls that phones hand on: transfer by a phone's own keys, call pick-up. Implements `ports.inward.TransfersIn`.

A bridged call has no far end to be redirected: whoever is named becomes a leg of the call, and the phone that asked
leaves it. What the phone may not do, the desk would not let it do either: the numbers are those a phone can dial.
"""

from dataclasses import replace

import structlog

from commhub.calls import moves, told
from commhub.calls.control import MAX_LEGS, ConferenceControl
from commhub.calls.orders import Orderly, Orders
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call, Cause, Direction, Leg, LegState
from commhub.domain.errors import ConflictError, DomainError, InvalidError
from commhub.domain.people import Scheme
from commhub.kit.clock import Clock
from commhub.ports.inward import CallsIn, IncomingAccepted, IncomingCall, IncomingRefused
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.telephony import OutsideNumber

log = structlog.get_logger(__name__)


class Transfers:
    """Use cases of phones over calls that go on."""

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

    async def refer(self, leg_id: str, new_leg_id: str, number: str) -> Cause | None:
        """Ring a number into the call of a leg that talks; why not, None when it rings (or did: a retry)."""
        now = self._clock.now()
        outside = await self._outside(leg_id, number)
        async with self._store.begin() as uow:
            if await uow.calls.find_leg(new_leg_id) is not None:
                return None
            asking = await uow.calls.find_leg(leg_id)
            if asking is None or not _may_hand_on(asking):
                return Cause.NOT_ALLOWED
            call = await moves.live_call(uow, asking.call_id)
            target = await moves.dialled(uow, number, outside)
            if target is None:
                return Cause.NOT_FOUND
            live = [leg for leg in await uow.calls.legs_of(call.id) if leg.is_live]
            if any(leg.endpoint == target for leg in live):
                return Cause.BUSY
            if len(live) >= MAX_LEGS:
                return Cause.FAILED
            leg = Leg(id=new_leg_id, call_id=call.id, endpoint=target, created_at=now)
            await uow.calls.add_leg(leg)
            actor = phone_of(asking)
            uow.record(told.moved(leg, call, at=now, actor=actor.actor))
            await uow.audit.append(now, actor.actor, "call.transfer", call.id, "ok", str(target))
        # Whoever hands on answers for what a number outside costs, not who began the call.
        place = [(leg, replace(call, created_by=actor.actor))]
        for failed, reason in await self._orderly.carry_out(Orders(place=place)):
            await self._calls.leg_ended(failed.id, Cause.FAILED, reason)
        return None

    async def _outside(self, leg_id: str, number: str) -> OutsideNumber | None:
        """What the number means outside. While somebody from outside is in the call it is for them that it is asked:
        the phone will leave, and they would talk over the hub's lines alone."""
        async with self._store.read() as uow:
            asking = await uow.calls.find_leg(leg_id)
            legs = await uow.calls.legs_of(asking.call_id) if asking is not None else ()
        if asking is None:
            return None
        strangers = (
            leg
            for leg in legs
            if leg.is_live
            and leg.endpoint.scheme is Scheme.TEL
            and leg.direction is Direction.INBOUND
        )
        for_whom = next(strangers, asking)
        return await self._orderly.outside(number, for_whom.endpoint)

    async def join(self, leg_id: str, other_id: str) -> Cause | None:
        """Have those who talk with either leg of a phone talk with one another; both legs end. Why not, or None."""
        try:
            await self._control.join_behind(leg_id, other_id)
        except (ConflictError, InvalidError) as error:
            log.info("transfer_refused", leg_id=leg_id, reason=str(error))
            return Cause.NOT_ALLOWED
        except DomainError as error:
            # Committed; the engine is told again when it comes back (`reconcile`).
            log.warning("transfer_half_ordered", leg_id=leg_id, reason=str(error))
        return None

    async def replace(
        self, leg_id: str, incoming: IncomingCall
    ) -> IncomingAccepted | IncomingRefused:
        """Make the caller a leg of another leg's call, with that leg's part in it. The edge answers it and then ends
        the other."""
        now = self._clock.now()
        async with self._store.begin() as uow:
            known = await uow.calls.find_leg(incoming.leg_id)
            if known is not None:
                return IncomingAccepted(call_id=known.call_id)
            before = await uow.calls.find_leg(leg_id)
            if before is None or not before.is_live:
                return IncomingRefused(cause=Cause.DECLINED)
            call = await moves.live_call(uow, before.call_id)
            if await _is_there(uow, call, before, incoming):
                return IncomingRefused(cause=Cause.BUSY)
            # Whoever only listened, or was muted, is not made a speaker by that.
            leg = replace(
                before,
                id=incoming.leg_id,
                endpoint=incoming.caller,
                name=incoming.display_name,
                created_at=now,
                direction=Direction.INBOUND,
                state=LegState.RINGING,
                codec=None,
                held=False,
                connected_at=None,
                detail=None,
            )
            await uow.calls.add_leg(leg)
            actor = phone_of(leg).actor
            uow.record(told.moved(leg, call, at=now, actor=actor))
            shown = f"{before.endpoint} {leg.endpoint}"
            await uow.audit.append(now, actor, "call.replace_leg", call.id, "ok", shown)
        return IncomingAccepted(call_id=call.id)

    async def state_of(self, leg_id: str) -> tuple[LegState, Cause | None] | None:
        """How a leg is, and why it ended; None for one that is unknown."""
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
        return None if leg is None else (leg.state, leg.cause)


async def _is_there(uow: UnitOfWork, call: Call, before: Leg, incoming: IncomingCall) -> bool:
    """Whether the caller is in the call already, as somebody else than whom it replaces."""
    return any(
        leg.is_live and leg.id != before.id and leg.endpoint == incoming.caller
        for leg in await uow.calls.legs_of(call.id)
    )


def phone_of(leg: Leg) -> Principal:
    """Whoever acts by the keys of a phone, for the audit."""
    return Principal(id=leg.id, name=leg.endpoint.name, kind="phone", roles=frozenset())


def _may_hand_on(leg: Leg) -> bool:
    """Whoever only listens may not; what another hub wants rung here it asks for over the link."""
    return leg.state in TALKING and not leg.listen_only and leg.endpoint.hub is None
