"""How calls and legs change, inside one unit of work: rows, facts, and the orders that follow from them.

Each takes the call's row and then reads the leg again, so news that comes twice, too late or at the same moment
changes nothing it should not.
"""

from collections.abc import Sequence
from datetime import datetime

from commhub.calls import duty_moves
from commhub.calls.orders import Orders
from commhub.calls.told import moved
from commhub.domain.call import (
    TALKING,
    Call,
    Cause,
    Direction,
    Leg,
    LegState,
    is_over,
    move_leg,
)
from commhub.domain.call_facts import CallEnded, CallStarted
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.values import replace
from commhub.ports.store import UnitOfWork
from commhub.ports.telephony import OutsideNumber


async def open_call(uow: UnitOfWork, call: Call, legs: Sequence[Leg], actor: str) -> None:
    """Write a new call."""
    await uow.calls.add(call)
    for leg in legs:
        await uow.calls.add_leg(leg)
    uow.record(started(call, legs, actor))


def over(call: Call, actor: str, at: datetime) -> CallEnded:
    """That a call is over."""
    duration = round((at - call.created_at).total_seconds(), 1)
    return CallEnded(
        at=at, actor=actor, incident_id=call.incident_id, call_id=call.id, duration_s=duration
    )


def started(call: Call, legs: Sequence[Leg], actor: str) -> CallStarted:
    """The fact of a call's beginning; told again when its incident is known only later."""
    return CallStarted(
        at=call.created_at,
        actor=actor,
        incident_id=call.incident_id,
        call_id=call.id,
        legs=tuple(str(leg.endpoint) for leg in legs),
    )


async def live_call(uow: UnitOfWork, call_id: str) -> Call:
    """Raises NotFoundError, or ConflictError when the call has ended."""
    call = await uow.calls.get(call_id)
    if not call.is_live:
        raise ConflictError("the call has ended")
    return call


async def leg_of(uow: UnitOfWork, call_id: str, leg_id: str) -> Leg:
    """Raises NotFoundError for a leg of another call too."""
    leg = await uow.calls.find_leg(leg_id)
    if leg is None or leg.call_id != call_id:
        raise NotFoundError("this call has no such leg")
    return leg


async def dialled(
    uow: UnitOfWork, number: str, outside: OutsideNumber | None = None
) -> Endpoint | None:
    """Whom a number on a phone's keypad means: an account, a radio or a talk group, else the number outside that it
    may be. Nothing of ours comes before an emergency number."""
    if outside is not None and outside.emergency:
        return outside.endpoint
    account = await uow.sip.find_account(number)
    if account is not None and not account.disabled:
        return Endpoint(Scheme.SIP, number)
    groups = {group for device in await uow.fleet.list() for group in device.groups}
    if number in groups or await uow.fleet.find(number) is not None:
        return Endpoint(Scheme.RADIO, number)
    return outside.endpoint if outside is not None else None


async def group_of(uow: UnitOfWork, endpoint: Endpoint) -> str:
    """The talk group behind a radio's address: the one the device has selected, or the name itself."""
    device = await uow.fleet.find(endpoint.name)
    return device.groups[0] if device is not None and device.groups else endpoint.name


async def whispered_to(uow: UnitOfWork, leg: Leg) -> list[Leg]:
    """The legs that alone hear this one. Raises InvalidError for one that is not in the call, or itself."""
    legs = {one.id: one for one in await uow.calls.legs_of(leg.call_id) if one.is_live}
    for leg_id in leg.whispers_to:
        if leg_id not in legs or leg_id == leg.id:
            raise InvalidError("a leg whispers to other legs of its call, named by their ids")
    return [legs[leg_id] for leg_id in leg.whispers_to]


async def calls_of_group(uow: UnitOfWork, group: str) -> list[Call]:
    """The live calls that have the talk group as a leg. Which groups of another hub (`patrol@street-a`) our legs there are in, only
    that hub knows: all calls with a radio of it are meant."""
    found: dict[str, Call] = {}
    hub = group.partition("@")[2] or None
    for leg in await uow.calls.live_legs(Scheme.RADIO):
        if leg.endpoint.hub != hub or leg.call_id in found:
            continue
        if hub is not None or await group_of(uow, leg.endpoint) == group:
            found[leg.call_id] = await uow.calls.get(leg.call_id)
    return list(found.values())


async def drop_leg(
    uow: UnitOfWork, leg: Leg, call: Call, actor: str, now: datetime, orders: Orders
) -> None:
    """Hang a leg up at the desk's word, whatever that makes of its call."""
    ended = move_leg(leg, LegState.ENDED, now, cause=Cause.DESK)
    await uow.calls.update_leg(ended)
    uow.record(moved(ended, call, at=now, actor=actor))
    orders.hang_up.append((leg, Cause.DESK))


