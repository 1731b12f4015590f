"""HTTP of incidents between tiers, under /api/v1/tiers/incidents."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Annotated, TypeVar

from fastapi import APIRouter, Response
from pydantic import Field

from commhub.domain.account import Permission
from commhub.domain.tier import CheckIn
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.idempotency import IdempotencyKey
from commhub.http.tier_views import CheckInView, ShareView, SupervisionView, TierIncidentView
from commhub.ports.store import Store, UnitOfWork
from commhub.tiers.incidents import TierIncidents
from commhub.tiers.routes import PeerName

T = TypeVar("T")

Note = Annotated[str, Field(max_length=2000)]
Minutes = Annotated[float, Field(gt=0, le=60 * 24 * 90)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]

_ACT = [needs(Permission.ACT)]


class ReportUp(Body):
    """`peer` may be left out when one hub alone is above."""

    peer: PeerName | None = None
    note: Note | None = None


class AssignDown(Body):
    peer: PeerName
    note: Note | None = None


class GiveBack(Body):
    """`peer` may be left out when one hub alone gave it to us."""

    note: Text
    peer: PeerName | None = None


class Whistle(Body):
    """`units`: departments of the hub above by their ids there, as `GET tiers/directory` names them (`unit:ID`)."""

    units: Annotated[
        Sequence[Annotated[str, Field(min_length=1, max_length=64)]],
        Field(min_length=1, max_length=64),
    ]
    within_minutes: Minutes
    peer: PeerName | None = None
    note: Note | None = None


class Came(Body):
    """`by`: who came for the department, when it is known."""

    by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    note: Note | None = None


class Withdraw(Body):
    note: Note | None = None


class Supervise(Body):
    peer: PeerName
    text: Text
    within_minutes: Minutes


class Answer(Body):
    answer: Text


class Lift(Body):
    """Nothing is to be said."""


class _Once:
    """Does it once for its key, in one transaction, answers with what is `shown` of the outcome, and has it said."""

    def __init__(self, service: TierIncidents, store: Store) -> None:
        self._service = service
        self._store = store

    async def __call__(
        self,
        key: IdempotencyKey,
        body: Body,
        work: Callable[[UnitOfWork], Awaitable[T]],
        shown: Callable[[T], object],
        *,
        status: int = 200,
    ) -> Response:
        async def produce(uow: UnitOfWork) -> object:
            return shown(await work(uow))

        response = await key.run(self._store, body, produce, status=status)
        self._service.wake()
        return response


def build_router(service: TierIncidents, store: Store) -> APIRouter:
    """What is shared, and the deadlines on it."""
    router = APIRouter(prefix="/tiers/incidents", tags=["tiers"])
    once = _Once(service, store)

    @router.get("/{incident_id}", dependencies=[needs(Permission.VIEW)])
    async def shared(incident_id: str) -> TierIncidentView:
        """What the incident has in common with other hubs."""
        return await service.view(incident_id)

    @router.post(
        "/{incident_id}/report-up", response_model=ShareView, status_code=201, dependencies=_ACT
    )
    async def report_up(
        incident_id: str, body: ReportUp, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """逐级上报. 409 `illegal-move`: it is there already, or is over."""
        return await once(
            key,
            body,
            lambda uow: service.sharing.report_up(
                uow, incident_id, principal, body.note, body.peer
            ),
            ShareView.model_validate,
            status=201,
        )

    @router.post(
        "/{incident_id}/assign-down", response_model=ShareView, status_code=201, dependencies=_ACT
    )
    async def assign_down(
        incident_id: str, body: AssignDown, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """派发 to a hub below."""
        return await once(
            key,
            body,
            lambda uow: service.sharing.assign_down(
                uow, incident_id, principal, body.peer, body.note
            ),
            ShareView.model_validate,
            status=201,
        )

    @router.post("/{incident_id}/return", response_model=ShareView, dependencies=_ACT)
    async def give_back(
        incident_id: str, body: GiveBack, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """退回 to the hub that gave it to us."""
        return await once(
            key,
            body,
            lambda uow: service.sharing.give_back(
                uow, incident_id, principal, body.note, body.peer
            ),
            ShareView.model_validate,
        )

    _add_whistles(router, service, once)
    _add_supervisions(router, service, once)
    return router


def _check_ins(called: Sequence[CheckIn]) -> list[CheckInView]:
    return [CheckInView.model_validate(one) for one in called]


def _add_whistles(router: APIRouter, service: TierIncidents, once: _Once) -> None:
    @router.post(
        "/{incident_id}/whistle",
        response_model=list[CheckInView],
        status_code=201,
        dependencies=_ACT,
    )
    async def whistle(
        incident_id: str, body: Whistle, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """吹哨: departments of the hub above are called, each to check in within the time."""
        return await once(
            key,
            body,
            lambda uow: service.whistles.whistle(
                uow,
                incident_id,
                principal,
                body.units,
                timedelta(minutes=body.within_minutes),
                body.note,
                body.peer,
            ),
            _check_ins,
            status=201,
        )

    @router.post(
        "/{incident_id}/check-ins/{check_in_id}", response_model=CheckInView, dependencies=_ACT
    )
    async def check_in(
        incident_id: str,
        check_in_id: str,
        body: Came,
        principal: CurrentPrincipal,
        key: IdempotencyKey,
    ) -> Response:
        """报到: a department of ours is there."""
        return await once(
            key,
            body,
            lambda uow: service.whistles.check_in(
                uow, incident_id, check_in_id, principal, body.by, body.note
            ),
            CheckInView.model_validate,
        )

    @router.post(
        "/{incident_id}/check-ins/{check_in_id}/withdraw",
        response_model=CheckInView,
        dependencies=_ACT,
    )
    async def withdraw(
        incident_id: str,
        check_in_id: str,
        body: Withdraw,
        principal: CurrentPrincipal,
        key: IdempotencyKey,
    ) -> Response:
        """A department that we whistled for need not come."""
        return await once(
            key,
            body,
            lambda uow: service.whistles.withdraw(
                uow, incident_id, check_in_id, principal, body.note
            ),
            CheckInView.model_validate,
        )


def _add_supervisions(router: APIRouter, service: TierIncidents, once: _Once) -> None:
    @router.post(
        "/{incident_id}/supervise",
        response_model=SupervisionView,
        status_code=201,
        dependencies=_ACT,
    )
    async def supervise(
        incident_id: str, body: Supervise, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """督办, by a duty leader or commander, at a hub below that has the incident."""
        return await once(
            key,
            body,
            lambda uow: service.supervising.supervise(
                uow,
                incident_id,
                principal,
                body.peer,
                body.text,
                timedelta(minutes=body.within_minutes),
            ),
            SupervisionView.model_validate,
            status=201,
        )

    @router.post(
        "/{incident_id}/supervisions/{supervision_id}/answer",
        response_model=SupervisionView,
        dependencies=_ACT,
    )
    async def answer(
        incident_id: str,
        supervision_id: str,
        body: Answer,
        principal: CurrentPrincipal,
        key: IdempotencyKey,
    ) -> Response:
        """反馈 to what the hub above wants."""
        return await once(
            key,
            body,
            lambda uow: service.supervising.answer(
                uow, incident_id, supervision_id, principal, body.answer
            ),
            SupervisionView.model_validate,
        )

    @router.post(
        "/{incident_id}/supervisions/{supervision_id}/lift",
        response_model=SupervisionView,
        dependencies=_ACT,
    )
    async def lift(
        incident_id: str,
        supervision_id: str,
        body: Lift,
        principal: CurrentPrincipal,
        key: IdempotencyKey,
    ) -> Response:
        """What was ordered is wanted no more."""
        return await once(
            key,
            body,
            lambda uow: service.supervising.lift(uow, incident_id, supervision_id, principal),
            SupervisionView.model_validate,
        )
