"""What browsers in rooms need beside WHIP and WHEP, under /api/v1: the TURN servers, and the switch of a view to another source or
layer without a new offer, which WHEP knows no way for."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field, model_validator

from commhub.http.auth import public
from commhub.http.bodies import Body
from commhub.http.views import View
from gateways.webrtc.ice import IceServers
from gateways.webrtc.room_routes import LAYERS, WHY_PUBLIC, RoomDoor

_LAYER_NAMES = {layer: name for name, layer in LAYERS.items()}


class IceServerView(View):
    """As RTCConfiguration has it."""

    urls: str
    username: str | None = None
    credential: str | None = None


class IceServersView(View):
    """`ttl_s` is for how long the credentials are good; without servers the direct path is the only one."""

    servers: list[IceServerView]
    ttl_s: int = Field(examples=[21600])


class ShowBody(Body):
    """What is left out stays. `source` is a source's id, or `speaker`; `layer` the best that is wanted."""

    source: str | None = Field(None, min_length=1, max_length=64)
    layer: Literal["main", "sub", "low"] | None = None

    @model_validator(mode="after")
    def _wants_something(self) -> "ShowBody":
        if self.source is None and self.layer is None:
            raise ValueError("name a source, a layer, or both")
        return self


class ShownView(View):
    """What a view shows from now on."""

    source_id: str
    layer: str


def build_api_router(door: RoomDoor, ice: IceServers) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["webrtc"])

    @router.get("/webrtc/ice-servers")
    @public(WHY_PUBLIC)
    async def list_servers(request: Request) -> IceServersView:
        """The TURN servers of this hub, with credentials for whoever asks."""
        servers = ice.servers(await door.name_of(request))
        shown = [
            IceServerView(urls=one.url, username=one.username, credential=one.credential)
            for one in servers
        ]
        return IceServersView(servers=shown, ttl_s=ice.ttl_s)

    @router.patch("/rooms/{room}/views/{session}")
    @public(WHY_PUBLIC)
    async def show(room: str, session: str, body: ShowBody, request: Request) -> ShownView:
        """Show another source or layer in a view (`session` is the last part of its WHEP resource): the picture changes in the
        stream there is, at its next key frame or at once from the cache. Refused like a new view, and then nothing
        changes."""
        layer = None if body.layer is None else LAYERS[body.layer]
        now = await door.show(request, room, session, body.source, layer)
        return ShownView(source_id=now.source_id, layer=_LAYER_NAMES[now.layer])

    return router
