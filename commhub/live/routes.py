"""The live socket, `/api/v1/live`: hello, then a snapshot or the changes since, then changes as they come.

A desk has no queue here, only its place in the log: a slow one is sent fewer, larger frames, in which nothing that
happened is missing. One that takes nothing for 5 s is closed with 4008 and comes back with its place.
"""

import asyncio
import json

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commhub.domain.account import Permission
from commhub.domain.errors import UnavailableError
from commhub.http.auth import authenticate, needs, still_known
from commhub.live.eyes import Eyes
from commhub.live.metrics import CLOSED, DESKS
from commhub.live.model import Frame
from commhub.live.service import LiveService

log = structlog.get_logger(__name__)

# 4000 to 4999 are for applications (RFC 6455 §7.4.2); the last digits follow the HTTP status of the same meaning.
BAD_MESSAGE = 4000
SIGNED_OUT = 4001
BEHIND = 4008


class Hello(BaseModel):
    """The first message: what the desk had (epoch null: nothing)."""

    model_config = ConfigDict(extra="forbid")

    epoch: str | None = Field(None, max_length=64)
    seq: int = Field(0, ge=0)


class _Closed(Exception):  # noqa: N818 - an outcome of a socket, no error of the hub
    """The hub ends the socket; `code` and `reason` are what the desk is told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def build_router(service: LiveService) -> APIRouter:
    """The one route."""
    router = APIRouter(tags=["live"])

    @router.websocket("/live", dependencies=[needs(Permission.VIEW)])
    async def live(websocket: WebSocket) -> None:
        eyes = await service.eyes_of(await authenticate(websocket))
        await websocket.accept()
        with DESKS.track_inprogress():
            await _Desk(service, websocket, eyes).run()

    return router


class _Desk:
    """One socket, and with which rights somebody looks through it."""

    def __init__(self, service: LiveService, websocket: WebSocket, eyes: Eyes) -> None:
        self._service = service
        self._config = service.config
        self._websocket = websocket
        self._resync = asyncio.Event()
        self._eyes = eyes

    async def run(self) -> None:
        try:
            hello = await self._hello()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(hello), name="live-send")
                tasks.create_task(self._receive(), name="live-receive")
                tasks.create_task(self._watch_credentials(), name="live-credentials")
        except* WebSocketDisconnect:
            log.debug("desk_left")
        except* _Closed as group:
            await self._close(_first_of(group))

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(self._config.hello_within_s):
                message = await self._message()
        except TimeoutError:
            raise _Closed(BAD_MESSAGE, "no hello came") from None
        if message.pop("op", None) != "hello":
            raise _Closed(BAD_MESSAGE, "the first message is hello")
        try:
            return Hello.model_validate(message)
        except ValidationError as error:
            raise _Closed(BAD_MESSAGE, "a hello has epoch and seq") from error

    async def _message(self) -> dict[str, object]:
        try:
            message = json.loads(await self._websocket.receive_text())
        except (ValueError, KeyError, RecursionError) as error:
            raise _Closed(BAD_MESSAGE, "a message is a JSON object") from error
        if not isinstance(message, dict):
            raise _Closed(BAD_MESSAGE, "a message is a JSON object")
        return message

    async def _receive(self) -> None:
        while True:
            message = await self._message()
            if message != {"op": "resync"}:
                raise _Closed(BAD_MESSAGE, "after hello a desk says only resync")
            self._resync.set()

    async def _send(self, hello: Hello) -> None:
        frame = await self._service.first(hello.epoch, hello.seq, self._eyes)
        while True:
            await self._deliver(frame)
            frame = await self._next(frame)

    async def _next(self, sent: Frame) -> Frame:
        """Whatever comes first: news, or the desk asking for the whole state."""
        news = asyncio.ensure_future(self._service.after(sent, self._eyes))
        asked = asyncio.ensure_future(self._resync.wait())
        try:
            await asyncio.wait((news, asked), return_when=asyncio.FIRST_COMPLETED)
            if self._resync.is_set():
                self._resync.clear()
                return self._service.snapshot(self._eyes)
            frame = news.result()
        finally:
            news.cancel()
            asked.cancel()
        if frame is None:
            raise _Closed(BEHIND, "too far behind")
        return frame

    async def _deliver(self, frame: Frame) -> None:
        try:
            async with asyncio.timeout(self._config.patience_s):
                await self._websocket.send_text(frame.text)
        except TimeoutError:
            raise _Closed(BEHIND, "behind for too long") from None

    async def _watch_credentials(self) -> None:
        while True:
            await asyncio.sleep(self._config.ask_again_s)
            try:
                known = await still_known(self._websocket)
                eyes = None if known is None else await self._service.eyes_of(known)
            except UnavailableError:
                log.warning("desk_credentials_not_checked")
                continue
            if eyes is None or not eyes.principal.may(Permission.VIEW):
                raise _Closed(SIGNED_OUT, "signed out")
            if eyes != self._eyes:
                # Other roles, or another department: what they may see is another whole.
                self._eyes = eyes
                self._resync.set()

    async def _close(self, closed: "_Closed") -> None:
        CLOSED.labels(closed.reason).inc()
        log.info("desk_closed", code=closed.code, reason=closed.reason)
        try:
            # One that takes nothing does not take this either; the server then drops the connection.
            async with asyncio.timeout(self._config.patience_s):
                await self._websocket.close(closed.code, closed.reason)
        except (TimeoutError, WebSocketDisconnect):
            log.debug("desk_took_no_close")


def _first_of(group: BaseExceptionGroup[_Closed]) -> _Closed:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
