"""HTTP of incidents, under /api/v1/incidents."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from commhub.domain.account import Permission
from commhub.domain.incident import INCIDENT_MOVES, Action, Incident, Stage
from commhub.domain.report import Source
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.cursors import PageQuery
from commhub.http.idempotency import IdempotencyKey
from commhub.http.reporting import NewReportBody, key_of
from commhub.http.views import (
    IncidentDetail,
    IncidentView,
    MoveView,
    Page,
    ReportView,
    TaskView,
    TimelineEntryView,
)
from commhub.incidents.desk import Order
from commhub.incidents.service import IncidentService
from commhub.ports.decisions import Ranking
from commhub.ports.inside import Intake
from commhub.ports.store import IncidentQuery, Store, UnitOfWork

REGISTERED_WITHIN_S = 5.0
MAX_ENTRIES = 1000


class ActionBody(Body):
    """`GET incidents/moves` says what each action requires."""

    action: Action
    note: str | None = Field(None, max_length=2000)
    responder_id: str | None = Field(None, max_length=64)
    target_id: str | None = Field(None, max_length=64)


class TimelineView(BaseModel):
    """Oldest first. `next` is the `after` of the next question; null: no more yet."""

    items: Sequence[TimelineEntryView]
    next: int | None


class RankedView(BaseModel):
    responder_id: str
    score: float
    reasons: Sequence[str]


class ExcludedView(BaseModel):
    responder_id: str
    reason: str


class CandidatesView(BaseModel):
    """Who would be asked now, best first; lower scores are better."""

    ranked: Sequence[RankedView]
    excluded: Sequence[ExcludedView]
    fallback: str | None
    shortfall: Sequence[str]


def _candidates_of(ranking: Ranking) -> CandidatesView:
    return CandidatesView(
        ranked=[
            RankedView(responder_id=r.responder_id, score=r.score, reasons=r.reasons)
            for r in ranking.ranked
        ],
        excluded=[
            ExcludedView(responder_id=e.responder_id, reason=e.reason) for e in ranking.excluded
        ],
        fallback=ranking.fallback,
        shortfall=ranking.shortfall,
    )


def _moves() -> list[MoveView]:
    return [
        MoveView(
            action=action,
            sources=sorted(move.sources),
            target=move.target,
            roles=sorted(move.roles),
            requires=sorted(move.requires),
        )
        for action, move in INCIDENT_MOVES.items()
    ]


def _view(incident: Incident) -> IncidentView:
    return IncidentView.model_validate(incident)


def build_router(service: IncidentService, intake: Intake, store: Store) -> APIRouter:
    """The routes; `intake` is where an incident of the console's begins, as a report."""
    router = APIRouter(prefix="/incidents", tags=["incidents"])

    @router.post("", status_code=201, dependencies=[needs(Permission.REPORT)])
    async def open_incident(
        body: NewReportBody,
        principal: CurrentPrincipal,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> IncidentView:
        """Take a report at the desk and answer with its incident. 503: the report is safe, its incident is late;
        the same request again asks for it."""
        new = body.to_report(Source.CONSOLE, principal, key_of(principal, idempotency_key))
        receipt = await intake.submit(new)
        incident_id = receipt.incident_id or await intake.wait_for_incident(
            receipt.report_id, REGISTERED_WITHIN_S
        )
        return _view(await service.get(incident_id))

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_incidents(
        page: PageQuery,
        open: Annotated[bool, Query(description="only those not ended")] = False,  # noqa: A002 - the name in the address
        stage: Annotated[list[Stage] | None, Query()] = None,
        q: Annotated[
            str | None, Query(max_length=100, description="in number, title or place")
        ] = None,
    ) -> Page[IncidentView]:
        query = IncidentQuery(
            stages=tuple(stage or ()),
            open_only=open,
            text=q or None,
            before=page.before,
            limit=page.fetch,
        )
        return page.of(await service.list(query), _view, key=lambda incident: incident.id)

    @router.get("/moves", dependencies=[needs(Permission.VIEW)])
    async def list_moves() -> list[MoveView]:
        """What each action requires and who may take it."""
        return _moves()

    @router.get("/{incident_id}", dependencies=[needs(Permission.VIEW)])
    async def get_incident(incident_id: str) -> IncidentDetail:
        file = await service.file_of(incident_id)
        return IncidentDetail(
            incident=_view(file.incident),
            reports=[ReportView.model_validate(report) for report in file.reports],
            tasks=[TaskView.model_validate(task) for task in file.tasks],
            decision=file.incident.decision,
        )

    @router.get("/{incident_id}/timeline", dependencies=[needs(Permission.VIEW)])
    async def get_timeline(
        incident_id: str,
        after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 500,
    ) -> TimelineView:
        entries = await service.timeline(incident_id, after, limit + 1)
        shown = entries[:limit]
        return TimelineView(
            items=[TimelineEntryView.model_validate(entry) for entry in shown],
            next=shown[-1].seq if len(entries) > limit else None,
        )

    @router.get("/{incident_id}/candidates", dependencies=[needs(Permission.VIEW)])
    async def get_candidates(incident_id: str) -> CandidatesView:
        """The ranking now."""
        return _candidates_of(await service.candidates(incident_id))

    @router.post(
        "/{incident_id}/actions",
        response_model=IncidentView,
        dependencies=[needs(Permission.ACT)],
    )
    async def act(
        incident_id: str, body: ActionBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Do it. 403 `not-allowed`, 409 `illegal-move` (with `legal`), 422 `requirement-missing`."""
        order = Order(
            action=body.action,
            principal=principal,
            note=body.note,
            responder_id=body.responder_id,
            target_id=body.target_id,
        )

        async def produce(uow: UnitOfWork) -> IncidentView:
            return _view(await service.act_within(uow, incident_id, order))

        response = await key.run(store, body, produce, status=200)
        service.wake()
        return response

    return router
