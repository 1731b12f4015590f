"""HTTP of calls, under /api/v1/calls."""

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from pydantic import Field

from commhub.calls.excerpts import cut
from commhub.calls.service import CallRequest, CallService, CallState
from commhub.domain.account import Permission
from commhub.domain.errors import NotFoundError
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.cursors import PageQuery
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import CallView, LegView, Page, RecordingView
from commhub.ports.store import Store

EndpointName = Annotated[str, Field(max_length=128, examples=["sip:1001", "radio:r12"])]


class NewCall(Body):
    """Who is to talk with whom. `incident` puts the call on that incident's timeline."""

    legs: list[EndpointName] = Field(min_length=1, max_length=64)
    incident: str | None = Field(None, max_length=64)
    title: str | None = Field(None, max_length=64)
    record: bool = False


class NewLeg(Body):
    endpoint: EndpointName


class LegChange(Body):
    """`muted` keeps the leg's voice out of the mix; `key` presses a radio group's key for the call."""

    muted: bool | None = None
    key: bool | None = None


def view_of(state: CallState) -> CallView:
    """A call with its legs as JSON."""
    call = CallView.model_validate(state.call)
    legs = [LegView.model_validate(leg) for leg in state.legs]
    return call.model_copy(update={"legs": legs})


def _file_inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise NotFoundError("the file of this recording is gone; retention may have removed it")
    return path


def build_router(service: CallService, store: Store, recordings_dir: Path) -> APIRouter:
    """The routes; `recordings_dir` is where the workers store what `Recording.path` names."""
    router = APIRouter(prefix="/calls", tags=["calls"])

    @router.post(
        "", status_code=201, response_model=CallView, dependencies=[needs(Permission.CALL)]
    )
    async def place_call(
        body: NewCall, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Place a bridged call. Answers at once; its legs ring by themselves."""
        request = CallRequest(
            legs=body.legs, incident_id=body.incident, title=body.title, record=body.record
        )

        async def produce() -> CallView:
            return view_of(await service.place(request, principal))

        return await key.run_after(store, body, produce)

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_calls(
        page: PageQuery, live: Annotated[bool, Query(description="only calls that go on")] = False
    ) -> Page[CallView]:
        states = await service.list(live_only=live, before=page.before, limit=page.fetch)
        return page.of(states, view_of, key=lambda state: state.call.id)

    @router.get("/{call_id}", dependencies=[needs(Permission.VIEW)])
    async def get_call(call_id: str) -> CallView:
        return view_of(await service.get(call_id))

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
        async def produce() -> LegView:
            return LegView.model_validate(await service.add_leg(call_id, body.endpoint, principal))

        return await key.run_after(store, body, produce)

    @router.patch("/{call_id}/legs/{leg_id}", dependencies=[needs(Permission.CALL)])
    async def change_leg(call_id: str, leg_id: str, body: LegChange) -> LegView:
        leg = await service.change_leg(call_id, leg_id, muted=body.muted, key=body.key)
        return LegView.model_validate(leg)

    @router.delete(
        "/{call_id}/legs/{leg_id}", status_code=204, dependencies=[needs(Permission.CALL)]
    )
    async def hang_up(call_id: str, leg_id: str, principal: CurrentPrincipal) -> None:
        await service.hang_up(call_id, leg_id, principal)

    @router.get("/{call_id}/recordings", dependencies=[needs(Permission.VIEW)])
    async def list_recordings(call_id: str) -> list[RecordingView]:
        return [RecordingView.model_validate(one) for one in await service.recordings(call_id)]

    @router.get("/{call_id}/recordings/{recording_id}", dependencies=[needs(Permission.VIEW)])
    async def get_recording(
        call_id: str,
        recording_id: str,
        from_s: Annotated[float, Query(ge=0, description="begin here, in seconds")] = 0,
        to_s: Annotated[float | None, Query(gt=0, description="end here, in seconds")] = None,
    ) -> Response:
        """The recording as a WAV file, or the piece of it between two moments."""
        recording = await service.recording(call_id, recording_id)
        path = _file_inside(recordings_dir, recording.path)
        if from_s == 0 and to_s is None:
            return FileResponse(path, media_type="audio/wav", filename=f"{call_id}.wav")
        piece = await asyncio.to_thread(cut, path, from_s, to_s)
        return Response(piece, media_type="audio/wav")

    return router
