"""An SOS or a sensor's alarm becomes a report; the device hears of it after the commit, never before.

The device repeats its SOS until it hears `sos.ack` (it has its report) or `sos.nack` (it will never have one, and
why, so that whoever holds it can do something else). An answer that is lost is given again at the next repetition.
"""

from collections.abc import Awaitable, Callable

import structlog

from commhub.domain.errors import ConflictError, DomainError, UnavailableError
from commhub.domain.geo import Point
from commhub.domain.report import SOS_CATEGORY, Source
from commhub.ports.inward import NewReport, ReportsIn
from devices.errors import WireError
from devices.metrics import REFUSED, SOS
from devices.payloads import (
    Alarm,
    Sos,
    name_of,
    read,
    read_alarm_id,
    read_point,
    read_text,
    read_time,
)

log = structlog.get_logger(__name__)

SOS_LEVEL = 1
# The device repeats within seconds; an older answer would be to a question nobody asks any more.
ANSWER_EXPIRY_S = 60.0
_TEXT_LIMIT = 2000

Tell = Callable[[str, str, dict[str, object], float], Awaitable[None]]


class Alarms:
    """Reads the payloads (raising WireError for bad ones, after the device was told) and calls `ReportsIn`."""

    def __init__(
        self, reports: ReportsIn, boot_of: Callable[[str], str | None], tell: Tell
    ) -> None:
        self._reports = reports
        self._boot_of = boot_of
        self._tell = tell

    async def sos(self, device: str, payload: bytes) -> None:
        """Commit the report, then acknowledge. Raises what a retry may cure (UnavailableError, a database error)."""
        try:
            report, sos_id = self._read_sos(device, payload)
        except WireError as error:
            await self._answer(device, "sos.nack", {"sos": name_of(payload), "reason": str(error)})
            raise
        try:
            receipt = await self._reports.submit(report)
        except UnavailableError:
            raise
        except DomainError as error:
            reason = (
                "this id was used for another alarm"
                if isinstance(error, ConflictError)
                else str(error)
            )
            await self._answer(device, "sos.nack", {"sos": sos_id, "reason": reason})
            REFUSED.labels("sos", error.code).inc()
            log.warning("sos_refused", device=device, code=error.code)
            return
        await self._answer(device, "sos.ack", {"sos": sos_id, "report": receipt.report_id})

    async def sensor(self, sensor: str, payload: bytes) -> None:
        """Commit the alarm's report. A sensor hears nothing back; its broker keeps the alarm until the commit."""
        alarm = read(Alarm, payload, sensor)
        alarm_id = read_alarm_id(alarm.id)
        report = NewReport(
            source=Source.SENSOR,
            idempotency_key=f"{sensor}:{alarm_id}",
            category=alarm.category,
            text=alarm.text or f"Alarm of sensor {sensor}",
            level=alarm.level,
            reporter=f"sensor:{sensor}",
            place=alarm.place,
            point=read_point(alarm.lat, alarm.lon, alarm.crs),
            occurred_at=read_time(alarm.ts),
            extra={"sensor": sensor, "alarm": alarm_id},
        )
        try:
            await self._reports.submit(report)
        except UnavailableError:
            raise
        except DomainError as error:
            raise WireError(error.code, str(error)) from error

    def _read_sos(self, device: str, payload: bytes) -> tuple[NewReport, str]:
        sos = read(Sos, payload, device)
        sos_id = read_alarm_id(sos.id)
        boot = sos.boot or self._boot_of(device)
        if boot is None:
            # Without it the first alarm after a power-on could pass for a repetition of an old one.
            raise WireError("boot", "neither this message nor a birth says which boot it is")
        point, fault = _place_of(sos)
        extra = {"device": device, "boot": boot, "sos": sos_id}
        if fault is not None:
            extra["position_fault"] = fault
        report = NewReport(
            source=Source.DEVICE,
            idempotency_key=f"{device}:{boot}:{sos_id}",
            category=SOS_CATEGORY,
            text=read_text(sos.text, _TEXT_LIMIT) or "SOS",
            level=SOS_LEVEL,
            reporter=f"device:{device}",
            point=point,
            # As the device says it, right or wrong: our own clock would make a repetition another report.
            occurred_at=read_time(sos.ts),
            extra=extra,
        )
        return report, sos_id

    async def _answer(self, device: str, op: str, args: dict[str, object]) -> None:
        try:
            await self._tell(device, op, args, ANSWER_EXPIRY_S)
        except UnavailableError as error:
            SOS.labels("unanswered").inc()
            log.warning("sos_answer_waits_for_repetition", device=device, reason=str(error))
        else:
            SOS.labels(op.removeprefix("sos.")).inc()


def _place_of(sos: Sos) -> tuple[Point | None, str | None]:
    """Where, and what was wrong with what the device said about it."""
    try:
        return read_point(sos.lat, sos.lon, sos.crs), None
    except WireError as error:
        return None, str(error)