async def take_leg(
    uow: UnitOfWork, leg: Leg, detail: str, actor: str, now: datetime, orders: Orders
) -> None:
    """A weightier call takes the leg's terminal. Whoever is left in its call stays, also alone, and the desk sees why; only a
    neighbour has nobody left to wait for."""
    held = await _hold(uow, leg.id)
    if held is None:
        return
    call, before = held
    ended = move_leg(before, LegState.ENDED, now, cause=Cause.PREEMPTED, detail=detail)
    await uow.calls.update_leg(ended)
    uow.record(moved(ended, call, at=now, actor=actor))
    orders.hang_up.append((before, Cause.PREEMPTED))
    left = [one for one in await uow.calls.legs_of(call.id) if one.is_live]
    if all(one.direction is Direction.INBOUND and one.endpoint.hub for one in left):
        await close(uow, call, Cause.PREEMPTED, actor, now, orders)
    else:
        await uow.calls.update(replace(call, had_two=False))


async def _hold(uow: UnitOfWork, leg_id: str) -> tuple[Call, Leg] | None:
    """The leg with its call, whose row is ours from here on; None for a leg that is unknown or has ended."""
    known = await uow.calls.find_leg(leg_id)
    while known is not None and known.is_live:
        call = await uow.calls.get(known.call_id)
        known = await uow.calls.find_leg(leg_id)
        # The desk may have moved it to another call while we waited for this one.
        if known is not None and known.call_id == call.id and known.is_live:
            return call, known
    return None


async def progress(
    uow: UnitOfWork, leg_id: str, state: LegState, now: datetime, codec: str | None
) -> Orders:
    """A leg rings, talks or is held."""
    orders = Orders()
    held = await _hold(uow, leg_id)
    if held is None:
        return orders
    call, before = held
    leg = move_leg(before, state, now)
    if codec and codec != leg.codec:
        leg = replace(leg, codec=codec)
    if leg == before:
        return orders
    await uow.calls.update_leg(leg)
    uow.record(moved(leg, call, at=now, actor=f"leg:{leg.endpoint}"))
    if state is LegState.CONNECTED:
        # Not every driver has a place of its own to say it at the beginning.
        orders.shape.append(leg)
        if leg.held:
            orders.hold.append(leg)
        await _note_connection(uow, call, orders)
        if call.line is not None:
            await duty_moves.connected(uow, call, leg, now, orders)
    return orders


async def _note_connection(uow: UnitOfWork, call: Call, orders: Orders) -> None:
    legs = await uow.calls.legs_of(call.id)
    talking = [leg for leg in legs if leg.state in TALKING]
    if len(talking) > 1 and not call.had_two:
        await uow.calls.update(replace(call, had_two=True))
    if len(talking) == 1 and call.recording:
        orders.record.append((call.id, True, call.recording_legs))
    orders.answer.extend(unanswered(call, legs))


def unanswered(call: Call, legs: Sequence[Leg]) -> list[Leg]:
    """Callers who still hear ringing although somebody is there to talk with them. Who only listens is nobody; a room
    answers by itself."""
    if call.room_id is None and not any(
        leg.state in TALKING and not leg.listen_only for leg in legs
    ):
        return []
    return [
        leg for leg in legs if leg.direction is Direction.INBOUND and leg.state is LegState.RINGING
    ]


async def end_leg(
    uow: UnitOfWork,
    leg_id: str,
    cause: Cause,
    detail: str | None,
    now: datetime,
    *,
    actor: str | None = None,
    tell_driver: bool = False,
) -> Orders:
    """A leg ends, and the call with it when nobody is left to talk with."""
    orders = Orders()
    held = await _hold(uow, leg_id)
    if held is None:
        return orders
    call, before = held
    leg = move_leg(before, LegState.ENDED, now, cause=cause, detail=detail)
    await uow.calls.update_leg(leg)
    uow.record(moved(leg, call, at=now, actor=actor or f"leg:{leg.endpoint}"))
    if tell_driver:
        orders.hang_up.append((leg, cause))
    if call.is_live and is_over(call, await uow.calls.legs_of(call.id)):
        # Whoever waits for an answer learns why there is none.
        others = Cause.CALL_ENDED if call.had_two else cause
        await close(uow, call, others, actor or "system", now, orders)
    return orders


async def close(
    uow: UnitOfWork, call: Call, cause: Cause, actor: str, now: datetime, orders: Orders
) -> None:
    """End a call and whatever legs of it still live."""
    for leg in await uow.calls.legs_of(call.id):
        if leg.is_live:
            ended = move_leg(leg, LegState.ENDED, now, cause=cause)
            await uow.calls.update_leg(ended)
            uow.record(moved(ended, call, at=now, actor=actor))
            orders.hang_up.append((leg, cause))
    current = await uow.calls.get(call.id)
    await uow.calls.update(replace(current, ended_at=now))
    uow.record(over(call, actor, now))
    if call.line is not None:
        await duty_moves.over(uow, call, actor, now)
    if call.recording:
        orders.record.append((call.id, False, False))
