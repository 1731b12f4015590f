"""Report (上报): one thing somebody or something told us, from one source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from commhub.domain.facts import ReportReceived
from commhub.domain.geo import Point


class Source(StrEnum):
    """Where a report came from; each has its own recipe for the idempotency key."""

    CONSOLE = "console"
    API = "api"
    DEVICE = "device"
    SENSOR = "sensor"
    SIP = "sip"
    WECOM = "wecom"
    SMS = "sms"
    WORK_ORDER = "12345"
    UPSTREAM = "upstream"


SOS_CATEGORY = "sos"
"""Somebody in danger pressed the button of the device they carry."""


class ReportStage(StrEnum):
    """RECEIVED rows are the durable inbox of the decision step; no row may stay there unseen."""

    RECEIVED = "received"
    ATTACHED = "attached"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """As it was told, plus the time we received it. `extra` holds JSON the source added."""

    id: str
    source: Source
    idempotency_key: str
    category: str
    text: str
    received_at: datetime
    level: int | None = None
    reporter: str | None = None
    place: str | None = None
    point: Point | None = None
    grid: str | None = None
    occurred_at: datetime | None = None
    casualties: int = 0
    drill: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)
    stage: ReportStage = ReportStage.RECEIVED
    incident_id: str | None = None
    error: str | None = None


def told(report: Report, incident_id: str | None = None) -> ReportReceived:
    """The fact of the report's arrival; with an incident it is the first line of that incident's timeline."""
    return ReportReceived(
        at=report.received_at,
        actor=_teller(report),
        incident_id=incident_id,
        report_id=report.id,
        source=report.source.value,
        category=report.category,
        text=report.text,
        reporter=report.reporter,
        place=report.place,
        lat=report.point.lat if report.point else None,
        lon=report.point.lon if report.point else None,
    )


def _teller(report: Report) -> str:
    """`entered_by` is the principal who typed it in for somebody else."""
    entered_by = report.extra.get("entered_by")
    if isinstance(entered_by, str):
        return entered_by
    if report.reporter and report.source in {Source.DEVICE, Source.SENSOR}:
        return f"device:{report.reporter.partition(':')[2] or report.reporter}"
    return f"{report.source}:{report.reporter}" if report.reporter else report.source.value
