"""The worker's side of the worker protocol: who is connected, who may be, and who is told.

Several controls may be connected; the newest is told of events. When it goes, the one before it is told again,
and the media notice none of this.
"""

import asyncio
import hmac
import json
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self

import structlog

from bridges import metrics, wire
from bridges.errors import RefusedError
from bridges.lines import LineConnection
from bridges.wire import ArgsT, ControlAddress, Dialect, Message
from commhub.domain.errors import DomainError, InvalidError

log = structlog.get_logger(__name__)

_HELLO_TIMEOUT_S = 5.0
_BACKLOG_LIMIT = 8 << 20
"""Bytes a control may leave unread before it is cut off; it comes back and asks for the status."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Begin = Callable[[ArgsT, "Reply"], None]
"""Begins a request in its turn, and gives the reply its outcome now or later. Raises DomainError for one that cannot even
be begun."""


class Reply:
    """Where the outcome of one request goes; to nobody, when its control is gone by then."""

    __slots__ = ("_connection", "_number")

    def __init__(self, connection: LineConnection, number: object) -> None:
        self._connection = connection
        self._number = number

    def done(self, result: object) -> None:
        """It was carried out; `result` is JSON-ready."""
        self._connection.send(wire.answer_line(self._number, result))

    def failed(self, error: BaseException) -> None:
        """It was refused, or failed by a fault that is for the log: control must not wait for an answer that never comes."""
        if not isinstance(error, DomainError):
            log.error("request_failed", id=self._number, exc_info=error)
            error = DomainError("the media worker failed at this; see its log")
        metrics.REFUSED.labels(error.code).inc()
        self._connection.send(wire.line(wire.refusal(self._number, error)))


class ControlServer(Generic[ArgsT]):
    """Listens at `address` for who speaks `words`. `begin` begins their requests, in the order of arrival; `acknowledged`
    is told which durable event a control has on record; `untold` are those it still has to hear of when it comes."""

    def __init__(
        self,
        address: ControlAddress,
        secret: str | None,
        hello: Message,
        words: Dialect[ArgsT, Any],
        *,
        begin: Begin[ArgsT],
        acknowledged: Callable[[str], None],
        untold: Callable[[], Iterable[Message]],
    ) -> None:
        if address.path is None and address.host not in _LOOPBACK and not secret:
            raise InvalidError("a worker that listens beyond this machine needs a secret")
        self._address = address
        self.secret = secret
        self.hello = {"protocol": words.version, **hello}
        self.words = words
        self.begin = begin
        self.acknowledged = acknowledged
        self._untold = untold
        self._controls: list[_Control[ArgsT]] = []
        self._connected: set[_Control[ArgsT]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        address, loop = self._address, asyncio.get_running_loop()
        if address.path is not None:
            listening = _listen(Path(address.path))
            self._server = await loop.create_unix_server(self._meet, sock=listening)
        else:
            self._server = await loop.create_server(self._meet, address.host, address.port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for control in list(self._connected):
            control.abort()

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
        self._controls[-1].tell(message)

    # The connections ---------------------------------------------------------------------------------------------

    def _meet(self) -> "_Control[ArgsT]":
        control = _Control(self)
        self._connected.add(control)
        return control

    def welcome(self, control: "_Control[ArgsT]") -> None:
        """It has said hello, and is the newest from now on."""
        self._controls.append(control)
        metrics.CONTROLS.set(len(self._controls))
        control.tell({"welcome": {}})
        log.info("control_connected", controls=len(self._controls))
        for message in self._untold():
            control.tell(message)

    def forget(self, control: "_Control[ArgsT]") -> None:
        """Its connection is over."""
        self._connected.discard(control)
        if control in self._controls:
            self._controls.remove(control)
            metrics.CONTROLS.set(len(self._controls))
            log.info("control_gone", controls=len(self._controls))


class _Control(LineConnection, Generic[ArgsT]):
    """One control, from its connection on. Until it has said the right hello it is attended to no further."""

    def __init__(self, server: ControlServer[ArgsT]) -> None:
        super().__init__()
        self._server = server
        self._is_welcome = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.tell({"hello": self._server.hello})
        late = RefusedError("no hello came")
        self._patience = self._loop.call_later(_HELLO_TIMEOUT_S, self._refuse, late)

    def tell(self, message: Message) -> None:
        self.send(wire.line(message))

    def send(self, line: bytes) -> None:
        super().send(line)
        if self.unread > _BACKLOG_LIMIT:
            log.warning("control_too_slow")
            self.abort()

    def _take(self, message: Message) -> None:
        if not self._is_welcome:
            self._greet(message)
        elif "ack" in message:
            self._server.acknowledged(str(message["ack"]))
        else:
            self._begin(message)

    def _greet(self, message: Message) -> None:
        if self._patience is not None:
            self._patience.cancel()
        try:
            _check_hello(message, self._server.words.version, self._server.secret)
        except RefusedError as error:
            self._refuse(error)
        else:
            self._is_welcome = True
            self._server.welcome(self)

    def _refuse(self, error: RefusedError) -> None:
        log.warning("control_refused", reason=str(error))
        self.tell({"refused": {"reason": str(error)}})
        self.close()

    def _begin(self, message: Message) -> None:
        reply = Reply(self, message.get("id"))
        try:
            self._server.begin(self._server.words.read_args(message), reply)
        except Exception as error:  # noqa: BLE001 - the supervisor of requests; it is answered, and logged there
            reply.failed(error)

    def _ended(self, error: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if isinstance(error, OSError):
            log.info("control_lost", reason=str(error))
        elif error is not None:
            log.warning("control_protocol_error", reason=str(error))
        self._server.forget(self)


def _check_hello(message: Message, version: int, secret: str | None) -> None:
    """Raises RefusedError for a hello that opens nothing."""
    hello = message.get("hello")
    if not isinstance(hello, dict):
        raise RefusedError("the first line must be a hello")
    if hello.get("protocol") != version:
        theirs = json.dumps(hello.get("protocol"))[:20]
        raise RefusedError(f"control speaks worker protocol {theirs}, this worker {version}")
    if secret and not hmac.compare_digest(str(hello.get("secret") or "").encode(), secret.encode()):
        raise RefusedError("wrong secret")


def _listen(path: Path) -> socket.socket:
    """A Unix socket only this user may open; what a dead worker left in its place is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    path.chmod(0o600)
    return made
