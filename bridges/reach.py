"""Control's side of a worker protocol: a connection that comes back, orders over it, events from it.

The engine lives in another process, so every order can fail with UnavailableError and be given again; after
each (re)connection the worker is greeted first, then its events are handed on in the order they happened.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self

import structlog

from bridges import metrics, wire
from bridges.errors import ProtocolError, RefusedError, WorkerLostError
from bridges.lines import LineConnection
from bridges.wire import ArgsT, ControlAddress, Dialect, EventT, Message
from commhub.domain.errors import DomainError
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever

log = structlog.get_logger(__name__)

_QUEUE_LIMIT = 4096
_GREETINGS = 2
"""Lines of the worker before anything else: its hello, and its welcome or refusal."""
_NOBODY = (None, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """`address` is the worker's unix:PATH or tcp:HOST:PORT. Delays are seconds between attempts to connect."""

    address: str
    secret: str | None = None
    request_timeout_s: float = 3.0
    first_delay_s: float = 0.1
    max_delay_s: float = 2.0


class Connection(LineConnection, Generic[ArgsT]):
    """One connection to a worker: requests out, answers and events in. `told` takes the lines that answer nothing."""

    def __init__(
        self, words: Dialect[ArgsT, Any], patience_s: float, told: Callable[[Message], None]
    ) -> None:
        super().__init__()
        self._words = words
        self._patience_s = patience_s
        self._told = told
        self._waiting: dict[int, tuple[asyncio.Future[object], float]] = {}
        self._number = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._greetings: list[Message] = []
        self._greeted = asyncio.Event()
        self._over = asyncio.Event()
        self._error: Exception | None = None

    async def greetings(self) -> tuple[Message, Message]:
        """The first two lines. Raises ProtocolError when the worker ends it before them."""
        await self._greeted.wait()
        if len(self._greetings) < _GREETINGS:
            raise ProtocolError("the worker ended the connection") from self._error
        first, second = self._greetings
        return first, second

    async def ending(self) -> None:
        """Wait for the end; raises why, unless the worker chose it."""
        await self._over.wait()
        if self._error is not None:
            raise self._error

    def request(self, args: ArgsT) -> "asyncio.Future[object]":
        """Have an order carried out: its JSON-ready result, or what the worker says, or WorkerLostError when it says
        nothing in time. Raises InvalidError for what cannot be written."""
        number = self._number = self._number + 1
        waiting: asyncio.Future[object] = self._loop.create_future()
        line = self._words.request_line(number, args)
        if self._over.is_set():
            waiting.set_exception(WorkerLostError("the media worker went away"))
            return waiting
        self._waiting[number] = waiting, self._loop.time() + self._patience_s
        self.send(line)
        if self._alarm is None:
            self._alarm = self._loop.call_later(self._patience_s, self._look)
        return waiting

    def tell(self, message: Message) -> None:
        """Send what wants no answer."""
        self.send(wire.line(message))

    def _take(self, message: Message) -> None:
        if len(self._greetings) < _GREETINGS:
            self._greetings.append(message)
            if len(self._greetings) == _GREETINGS:
                self._greeted.set()
        elif "id" in message:
            self._answered(message)
        else:
            self._told(message)

    def _answered(self, message: Message) -> None:
        waiting, _ = self._waiting.pop(int(message["id"] or 0), _NOBODY)
        if waiting is None or waiting.done():
            return
        if "error" in message:
            waiting.set_exception(wire.read_error(message))
        else:
            waiting.set_result(message.get("ok"))

    def _look(self) -> None:
        """Give up the requests whose time is over. One alarm serves all: nearly every request has its answer long before."""
        now = self._loop.time()
        late = [number for number, (_, due) in self._waiting.items() if due <= now]
        for number in late:
            _give_up(self._waiting.pop(number)[0], "the media worker does not answer")
        self._alarm = None
        if self._waiting:
            due = min(due for _, due in self._waiting.values())
            self._alarm = self._loop.call_at(due, self._look)

    def _ended(self, error: Exception | None) -> None:
        self._error = error
        self._over.set()
        self._greeted.set()
        if self._alarm is not None:
            self._alarm.cancel()
        for waiting, _ in self._waiting.values():
            _give_up(waiting, "the media worker went away")
        self._waiting.clear()


def _give_up(waiting: "asyncio.Future[object]", reason: str) -> None:
    if not waiting.done():
        waiting.set_exception(WorkerLostError(reason))


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
        connection = self._connection or await self._reached()
        return await connection.request(args)

    async def _reached(self) -> Connection[ArgsT]:
        """Wait for the worker, as long as a request may take. Raises WorkerLostError."""
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                await self._connected.wait()
        except TimeoutError as error:
            raise WorkerLostError("the media worker is not there") from error
        if self._connection is None:
            raise WorkerLostError("the media worker went away")
        return self._connection

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
        queue: asyncio.Queue[EventT] = asyncio.Queue(_QUEUE_LIMIT)
        connection = await self._dial(queue)
        try:
            hello = await self._greet(connection)
            log.info(
                "media_worker_connected", worker=hello.get("worker"), boot=hello.get("boot_id")
            )
            await self._talk(connection, hello, queue)
        finally:
            self._connection = None
            self._connected.clear()
            connection.close()

    async def _dial(self, queue: "asyncio.Queue[EventT]") -> Connection[ArgsT]:
        loop, address, within_s = (
            asyncio.get_running_loop(), self._address, self._config.request_timeout_s,
        )  # fmt: skip

        def made() -> Connection[ArgsT]:
            return Connection(self._words, within_s, lambda message: self._take(message, queue))

        async with asyncio.timeout(within_s):
            if address.path is not None:
                _, connection = await loop.create_unix_connection(made, address.path)
            else:
                _, connection = await loop.create_connection(made, address.host, address.port)
        return connection

    async def _greet(self, connection: Connection[ArgsT]) -> Message:
        version = self._words.version
        connection.tell({"hello": {"protocol": version, "secret": self._config.secret}})
        async with asyncio.timeout(self._config.request_timeout_s):
            message, welcome = await connection.greetings()
        hello = message.get("hello")
        if not isinstance(hello, dict):
            raise ProtocolError("the worker did not say hello")
        if "refused" in welcome:
            raise RefusedError(str(welcome["refused"].get("reason")))
        if hello.get("protocol") != version:
            raise RefusedError(f"the worker speaks protocol {hello.get('protocol')}")
        return hello

    async def _talk(
        self, connection: Connection[ArgsT], hello: Message, queue: "asyncio.Queue[EventT]"
    ) -> None:
        """Serve the connection until it ends, while events are handed on in their order."""
        async with asyncio.TaskGroup() as tasks:
            work = self._hand_on(connection, hello, queue)
            handing = tasks.create_task(work, name="media-events")
            try:
                await connection.ending()
            finally:
                handing.cancel()

    def _take(self, message: Message, queue: "asyncio.Queue[EventT]") -> None:
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
                connection.tell({"ack": receipt})

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
