"""How callers of duty lines change, inside one unit of work: beside `moves`, which asks here for calls with a line.

The call's row is taken before the duty row, as everywhere; so two desks that answer at once, or a caller who gives up
in that moment, come one after the other.
"""

from dataclasses import replace
from datetime import datetime

from commhub.calls.orders import Orders
from commhub.calls.told import moved
from commhub.domain.call import TALKING, Call, Cause, Direction, Leg, LegState, move_leg
from commhub.domain.call_facts import (
    DutyCallClosed,
    DutyCallForwarded,
    DutyCallMissed,
    DutyCallReceived,
    DutyCallTaken,
)
from commhub.domain.duty import DutyCall, DutyLine, DutyState
from commhub.domain.errors import ConflictError
from commhub.domain.people import Scheme
from commhub.ports.inward import IncomingCall
from commhub.ports.store import UnitOfWork


async def offer(uow: UnitOfWork, call: Call, incoming: IncomingCall, line: DutyLine) -> None:
    """A caller of `line` waits from now on."""
    responder = await uow.directory.find_by_endpoint(incoming.caller)
    where = responder.position if responder else None
    waiting = DutyCall(
        id=call.id,
        line=line.name,
        dialled=incoming.called,
        caller=incoming.caller,
        caller_name=responder.name if responder else incoming.display_name,
        offered_at=call.created_at,
        responder_id=responder.id if responder else None,
        point=where.point if where else None,
    )
    await uow.duty.add(waiting)
    uow.record(received(waiting))


def received(call: DutyCall) -> DutyCallReceived:
    """The fact of somebody's calling; told again once their incident is known, as a line of its timeline."""
    return DutyCallReceived(
        at=call.offered_at,
        actor=f"phone:{call.caller.name}",
        incident_id=call.incident_id,
        duty_id=call.id,
        line=call.line,
        caller=str(call.caller),
        caller_name=call.caller_name,
    )


def taken(call: DutyCall) -> DutyCallTaken:
    """The fact of somebody's answering."""
    by = call.taken_by or ""
    at = call.taken_at or call.offered_at
    return DutyCallTaken(
        at=at,
        actor=by if by.startswith(("user:", "key:")) else f"leg:{by}",
        incident_id=call.incident_id,
        duty_id=call.id,
        by=by,
        waited_s=call.waited_s(at),
    )


def missed(call: DutyCall) -> DutyCallMissed:
    """The fact of the caller's giving up."""
    at = call.ended_at or call.offered_at
    return DutyCallMissed(
        at=at, incident_id=call.incident_id, duty_id=call.id, waited_s=call.waited_s(at)
    )


async def reported(uow: UnitOfWork, call_id: str, report_id: str) -> None:
    """The report of the call is safe."""
    await uow.calls.get(call_id)
    known = await uow.duty.get(call_id)
    await uow.duty.update(replace(known, report_id=report_id))


async def attach(uow: UnitOfWork, call_id: str, incident_id: str) -> None:
    """The call belongs to this incident, whose timeline hears what happened before that was known."""
    known = replace(await uow.duty.get(call_id), incident_id=incident_id)
    await uow.duty.update(known)
    uow.record(received(known))
    if known.taken_at is not None:
        uow.record(taken(known))
    elif known.state is DutyState.MISSED:
        uow.record(missed(known))


async def call_back(uow: UnitOfWork, call_id: str, call: Call) -> Call:
    """`call` is going to call back a missed caller; returns it with their line. Raises NotFoundError, and
    ConflictError for a caller who is not missed any more, or is being called back."""
    await uow.calls.get(call_id)
    known = await uow.duty.get(call_id)
    if known.state is not DutyState.MISSED:
        raise ConflictError("this call is not missed any more", state=known.state.value)
    if known.call_back is not None and (await uow.calls.get(known.call_back)).is_live:
        raise ConflictError("this caller is being called back already")
    await uow.duty.update(replace(known, call_back=call.id))
    return replace(call, line=known.line)


