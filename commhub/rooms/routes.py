"""HTTP of rooms, under /api/v1/rooms: what the desk does with rooms as a whole. What those inside do is in `inside_routes`,
what is kept of rooms in `record_routes`; those with fixed paths are included before this one."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from commhub.domain.account import Permission
from commhub.domain.room import RoomMode, RoomRole
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.cursors import PageQuery
from commhub.http.idempotency import IdempotencyKey
from commhub.http.room_views import (
    InvitationView,
    InvitedView,
    ParticipantView,
    RoomView,
    SourceView,
    room_view,
)
from commhub.http.views import Page
from commhub.ports.store import UnitOfWork
from commhub.rooms.feature import RoomFeature
from commhub.rooms.hosting import Who
from commhub.rooms.inviting import Invited, NewInvitation
from commhub.rooms.pulling import NewPull
from commhub.rooms.service import NewRoom, RoomFile

Name = Annotated[str, Field(min_length=1, max_length=64)]
Id = Annotated[str, Field(max_length=64)]


class RoomBody(Body):
    """`incident` puts the room on that incident's timeline. `lobby`: who is no host waits to be let in. `record` every picture."""

    name: Name
    mode: RoomMode = RoomMode.MEETING
    incident: Id | None = None
    lobby: bool = False
    record: bool = False


class LiveBody(Body):
    """`camera` is a body camera's id in the fleet."""

    camera: Id


class InvitationBody(Body):
    """`to`: an endpoint (`sip:1002`, `tel:+86…`, `radio:patrol-1`, `desk:li` are rung; `cam:b7` is asked to go live; `wecom:zhang` gets a
    link), a responder's id, or `user:li`. Without it `name` is a guest whose link you hand on."""

    to: str | None = Field(None, min_length=1, max_length=128)
    name: Name | None = None
    role: RoomRole = RoomRole.PRESENTER
    expires_in_s: int | None = Field(None, ge=60, le=30 * 86_400)


class SourceBody(Body):
    """`rtsp` is the camera's main stream (H.264), `rtsp_sub` its sub-stream for the tiles of a wall; both may hold user and password,
    which no answer shows. `unit` is the department whose picture it is."""

    label: Name
    rtsp: str = Field(max_length=512, repr=False)
    rtsp_sub: str | None = Field(None, max_length=512, repr=False)
    unit: Id | None = None


def view_of(file: RoomFile) -> RoomView:
    """A room as JSON."""
    return room_view(file.room, file.participants, file.sources)


def build_router(feature: RoomFeature) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/rooms", tags=["rooms"])
    store, rooms, invitations = feature.store, feature.rooms, feature.invitations

    @router.post(
        "", status_code=201, response_model=RoomView, dependencies=[needs(Permission.CALL)]
    )
    async def open_room(
        body: RoomBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Open a room. You host it; invite the others."""
        new = NewRoom(
            name=body.name,
            mode=body.mode,
            incident_id=body.incident,
            lobby=body.lobby,
            recording=body.record,
        )

        async def produce(uow: UnitOfWork) -> RoomView:
            return view_of(await rooms.open(uow, new, principal))

        return await key.run(store, body, produce)

    @router.post(
        "/live", status_code=201, response_model=RoomView, dependencies=[needs(Permission.VIEW)]
    )
    async def open_live(
        body: LiveBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """The live view of a body camera: the same room to everybody. It sends as soon as, and as long as, somebody watches."""

        seen = await feature.readers.eyes(Who(principal=principal))

        async def produce(uow: UnitOfWork) -> RoomView:
            return view_of(seen(await rooms.open_live(uow, body.camera, principal)))

        return await key.run(store, body, produce)

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_rooms(
        page: PageQuery,
        principal: CurrentPrincipal,
        is_open: Annotated[bool, Query(alias="open", description="only those that go on")] = False,
        incident: Annotated[str | None, Query(max_length=64, description="its id")] = None,
    ) -> Page[RoomView]:
        """Newest first; of another department's rooms not who and what is in them."""
        files = await rooms.list(
            open_only=is_open, incident_id=incident, before=page.before, limit=page.fetch
        )
        seen = await feature.readers.eyes(Who(principal=principal))
        return page.of(files, lambda file: view_of(seen(file)), key=lambda file: file.room.id)

    @router.delete("/{room_id}", status_code=204, dependencies=[needs(Permission.CALL)])
    async def end_room(room_id: str, principal: CurrentPrincipal) -> None:
        """End it for everybody. Ending it twice is fine."""
        await rooms.end(room_id, principal)

    @router.post(
        "/{room_id}/invitations",
        status_code=201,
        response_model=InvitedView,
        dependencies=[needs(Permission.CALL)],
    )
    async def invite(
        room_id: str, body: InvitationBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Ask somebody, a phone, a radio group or a camera into the room."""
        lasts = None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s)
        new = NewInvitation(to=body.to, name=body.name, role=body.role, expires_in=lasts)

        async def produce() -> InvitedView:
            return _invited(await invitations.invite(room_id, new, principal))

        def without_link(view: InvitedView) -> InvitedView:
            return view.model_copy(update={"link": None})

        return await key.run_after(store, body, produce, remember=without_link)

    @router.post(
        "/{room_id}/sources",
        status_code=201,
        response_model=SourceView,
        dependencies=[needs(Permission.CALL)],
    )
    async def add_source(
        room_id: str, body: SourceBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Put a camera into the room that is fetched by RTSP, for as long as it is there."""
        new = NewPull(
            label=body.label,
            url=body.rtsp,
            sub_url=body.rtsp_sub,
            unit_id=body.unit,
        )

        async def produce(uow: UnitOfWork) -> SourceView:
            return SourceView.model_validate(
                await feature.pulling.add(uow, room_id, new, principal)
            )

        answer = await key.run(store, body, produce)
        await feature.pulling.start(room_id)
        return answer

    @router.delete(
        "/{room_id}/sources/{source_id}", status_code=204, dependencies=[needs(Permission.CALL)]
    )
    async def remove_source(room_id: str, source_id: str, principal: CurrentPrincipal) -> None:
        """Take a camera out that is fetched by RTSP. Twice is fine."""
        await feature.pulling.remove(room_id, source_id, principal)

    @router.get("/{room_id}/invitations", dependencies=[needs(Permission.CALL)])
    async def list_invitations(room_id: str) -> list[InvitationView]:
        """The guest links of the room, oldest first, without their secrets."""
        return [InvitationView.model_validate(one) for one in await invitations.all(room_id)]

    @router.delete("/{room_id}/invitations/{invitation_id}", dependencies=[needs(Permission.CALL)])
    async def revoke(
        room_id: str, invitation_id: str, principal: CurrentPrincipal
    ) -> InvitationView:
        """Make a link good for nothing. Whoever is in stays: remove them, too."""
        link = await invitations.revoke(room_id, invitation_id, principal)
        return InvitationView.model_validate(link)

    return router


def _invited(invited: Invited) -> InvitedView:
    link = invited.invitation
    return InvitedView(
        participant=ParticipantView.model_validate(invited.participant),
        invitation=InvitationView.model_validate(link) if link else None,
        link=invited.link,
    )
