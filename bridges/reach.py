"""Control's side of a worker protocol: a connection that comes back, orders over it, events from it.

The engine lives in another process, so every order can fail with UnavailableError and be given again; after
each (re)connection the worker is greeted first, then its events are handed on in the order they happened.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self

import structlog

from bridges import metrics, wire
from bridges.errors import ProtocolError, RefusedError, WorkerLostError
from bridges.wire import ArgsT, ControlAddress, Dialect, EventT, Message
from commhub.domain.errors import DomainError
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever

log = structlog.get_logger(__name__)

_QUEUE_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """`address` is the worker's unix:PATH or tcp:HOST:PORT. Delays are seconds between attempts to connect."""

    address: str
    secret: str | None = None
    request_timeout_s: float = 3.0
    first_delay_s: float = 0.1
    max_delay_s: float = 2.0


class Connection(Generic[ArgsT]):
    """One connection to a worker that said hello: requests out, answers in."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        words: Dialect[ArgsT, Any],
    ) -> None:
        self.reader = reader
        self._writer = writer
        self._words = words
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._number = 0

    async def request(self, args: ArgsT) -> object:
        """Have an order carried out; its JSON-ready result. Raises what the worker says."""
        self._number += 1
        number = self._number
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self.send(self._words.request(number, args))
            return await waiting
        finally:
            self._waiting.pop(number, None)

    def send(self, message: Message) -> None:
        self._writer.write(wire.line(message))

    def answered(self, message: Message) -> None:
        waiting = self._waiting.get(int(message.get("id") or 0))
        if waiting is None or waiting.done():
            return
        if "error" in message:
            waiting.set_exception(wire.read_error(message))
        else:
            waiting.set_result(message.get("ok"))

    def close(self) -> None:
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WorkerLostError("the media worker went away"))


class WorkerClient(ABC, Generic[ArgsT, EventT]):
    """One worker that speaks `words`. Orders given while it is not there wait for it as long as a request may take, then raise
    WorkerLostError."""

    def __init__(self, config: ClientConfig, words: Dialect[ArgsT, EventT], clock: Clock) -> None:
        self._config = config
        self._address = ControlAddress.parse(config.address)
        self._words = words
        self._clock = clock
        self._connection: Connection[ArgsT] | None = None
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

    async def ask(self, args: ArgsT) -> object:
        """Have an order carried out; its JSON-ready result. Raises what the worker says, or WorkerLostError."""
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                await self._connected.wait()
                if self._connection is None:
                    raise WorkerLostError("the media worker went away")
                return await self._connection.request(args)
        except TimeoutError as error:
            raise WorkerLostError("the media worker does not answer") from error

    # What one kind of worker adds ------------------------------------------------------------------------------

    @abstractmethod
    async def _meet(self, connection: Connection[ArgsT], hello: Message) -> None:
        """A worker was reached; nothing else goes to it before this returns."""

    @abstractmethod
    async def _met(self) -> None:
        """From now on it takes orders."""

    @abstractmethod
    def _inward_of(self, event: EventT) -> Coroutine[Any, Any, None]:
        """The event, told inward."""

    @abstractmethod
    def _receipt_of(self, event: EventT) -> str | None:
        """By what the worker is told that a durable event was taken."""

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
        connection = Connection(reader, writer, self._words)
        try:
            hello = await self._greet(connection)
            log.info(
                "media_worker_connected", worker=hello.get("worker"), boot=hello.get("boot_id")
            )
            await self._talk(connection, hello)
        finally:
            self._connection = None
            self._connected.clear()
            connection.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address, limit = self._address, wire.LINE_LIMIT
        async with asyncio.timeout(self._config.request_timeout_s):
            if address.path is not None:
                return await asyncio.open_unix_connection(address.path, limit=limit)
            return await asyncio.open_connection(address.host, address.port, limit=limit)

    async def _greet(self, connection: Connection[ArgsT]) -> Message:
        version = self._words.version
        connection.send({"hello": {"protocol": version, "secret": self._config.secret}})
        async with asyncio.timeout(self._config.request_timeout_s):
            message = wire.parse(await connection.reader.readline())
            welcome = wire.parse(await connection.reader.readline())
        hello = message.get("hello")
        if not isinstance(hello, dict):
            raise ProtocolError("the worker did not say hello")
        if "refused" in welcome:
            raise RefusedError(str(welcome["refused"].get("reason")))
        if hello.get("protocol") != version:
            raise RefusedError(f"the worker speaks protocol {hello.get('protocol')}")
        return hello

    async def _talk(self, connection: Connection[ArgsT], hello: Message) -> None:
        """Read until the connection ends, while events are handed on in their order."""
        queue: asyncio.Queue[EventT] = asyncio.Queue(_QUEUE_LIMIT)
        async with asyncio.TaskGroup() as tasks:
            work = self._hand_on(connection, hello, queue)
            handing = tasks.create_task(work, name="media-events")
            try:
                while text := await connection.reader.readline():
                    self._take(wire.parse(text), connection, queue)
            finally:
                handing.cancel()

    def _take(
        self, message: Message, connection: Connection[ArgsT], queue: "asyncio.Queue[EventT]"
    ) -> None:
        if "event" not in message:
            connection.answered(message)
            return
        event = self._words.read_event(message)
        if event is None:
            return
        if queue.full():
            queue.get_nowait()
            metrics.EVENTS_DROPPED.inc()
        queue.put_nowait(event)

    async def _hand_on(
        self, connection: Connection[ArgsT], hello: Message, queue: "asyncio.Queue[EventT]"
    ) -> None:
        await self._meet(connection, hello)
        self._connection = connection
        self._connected.set()
        await self._met()
        while True:
            event = await queue.get()
            receipt = self._receipt_of(event)
            if await self._deliver(type(event).__name__, self._inward_of(event)) and receipt:
                connection.send({"ack": receipt})

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
