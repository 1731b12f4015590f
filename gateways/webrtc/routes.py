"""WHIP (RFC 9725) and WHEP for the audio of a leg: `POST /whip/LEG` talks and listens, `POST /whep/LEG` listens.

The resource is the id of a `desk:` leg. Who may: the account whose desk it is, a key that may place calls, or the
bearer of a token for the leg. We are ICE-lite, so candidates that trickle in are welcome and not needed; a restart
is another POST to the same address, not a PATCH, because an offer also says what the browser can do now.
"""

from collections import OrderedDict
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from commhub.domain.account import Permission
from commhub.domain.errors import InvalidError, NotAllowedError
from commhub.http.auth import CurrentPrincipal, authenticate, needs, public
from commhub.http.bodies import Body
from commhub.http.problems import UnauthenticatedError, problem
from commhub.http.views import View
from commhub.kit.clock import Clock
from commhub.kit.ids import new_secret
from gateways.webrtc.config import WebRtcConfig
from gateways.webrtc.legs import DeskLegs
from gateways.webrtc.metrics import OFFERS, REFUSED_TOKENS
from gateways.webrtc.room_routes import RoomDoor
from gateways.webrtc.tokens import PREFIX, LegToken, Right, read, sign
from gateways.webrtc.whip import (
    CORS,
    OPTIONS,
    answer_created,
    bearer_of,
    read_offer,
    take_fragment,
)

_REMEMBERED = 10_000
_LONGEST_TOKEN_S = 24 * 3600
_WHY_PUBLIC = (
    "a token for the leg counts beside session and key, so the route itself asks who it is"
)
_RIGHTS = {"whip": Right.TALK, "whep": Right.LISTEN}


class NewToken(Body):
    """A token for one leg. `listen` hears the call and is never heard."""

    leg: str = Field(max_length=64)
    right: Right = Right.LISTEN
    expires_in_s: int = Field(3600, ge=10, le=_LONGEST_TOKEN_S)


class TokenView(View):
    """`token` goes into `Authorization: Bearer`; it is stored nowhere and cannot be shown again."""

    token: str
    leg: str
    right: Right
    expires_at: Annotated[str, Field(examples=["2026-03-02T09:00:00Z"])]


class Gate:
    """Who may do what with a leg, and which session of a leg is the present one."""

    def __init__(self, legs: DeskLegs, config: WebRtcConfig, clock: Clock) -> None:
        self._legs = legs
        self._config = config
        self._clock = clock
        self._sessions: OrderedDict[str, str] = OrderedDict()

    async def admit(self, request: Request, leg_id: str, right: Right) -> None:
        """Raises UnauthenticatedError, CrossSiteError, NotAllowedError, NotFoundError."""
        bearer = bearer_of(request)
        if bearer.startswith(PREFIX):
            token = read(bearer, self._config.token_secret, self._clock.now())
            if token is None:
                REFUSED_TOKENS.labels("unknown").inc()
                raise UnauthenticatedError("this leg token is none of ours, or its time is over")
            if not token.allows(leg_id, right):
                REFUSED_TOKENS.labels("not_allowed").inc()
                raise NotAllowedError(f"this token does not allow to {right} on this leg")
            return
        principal = await authenticate(request)
        if not principal.may(Permission.CALL):
            raise NotAllowedError("your role does not place calls", permission=Permission.CALL)
        _, leg = await self._legs.find(leg_id)
        if principal.kind == "user" and leg.endpoint.name != principal.name:
            raise NotAllowedError(f"this leg is {leg.endpoint}'s own")

    def begin(self, leg_id: str) -> str:
        """A new session of the leg; the one before it is over."""
        session = self._sessions[leg_id] = new_secret(12)
        if len(self._sessions) > _REMEMBERED:
            self._sessions.popitem(last=False)
        return session

    def is_present(self, leg_id: str, session: str) -> bool:
        """Whether the session is the leg's last one. After a restart of this process any may be."""
        return self._sessions.get(leg_id, session) == session

    def end(self, leg_id: str) -> None:
        self._sessions.pop(leg_id, None)


