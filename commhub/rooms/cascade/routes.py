"""HTTP of joined rooms: with whom, whose pictures come, and what goes out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from commhub.domain.account import Permission
from commhub.domain.tier import Relation
from commhub.domain.tier_rooms import CascadeState, RemoteSource, Uplink
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.idempotency import IdempotencyKey
from commhub.http.room_views import ParticipantView
from commhub.http.views import View
from commhub.ports.store import Store
from commhub.ports.video import SPEAKER, Layer
from commhub.rooms.cascade.feature import Cascade
from commhub.rooms.video_events import LAYER_NAMES

PeerName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", examples=["street-a"])]


class NewJoin(Body):
    """`beyond`: neighbours of that hub that it is to invite in turn, one behind the other."""

    peer: PeerName
    beyond: Annotated[tuple[PeerName, ...], Field(max_length=3)] = ()


class CascadeView(View):
    """Our room joined with a neighbour's. `hubs` are those whom that brings into the meeting; `reason` says why it is not joined, or what
    of it did not come about."""

    room_id: str
    peer: str
    relation: Relation
    state: CascadeState
    created_at: datetime
    created_by: str
    their_room: str | None
    participant_id: str | None
    hubs: Sequence[str]
    reason: str | None


class RemoteSourceView(View):
    """A source of another hub. `via` are the hubs it passed, its own first; `wanted` the layer that is asked for (main, sub, low; null: nothing
    flows), `error` why it does not come."""

    source_id: str
    peer: str
    origin: str
    via: Sequence[str]
    wanted: str | None
    error: str | None


class UplinkView(View):
    """A source that is sent onward, `to` a hub or a platform (`platform:NAME`). `layer` is what was asked for, `sent` what the way holds (null:
    nothing), which takes `kbps`."""

    id: str
    source_id: str
    to: str
    layer: str
    sent: str | None
    kbps: int
    asked_at: datetime
    error: str | None


class NewUplink(Body):
    """`source` is a source's id or `speaker`; a platform that is rung gets what any SIP far end does."""

    platform: PeerName
    source: Annotated[str, Field(max_length=64)] = SPEAKER
    layer: Literal["main", "sub", "low"] = "main"


class StartedView(View):
    """One of both: what is sent by WHIP, or who is rung."""

    uplink: UplinkView | None = None
    participant: ParticipantView | None = None


class PlatformView(View):
    """A platform of the settings. `dial` is the address of one that is rung into the room; null: it takes pictures by WHIP."""

    name: str
    dial: str | None


class RoomTiersView(View):
    """`platforms` are those this room could be sent to."""

    cascades: Sequence[CascadeView]
    sources: Sequence[RemoteSourceView]
    uplinks: Sequence[UplinkView]
    platforms: Sequence[PlatformView]


def build_router(cascade: Cascade, store: Store) -> APIRouter:
    """The routes, under /rooms/ID."""
    router = APIRouter(prefix="/rooms/{room_id}", tags=["rooms"])

    @router.post(
        "/cascades",
        status_code=201,
        response_model=CascadeView,
        dependencies=[needs(Permission.CALL)],
    )
    async def join(
        room_id: str, body: NewJoin, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Invite a neighbouring hub into the meeting. While the link to it is down the state is `asked`, and it joins when that is
        back."""

        async def produce() -> CascadeView:
            joined = await cascade.joining.join(room_id, body.peer, principal, body.beyond)
            return CascadeView.model_validate(joined)

        return await key.run_after(store, body, produce)

    @router.get("/cascades", dependencies=[needs(Permission.VIEW)])
    async def see(room_id: str) -> RoomTiersView:
        """Joins, one that has ended too; pictures of other hubs; what is sent onward, and to which platforms it could be."""
        async with store.read() as uow:
            await uow.rooms.get(room_id)
            joins = await uow.cascades.of_room(room_id)
            sources = await uow.cascades.sources_of(room_id)
            uplinks = await uow.cascades.uplinks_of(room_id)
        return RoomTiersView(
            cascades=[CascadeView.model_validate(one) for one in joins],
            sources=[_source(one) for one in sources],
            uplinks=[uplink_view(one) for one in uplinks],
            platforms=[PlatformView.model_validate(one) for one in cascade.platforms.all],
        )

    @router.delete("/cascades/{peer}", status_code=204, dependencies=[needs(Permission.CALL)])
    async def part(room_id: str, peer: str, principal: CurrentPrincipal) -> None:
        """Part with a hub; both halves go on. Twice is fine."""
        await cascade.joining.leave(room_id, peer, principal)

    @router.post(
        "/uplinks",
        status_code=201,
        response_model=StartedView,
        dependencies=[needs(Permission.CALL)],
    )
    async def send(
        room_id: str, body: NewUplink, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Send a picture of the room to a platform of the settings, or ring it into the room."""
        layer = next(one for one, name in LAYER_NAMES.items() if name == body.layer)

        async def produce() -> StartedView:
            begun = await cascade.platforms.begin(
                room_id, body.platform, body.source, layer, principal
            )
            if isinstance(begun, Uplink):
                return StartedView(uplink=uplink_view(begun))
            return StartedView(participant=ParticipantView.model_validate(begun))

        return await key.run_after(store, body, produce)

    @router.delete("/uplinks/{uplink_id}", status_code=204, dependencies=[needs(Permission.CALL)])
    async def send_no_more(room_id: str, uplink_id: str, principal: CurrentPrincipal) -> None:
        """End what is sent to a platform. Twice is fine."""
        await cascade.platforms.end(room_id, uplink_id, principal)

    return router


def _source(one: RemoteSource) -> RemoteSourceView:
    return RemoteSourceView(
        source_id=one.source_id,
        peer=one.peer,
        origin=one.origin,
        via=one.via,
        wanted=_layer(one.wanted),
        error=one.refused,
    )


def uplink_view(one: Uplink) -> UplinkView:
    return UplinkView(
        id=one.id,
        source_id=one.source_id,
        to=one.peer,
        layer=str(_layer(one.layer)),
        sent=_layer(one.sent),
        kbps=one.kbps,
        asked_at=one.asked_at,
        error=one.error,
    )


def _layer(number: int | None) -> str | None:
    return None if number is None else LAYER_NAMES[Layer(number)]
