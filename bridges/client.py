"""Control's side of the worker protocol: the media engine as a port, over a connection that comes back.

The engine lives in another process, so every order can fail with UnavailableError and be given again; after
each (re)connection the engine's status is told first, then events in the order they happened.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from bridges import metrics, protocol
from bridges.audio.events import (
    DtmfReceived,
    Event,
    FloorMoved,
    LegMeasured,
    LegSilent,
    LegVanished,
    PlaybackEnded,
    RecordingFailed,
)
from bridges.errors import ProtocolError, RefusedError, WorkerLostError
from bridges.orders import MediaOrders
from bridges.protocol import Args, ControlAddress, Message
from commhub.domain.errors import DomainError
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever
from commhub.ports.inward import MediaIn
from commhub.ports.media import EngineStatus, RecordedFile

log = structlog.get_logger(__name__)

_QUEUE_LIMIT = 4096
_WELCOME_WITHIN_S = 20.0

Ask = Callable[[Args], Awaitable[object]]
Welcome = Callable[[EngineStatus, Ask], Awaitable[None]]
"""Told what a worker has, each time it was reached, before any order goes to it but those asked here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """`address` is the worker's unix:PATH or tcp:HOST:PORT. Delays are seconds between attempts to connect."""

    address: str
    secret: str | None = None
    request_timeout_s: float = 3.0
    first_delay_s: float = 0.1
    max_delay_s: float = 2.0


