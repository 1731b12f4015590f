"""HTTP of the duty number, under /api/v1/calls/duty: the callers who wait or were missed, and what the desk does."""

from fastapi import APIRouter, Response
from pydantic import Field

from commhub.calls.duty import DutyDesk
from commhub.calls.routes import EndpointName, view_of
from commhub.domain.account import Permission
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.call_views import CallView, DutyCallView, LegView
from commhub.http.cursors import PageQuery
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import Page
from commhub.ports.store import Store


class Answering(Body):
    """By what the desk talks: `desk:me` is its browser, or the phone beside it."""

    endpoint: EndpointName = Field("desk:me")


def build_router(desk: DutyDesk, store: Store) -> APIRouter:
    """The routes, to be included before the calls' own."""
    router = APIRouter(prefix="/calls/duty", tags=["calls"])

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_duty_calls(page: PageQuery) -> Page[DutyCallView]:
        """Calls to the duty lines, those that are history too. Who waits now is on the live socket."""
        calls = await desk.all(page.before, page.fetch)
        return page.of(calls, DutyCallView.model_validate, key=lambda call: call.id)

    @router.post(
        "/{call_id}/answer",
        status_code=201,
        response_model=LegView,
        dependencies=[needs(Permission.CALL)],
    )
    async def answer(
        call_id: str, body: Answering, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Answer a caller who waits. 409 with `taken_by` when another desk was first."""

        async def produce() -> LegView:
            return LegView.model_validate(await desk.answer(call_id, body.endpoint, principal))

        return await key.run_after(store, body, produce)

    @router.post(
        "/{call_id}/call-back",
        status_code=201,
        response_model=CallView,
        dependencies=[needs(Permission.CALL)],
    )
    async def call_back(
        call_id: str, body: Answering, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Call a missed caller. Reached, the missed call is settled by itself."""

        async def produce() -> CallView:
            return view_of(await desk.call_back(call_id, body.endpoint, principal))

        return await key.run_after(store, body, produce)

    @router.delete("/{call_id}", dependencies=[needs(Permission.CALL)])
    async def dismiss(call_id: str, principal: CurrentPrincipal) -> DutyCallView:
        """Nobody need call back. The row stays, as history."""
        return DutyCallView.model_validate(await desk.dismiss(call_id, principal))

    return router
