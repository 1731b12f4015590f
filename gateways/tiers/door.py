"""Where lower hubs connect: the WebSocket `/tiers/link`, and `/tiers/pair` before that. They are no routes of the API: who asks is
proved by the hub's token or a ticket, not by a session or a key, and whoever is refused hears why."""

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field

from commhub.domain.errors import UnavailableError
from commhub.domain.tier import Relation
from commhub.http.auth import public
from commhub.http.bodies import Body
from commhub.ports.tiers import PairingIn
from gateways.tiers.errors import Code, GoneError, LinkDownError
from gateways.tiers.frames import encode
from gateways.tiers.keys import issuer_of
from gateways.tiers.links import PATH, Links
from gateways.tiers.meeting import Meeting
from gateways.tiers.metrics import REFUSED
from gateways.tiers.pairing_client import PATH as PAIR

log = structlog.get_logger(__name__)

# 4403: an application's own code (RFC 6455 §7.4.2), the digits of the HTTP status with that meaning.
_REFUSED = 4403


class PairBody(Body):
    """What a lower hub shows: the ticket's secret, and who it is. `keys` newest first."""

    secret: str = Field(max_length=128)
    hub: str = Field(max_length=32)
    name: str = Field("", max_length=64)
    tier: str = Field(max_length=16)
    keys: list[str] = Field(min_length=1, max_length=4)
    sip: str | None = Field(None, max_length=128)


class PairView(BaseModel):
    """Who the upper hub is."""

    hub: str
    name: str
    tier: str
    keys: list[str]
    sip: str | None


def build_router(meeting: Meeting, links: Links, pairing: PairingIn) -> APIRouter:
    """Both routes."""
    router = APIRouter(tags=["tiers"])

    @router.post(PAIR)
    @public("the ticket's secret, good once, is what lets a hub in")
    async def pair(body: PairBody) -> PairView:
        """Pair with a lower hub that shows a ticket of ours."""
        return PairView.model_validate(await pairing.accept(body.model_dump()))

    @router.websocket(PATH)
    @public("a hub proves itself with a signed token of its own")
    async def link(websocket: WebSocket) -> None:
        await websocket.accept()
        pipe = _Accepted(websocket)
        try:
            await _welcome(websocket, pipe, meeting, links)
        except LinkDownError as why:
            REFUSED.labels(why.code).inc()
            log.warning("tier_link_refused", code=why.code, reason=why.reason)
            await _refuse(pipe, why)
        except UnavailableError as error:
            await _refuse(pipe, LinkDownError(Code.FAULT, str(error)))
        except GoneError:
            log.info("tier_link_left_early")

    return router


async def _welcome(websocket: WebSocket, pipe: "_Accepted", meeting: Meeting, links: Links) -> None:
    scheme, _, token = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise LinkDownError(Code.BAD_SIGNATURE, "a hub connects with a token of its own")
    try:
        peering, claims = await meeting.known_by(token.strip())
    except LinkDownError as why:
        if why.code == Code.CLOCK_OFF:
            # Its signature was good: it is who it says.
            peer = issuer_of(token.strip())
            await links.refused(peer, LinkDownError(why.code, f"{peer} was told: {why.reason}"))
        raise
    if peering.relation is not Relation.LOWER:
        raise LinkDownError(
            Code.UNKNOWN_PEER, f"{peering.peer} is above this hub, and is dialled from here"
        )
    await links.carry(await meeting.as_upper(pipe, peering, claims))


async def _refuse(pipe: "_Accepted", why: LinkDownError) -> None:
    try:
        await pipe.send(encode({"t": "bye", "code": why.code, "reason": why.reason}))
        await pipe.close(_REFUSED, why.code)
    except GoneError:
        log.debug("tier_refusal_not_heard")


class _Accepted:
    """`gateways.tiers.hello.Pipe` over a connection made to us."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send(self, text: str) -> None:
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            # Starlette says by RuntimeError that the other side has closed.
            raise GoneError from error

    async def receive(self) -> str:
        try:
            return await self._websocket.receive_text()
        except (WebSocketDisconnect, RuntimeError, KeyError, OSError) as error:
            raise GoneError from error

    async def close(self, code: int, reason: str) -> None:
        try:
            await self._websocket.close(code, reason[:100])
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            raise GoneError from error
