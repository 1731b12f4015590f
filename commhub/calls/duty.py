"""Use cases of the duty number: answering who waits, what happens when nobody does, and calling back who gave up.

A caller rings at once and waits for nothing else: the report of the call and its incident follow in the loop below,
as do the overflow addresses of the line. Both are read from the rows, so a new process goes on where the last one
was killed.
"""

from dataclasses import replace
from datetime import timedelta

import structlog

from commhub.calls import duty_moves, moves
from commhub.calls.orders import Orders
from commhub.calls.service import CallRequest, CallService, CallState
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Leg
from commhub.domain.duty import DUTY_CATEGORY, DutyCall, DutyLines, DutyState, Overflow
from commhub.domain.errors import DomainError
from commhub.domain.report import ReportStage, Source
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.inward import NewReport, ReportsIn
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

_IDLE_S = 5.0
_UNLINKED_S = 0.25
# A call may be over before its report was decided on; what was not decided on by then is left to itself.
_LINKED_WITHIN = timedelta(hours=1)


class DutyDesk:
    """`calls` carries the calls; what is theirs alone is done there."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        calls: CallService,
        reports: ReportsIn,
        lines: DutyLines,
    ) -> None:
        self._store = store
        self._clock = clock
        self._calls = calls
        self._reports = reports
        self._lines = lines

    # --- the desk ----------------------------------------------------------------------------------------

    async def all(self, before: str | None, limit: int) -> list[DutyCall]:
        """Newest first, history too."""
        async with self._store.read() as uow:
            return list(await uow.duty.list(before, limit))

    async def answer(self, call_id: str, endpoint: str, principal: Principal) -> Leg:
        """Answer whoever waits, by the desk's own browser (`desk:me`) or a phone that then rings. Raises
        NotFoundError, and ConflictError with `taken_by` when somebody else was first."""
        return await self._calls.add_leg(call_id, endpoint, principal, answering=True)

    async def call_back(self, call_id: str, endpoint: str, principal: Principal) -> CallState:
        """Call whoever gave up, from the desk's browser or phone. Reached, the missed call is settled. Raises
        ConflictError for one that is not missed any more, or that is being called back."""
        async with self._store.read() as uow:
            missed = await uow.duty.get(call_id)
        request = CallRequest(
            legs=[endpoint, str(missed.caller)],
            incident_id=missed.incident_id,
            title=missed.caller_name,
            calls_back=missed.id,
        )
        return await self._calls.place(request, principal)

    async def dismiss(self, call_id: str, principal: Principal) -> DutyCall:
        """Nobody need call back. Raises NotFoundError, ConflictError for a call that goes on."""
        now = self._clock.now()
        async with self._store.begin() as uow:
            await uow.calls.get(call_id)
            missed = await uow.duty.get(call_id)
            settled = await duty_moves.settle(uow, missed, principal.actor, "dismissed", now)
            await uow.audit.append(now, principal.actor, "duty.dismiss", call_id, "ok")
        return settled

    # --- the loop ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the callers until cancelled."""
        while True:
            pause = await self.follow()
            await self._calls.waiting.wait(pause)

    async def follow(self) -> float:
        """Do what is due now; returns the seconds until something may be."""
        async with self._store.read() as uow:
            known = await uow.duty.open()
            brief = await uow.duty.unlinked(self._clock.now() - _LINKED_WITHIN)
        pause = _IDLE_S
        for call in (*known, *brief):
            try:
                pause = min(pause, await self._follow_one(call))
            except DomainError as error:
                log.warning("duty_call_postponed", call_id=call.id, reason=str(error))
                pause = min(pause, 1.0)
        return pause

    async def _follow_one(self, call: DutyCall) -> float:
        pause = _IDLE_S
        # The next address first: nothing of a report may keep a caller waiting.
        due = call.next_overflow(self._lines.named(call.line))
        if due is not None:
            overflow, at = due
            left = (at - self._clock.now()).total_seconds()
            if left <= 0:
                await self._forward(call, overflow)
                left = 0.0
            pause = min(pause, left)
        if call.incident_id is None:
            linked = await self._link(call)
            pause = pause if linked else min(pause, _UNLINKED_S)
        return pause

    async def _forward(self, known: DutyCall, overflow: Overflow) -> None:
        now = self._clock.now()
        async with self._store.begin() as uow:
            call = await uow.calls.get(known.id)
            waiting = await uow.duty.get(known.id)
            if waiting.state is not DutyState.WAITING or waiting.step != known.step:
                return
            there = {leg.endpoint for leg in await uow.calls.legs_of(call.id) if leg.is_live}
            leg = None
            if overflow.to not in there:
                leg = Leg(id=new_id(), call_id=call.id, endpoint=overflow.to, created_at=now)
            await duty_moves.forward(uow, call, waiting, leg, str(overflow.to), now)
        if leg is not None:
            await self._calls.carry_out(Orders(place=[(leg, call)]))

    async def _link(self, call: DutyCall) -> bool:
        """Report the call, and put it on its incident's timeline once there is one; whether nothing is left to do."""
        if call.report_id is None:
            receipt = await self._reports.submit(self._report_of(call))
            async with self._store.begin() as uow:
                await duty_moves.reported(uow, call.id, receipt.report_id)
            return False
        async with self._store.read() as uow:
            report = await uow.reports.get(call.report_id)
        if report.incident_id is None:
            return report.stage is ReportStage.QUARANTINED
        orders = Orders()
        async with self._store.begin() as uow:
            await self._attach(uow, call.id, report.incident_id, orders)
        await self._calls.carry_out(orders)
        return True

    async def _attach(
        self, uow: UnitOfWork, call_id: str, incident_id: str, orders: Orders
    ) -> None:
        before = await uow.calls.get(call_id)
        call = replace(before, incident_id=incident_id)
        if call.is_live:
            call = self._calls.by_rule(call)
        await uow.calls.update(call)
        legs = await uow.calls.legs_of(call_id)
        actor = f"phone:{legs[0].endpoint.name}"
        uow.record(moves.started(call, legs, actor))
        await duty_moves.attach(uow, call_id, incident_id)
        if call.ended_at is not None:
            uow.record(moves.over(call, actor, call.ended_at))
        talking = any(leg.state in TALKING for leg in legs)
        if talking and call.recording and not before.recording:
            orders.record.append((call_id, True, call.recording_legs))

    def _report_of(self, call: DutyCall) -> NewReport:
        """The same each time it is asked, so that it is one report."""
        line = self._lines.named(call.line)
        who = call.caller_name or call.caller.name
        number = "" if who == call.caller.name else f"（{call.caller.name}）"
        return NewReport(
            source=Source.SIP,
            idempotency_key=f"duty:{call.id}",
            category=line.category if line else DUTY_CATEGORY,
            text=f"{call.line}：{who}{number}来电",
            reporter=str(call.caller),
            point=call.point,
            occurred_at=call.offered_at,
            extra={"call_id": call.id, "line": call.line, "dialled": call.dialled},
        )
