"""HTTP of reports, under /api/v1/reports.

The `Idempotency-Key` is the report's own key, so it lives as long as the report and needs no record beside it.
"""

from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel

from commhub.domain.account import Permission
from commhub.domain.report import Source
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.reporting import NewReportBody, key_of
from commhub.http.views import ReportView
from commhub.reports.service import ReportService


class ReceiptView(BaseModel):
    """`incident_id` is null until the report's incident is registered, a moment later."""

    report_id: str
    repeated: bool
    incident_id: str | None


def build_router(service: ReportService) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/reports", tags=["reports"])

    @router.post("", status_code=201, dependencies=[needs(Permission.REPORT)])
    async def submit_report(
        body: NewReportBody,
        principal: CurrentPrincipal,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> ReceiptView:
        """Take a report. Answers once it is safe; its incident follows."""
        new = body.to_report(Source.API, principal, key_of(principal, idempotency_key))
        receipt = await service.submit(new)
        return ReceiptView(
            report_id=receipt.report_id,
            repeated=receipt.repeated,
            incident_id=receipt.incident_id,
        )

    @router.get("/{report_id}", dependencies=[needs(Permission.VIEW)])
    async def get_report(report_id: str) -> ReportView:
        return ReportView.model_validate(await service.get(report_id))

    return router
