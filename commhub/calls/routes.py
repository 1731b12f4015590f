"""HTTP of calls, under /api/v1/calls."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from commhub.calls.control import LegWish
from commhub.calls.service import CallRequest, CallService, CallState
from commhub.domain.account import Permission, Principal
from commhub.domain.call import Entry
from commhub.http.auth import CurrentPrincipal, needs, require
from commhub.http.bodies import Body
from commhub.http.call_views import CallView, LegView
from commhub.http.cursors import PageQuery
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import Page
from commhub.ports.media import FloorAction
from commhub.ports.store import Store

EndpointName = Annotated[str, Field(max_length=128, examples=["sip:1001", "radio:r12"])]


class NewCall(Body):
    """Who is to talk with whom. `incident` puts the call on that incident's timeline. `record` the call as it sounds,
    and with `record_legs` each leg too; a rule may record it anyway."""

    legs: list[EndpointName] = Field(min_length=1, max_length=64)
    incident: str | None = Field(None, max_length=64)
    title: str | None = Field(None, max_length=64)
    record: bool = False
    record_legs: bool = False


LegId = Annotated[str, Field(max_length=64)]


class NewLeg(Body):
    """`mode` other than talk is an intervention: into somebody's talk (强插), only listening (监听), or heard by the
    legs of `whispers_to` alone."""

    endpoint: EndpointName
    mode: Entry = Entry.TALK
    whispers_to: list[LegId] = Field(default=[], max_length=64)


class LegChange(Body):
    """`muted`: nobody hears the leg. `held`: it hears the hold prompt and nobody hears it. `listen_only`: it hears
    all, nobody hears it. `whispers_to`: ids of the legs that alone hear it, [] for everybody. `gain_db`: its voice
    louder or softer; `auto_gain`: brought to one level. `key` presses a radio group's key for the call."""

    muted: bool | None = None
    held: bool | None = None
    listen_only: bool | None = None
    whispers_to: list[LegId] | None = Field(None, max_length=64)
    gain_db: float | None = Field(None, ge=-20, le=20, allow_inf_nan=False)
    auto_gain: bool | None = None
    key: bool | None = None


class Keys(Body):
    """Keys of a telephone, in the order they are pressed."""

    digits: str = Field(min_length=1, max_length=64, pattern=r"^[0-9*#A-Da-d]+$")


class LegTransfer(Body):
    """`to` is the call the leg goes to."""

    to: LegId


class Merge(Body):
    """`into` is the call that has all legs afterwards."""

    into: LegId


class FloorCommand(Body):
    """`participant` is `radio:r12` or `call:ID`; left out, the floor is taken from whoever talks."""

    action: FloorAction
    participant: str | None = Field(None, max_length=128, pattern=r"^(radio|call):\S+$")


def seen_by(principal: Principal) -> Callable[[CallState], CallView]:
    """A call as its reader may see it: who is in a room, only the room tells those who may not place calls."""

    def view(state: CallState) -> CallView:
        hidden = state.call.room_id is not None and not principal.may(Permission.CALL)
        return view_of(CallState(state.call, ()) if hidden else state)

    return view


def view_of(state: CallState) -> CallView:
    """A call with its legs as JSON."""
    call = CallView.model_validate(state.call)
    legs = [LegView.model_validate(leg) for leg in state.legs]
    return call.model_copy(update={"legs": legs})


