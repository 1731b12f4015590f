"""The worker's side of the worker protocol: who is connected, who may be, and who is told.

Several controls may be connected; the newest is told of events. When it goes, the one before it is told again,
and the media notice none of this.
"""

import asyncio
import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self

import structlog

from bridges import metrics, wire
from bridges.errors import ProtocolError, RefusedError
from bridges.wire import ArgsT, ControlAddress, Dialect, Message
from commhub.domain.errors import DomainError, InvalidError

log = structlog.get_logger(__name__)

_HELLO_TIMEOUT_S = 5.0
_BACKLOG_LIMIT = 8 << 20
"""Bytes a control may leave unread before it is cut off; it comes back and asks for the status."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ControlServer(Generic[ArgsT]):
    """Listens at `address` for who speaks `words`. `begin` starts a request and returns its result's awaitable, in the order of
    arrival; `acknowledged` is told which durable event a control has on record; `untold` are those it still
    has to hear of when it comes."""

    def __init__(
        self,
        address: ControlAddress,
        secret: str | None,
        hello: Message,
        words: Dialect[ArgsT, Any],
        *,
        begin: Callable[[ArgsT], Awaitable[object]],
        acknowledged: Callable[[str], None],
        untold: Callable[[], Iterable[Message]],
    ) -> None:
        if address.path is None and address.host not in _LOOPBACK and not secret:
            raise InvalidError("a worker that listens beyond this machine needs a secret")
        self._address = address
        self._secret = secret
        self._hello = {"protocol": words.version, **hello}
        self._words = words
        self._begin = begin
        self._acknowledged = acknowledged
        self._untold = untold
        self._controls: list[asyncio.StreamWriter] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        address, limit = self._address, wire.LINE_LIMIT
        if address.path is not None:
            listening = _listen(Path(address.path))
            self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=limit)
        else:
            self._server = await asyncio.start_server(
                self._serve, address.host, address.port, limit=limit
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._controls):
            writer.transport.abort()
        for task in list(self._answers):
            task.cancel()

    @property
    def address(self) -> ControlAddress:
        """Where it really listens, should the port have been 0."""
        if self._address.path is None and self._server is not None and self._server.sockets:
            port = self._server.sockets[0].getsockname()[1]
            return ControlAddress(None, self._address.host, int(port))
        return self._address

    def tell(self, message: Message) -> None:
        """Send an event to the newest control, if there is one."""
        if not self._controls:
            metrics.EVENTS_DROPPED.inc()
            return
        self._write(self._controls[-1], message)

    def _write(self, writer: asyncio.StreamWriter, message: Message) -> None:
        if writer.is_closing():
            return
        writer.write(wire.line(message))
        if writer.transport.get_write_buffer_size() > _BACKLOG_LIMIT:
            log.warning("control_too_slow")
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self._write(writer, {"hello": self._hello})
            await self._greet(reader)
            await self._attend(reader, writer)
        except RefusedError as error:
            log.warning("control_refused", reason=str(error))
            self._write(writer, {"refused": {"reason": str(error)}})
        except (ProtocolError, ValueError) as error:
            log.warning("control_protocol_error", reason=str(error))
        except OSError as error:
            log.info("control_lost", reason=str(error))
        finally:
            with suppress(OSError):
                writer.close()

    async def _greet(self, reader: asyncio.StreamReader) -> None:
        """Read the other side's hello. Raises RefusedError."""
        try:
            async with asyncio.timeout(_HELLO_TIMEOUT_S):
                hello = wire.parse(await reader.readline()).get("hello")
        except TimeoutError as error:
            raise RefusedError("no hello came") from error
        if not isinstance(hello, dict):
            raise RefusedError("the first line must be a hello")
        if hello.get("protocol") != self._words.version:
            theirs = json.dumps(hello.get("protocol"))[:20]
            raise RefusedError(
                f"control speaks worker protocol {theirs}, this worker {self._words.version}"
            )
        secret = str(hello.get("secret") or "")
        if self._secret and not hmac.compare_digest(secret.encode(), self._secret.encode()):
            raise RefusedError("wrong secret")

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a control until it goes."""
        self._controls.append(writer)
        metrics.CONTROLS.set(len(self._controls))
        self._write(writer, {"welcome": {}})
        log.info("control_connected", controls=len(self._controls))
        try:
            for message in self._untold():
                self._write(writer, message)
            while text := await reader.readline():
                self._take(wire.parse(text), writer)
        finally:
            self._controls.remove(writer)
            metrics.CONTROLS.set(len(self._controls))
            log.info("control_gone", controls=len(self._controls))

    def _take(self, message: Message, writer: asyncio.StreamWriter) -> None:
        if "ack" in message:
            self._acknowledged(str(message["ack"]))
            return
        number = message.get("id")
        try:
            work = self._begin(self._words.read_args(message))
        except DomainError as error:
            self._refuse(writer, number, error)
            return
        task = asyncio.ensure_future(self._answer(writer, number, work))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(
        self, writer: asyncio.StreamWriter, number: object, work: Awaitable[object]
    ) -> None:
        try:
            self._write(writer, wire.answer(number, await work))
        except DomainError as error:
            self._refuse(writer, number, error)
        except Exception:
            # The supervisor of requests: control must not wait for an answer that never comes.
            log.exception("request_failed", id=number)
            self._refuse(
                writer, number, DomainError("the media worker failed at this; see its log")
            )

    def _refuse(self, writer: asyncio.StreamWriter, number: object, error: DomainError) -> None:
        metrics.REFUSED.labels(error.code).inc()
        self._write(writer, wire.refusal(number, error))


def _listen(path: Path) -> socket.socket:
    """A Unix socket only this user may open; what a dead worker left in its place is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    path.chmod(0o600)
    return made
