"""One media stream: what comes from the socket to the engine, and what comes from the engine to the socket.

Nothing waits without a bound. A socket that takes nothing loses the oldest audio here; what it took in one gulp
after a pause piles up at Twilio, which plays everything it was given in order: the call would stay late for ever.
Marks measure that backlog, and `clear` throws it away.
"""

import asyncio
from collections import OrderedDict, deque
from typing import Protocol

import structlog
from starlette.websockets import WebSocketDisconnect

from commhub.kit.clock import Clock
from gateways.twilio import messages
from gateways.twilio.config import TwilioConfig
from gateways.twilio.errors import ProtocolError
from gateways.twilio.messages import Dtmf, Mark, Media, Start, Stop, Unknown
from gateways.twilio.metrics import CLEARED, DROPPED, MALFORMED
from gateways.twilio.trunk import Trunk
from gateways.twilio.voice import Uplink

log = structlog.get_logger(__name__)

_PACKETS_A_MARK = 50
_MAX_MALFORMED = 50
_CLEAR_AGAIN_AFTER_S = 5.0
_MOST_MARKS = 64


class Socket(Protocol):
    """The part of a WebSocket that is used here. Both raise WebSocketDisconnect."""

    async def receive_text(self) -> str: ...
    async def send_text(self, data: str) -> None: ...


class Ended(Exception):  # noqa: N818 - the ordinary end of a stream
    """The stream is over. `stopped`: Twilio said so, so the call has most likely ended."""

    def __init__(self, *, stopped: bool) -> None:
        super().__init__("stopped" if stopped else "lost")
        self.stopped = stopped


class Backlog:
    """How far Twilio's playing is behind, by the marks it returns."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._pending: OrderedDict[str, float] = OrderedDict()
        self._number = 0
        self._echoes = False
        self._cleared_at = float("-inf")
        self.seconds = 0.0

    def next_mark(self, now: float) -> str:
        """The name of a mark that is sent now."""
        self._number += 1
        name = f"at{self._number}"
        self._pending[name] = now
        if len(self._pending) > _MOST_MARKS:
            self._pending.popitem(last=False)
        return name

    def returned(self, name: str, now: float) -> None:
        """A mark came back; one that was cleared or that is not ours measures nothing."""
        sent = self._pending.pop(name, None)
        if sent is not None:
            self._echoes = True
            self.seconds = now - sent

    def must_clear(self, now: float) -> bool:
        """Whether what Twilio still holds is to be thrown away; its marks then count no more."""
        oldest = next(iter(self._pending.values()), now)
        late = max(self.seconds, now - oldest) > self._limit_s
        if not late or not self._echoes or now - self._cleared_at < _CLEAR_AGAIN_AFTER_S:
            return False
        self._pending.clear()
        self.seconds = 0.0
        self._cleared_at = now
        return True


class MediaStream:
    """A stream that was admitted. `run` returns when it is over: True when Twilio stopped it."""

    def __init__(self, socket: Socket, start: Start, config: TwilioConfig, clock: Clock) -> None:
        self._socket = socket
        self._sid = start.stream_sid
        self._config = config
        self._clock = clock
        self._uplink = Uplink(clock.monotonic())
        self._waiting: deque[bytes] = deque(maxlen=config.queue_packets)
        self._news = asyncio.Event()
        self._replaced = asyncio.Event()
        self._malformed = 0
        self.backlog = Backlog(config.max_backlog_s)

    def hear(self, voice: bytes) -> None:
        """20 ms for the far end, from the engine; of what waits too long the oldest is dropped."""
        if len(self._waiting) == self._waiting.maxlen:
            DROPPED.labels("slow_socket").inc()
        self._waiting.append(voice)
        self._news.set()

    def stop(self) -> None:
        """End it from our side: the leg ended, or another stream took its place."""
        self._replaced.set()

    async def run(self, trunk: Trunk) -> bool:
        """Carry the audio both ways until either side is gone."""
        stopped = False
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(trunk), name="twilio-receive")
                tasks.create_task(self._send(), name="twilio-send")
                tasks.create_task(self._wait_for_stop(), name="twilio-stop")
                tasks.create_task(trunk.keep(self._config.engine_silent_s), name="twilio-trunk")
        except* WebSocketDisconnect:
            log.info("twilio_stream_lost")
        except* Ended as group:
            stopped = _any_stopped(group)
        return stopped

    async def _wait_for_stop(self) -> None:
        await self._replaced.wait()
        raise Ended(stopped=False)

    # --- from Twilio ---------------------------------------------------------------------------------------

    async def _receive(self, trunk: Trunk) -> None:
        while True:
            text = await receive_text(self._socket)
            try:
                self._take(messages.parse(text), trunk)
            except ProtocolError as error:
                self._count_malformed(str(error))

    def _take(self, message: messages.Message, trunk: Trunk) -> None:
        now = self._clock.monotonic()
        match message:
            case Media(timestamp_ms, payload):
                for packet in self._uplink.take(payload, timestamp_ms, now):
                    trunk.send(packet)
            case Dtmf(digit):
                for packet in self._uplink.press(digit):
                    trunk.send(packet)
            case Mark(name):
                self.backlog.returned(name, now)
            case Stop():
                raise Ended(stopped=True)
            case Unknown():
                MALFORMED.labels("unknown_event").inc()
            case _:
                # connected and start come once, and came.
                raise ProtocolError("out of order")

    def _count_malformed(self, reason: str) -> None:
        MALFORMED.labels("message").inc()
        self._malformed += 1
        if self._malformed > _MAX_MALFORMED:
            log.warning("twilio_stream_closed", reason=reason)
            raise Ended(stopped=False)

    # --- to Twilio -----------------------------------------------------------------------------------------

    async def _send(self) -> None:
        sent = 0
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._socket.send_text(messages.media(self._sid, self._waiting.popleft()))
                sent += 1
                if sent % _PACKETS_A_MARK == 0:
                    await self._measure()

    async def _measure(self) -> None:
        now = self._clock.monotonic()
        if self.backlog.must_clear(now):
            CLEARED.inc()
            log.info("twilio_backlog_cleared")
            await self._socket.send_text(messages.clear(self._sid))
        await self._socket.send_text(messages.mark(self._sid, self.backlog.next_mark(now)))


async def receive_text(socket: Socket) -> str:
    """The next text; a binary message, which Twilio never sends, is an empty one and so malformed."""
    try:
        return await socket.receive_text() or ""
    except KeyError:
        return ""


def _any_stopped(group: BaseExceptionGroup[Ended]) -> bool:
    return any(
        _any_stopped(one) if isinstance(one, BaseExceptionGroup) else one.stopped
        for one in group.exceptions
    )
