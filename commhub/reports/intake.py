"""Intake: a report is committed before its sender hears that we have it.

Reports that arrive while a transaction is under way are written together in the next one (one fsync); when
such a transaction fails, each of them is written alone, so that a bad one fails only for itself.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import structlog

from commhub.domain.errors import ConflictError, InvalidError, UnavailableError
from commhub.domain.report import Report, ReportStage, Source, told
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.together import Together
from commhub.ports.inward import NewReport, ReportReceipt
from commhub.ports.store import Store, UnitOfWork
from commhub.reports.metrics import RECEIVED, REPEATED

log = structlog.get_logger(__name__)

MAX_KEY = 512
MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Arrived:
    report: Report
    payload_hash: str


class Intake:
    """`on_received` is called after every commit that added a report."""

    def __init__(self, store: Store, clock: Clock, on_received: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_received = on_received
        self._together: Together[_Arrived, ReportReceipt] = Together(self._write)

    async def submit(self, new: NewReport) -> ReportReceipt:
        """See `commhub.ports.inward.ReportsIn.submit`."""
        new = _storable(new)
        digest = payload_hash(new)
        receipt = await self._together.put(_Arrived(self._report_of(new), digest))
        if receipt.repeated:
            REPEATED.labels(new.source).inc()
        else:
            RECEIVED.labels(new.source).inc()
            self._on_received()
        return receipt

    async def write_within(self, uow: UnitOfWork, new: NewReport) -> Report:
        """Commit a report with the caller's transaction; it is new, whoever calls knows that. Its sender is answered later."""
        new = _storable(new)
        report = self._report_of(new)
        await uow.reports.add(report, payload_hash(new))
        RECEIVED.labels(new.source).inc()
        return report

    def _report_of(self, new: NewReport) -> Report:
        content = {field.name: getattr(new, field.name) for field in fields(new)}
        return Report(id=new_id(), received_at=self._clock.now(), **content)

    async def _write(self, batch: Sequence[_Arrived]) -> Sequence[ReportReceipt | Exception]:
        try:
            return await self._write_in_one(batch)
        except UnavailableError as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - raised to the one sender whose report it is
            log.warning("report_group_split", size=len(batch), error=repr(error))
        return [await self._write_alone(arrived) for arrived in batch]

    async def _write_alone(self, arrived: _Arrived) -> ReportReceipt | Exception:
        try:
            try:
                (answer,) = await self._write_in_one([arrived])
            except ConflictError:
                # Another process committed the same key between our look and our commit: now it is there to see.
                (answer,) = await self._write_in_one([arrived])
        except Exception as error:  # noqa: BLE001 - raised to its sender
            return error
        return answer

    async def _write_in_one(self, batch: Sequence[_Arrived]) -> Sequence[ReportReceipt | Exception]:
        async with self._store.begin() as uow:
            return await _write_all(uow, batch)


async def _write_all(
    uow: UnitOfWork, batch: Sequence[_Arrived]
) -> Sequence[ReportReceipt | Exception]:
    # All lookups first: the store sends new rows in one statement as long as nobody reads between them.
    known = {_key(a): await uow.reports.find_by_key(*_key(a)) for a in batch}
    answers: list[ReportReceipt | Exception] = []
    for arrived in batch:
        found = known[_key(arrived)]
        if found is None:
            known[_key(arrived)] = arrived.report, arrived.payload_hash
            await uow.reports.add(arrived.report, arrived.payload_hash)
            uow.record(told(arrived.report))
            answers.append(ReportReceipt(report_id=arrived.report.id))
        else:
            answers.append(_answer_again(arrived, *found))
    return answers


def _key(arrived: _Arrived) -> tuple[Source, str]:
    return arrived.report.source, arrived.report.idempotency_key


def _answer_again(
    arrived: _Arrived, report: Report, known_hash: str
) -> ReportReceipt | ConflictError:
    if known_hash != arrived.payload_hash:
        return ConflictError(
            "this idempotency key was used for a report with other content", report_id=report.id
        )
    return ReportReceipt(report_id=report.id, repeated=True, incident_id=report.incident_id)


def payload_hash(new: NewReport) -> str:
    """SHA-256 over all that was told. The key itself is not part of it. Raises InvalidError for what is no JSON."""
    try:
        content = asdict(new)
        del content["idempotency_key"]
        text = json.dumps(content, sort_keys=True, default=_iso, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidError("what a report carries beside its fields must be JSON") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _iso(value: object) -> str:
    if isoformat := getattr(value, "isoformat", None):
        return str(isoformat())
    raise TypeError(f"{type(value).__name__} is no JSON")


def _storable(new: NewReport) -> NewReport:
    """Without what no database keeps (NUL, half a surrogate pair): a lost character is better than a lost alarm.

    Raises InvalidError for a key that cannot tell one report from another.
    """
    if not 1 <= len(new.idempotency_key) <= MAX_KEY:
        raise InvalidError(f"a report's idempotency key has 1 to {MAX_KEY} characters")
    if abs(new.level or 0) > MAX_NUMBER or abs(new.casualties) > MAX_NUMBER:
        raise InvalidError("the report's level or casualties is no number of this world")
    content = {field.name: _clean(getattr(new, field.name)) for field in fields(new)}
    return replace(new, **content)


def _clean(value: Any) -> Any:
    match value:
        case Source():
            return value
        case str():
            return value.replace("\0", "").encode("utf-8", "replace").decode()
        case Mapping():
            return {_clean(key): _clean(member) for key, member in value.items()}
        case list() | tuple():
            return [_clean(member) for member in value]
        case _:
            return value


def quarantined(report: Report, incident_id: str | None, error: str) -> Report:
    """The report set aside with its error, beside the incident that asks a person to look, if there is one."""
    return replace(
        report, stage=ReportStage.QUARANTINED, incident_id=incident_id, error=error[:1000]
    )