class _Connection:
    """One connection to a worker that said hello: requests out, answers in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._number = 0

    async def request(self, args: Args) -> object:
        self._number += 1
        number = self._number
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self.send(protocol.request(number, args))
            return await waiting
        finally:
            self._waiting.pop(number, None)

    def send(self, message: Message) -> None:
        self._writer.write(protocol.line(message))

    def answered(self, message: Message) -> None:
        waiting = self._waiting.get(int(message.get("id") or 0))
        if waiting is None or waiting.done():
            return
        if "error" in message:
            waiting.set_exception(protocol.read_error(message))
        else:
            waiting.set_result(message.get("ok"))

    def close(self) -> None:
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WorkerLostError("the media worker went away"))


class MediaClient(MediaOrders):
    """Implements `commhub.ports.media.MediaEngine` and feeds `inward`. Orders given while no worker is there
    wait for one as long as a request may take, then raise WorkerLostError. With `welcome` the status goes there
    instead."""

    def __init__(
        self, config: ClientConfig, inward: MediaIn, clock: Clock, *, welcome: Welcome | None = None
    ) -> None:
        self._config = config
        self._address = ControlAddress.parse(config.address)
        self._inward = inward
        self._clock = clock
        self._welcome = welcome
        self._connection: _Connection | None = None
        self._connected = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        staying = run_forever("media-client", self._stay_connected)
        self._running = [self._tasks.create_task(staying, name="media-client")]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._running:
            task.cancel()
        if self._tasks is not None:
            await self._tasks.__aexit__(kind, error, traceback)

    @property
    def is_connected(self) -> bool:
        """Whether a worker is there."""
        return self._connected.is_set()

    async def ask(self, args: Args) -> object:
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                await self._connected.wait()
                if self._connection is None:
                    raise WorkerLostError("the media worker went away")
                return await self._connection.request(args)
        except TimeoutError as error:
            raise WorkerLostError("the media worker does not answer") from error

    # The connection ------------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        delay = self._config.first_delay_s
        worker = str(self._address)
        while True:
            began = self._clock.monotonic()
            try:
                await self._serve_connection()
            except* RefusedError as errors:
                log.warning("media_worker_refused", worker=worker, reason=_first(errors))
                delay = self._config.max_delay_s
            except* (OSError, ProtocolError, DomainError, ValueError) as errors:
                log.warning("media_worker_unreachable", worker=worker, reason=_first(errors))
            else:
                metrics.RECONNECTIONS.inc()
                log.warning("media_worker_lost", worker=worker)
            if self._clock.monotonic() - began > self._config.max_delay_s:
                delay = self._config.first_delay_s
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            delay = min(2 * delay, self._config.max_delay_s)

    async def _serve_connection(self) -> None:
        """One connection, from hello to its end. Raises OSError, ProtocolError, RefusedError."""
        reader, writer = await self._dial()
        connection = _Connection(reader, writer)
        try:
            hello = await self._greet(connection)
            log.info(
                "media_worker_connected", worker=hello.get("worker"), boot=hello.get("boot_id")
            )
            await self._talk(connection)
        finally:
            self._connection = None
            self._connected.clear()
            connection.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address, limit = self._address, protocol.LINE_LIMIT
        async with asyncio.timeout(self._config.request_timeout_s):
            if address.path is not None:
                return await asyncio.open_unix_connection(address.path, limit=limit)
            return await asyncio.open_connection(address.host, address.port, limit=limit)

    async def _greet(self, connection: _Connection) -> Message:
        connection.send({"hello": {"protocol": protocol.PROTOCOL, "secret": self._config.secret}})
        async with asyncio.timeout(self._config.request_timeout_s):
            message = protocol.parse(await connection.reader.readline())
            welcome = protocol.parse(await connection.reader.readline())
        hello = message.get("hello")
        if not isinstance(hello, dict):
            raise ProtocolError("the worker did not say hello")
        if "refused" in welcome:
            raise RefusedError(str(welcome["refused"].get("reason")))
        if hello.get("protocol") != protocol.PROTOCOL:
            raise RefusedError(f"the worker speaks protocol {hello.get('protocol')}")
        return hello

    async def _talk(self, connection: _Connection) -> None:
        """Read until the connection ends, while events are handed on in their order."""
        queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUE_LIMIT)
        async with asyncio.TaskGroup() as tasks:
            handing = tasks.create_task(self._hand_on(connection, queue), name="media-events")
            try:
                while text := await connection.reader.readline():
                    self._take(protocol.parse(text), connection, queue)
            finally:
                handing.cancel()

    def _take(
        self, message: Message, connection: _Connection, queue: "asyncio.Queue[Event]"
    ) -> None:
        if "event" not in message:
            connection.answered(message)
            return
        event = protocol.read_event(message)
        if event is None:
            return
        if queue.full():
            queue.get_nowait()
            metrics.EVENTS_DROPPED.inc()
        queue.put_nowait(event)

    async def _hand_on(self, connection: _Connection, queue: "asyncio.Queue[Event]") -> None:
        status: EngineStatus = protocol.read_as(
            EngineStatus, await connection.request(protocol.StatusArgs())
        )
        if self._welcome is not None:
            async with asyncio.timeout(_WELCOME_WITHIN_S):
                await self._welcome(status, connection.request)
        self._connection = connection
        self._connected.set()
        if self._welcome is None:
            await self._deliver("engine_status", self._inward.engine_status(status))
        while True:
            event = await queue.get()
            if await self._deliver(type(event).__name__, self._inward_of(event)):
                _acknowledge(connection, event)

    def _inward_of(self, event: Event) -> Coroutine[Any, Any, None]:
        telling: Coroutine[Any, Any, None]
        match event:
            case DtmfReceived(leg_id, digit):
                telling = self._inward.dtmf_received(leg_id, digit)
            case LegSilent(leg_id, seconds):
                telling = self._inward.leg_silent(leg_id, seconds)
            case LegVanished(leg_id):
                telling = self._inward.leg_vanished(leg_id)
            case LegMeasured(meter):
                telling = self._inward.leg_measured(meter)
            case FloorMoved():
                telling = self._inward.floor_moved(
                    event.group, event.event, event.talker, event.calls, event.cause, event.queue
                )
            case RecordedFile():
                telling = self._inward.recording_stored(event)
            case RecordingFailed(call_id, leg, reason):
                telling = self._inward.recording_failed(call_id, leg, reason)
            case PlaybackEnded(playback_id, call_id, reason):
                telling = self._inward.playback_ended(playback_id, call_id, reason)
        return telling

    async def _deliver(self, what: str, work: Coroutine[Any, Any, None]) -> bool:
        """One event that control cannot take must not stop the next ones; True when it was taken."""
        try:
            await work
        except DomainError as error:
            log.warning("media_event_refused", what=what, code=error.code, reason=str(error))
        except Exception:
            log.exception("media_event_failed", what=what)
            return False
        return True


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    """The first reason in a group of errors."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _acknowledge(connection: _Connection, event: Event) -> None:
    if isinstance(event, RecordedFile):
        connection.send({"ack": event.path})
