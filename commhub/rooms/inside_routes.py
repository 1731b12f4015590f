"""HTTP for those in a room, signed in or with a guest link: what they see of it, and what the host does to them.

A guest's token is the fragment of their link, sent as `Authorization: Bearer`. It opens the room it was made for and no
other route of the hub; so these routes ask for themselves who it is.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from pydantic import Field

from commhub.domain.account import Permission, Principal
from commhub.domain.errors import NotAllowedError, NotFoundError
from commhub.domain.room import ParticipantState, RoomRole, must_wait
from commhub.http.auth import authenticate, public, require
from commhub.http.bodies import Body
from commhub.http.room_views import (
    LayerMeterView,
    MeView,
    ParticipantView,
    RoomMetersView,
    RoomView,
    SourceMeterView,
    SourceView,
    room_view,
)
from commhub.ports.rooms import Asking, RoomRight
from commhub.ports.video import SPEAKER, SourceMeter
from commhub.rooms import moves
from commhub.rooms.entering import check_token
from commhub.rooms.feature import RoomFeature
from commhub.rooms.hosting import ParticipantWish, Who
from commhub.rooms.service import RoomFile, RoomWish
from commhub.rooms.video_events import LAYER_NAMES

_WHY = "a guest's token counts beside session and key, so the route itself asks who it is"

Identify = Callable[[Request, str], Awaitable[Who]]


class RoomChange(Body):
    """What is left out stays. `spotlight` is a source's id, «» for whoever speaks."""

    name: str | None = Field(None, min_length=1, max_length=64)
    locked: bool | None = None
    lobby: bool | None = None
    spotlight: str | None = Field(None, max_length=64)


class ParticipantChange(Body):
    """What is left out stays. Of oneself only `hand_raised`, and of a guest before they come in `name`; `role` host hands the
    room over, or shares it."""

    role: RoomRole | None = None
    sound_muted: bool | None = None
    picture_muted: bool | None = None
    hand_raised: bool | None = None
    name: str | None = Field(None, min_length=1, max_length=256)


class SourceChange(Body):
    """`muted`: nobody sees it, though it is sent."""

    muted: bool


def identifier(feature: RoomFeature) -> Identify:
    """How a route learns who asks. Raises UnauthenticatedError, NotAllowedError, NotFoundError."""

    async def identify(request: Request, room_id: str) -> Who:
        _, _, bearer = request.headers.get("authorization", "").partition(" ")
        token = feature.tokens.read(bearer.strip()) if bearer else None
        if token is None:
            principal = await authenticate(request)
            require(principal, Permission.VIEW)
            return Who(principal=principal)
        async with feature.store.read() as uow:
            room = await uow.rooms.find(room_id)
            if room is None:
                raise NotFoundError("there is no such room")
            if token.participant_id is None:
                await check_token(uow, room, token, feature.clock)
                raise NotAllowedError("this token is a machine's and sees only pictures")
            one = await moves.participant_of(uow, token.room_id, token.participant_id)
            if one.room_id == room_id and one.state is ParticipantState.REMOVED:
                # Their links were revoked with that, and this says more than that would.
                raise NotAllowedError("you were removed from this room")
            await check_token(uow, room, token, feature.clock)
        guest = Principal(id=one.id, name=one.name, kind="guest", roles=frozenset())
        return Who(principal=guest, participant_id=one.id)

    return identify


def build_router(feature: RoomFeature) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/rooms/{room_id}", tags=["rooms"])
    identify = identifier(feature)
    _seeing(router, feature, identify)
    _coming(router, feature, identify)
    _hosting(router, feature, identify)
    return router


def _seeing(router: APIRouter, feature: RoomFeature, identify: Identify) -> None:
    async def seen(request: Request, room_id: str) -> RoomFile:
        who = await identify(request, room_id)
        eyes = await feature.readers.eyes(who)
        return eyes(await feature.rooms.get(room_id))

    @router.get("")
    @public(_WHY)
    async def get_room(room_id: str, request: Request) -> RoomView:
        """The room as it is. Who still waits sees nothing of it but themselves; who is of another department neither people
        nor the sources they could not watch."""
        return _view(await seen(request, room_id))

    @router.get("/meters")
    @public(_WHY)
    async def meters(room_id: str, request: Request) -> RoomMetersView:
        """How the pictures arrive now that one may see; a few seconds old at most, and kept nowhere."""
        file = await seen(request, room_id)
        visible = {source.id for source in file.sources}
        people = {one.id for one in file.participants}
        speaker = feature.events.speaker_of(room_id)
        return RoomMetersView(
            speaker=speaker.source_id if speaker.source_id in visible else None,
            speaking=speaker.participant_id if speaker.participant_id in people else None,
            sources=[
                _meter(one) for one in feature.events.meters_of(room_id) if one.source_id in visible
            ],
        )


