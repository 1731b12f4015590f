"""HTTP of what is kept of rooms: roll-calls, minutes, recordings, and the walls' layouts."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import Field

from commhub.domain.account import Permission
from commhub.domain.room_records import MAX_TILES, VIDEO_TYPES
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.idempotency import IdempotencyKey
from commhub.http.room_views import (
    MinutesView,
    RollCallItemView,
    RollCallView,
    VideoRecordingView,
    WallLayoutView,
)
from commhub.rooms.feature import RoomFeature
from commhub.rooms.roll_calls import NewRollCall, RollCallFile
from commhub.rooms.walls import NewLayout


class RollCallBody(Body):
    """`expect`: endpoints (who is away is rung) or ids of participants; none: everybody invited."""

    expect: list[Annotated[str, Field(min_length=1, max_length=128)]] = Field([], max_length=300)
    within_s: float = Field(30, ge=5, le=300, allow_inf_nan=False)


class MinutesBody(Body):
    """`based_on` is the version it was written from, 0 for the first."""

    text: str = Field(max_length=100_000)
    based_on: int = Field(ge=0)


class RecordingSwitch(Body):
    on: bool = True


class RecordingHold(Body):
    """`held` keeps the recording whatever its age."""

    held: bool


class LayoutBody(Body):
    """`tiles` row by row: `cam:b7`, a source's id, or «» for an empty one."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    columns: int = Field(ge=1, le=MAX_TILES)
    tiles: list[Annotated[str, Field(max_length=128)]] = Field(min_length=1, max_length=MAX_TILES)
    shared: bool = False


def roll_call_view(file: RollCallFile) -> RollCallView:
    """A roll-call with its items as JSON."""
    items = []
    for item in file.items:
        took = None
        if item.answered_at is not None:
            took = round((item.answered_at - item.called_at).total_seconds() * 1000, 1)
        items.append(RollCallItemView.model_validate(item).model_copy(update={"answer_ms": took}))
    return RollCallView.model_validate(file.roll_call).model_copy(update={"items": items})


def build_wall_router(feature: RoomFeature) -> APIRouter:
    """The walls' routes, to be included before those of single rooms: `wall` is no room's id."""
    router = APIRouter(prefix="/rooms/wall", tags=["rooms"])
    walls = feature.walls

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_walls(principal: CurrentPrincipal) -> list[WallLayoutView]:
        """My layouts, and those for everybody."""
        return [WallLayoutView.model_validate(one) for one in await walls.all(principal)]

    @router.put("", dependencies=[needs(Permission.VIEW)])
    async def put_wall(body: LayoutBody, principal: CurrentPrincipal) -> WallLayoutView:
        """Keep a layout by its name. For everybody it asks for the right to place calls."""
        new = NewLayout(
            name=body.name, columns=body.columns, tiles=tuple(body.tiles), shared=body.shared
        )
        return WallLayoutView.model_validate(await walls.put(new, principal))

    @router.delete("", status_code=204, dependencies=[needs(Permission.VIEW)])
    async def delete_wall(
        principal: CurrentPrincipal,
        name: Annotated[str, Query(max_length=64)],
        shared: Annotated[bool, Query()] = False,
    ) -> None:
        await walls.delete(name, principal, shared=shared)

    return router


def build_router(feature: RoomFeature) -> APIRouter:
    """The routes of one room's records."""
    router = APIRouter(prefix="/rooms/{room_id}", tags=["rooms"])
    _roll_calls(router, feature)
    _minutes(router, feature)
    _recordings(router, feature)
    return router


