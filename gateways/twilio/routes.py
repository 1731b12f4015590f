"""What Twilio calls: three webhooks, proven by their signature, and the WebSocket, proven by a ticket of our TwiML.

A socket that has proven nothing yet is bounded in time and number; a signed handshake does not count against the
number, so strangers cannot keep Twilio out.
"""

import asyncio
from contextlib import suppress

import structlog
from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import Response
from starlette.websockets import WebSocketDisconnect

from commhub.http.auth import public
from commhub.http.problems import problem
from gateways.twilio import messages
from gateways.twilio.errors import ForgeryError, ProtocolError
from gateways.twilio.gateway import TwilioGateway
from gateways.twilio.metrics import REFUSED
from gateways.twilio.signature import Signatures
from gateways.twilio.stream import receive_text

log = structlog.get_logger(__name__)

_WHY_SIGNED = "Twilio signs its requests (X-Twilio-Signature) instead of signing in"
_WHY_TICKET = "a media stream shows the ticket of our TwiML in its first message"
# RFC 6455 §7.4.1.
_NORMAL = 1000
_POLICY = 1008


def build_router(gateway: TwilioGateway) -> APIRouter:
    """`/twilio/…`, for the application's root (not under /api/v1)."""
    config = gateway.config
    signatures = Signatures(config.auth_token, config.public_url)
    sockets = _Sockets(gateway, signatures)
    router = APIRouter(prefix="/twilio", tags=["twilio"])

    @router.post("/voice")
    @public(_WHY_SIGNED)
    async def voice(request: Request, leg: str | None = None) -> Response:
        """A call came in, or one of ours (`leg`) was answered: what to do with it."""
        try:
            fields = await signatures.read_form(request)
            return _xml(await gateway.voice(fields, leg))
        except ForgeryError as error:
            return _refuse(error)

    @router.post("/voice/resume")
    @public(_WHY_SIGNED)
    async def resume(request: Request, leg: str = "", ticket: str = "") -> Response:
        """A call still rings, or its stream ended and the call did not: what to do next."""
        try:
            fields = await signatures.read_form(request)
            return _xml(await gateway.resume(fields, leg, ticket))
        except ForgeryError as error:
            return _refuse(error)

    @router.post("/status")
    @public(_WHY_SIGNED)
    async def status(request: Request, leg: str | None = None) -> Response:
        """A call's progress; an empty 204 after the core's commit."""
        try:
            fields = await signatures.read_form(request)
            await gateway.status(fields, leg)
        except ForgeryError as error:
            return _refuse(error)
        return Response(status_code=204)

    @router.websocket("/stream")
    @public(_WHY_TICKET)
    async def stream(websocket: WebSocket) -> None:
        """A call's audio, both ways."""
        await sockets.serve(websocket)

    return router


class _Sockets:
    """Media streams from their handshake to their end."""

    def __init__(self, gateway: TwilioGateway, signatures: Signatures) -> None:
        self._gateway = gateway
        self._signatures = signatures
        self._unproven = 0

    async def serve(self, websocket: WebSocket) -> None:
        signed = self._signatures.is_signed_socket(websocket)
        if not signed and self._unproven >= self._gateway.config.max_unproven:
            REFUSED.labels("sockets").inc()
            await websocket.close(_POLICY)
            return
        self._unproven += not signed
        try:
            start = await self._introduce(websocket)
        except (ProtocolError, TimeoutError) as error:
            await _close(websocket, _POLICY, f"protocol:{type(error).__name__}")
            return
        except WebSocketDisconnect:
            return
        finally:
            self._unproven -= not signed
        try:
            await self._gateway.carry(start, websocket)
        except ForgeryError as error:
            await _close(websocket, _POLICY, error.reason)
        else:
            await _close(websocket, _NORMAL, None)

    async def _introduce(self, websocket: WebSocket) -> messages.Start:
        """The handshake and the first messages: `connected`, then `start`. Raises ProtocolError, TimeoutError."""
        async with asyncio.timeout(self._gateway.config.start_within_s):
            await websocket.accept()
            if not isinstance(messages.parse(await receive_text(websocket)), messages.Connected):
                raise ProtocolError("the first message is connected")
            start = messages.parse(await receive_text(websocket))
        if not isinstance(start, messages.Start):
            raise ProtocolError("the second message is start")
        return start


async def _close(websocket: WebSocket, code: int, refused: str | None) -> None:
    if refused is not None:
        REFUSED.labels(refused).inc()
        log.warning("twilio_stream_refused", reason=refused)
    # It may be gone already, which starlette says in one of these two ways.
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code)


def _xml(document: str) -> Response:
    return Response(document, media_type="text/xml")


def _refuse(error: ForgeryError) -> Response:
    REFUSED.labels(error.reason).inc()
    log.warning("twilio_request_refused", reason=error.reason)
    return problem(
        403, "forged", "this is no request of our Twilio account", members={"reason": error.reason}
    )
