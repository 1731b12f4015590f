"""HTTP of recordings, under /api/v1/calls. Included before the calls' own routes: `recordings` is no call's id."""

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse

from commhub.calls.excerpts import ExportFormat, export, media_type, seconds_between
from commhub.calls.recordings import RecordingService
from commhub.domain.account import Permission
from commhub.domain.recording import Recording
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.call_views import RecordingSwitchView, RecordingView
from commhub.http.cursors import PageQuery
from commhub.http.views import Page


class RecordingSwitch(Body):
    """`per_leg`: beside the mixed recording one of each leg, aligned in time."""

    on: bool = True
    per_leg: bool = False


class RecordingHold(Body):
    """`held` keeps the recording whatever its age."""

    held: bool


def build_router(service: RecordingService) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/calls", tags=["calls"])

    @router.get("/recordings", dependencies=[needs(Permission.VIEW)])
    async def list_of_incident(
        page: PageQuery, incident: Annotated[str, Query(max_length=64, description="its id")]
    ) -> Page[RecordingView]:
        """All recordings of an incident's calls, newest first."""
        found = await service.of_incident(incident, page.before, page.fetch)
        return page.of(found, RecordingView.model_validate, key=lambda one: one.id)

    @router.get("/{call_id}/recordings", dependencies=[needs(Permission.VIEW)])
    async def list_of_call(call_id: str) -> list[RecordingView]:
        return [RecordingView.model_validate(one) for one in await service.of_call(call_id)]

    @router.post("/{call_id}/recordings", dependencies=[needs(Permission.CALL)])
    async def switch(
        call_id: str, body: RecordingSwitch, principal: CurrentPrincipal
    ) -> RecordingSwitchView:
        """Start or stop recording a call that goes on. What was recorded stays."""
        call = await service.switch(call_id, principal, on=body.on, per_leg=body.per_leg)
        return RecordingSwitchView(on=call.recording, per_leg=call.recording_legs)

    @router.get("/{call_id}/recordings/{recording_id}", dependencies=[needs(Permission.VIEW)])
    async def get_recording(
        call_id: str,
        recording_id: str,
        from_s: Annotated[float, Query(ge=0, description="begin here, in seconds")] = 0,
        to_s: Annotated[float | None, Query(gt=0, description="end here, in seconds")] = None,
        wanted: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.WAV,
        beside: Annotated[
            str | None,
            Query(max_length=64, description="another recording of the call, for the right ear"),
        ] = None,
    ) -> Response:
        """The recording as a WAV file, or what is asked of it: a piece, another format, two legs side by side.

        The whole WAV file takes ranges (RFC 9110 §14), so a player can jump in it.
        """
        recording = await service.get(call_id, recording_id)
        path = await service.file_of(recording)
        name = _name_of(recording, wanted)
        other: tuple[Path, float] | None = None
        if beside is not None:
            right = await service.get(call_id, beside)
            other = await service.file_of(right), seconds_between(recording, right)
        elif from_s == 0 and to_s is None and wanted is ExportFormat.WAV:
            return FileResponse(path, media_type="audio/wav", filename=name)
        made = await asyncio.to_thread(export, path, from_s, to_s, wanted, other)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(made, media_type=media_type(wanted), headers=headers)

    @router.patch(
        "/{call_id}/recordings/{recording_id}", dependencies=[needs(Permission.MANAGE_SOUND)]
    )
    async def hold(
        call_id: str, recording_id: str, body: RecordingHold, principal: CurrentPrincipal
    ) -> RecordingView:
        """Keep a recording beyond its time, or let its time run again."""
        recording = await service.hold(call_id, recording_id, principal, held=body.held)
        return RecordingView.model_validate(recording)

    return router


def _name_of(recording: Recording, wanted: ExportFormat) -> str:
    ids = [recording.call_id] if recording.leg_id is None else [recording.call_id, recording.leg_id]
    return f"{'-'.join(ids)}.{wanted}"