def build_router(service: CallService, store: Store) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/calls", tags=["calls"])

    @router.post("/floors/{group}", status_code=204, dependencies=[needs(Permission.INTERVENE)])
    async def command_floor(group: str, body: FloorCommand, principal: CurrentPrincipal) -> None:
        """Take a group's floor away, or give it to a radio."""
        await service.control.command_floor(group, body.action, body.participant, principal)

    @router.post(
        "", status_code=201, response_model=CallView, dependencies=[needs(Permission.CALL)]
    )
    async def place_call(
        body: NewCall, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Place a bridged call. Answers at once; its legs ring by themselves."""
        request = CallRequest(
            legs=body.legs,
            incident_id=body.incident,
            title=body.title,
            record=body.record,
            record_legs=body.record_legs,
        )

        async def produce() -> CallView:
            return view_of(await service.place(request, principal))

        return await key.run_after(store, body, produce)

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_calls(
        page: PageQuery,
        principal: CurrentPrincipal,
        live: Annotated[bool, Query(description="only calls that go on")] = False,
    ) -> Page[CallView]:
        """Calls, newest first. Those of rooms have their legs only for whoever may place calls."""
        states = await service.list(live_only=live, before=page.before, limit=page.fetch)
        return page.of(states, seen_by(principal), key=lambda state: state.call.id)

    @router.get("/{call_id}", dependencies=[needs(Permission.VIEW)])
    async def get_call(call_id: str, principal: CurrentPrincipal) -> CallView:
        """One call; that of a room with its legs only for whoever may place calls."""
        return seen_by(principal)(await service.get(call_id))

    @router.delete("/{call_id}", status_code=204, dependencies=[needs(Permission.CALL)])
    async def end_call(call_id: str, principal: CurrentPrincipal) -> None:
        """End the call and all its legs. Ending it twice is fine."""
        await service.end(call_id, principal)

    @router.post(
        "/{call_id}/legs",
        status_code=201,
        response_model=LegView,
        dependencies=[needs(Permission.CALL)],
    )
    async def add_leg(
        call_id: str, body: NewLeg, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Ring one more endpoint into the call. Any mode but talk asks for the right to intervene."""
        if body.mode is not Entry.TALK:
            require(principal, Permission.INTERVENE)

        async def produce() -> LegView:
            leg = await service.add_leg(
                call_id,
                body.endpoint,
                principal,
                entry=body.mode,
                whispers_to=body.whispers_to,
            )
            return LegView.model_validate(leg)

        return await key.run_after(store, body, produce)

    @router.patch("/{call_id}/legs/{leg_id}", dependencies=[needs(Permission.CALL)])
    async def change_leg(
        call_id: str, leg_id: str, body: LegChange, principal: CurrentPrincipal
    ) -> LegView:
        """Change how a leg takes part. Listening and whispering ask for the right to intervene."""
        wish = LegWish(**body.model_dump())
        if wish.intervenes:
            require(principal, Permission.INTERVENE)
        leg = await service.control.change_leg(call_id, leg_id, wish, principal)
        return LegView.model_validate(leg)

    @router.post(
        "/{call_id}/legs/{leg_id}/keys",
        status_code=202,
        response_model=LegView,
        dependencies=[needs(Permission.CALL)],
    )
    async def press_keys(
        call_id: str, leg_id: str, body: Keys, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Press keys for the far end of a leg, after those that are still under way."""

        async def produce() -> LegView:
            leg = await service.control.press_keys(call_id, leg_id, body.digits, principal)
            return LegView.model_validate(leg)

        return await key.run_after(store, body, produce, status=202)

    @router.post("/{call_id}/legs/{leg_id}/move", dependencies=[needs(Permission.CALL)])
    async def move_leg(
        call_id: str, leg_id: str, body: LegTransfer, principal: CurrentPrincipal
    ) -> LegView:
        """Take the leg into another call without ringing it again."""
        leg = await service.control.move_leg(call_id, leg_id, body.to, principal)
        return LegView.model_validate(leg)

    @router.post("/{call_id}/merge", dependencies=[needs(Permission.CALL)])
    async def merge(call_id: str, body: Merge, principal: CurrentPrincipal) -> CallView:
        """Bring everybody of this call into another; the answer is that other call."""
        await service.control.merge(call_id, body.into, principal)
        return view_of(await service.get(body.into))

    @router.delete(
        "/{call_id}/legs/{leg_id}", status_code=204, dependencies=[needs(Permission.CALL)]
    )
    async def hang_up(call_id: str, leg_id: str, principal: CurrentPrincipal) -> None:
        await service.hang_up(call_id, leg_id, principal)

    return router
