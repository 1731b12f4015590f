"""WHIP and WHEP for rooms: `POST /whip/ROOM` publishes, `POST /whep/ROOM/SOURCE` views.

The resource of a session is under the address it was offered to; an offer by POST to the resource itself restarts its ICE, or
takes its place. Who may: a room token (`Authorization: Bearer room.…`), or whoever is signed in and is a participant; the
rooms decide (`RoomsIn.admit`).
"""

from dataclasses import dataclass
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from commhub.domain.account import Principal
from commhub.domain.errors import DomainError, InvalidError, NotAllowedError, NotFoundError
from commhub.http.auth import authenticate, public
from commhub.http.problems import UnauthenticatedError, problem
from commhub.kit.ids import new_secret
from commhub.ports.rooms import (
    CAMERA,
    Asking,
    RoomRight,
    RoomSession,
    RoomsIn,
    RoomToken,
    RoomTokens,
)
from commhub.ports.video import Layer
from gateways.webrtc.ice import IceServers
from gateways.webrtc.metrics import OFFERS, REFUSED_TOKENS
from gateways.webrtc.room_sessions import RoomSessions
from gateways.webrtc.room_tokens import PREFIX
from gateways.webrtc.whip import (
    CORS,
    OPTIONS,
    answer_created,
    bearer_of,
    read_offer,
    take_fragment,
)

WHY_PUBLIC = "a room token counts beside session and key, so the route itself asks who it is"
_WAIT_S = 3
LAYERS = {"main": Layer.MAIN, "sub": Layer.SUB, "low": Layer.LOW}
_PROTOCOLS = {RoomRight.PUBLISH: "whip", RoomRight.VIEW: "whep"}


@dataclass(frozen=True, slots=True)
class _Credentials:
    """One of both."""

    token: RoomToken | None = None
    principal: Principal | None = None


class RoomDoor:
    """Reads who asks and for what, and has rooms decide."""

    def __init__(
        self, rooms: RoomsIn, sessions: RoomSessions, tokens: RoomTokens, ice: IceServers
    ) -> None:
        self._rooms = rooms
        self._sessions = sessions
        self._tokens = tokens
        self._ice = ice

    async def is_room(self, name: str) -> bool:
        return await self._rooms.is_room(name)

    # Offers --------------------------------------------------------------------------------------------------

    async def publish(self, request: Request, room: str) -> Response:
        """A first offer to publish: `source` is camera, screen or a source's id, `layer` main, sub or low."""
        source = request.query_params.get("source", CAMERA)
        session_id = new_secret(16)
        location = f"/whip/{room}/{session_id}"
        return await self._offer(request, room, RoomRight.PUBLISH, source, session_id, location)

    async def view(self, request: Request, room: str, source: str) -> Response:
        """A first offer to view a source, or `speaker`; `layer` is the best that is wanted."""
        session_id = new_secret(16)
        location = quote(f"/whep/{room}/{source}/{session_id}")
        return await self._offer(request, room, RoomRight.VIEW, source, session_id, location)

    async def offer_again(self, request: Request, room: str, session_id: str) -> Response:
        """Another offer of a session: ICE is restarted, or it begins anew."""
        session = await self._own(request, room, session_id)
        location = quote(request.scope["path"])
        return await self._offer(
            request, room, session.right, session.source_id, session_id, location, session.layer
        )

    async def _offer(
        self,
        request: Request,
        room: str,
        right: RoomRight,
        source: str,
        session_id: str,
        location: str,
        layer: Layer | None = None,
    ) -> Response:
        protocol = _PROTOCOLS[right]
        who = await self._credentials(request, room)
        asking = Asking(
            room=room,
            right=right,
            source=source,
            token=who.token,
            principal=who.principal,
            layer=_layer_of(request) if layer is None else layer,
        )
        try:
            admission = await self._rooms.admit(asking)
        except NotAllowedError:
            OFFERS.labels(protocol, "not_allowed").inc()
            if asking.token is not None:
                REFUSED_TOKENS.labels("not_allowed").inc()
            raise
        if admission.waiting:
            OFFERS.labels(protocol, "waiting").inc()
            headers = {**CORS, "Retry-After": str(_WAIT_S)}
            return problem(
                403, "waiting", "the host has not let you in yet; ask again", headers=headers
            )
        text = await read_offer(request, protocol)
        if isinstance(text, Response):
            return text
        try:
            answer = await self._sessions.open(session_id, admission, right, text)
        except DomainError as error:
            OFFERS.labels(protocol, error.code).inc()
            raise
        OFFERS.labels(protocol, "answered").inc()
        more = self._ice.headers(admission.participant_id)
        return answer_created(answer, location, session_id, more)

    async def show(
        self, request: Request, room: str, session_id: str, source: str | None, layer: Layer | None
    ) -> RoomSession:
        """Have a view show another source or layer on the connection it has; whoever may not view that keeps what they see."""
        who = await self._credentials(request, room)
        session = await self._own(request, room, session_id)
        if session.right is not RoomRight.VIEW:
            raise InvalidError("this session publishes; only views are switched")
        asking = Asking(
            room=room,
            right=RoomRight.VIEW,
            source=source or session.source_id,
            token=who.token,
            principal=who.principal,
            layer=session.layer if layer is None else layer,
        )
        try:
            admission = await self._rooms.admit(asking)
        except NotAllowedError:
            if asking.token is not None:
                REFUSED_TOKENS.labels("not_allowed").inc()
            raise
        if admission.waiting or admission.participant_id != session.participant_id:
            raise NotAllowedError("this session is somebody else's")
        return await self._sessions.show(session, admission)

    # Resources -----------------------------------------------------------------------------------------------

    async def trickle(self, request: Request, room: str, session_id: str) -> Response:
        await self._own(request, room, session_id)
        return await take_fragment(request, session_id, is_present=True)

    async def leave(self, request: Request, room: str, session_id: str) -> Response:
        await self._sessions.close(await self._own(request, room, session_id))
        return Response(status_code=200, headers=CORS)

    async def _own(self, request: Request, room: str, session_id: str) -> RoomSession:
        """The session, which is as secret as its random id, for who may be in the room at all. Raises NotFoundError."""
        token = (await self._credentials(request, room)).token
        session = await self._rooms.find_session(session_id)
        if session.room_id != room:
            raise NotFoundError("this room has no such session")
        if token is not None and token.participant_id not in (None, session.participant_id):
            REFUSED_TOKENS.labels("not_allowed").inc()
            raise NotAllowedError("this token is somebody else's")
        return session

    # Who it is -----------------------------------------------------------------------------------------------

    async def name_of(self, request: Request) -> str:
        """Whoever asks, with a token for any room. Raises UnauthenticatedError."""
        if bearer_of(request).startswith(PREFIX):
            token = self._read(request)
            return token.participant_id or token.id
        return (await authenticate(request)).id

    async def _credentials(self, request: Request, room: str) -> _Credentials:
        """Either a token or a principal. Raises UnauthenticatedError, CrossSiteError, NotAllowedError."""
        if not bearer_of(request).startswith(PREFIX):
            return _Credentials(principal=await authenticate(request))
        token = self._read(request)
        if token.room_id != room:
            REFUSED_TOKENS.labels("not_allowed").inc()
            raise NotAllowedError("this token is for another room")
        return _Credentials(token=token)

    def _read(self, request: Request) -> RoomToken:
        token = self._tokens.read(bearer_of(request))
        if token is None:
            REFUSED_TOKENS.labels("unknown").inc()
            raise UnauthenticatedError("this room token is none of ours, or its time is over")
        return token


