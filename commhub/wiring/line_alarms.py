"""What is wrong with the lines to the public network, brought to the desk: a fact, and a row of the audit.

An emergency call that could not be placed has to be followed up by a person, whoever dialled it. So besides the alarm it is
a report, unless its call belongs to an incident already: then there is an incident with a timeline, and the desk dispatches it.
"""

from collections.abc import Callable
from contextlib import suppress

import structlog

from commhub.domain.call import Call
from commhub.domain.duty import DUTY_CATEGORY
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import Fact, LineAlarm
from commhub.domain.report import Source
from commhub.kit.clock import Clock
from commhub.ports.inward import NewReport, ReportsIn
from commhub.ports.store import Store, UnitOfWork
from gateways.sip.trunks.toll import Alarms

log = structlog.get_logger(__name__)

_MOST_URGENT = 1


class DeskAlarm:
    """`gateways.sip.trunks.toll.Alarm`: tells the desk as a fact, on the timeline of the incident the call belongs to, and
    puts it on record. Never raises."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        reports: ReportsIn | None = None,
        publish: Callable[[Fact], None] | None = None,
    ) -> None:
        """`publish` reaches the desks where the store does not answer: a person has to know all the same."""
        self._store = store
        self._clock = clock
        self._reports = reports
        self._publish = publish

    async def __call__(self, kind: str, text: str, call_id: str | None = None) -> None:
        now, call = self._clock.now(), None
        try:
            async with self._store.begin() as uow:
                call = await _call_of(uow, call_id)
                incident_id = call.incident_id if call is not None else None
                uow.record(
                    LineAlarm(
                        at=now, incident_id=incident_id, alarm=kind, text=text, call_id=call_id
                    )
                )
                await uow.audit.append(now, "system", f"line.{kind}", call_id or "", "alarm", text)
        except Exception:  # whatever is wrong with the store must not keep a call from being placed
            log.exception("line_alarm_not_on_record", alarm=kind)
            if self._publish is not None:
                self._publish(LineAlarm(at=now, alarm=kind, text=text, call_id=call_id))
        if kind == Alarms.EMERGENCY_FAILED and (call is None or call.incident_id is None):
            await self._report(text, call_id, call)

    async def _report(self, text: str, call_id: str | None, call: Call | None) -> None:
        if self._reports is None:
            return
        now = self._clock.now()
        who = call.created_by if call is not None else ""
        report = NewReport(
            source=Source.SIP,
            idempotency_key=f"emergency:{call_id or now.isoformat()}",
            category=DUTY_CATEGORY,
            level=_MOST_URGENT,
            text="紧急电话未能拨出，请立即改用其他电话，并与拨打人联系",
            reporter=f"sip:{who.removeprefix('phone:')}" if who.startswith("phone:") else None,
            occurred_at=now,
            extra={"call_id": call_id, "reason": text},
        )
        try:
            await self._reports.submit(report)
        except Exception:  # likewise; the alarm is out
            log.exception("lost_emergency_not_reported", call_id=call_id)


async def _call_of(uow: UnitOfWork, call_id: str | None) -> Call | None:
    with suppress(NotFoundError):
        return None if call_id is None else await uow.calls.get(call_id)
    return None