def _roll_calls(router: APIRouter, feature: RoomFeature) -> None:
    roll_calls = feature.roll_calls

    @router.post(
        "/roll-calls",
        status_code=201,
        response_model=RollCallView,
        dependencies=[needs(Permission.CALL)],
    )
    async def call_the_roll(
        room_id: str, body: RollCallBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Call everybody. Answers at once; ask for it again, or watch the timeline, for what was found."""
        new = NewRollCall(expect=body.expect, within=timedelta(seconds=body.within_s))

        async def produce() -> RollCallView:
            return roll_call_view(await roll_calls.start(room_id, new, principal))

        return await key.run_after(feature.store, body, produce)

    @router.get("/roll-calls", dependencies=[needs(Permission.VIEW)])
    async def list_roll_calls(room_id: str, principal: CurrentPrincipal) -> list[RollCallView]:
        await feature.readers.require(room_id, principal)
        return [roll_call_view(file) for file in await roll_calls.all(room_id)]

    @router.get("/roll-calls/{n}", dependencies=[needs(Permission.VIEW)])
    async def get_roll_call(room_id: str, n: int, principal: CurrentPrincipal) -> RollCallView:
        await feature.readers.require(room_id, principal)
        return roll_call_view(await roll_calls.get(room_id, n))


def _minutes(router: APIRouter, feature: RoomFeature) -> None:
    minutes = feature.minutes

    @router.get("/minutes", dependencies=[needs(Permission.VIEW)])
    async def list_minutes(room_id: str, principal: CurrentPrincipal) -> list[MinutesView]:
        """All versions, the oldest first."""
        await feature.readers.require(room_id, principal)
        return [MinutesView.model_validate(one) for one in await minutes.all(room_id)]

    @router.put("/minutes", dependencies=[needs(Permission.ACT)])
    async def write_minutes(
        room_id: str, body: MinutesBody, principal: CurrentPrincipal
    ) -> MinutesView:
        """The next version; 409 with `latest` when somebody else wrote it meanwhile."""
        await feature.readers.require(room_id, principal)
        written = await minutes.write(room_id, body.text, body.based_on, principal)
        return MinutesView.model_validate(written)

    @router.get(
        "/minutes/export",
        response_class=PlainTextResponse,
        dependencies=[needs(Permission.VIEW)],
    )
    async def export_minutes(room_id: str, principal: CurrentPrincipal) -> PlainTextResponse:
        """The latest version with who attended when, and the roll-calls, as Markdown."""
        await feature.readers.require(room_id, principal)
        headers = {"Content-Disposition": f'attachment; filename="minutes-{room_id}.md"'}
        text = await minutes.export(room_id)
        return PlainTextResponse(text, media_type="text/markdown", headers=headers)


def _recordings(router: APIRouter, feature: RoomFeature) -> None:
    recordings = feature.recordings

    @router.post("/recordings", dependencies=[needs(Permission.CALL)])
    async def switch(
        room_id: str, body: RecordingSwitch, principal: CurrentPrincipal
    ) -> RecordingSwitch:
        """Record every picture of the room from now on, or none. What was recorded stays."""
        return RecordingSwitch(
            on=(await recordings.switch(room_id, principal, on=body.on)).recording
        )

    @router.get("/recordings", dependencies=[needs(Permission.VIEW)])
    async def list_recordings(
        room_id: str, principal: CurrentPrincipal
    ) -> list[VideoRecordingView]:
        """In the order they began; those of pictures that one may see."""
        known = await recordings.of_room(room_id)
        return [
            VideoRecordingView.model_validate(one)
            for one in await feature.readers.recordings(room_id, known, principal)
        ]

    @router.get("/recordings/{recording_id}", dependencies=[needs(Permission.CALL)])
    async def get_recording(
        room_id: str,
        recording_id: str,
        principal: CurrentPrincipal,
        wanted: Annotated[str, Header(alias="range", max_length=256)] = "bytes=0-",
    ) -> FileResponse:
        """The file as it was recorded; it takes ranges (RFC 9110 §14), so a player can jump in it."""
        recording, path = await recordings.fetch(
            room_id, recording_id, principal, begins=wanted.startswith("bytes=0-")
        )
        kind = VIDEO_TYPES.get(path.suffix, "application/octet-stream")
        return FileResponse(path, media_type=kind, filename=f"{recording.id}{path.suffix}")

    @router.patch("/recordings/{recording_id}", dependencies=[needs(Permission.MANAGE_SOUND)])
    async def hold(
        room_id: str, recording_id: str, body: RecordingHold, principal: CurrentPrincipal
    ) -> VideoRecordingView:
        """Keep a recording beyond its time, or let its time run again."""
        recording = await recordings.hold(room_id, recording_id, principal, held=body.held)
        return VideoRecordingView.model_validate(recording)