def _coming(router: APIRouter, feature: RoomFeature, identify: Identify) -> None:
    host = feature.host

    @router.get("/me")
    @public(_WHY)
    async def me(room_id: str, request: Request) -> MeView:
        """As whom I am here. 404 for somebody signed in who is not."""
        who = await identify(request, room_id)
        async with feature.store.read() as uow:
            room = await uow.rooms.get(room_id)
            one = await host.me(uow, room, who)
        if one is None:
            raise NotFoundError("you are not in this room")
        return MeView(participant=ParticipantView.model_validate(one), waiting=must_wait(room, one))

    @router.post("/enter")
    @public(_WHY)
    async def enter(room_id: str, request: Request) -> MeView:
        """Knock. With a waiting room the host is told; else offer by WHIP or WHEP at once. Knocking again is fine."""
        who = await identify(request, room_id)
        _, _, bearer = request.headers.get("authorization", "").partition(" ")
        is_guest = who.participant_id is not None
        admission = await feature.doors.admit(
            Asking(
                room=room_id,
                right=RoomRight.VIEW,
                source=SPEAKER,
                token=feature.tokens.read(bearer.strip()) if is_guest else None,
                principal=None if is_guest else who.principal,
            )
        )
        async with feature.store.read() as uow:
            one = await moves.participant_of(uow, room_id, admission.participant_id)
        return MeView(participant=ParticipantView.model_validate(one), waiting=admission.waiting)

    @router.post("/leave", status_code=204)
    @public(_WHY)
    async def leave(room_id: str, request: Request) -> None:
        """Go; coming back is fine as long as the room is open."""
        await host.leave(room_id, await identify(request, room_id))


def _hosting(router: APIRouter, feature: RoomFeature, identify: Identify) -> None:
    host = feature.host

    @router.patch("")
    @public(_WHY)
    async def change_room(room_id: str, body: RoomChange, request: Request) -> RoomView:
        """Name, lock, waiting room, spotlight."""
        who = await identify(request, room_id)
        await host.require(room_id, who)
        wish = RoomWish(**body.model_dump())
        return _view(await feature.rooms.change(room_id, wish, who.principal))

    @router.post("/participants/{participant_id}/admit")
    @public(_WHY)
    async def admit(room_id: str, participant_id: str, request: Request) -> ParticipantView:
        """Let somebody in who waits."""
        who = await identify(request, room_id)
        return ParticipantView.model_validate(await host.let_in(room_id, participant_id, who))

    @router.delete("/participants/{participant_id}")
    @public(_WHY)
    async def remove(room_id: str, participant_id: str, request: Request) -> ParticipantView:
        """Send somebody out, or not let them in. They do not come back by their link."""
        who = await identify(request, room_id)
        return ParticipantView.model_validate(await host.remove(room_id, participant_id, who))

    @router.patch("/participants/{participant_id}")
    @public(_WHY)
    async def change_participant(
        room_id: str, participant_id: str, body: ParticipantChange, request: Request
    ) -> ParticipantView:
        """Mute, change the role, raise or lower a hand; a guest at the door says who they are."""
        who = await identify(request, room_id)
        wish = ParticipantWish(**body.model_dump())
        one = await host.change(room_id, participant_id, wish, who)
        return ParticipantView.model_validate(one)

    @router.patch("/sources/{source_id}")
    @public(_WHY)
    async def change_source(
        room_id: str, source_id: str, body: SourceChange, request: Request
    ) -> SourceView:
        """Show a picture to nobody, or again."""
        who = await identify(request, room_id)
        source = await host.mute_source(room_id, source_id, who, muted=body.muted)
        return SourceView.model_validate(source)


def _view(file: RoomFile) -> RoomView:
    return room_view(file.room, file.participants, file.sources)


def _meter(meter: SourceMeter) -> SourceMeterView:
    return SourceMeterView(
        source_id=meter.source_id,
        codec=meter.codec.value,
        layers=[
            LayerMeterView(
                layer=LAYER_NAMES[one.layer],
                width=one.width,
                height=one.height,
                fps=one.fps,
                kbps=one.kbps,
                lost=one.lost,
            )
            for one in meter.layers
        ],
        views=meter.views,
        silent_s=meter.silent_s,
        round_trip_ms=meter.round_trip_ms,
        muted=meter.muted,
        recording=meter.recording,
    )
