"""The media worker: the audio engine's thread, and the socket on which control gives orders.

Control may die and come back: legs, floors and recordings live here and go on. What leaves the engine's thread
passes through this process's event loop, to the radios by the voice link and to control by the control server.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from bridges import protocol, wire
from bridges.audio.config import AudioConfig
from bridges.audio.counts import Counts
from bridges.audio.engine import AudioEngine
from bridges.audio.events import (
    FloorAnswer,
    FloorState,
    FrameOut,
    Output,
    PacketOut,
    RecordingFailed,
)
from bridges.audio.inbox import PacketInbox, RadioInbox
from bridges.audio.recorder import Recorder
from bridges.audio.thread import EngineThread, Order
from bridges.control import Reply
from bridges.engine_orders import ControlsOrder, OwnOrder, carry_out
from bridges.journal import KeptArgs
from bridges.journal_file import JournalFile
from bridges.restoring import restore
from bridges.serving import Worker, tune_process
from bridges.transport.peer import Peer
from bridges.transport.port import PortConfig, WebRtcPort
from bridges.webrtc import BrowserLegs, BrowserStream
from commhub.domain.errors import UnavailableError
from commhub.kit.clock import Clock
from commhub.ports.media import EngineStatus, MediaOrder, RecordedFile, WebRtcOrder
from commhub.ports.voice import VoiceLink, VoiceSink

log = structlog.get_logger(__name__)

_BEAT_S = 1.0

T = TypeVar("T")
OpenVoice = Callable[[VoiceSink], AbstractAsyncContextManager[VoiceLink]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """`control` is unix:PATH or tcp:HOST:PORT; `secret` is needed to listen beyond this machine. `journal` is the
    file by which a worker takes up the calls of the one before it; without one it begins with none. `webrtc` is
    the port for browsers (None: none can come)."""

    name: str
    control: str
    audio: AudioConfig
    secret: str | None = None
    journal: Path | None = None
    webrtc: PortConfig | None = None


class MediaWorker(Worker[protocol.Args]):
    """The audio engine's worker. `sink` takes what the radios say and is there before the worker is entered."""

    def __init__(
        self, config: WorkerConfig, voice: VoiceLink | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock)
        self._config = config
        self._voice = voice
        self.counts = Counts()
        self._inbox = RadioInbox(self.counts)
        self._packets = PacketInbox(self.counts)
        self._browsers = BrowserLegs(
            self._packets,
            self._plug,
            self._release,
            lambda event: self._distribute([event]),
        )
        self._port: WebRtcPort | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._journal = JournalFile(config.journal, self._clock) if config.journal else None
        self._busy = 0.0
        self._unpublished: dict[str, FloorState] = {}
        self._engine: AudioEngine | None = None
        self._thread: EngineThread | None = None
        self._recorder: Recorder | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def sink(self) -> VoiceSink:
        return self._inbox

    def attach_voice(self, voice: VoiceLink | None) -> None:
        """Where voice and floor of the radios go from now on; the floors that moved before are told at once."""
        self._voice = voice
        if voice is not None:
            for state in self._unpublished.values():
                _to_radios(voice, state)
            self._unpublished.clear()

    async def _start(self, stack: AsyncExitStack) -> None:
        config = self._config
        self._loop = asyncio.get_running_loop()
        recorder = Recorder(config.audio.recordings, self._clock, self.counts, self._recorder_tells)
        await asyncio.to_thread(recorder.start)
        stack.push_async_callback(asyncio.to_thread, recorder.close)
        # Talk ids go on growing over restarts, so that a radio never takes a new talk for its own old one.
        first_talk_id = int(self._clock.now().timestamp()) & 0xFFFFFFFF
        engine = AudioEngine(
            config.audio,
            self._inbox,
            recorder,
            self.counts,
            first_talk_id,
            packets=self._packets,
        )
        stack.callback(engine.close)
        if self._journal is not None:
            stack.callback(self._journal.close)
            await asyncio.to_thread(self._take_up, engine, self._journal)
        thread = EngineThread(engine, self._leave_thread)
        thread.start()
        stack.push_async_callback(asyncio.to_thread, thread.stop)
        self._engine, self._thread, self._recorder = engine, thread, recorder
        if config.webrtc is not None:
            port = WebRtcPort(config.webrtc, self._clock, self._browser_gone)
            self._port = await stack.enter_async_context(port)
            self._browsers.use(port)
        await self._serve(stack, protocol.WORDS, acknowledged=recorder.told, untold=self._untold)

    # Requests ------------------------------------------------------------------------------------------------

    def _begin(self, args: protocol.Args, reply: Reply) -> None:
        match args:
            case protocol.StatusArgs():
                self._answer_later(self._status(), reply)
            case protocol.LoadArgs():
                reply.done(self._load())
            case protocol.JournalArgs():
                reply.done(self._orders_kept())
            case protocol.AnswerArgs(order, offer):
                self._answer_later(self._kept(args, self._browsers.answer(order, offer)), reply)
            case protocol.ReleaseArgs(leg_id):
                self._browsers.release(leg_id)
                self._give(ControlsOrder(args, reply))
            case _:
                self._give(ControlsOrder(args, reply))

    def _answer_later(self, work: Awaitable[object], reply: Reply) -> None:
        async def answer() -> None:
            try:
                reply.done(await work)
            except Exception as error:  # noqa: BLE001 - the supervisor of requests; it is answered, and logged there
                reply.failed(error)

        self._run_beside(answer())

    async def _kept(self, args: KeptArgs, work: Awaitable[object]) -> object:
        """The result of an order that is in the journal before anybody hears of it."""
        result = await work
        if self._journal is not None:
            self._journal.keep(args, result)
        return result

    def _give(self, order: Order) -> None:
        if self._thread is None:
            raise UnavailableError("this worker is not running")
        self._thread.order(order)

    def _release(self, leg_id: str) -> Awaitable[object]:
        """Let go of a leg whose browser is gone."""
        order = self._order(lambda engine: engine.release(leg_id))
        return self._kept(protocol.ReleaseArgs(leg_id), order)

    def _order(self, work: Callable[[AudioEngine], T]) -> "asyncio.Future[T]":
        order = OwnOrder(work)
        self._give(order)
        return order.outcome

    def _run_beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _plug(self, order: WebRtcOrder, stream: BrowserStream) -> "asyncio.Future[None]":
        place = MediaOrder(call_id=order.call_id, leg_id=order.leg_id, shape=order.shape)
        return self._order(
            lambda engine: engine.plug(
                place, stream.audio, sends=stream.sends, receives=stream.receives
            )
        )

    def _browser_gone(self, peer: Peer) -> None:
        self._run_beside(self._browsers.vanished(peer))

    async def _status(self) -> object:
        snapshot = await self._order(lambda engine: engine.snapshot())
        status = EngineStatus(
            worker=self._config.name, boot_id=self.boot_id, legs=snapshot.meters()
        )
        return wire.plain(status)

    def _load(self) -> object:
        return wire.plain(
            protocol.WorkerLoad(
                boot_id=self.boot_id,
                legs=self._engine.leg_count if self._engine else 0,
                max_legs=self._config.audio.max_legs,
                busy=self._busy,
                counts=self.counts.as_dict() | self._webrtc_counts(),
            )
        )

    def _webrtc_counts(self) -> dict[str, int]:
        counts = self._port.counts.as_dict() if self._port else {}
        return {f"webrtc_{kind}": value for kind, value in counts.items()}

    def _orders_kept(self) -> object:
        if self._journal is None:
            return None
        return [protocol.request(0, args) for args in self._journal.journal.orders()]

    # The life before this one --------------------------------------------------------------------------------

    def _take_up(self, engine: AudioEngine, journal: JournalFile) -> None:
        """Have the legs of the worker before this one again. Raises OSError."""
        orders = journal.take_up()
        for leg_id in restore(orders, lambda args: carry_out(engine, args)):
            journal.keep(protocol.ReleaseArgs(leg_id))
        if orders:
            log.warning("calls_taken_up", orders=len(orders), legs=engine.leg_count)

    async def _pulse(self) -> None:
        """Once a second: say that this worker lives, and measure how much it has to do."""
        busy_us, at = self.counts.busy_us, self._clock.monotonic()
        while True:
            await asyncio.sleep(_BEAT_S)
            now_us, now = self.counts.busy_us, self._clock.monotonic()
            self._busy = round((now_us - busy_us) / 1e6 / max(now - at, _BEAT_S / 2), 3)
            busy_us, at = now_us, now
            if self._journal is not None:
                self._journal.touch()

    # What the engine tells -----------------------------------------------------------------------------------

    def _leave_thread(self, orders: Sequence[Order], outputs: Sequence[Output]) -> None:
        """Called in the engine's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_delivery, orders, outputs)

    def _take_delivery(self, orders: Sequence[Order], outputs: Sequence[Output]) -> None:
        if self._journal is not None:
            # In the journal before anybody hears of it.
            self._journal.keep_all(
                (order.args, order.result)
                for order in orders
                if isinstance(order, ControlsOrder) and order.error is None
            )
        for order in orders:
            if isinstance(order, ControlsOrder | OwnOrder):
                order.settle()
        self._distribute(outputs)

    def _recorder_tells(self, event: RecordedFile | RecordingFailed) -> None:
        """Called in the recorder's threads, or before the event loop serves anybody."""
        self._leave_thread((), [event])

    def _distribute(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case FrameOut() | FloorAnswer() | FloorState():
                    if self._voice is not None:
                        _to_radios(self._voice, output)
                    elif isinstance(output, FloorState):
                        self._unpublished[output.group] = output
                case PacketOut(leg_id, packet):
                    self._browsers.send(leg_id, packet)
                case _:
                    if self._control is not None:
                        self._control.tell(protocol.event(output))

    def _untold(self) -> Iterator[protocol.Message]:
        if self._recorder is not None:
            yield from map(protocol.event, self._recorder.untold())


def _to_radios(voice: VoiceLink, output: FrameOut | FloorAnswer | FloorState) -> None:
    match output:
        case FrameOut(group, frame):
            voice.send_frame(group, frame)
        case FloorAnswer(device_id, message):
            voice.send_floor(device_id, message)
        case FloorState(group, message):
            voice.publish_floor(group, message)


async def run_worker(config: WorkerConfig, open_voice: OpenVoice | None = None) -> None:
    """Run a worker until cancelled, as the whole of its process.

    `open_voice` makes the link to the radios around the worker's sink, for example
    `lambda sink: MqttVoice(config, sink)`; without it groups live inside calls only.
    """
    tune_process()
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(MediaWorker(config))
        if open_voice is not None:
            worker.attach_voice(await stack.enter_async_context(open_voice(worker.sink)))
        await asyncio.Event().wait()