def build_router(
    legs: DeskLegs, config: WebRtcConfig, clock: Clock, rooms: RoomDoor | None = None
) -> APIRouter:
    """`/whip` and `/whep`, for the application's root (not under /api/v1). A room's id in a leg's place goes to `rooms`."""
    gate = Gate(legs, config, clock)
    router = APIRouter(tags=["webrtc"])
    for protocol in _RIGHTS:
        router.include_router(_routes_of(protocol, legs, gate, rooms))
    return router


def _routes_of(protocol: str, legs: DeskLegs, gate: Gate, rooms: RoomDoor | None) -> APIRouter:
    router = APIRouter(prefix=f"/{protocol}")
    right = _RIGHTS[protocol]

    @router.options("/{leg_id}", status_code=204)
    @public("it says what may be sent here, and nothing else")
    async def describe(leg_id: str) -> Response:
        del leg_id
        return Response(status_code=204, headers=OPTIONS)

    @router.options("/{leg_id}/{session}", status_code=204)
    @public("it says what may be sent here, and nothing else")
    async def describe_session(leg_id: str, session: str) -> Response:
        del leg_id, session
        return Response(status_code=204, headers=OPTIONS)

    @router.post("/{leg_id}", status_code=201)
    @public(_WHY_PUBLIC)
    async def offer(leg_id: str, request: Request) -> Response:
        """An SDP offer for the leg; the answer comes back, and the sound follows by ICE."""
        if rooms is not None and right is Right.TALK and await rooms.is_room(leg_id):
            return await rooms.publish(request, leg_id)
        await gate.admit(request, leg_id, right)
        text = await read_offer(request, protocol)
        if isinstance(text, Response):
            return text
        try:
            answer = await legs.connect(leg_id, text, talks=right is Right.TALK)
        except InvalidError:
            OFFERS.labels(protocol, "invalid").inc()
            raise
        OFFERS.labels(protocol, "answered").inc()
        session = gate.begin(leg_id)
        return answer_created(answer, f"/{protocol}/{leg_id}/{session}", session)

    @router.patch("/{leg_id}/{session}", status_code=204)
    @public(_WHY_PUBLIC)
    async def trickle(leg_id: str, session: str, request: Request) -> Response:
        """Candidates that trickle in (RFC 9725 §4.3.2)."""
        if rooms is not None and await rooms.is_room(leg_id):
            return await rooms.trickle(request, leg_id, session)
        await gate.admit(request, leg_id, right)
        return await take_fragment(request, session, is_present=gate.is_present(leg_id, session))

    @router.delete("/{leg_id}/{session}", status_code=200)
    @public(_WHY_PUBLIC)
    async def leave(leg_id: str, session: str, request: Request) -> Response:
        """Hang up. A session whose place another one took is over already."""
        if rooms is not None and await rooms.is_room(leg_id):
            return await rooms.leave(request, leg_id, session)
        await gate.admit(request, leg_id, right)
        if not gate.is_present(leg_id, session):
            return problem(404, "not-found", "this session is over", headers=CORS)
        gate.end(leg_id)
        await legs.leave(leg_id)
        return Response(status_code=200, headers=CORS)

    return router


def build_token_router(legs: DeskLegs, config: WebRtcConfig, clock: Clock) -> APIRouter:
    """`/webrtc/tokens`, for the API."""
    router = APIRouter(prefix="/webrtc", tags=["webrtc"])

    @router.post("/tokens", status_code=201, dependencies=[needs(Permission.CALL)])
    async def make_token(body: NewToken, principal: CurrentPrincipal) -> TokenView:
        """A token for a client that has no account. Made twice is two tokens; none is stored."""
        await legs.find(body.leg)
        token = LegToken(
            leg_id=body.leg,
            right=body.right,
            expires_at=int(clock.now().timestamp()) + body.expires_in_s,
            made_by=principal.actor,
        )
        return TokenView(
            token=sign(token, config.token_secret),
            leg=body.leg,
            right=body.right,
            expires_at=token.ends.isoformat().replace("+00:00", "Z"),
        )

    return router
