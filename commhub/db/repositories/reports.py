"""Reports: the durable inbox of the decision step."""

from collections.abc import Sequence

from sqlalchemy import or_, select

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import dispatch
from commhub.domain.incident import UNHANDLED_STAGES
from commhub.domain.report import Report, ReportStage, Source

_TABLE = dispatch.reports
_REPORTS = Rows(Report, _TABLE)


class SqlReports(Repository):
    """Implements commhub.ports.store.Reports."""

    async def add(self, report: Report, payload_hash: str) -> None:
        """Two of one source with one key: ConflictError, at the latest when the transaction commits."""
        self._tx.add(_TABLE, _REPORTS.to_row(report) | {"payload_hash": payload_hash})

    async def get(self, report_id: str) -> Report:
        return await self._get(_REPORTS, report_id, "report")

    async def find_by_key(self, source: Source, key: str) -> tuple[Report, str] | None:
        row = await self._tx.first(
            self._select(_REPORTS)
            .add_columns(_TABLE.c.payload_hash)
            .where(_TABLE.c.source == source, _TABLE.c.idempotency_key == key)
        )
        return None if row is None else (_REPORTS.from_row(row), row.payload_hash)

    async def waiting(self, limit: int) -> Sequence[Report]:
        statement = (
            self._select(_REPORTS)
            .where(_TABLE.c.stage == ReportStage.RECEIVED)
            .order_by(_TABLE.c.received_at, _TABLE.c.id)
            .limit(limit)
        )
        return await self._all(_REPORTS, self._tx.claim(statement))

    async def update(self, report: Report) -> None:
        self._tx.update(_TABLE, _REPORTS.to_row(report))

    async def open_of(self, category: str) -> Sequence[Report]:
        incidents = dispatch.incidents
        still_open = (
            select(incidents.c.id)
            .where(self._tx.mine(incidents), incidents.c.stage.in_(sorted(UNHANDLED_STAGES)))
            .scalar_subquery()
        )
        waits = _TABLE.c.stage == ReportStage.RECEIVED
        return await self._all(
            _REPORTS,
            self._select(_REPORTS)
            .where(_TABLE.c.category == category, or_(waits, _TABLE.c.incident_id.in_(still_open)))
            .order_by(_TABLE.c.id),
        )

    async def of_incident(self, incident_id: str) -> Sequence[Report]:
        return await self._all(
            _REPORTS,
            self._select(_REPORTS)
            .where(_TABLE.c.incident_id == incident_id)
            .order_by(_TABLE.c.received_at, _TABLE.c.id),
        )