async def claim(uow: UnitOfWork, call: Call, leg: Leg) -> None:
    """The leg is going to answer the caller. Raises ConflictError when somebody else does, or did."""
    waiting = await uow.duty.find(call.id)
    if waiting is None or waiting.state is not DutyState.WAITING:
        by = waiting.taken_by if waiting else None
        raise ConflictError("nobody waits here any more", taken_by=by)
    rival = await uow.calls.find_leg(waiting.answering) if waiting.answering else None
    if rival is not None and rival.is_live and rival.call_id == call.id:
        raise ConflictError("another desk is answering this call", taken_by=str(rival.endpoint))
    await uow.duty.update(waiting.answered_from(leg.id))


async def connected(uow: UnitOfWork, call: Call, leg: Leg, now: datetime, orders: Orders) -> None:
    """A leg of a call with a line talks: a waiting caller is taken, or a missed one reached."""
    if leg.listen_only:
        return
    waiting = await uow.duty.find(call.id)
    if waiting is None:
        caller = await uow.duty.find_called_back(call.id)
        if caller is not None and leg.endpoint == caller.caller:
            await settle(uow, caller, call.created_by, "called_back", now)
    elif leg.direction is Direction.OUTBOUND and leg.endpoint.scheme is not Scheme.RADIO:
        # A group is on the air whether anybody listens or not: it takes the call when somebody there speaks.
        await take(uow, call, str(leg.endpoint), now, orders)


async def take(uow: UnitOfWork, call: Call, by: str, now: datetime, orders: Orders) -> None:
    """Somebody has the caller; phones that still ring for them stop. A caller who does not wait is left alone."""
    waiting = await uow.duty.find(call.id)
    if waiting is None or waiting.state is not DutyState.WAITING:
        return
    now_taken = waiting.take(by, now)
    await uow.duty.update(now_taken)
    uow.record(taken(now_taken))
    for leg in await uow.calls.legs_of(call.id):
        if leg.is_live and leg.direction is Direction.OUTBOUND and leg.state not in TALKING:
            ended = move_leg(leg, LegState.ENDED, now, cause=Cause.CANCELLED)
            await uow.calls.update_leg(ended)
            uow.record(moved(ended, call, at=now, actor="system"))
            orders.hang_up.append((leg, Cause.CANCELLED))


async def over(uow: UnitOfWork, call: Call, actor: str, now: datetime) -> None:
    """The call has ended: nobody waits in it any more."""
    known = await uow.duty.find(call.id)
    if known is None or known.state in {DutyState.MISSED, DutyState.CLOSED}:
        return
    by_desk = actor.startswith(("user:", "key:"))
    ended = known.end(now, declined_by=actor if by_desk else None)
    await uow.duty.update(ended)
    if known.state is DutyState.TAKEN:
        # No line of the timeline: the end of the call is one.
        uow.record(DutyCallClosed(at=now, actor=actor, duty_id=call.id, how="ended"))
        return
    if by_desk:
        uow.record(
            DutyCallClosed(
                at=now, actor=actor, incident_id=known.incident_id, duty_id=call.id, how="declined"
            )
        )
    else:
        uow.record(missed(ended))


async def settle(uow: UnitOfWork, known: DutyCall, by: str, how: str, now: datetime) -> DutyCall:
    """Nobody need call back any more. Raises ConflictError for a call that goes on; settled twice is once."""
    settled = known.settle(by)
    if settled == known:
        return known
    await uow.duty.update(settled)
    uow.record(
        DutyCallClosed(at=now, actor=by, incident_id=known.incident_id, duty_id=known.id, how=how)
    )
    return settled


async def forward(
    uow: UnitOfWork, call: Call, waiting: DutyCall, leg: Leg | None, to: str, now: datetime
) -> None:
    """The next address of the line's overflow is called, or passed over (`leg` None: it is in the call already)."""
    await uow.duty.update(waiting.forwarded())
    if leg is None:
        return
    await uow.calls.add_leg(leg)
    uow.record(moved(leg, call, at=now, actor="clock"))
    uow.record(
        DutyCallForwarded(
            at=now,
            actor="clock",
            incident_id=call.incident_id,
            duty_id=call.id,
            to=to,
            waited_s=waiting.waited_s(now),
        )
    )