def build_room_router(door: RoomDoor) -> APIRouter:
    """What of `/whip` and `/whep` is rooms' alone, for the application's root; the rest is shared with legs (`routes`)."""
    router = APIRouter(tags=["webrtc"])

    @router.post("/whip/{room}/{session}", status_code=201)
    @public(WHY_PUBLIC)
    async def publish_again(room: str, session: str, request: Request) -> Response:
        """Another offer of a session that publishes."""
        return await door.offer_again(request, room, session)

    @router.options("/whep/{room}/{source}/{session}", status_code=204)
    @public("it says what may be sent here, and nothing else")
    async def describe(room: str, source: str, session: str) -> Response:
        del room, source, session
        return Response(status_code=204, headers=OPTIONS)

    @router.post("/whep/{room}/{source}", status_code=201)
    @public(WHY_PUBLIC)
    async def view(room: str, source: str, request: Request) -> Response:
        """An SDP offer to view a source of the room, or `speaker`; `?layer=main|sub|low` is the best that is wanted."""
        return await door.view(request, room, source)

    @router.post("/whep/{room}/{source}/{session}", status_code=201)
    @public(WHY_PUBLIC)
    async def view_again(room: str, source: str, session: str, request: Request) -> Response:
        """Another offer of a session that views."""
        del source
        return await door.offer_again(request, room, session)

    @router.patch("/whep/{room}/{source}/{session}", status_code=204)
    @public(WHY_PUBLIC)
    async def trickle(room: str, source: str, session: str, request: Request) -> Response:
        """Candidates that trickle in (RFC 9725 §4.3.2)."""
        del source
        return await door.trickle(request, room, session)

    @router.delete("/whep/{room}/{source}/{session}", status_code=200)
    @public(WHY_PUBLIC)
    async def leave(room: str, source: str, session: str, request: Request) -> Response:
        """View no more."""
        del source
        return await door.leave(request, room, session)

    return router


def _layer_of(request: Request) -> Layer:
    name = request.query_params.get("layer", "main")
    if name not in LAYERS:
        raise InvalidError("a layer is main, sub or low")
    return LAYERS[name]
