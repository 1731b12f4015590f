"""The video worker: the forwarder with its far ends on one UDP port, and the socket on which control gives orders.

Everything is on one event loop: a batch of packets is read, forwarded and sent before anything else is looked at. Control
may die and come back, pictures go on meanwhile. A worker that dies forgets its sessions: there is nothing to take up, because the
keys are in nobody's hands but its own, and browsers and cameras offer again by themselves.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import structlog

from bridges.control import Reply
from bridges.serving import Worker, tune_process
from bridges.transport.port import PortConfig, WebRtcPort
from bridges.transport.sdp import OfferedCodec
from bridges.video import protocol
from bridges.video.counts import VideoCounts
from bridges.video.events import Event, Measured
from bridges.video.forwarder import Forwarder
from bridges.video.ingest.pulls import Pulls
from bridges.video.plain_sessions import PlainConfig, PlainSessions
from bridges.video.push import Pushes
from bridges.video.sessions import Sessions
from bridges.video.taping import Taping
from bridges.video.troubles import Troubles
from bridges.video.watching import Watches
from bridges.wire import Message
from commhub.domain.errors import UnavailableError
from commhub.kit.clock import Clock
from commhub.ports.video import VideoStatus

log = structlog.get_logger(__name__)

_TICK_S = 0.025
_LOOK_EVERY = 40
"""Ticks between two looks at far ends that failed."""
_MEASURE_EVERY = 80
"""Ticks between two reports of what is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoWorkerConfig:
    """`control` is unix:PATH or tcp:HOST:PORT; `secret` is needed to listen beyond this machine; `webrtc` is the port that
    browsers, cameras and viewers are told, `plain` the ports of SIP far ends; below `recordings` are the files of recorded sources."""

    name: str
    control: str
    webrtc: PortConfig
    recordings: Path
    plain: PlainConfig = field(default_factory=PlainConfig)
    secret: str | None = None


class VideoWorker(Worker[protocol.Args]):
    """The picture engine's worker."""

    def __init__(self, config: VideoWorkerConfig, clock: Clock | None = None) -> None:
        super().__init__(config, clock)
        self._config = config
        self.counts = VideoCounts()
        self._forwarder = Forwarder(self._clock, self.counts, self._tell)
        self._pulls = Pulls(self._forwarder, self._clock, self._tell)
        self._watches = Watches(self._forwarder, self._clock, self._tell)
        self._sessions = Sessions(
            self._forwarder, self._clock, self._tell, codec_elsewhere=self._codec_elsewhere
        )
        self._pushes = Pushes(
            self._forwarder, self._clock, self._tell, codec_of=self._sessions.codec_of
        )
        self._plain = PlainSessions(self._forwarder, self._clock, config.plain)
        self._port = WebRtcPort(config.webrtc, self._clock, self._sessions.vanished)
        self._taping: Taping | None = None
        self._troubles = Troubles()

    async def _start(self, stack: AsyncExitStack) -> None:
        config, forwarder = self._config, self._forwarder
        taping = Taping(
            config.recordings,
            self._clock,
            self._tell,
            forwarder.room_of,
            forwarder.request_keyframe,
        )
        await asyncio.to_thread(taping.recorder.start)
        stack.push_async_callback(asyncio.to_thread, taping.recorder.close)
        self._taping, forwarder.tap = taping, taping.take
        port = await stack.enter_async_context(self._port)
        port.drained = lambda may_wait: forwarder.flush(may_wait=may_wait)
        port.is_patient = lambda: forwarder.is_crowded
        self._sessions.use(port)
        self._pushes.use(port)
        self._watches.use(port)
        stack.callback(self._sessions.close)
        stack.push_async_callback(self._pushes.close)
        stack.push_async_callback(self._watches.close)
        stack.callback(self._plain.close)
        stack.push_async_callback(self._pulls.close)
        await self._serve(
            stack,
            protocol.WORDS,
            acknowledged=taping.recorder.told,
            untold=lambda: map(protocol.WORDS.event, taping.recorder.untold()),
        )

    # Requests ------------------------------------------------------------------------------------------------

    def _begin(self, args: protocol.Args, reply: Reply) -> None:
        reply.done(self._carry_out(args))

    def _carry_out(self, args: protocol.Args) -> object:  # noqa: C901, PLR0912, PLR0915 - a flat list
        """One order of control. A new order is one more case."""
        result: object = None
        match args:
            case protocol.PublishArgs(order, offer):
                result = asdict(self._sessions.publish(order, offer))
            case protocol.ViewArgs(order, offer):
                result = asdict(self._sessions.view(order, offer))
            case protocol.IngestArgs(order):
                self._pulls.begin(order)
            case protocol.OfferPushArgs(order):
                result = self._pushes.offer(order)
            case protocol.PushAnsweredArgs(session_id, answer):
                self._pushes.answered(session_id, answer)
            case protocol.OfferWatchArgs(order):
                result = self._watches.offer(order)
            case protocol.WatchAnsweredArgs(session_id, answer):
                self._watches.answered(session_id, answer)
            case protocol.PlaceSoundArgs(session_id, sound):
                address = self._sessions.place_sound(session_id, sound)
                result = asdict(address) if address else None
            case protocol.ReservePlainArgs(order):
                result = asdict(self._plain.reserve(order))
            case protocol.ConnectPlainArgs(session_id, remote):
                self._plain.connect(session_id, remote)
            case protocol.RefreshArgs(session_id):
                self._plain.refresh(session_id)
            case protocol.ShowArgs(session_id, source_id, best) if session_id in self._plain:
                self._plain.show(session_id, source_id, best)
            case protocol.ShowArgs(session_id, source_id, best) if session_id in self._pushes:
                self._pushes.show(session_id, source_id, best)
            case protocol.ShowArgs(session_id, source_id, best):
                self._sessions.show(session_id, source_id, best)
            case protocol.MuteArgs(source_id, muted):
                self._forwarder.mute(source_id, muted)
            case protocol.SpotlightArgs(room_id, source):
                self._forwarder.spotlight(room_id, source)
            case protocol.VoiceArgs(room_id, source_id, level):
                self._forwarder.told(room_id, source_id, level)
            case protocol.LeftArgs(room_id, source_id):
                self._forwarder.left(room_id, source_id)
            case protocol.RequestKeyframeArgs(source_id):
                self._forwarder.request_keyframe(source_id)
            case protocol.RecordArgs(source_id, on):
                self._running_taping.record(source_id, on)
            case protocol.ReleaseArgs(session_id):
                self._sessions.release(session_id)
                self._pushes.release(session_id)
                self._watches.release(session_id)
                self._plain.release(session_id)
                self._pulls.release(session_id)
            case protocol.StatusArgs():
                result = asdict(self._status())
            case protocol.CountsArgs():
                result = self._counts()
        return result

    def _codec_elsewhere(self, source_id: str) -> OfferedCodec | None:
        """Of a source that is pulled, or watched elsewhere."""
        return self._pulls.codec_of(source_id) or self._watches.codec_of(source_id)

    @property
    def _running_taping(self) -> Taping:
        if self._taping is None:
            raise UnavailableError("this worker is not running")
        return self._taping

    def _status(self) -> VideoStatus:
        taping = self._running_taping
        return VideoStatus(
            worker=self._config.name,
            boot_id=self.boot_id,
            sessions=(
                *self._sessions.ids,
                *self._plain.ids,
                *self._pulls.ids,
                *self._pushes.ids,
                *self._watches.ids,
            ),
            sources=tuple(
                replace(meter, recording=taping.is_recorded(meter.source_id))
                for meter in self._forwarder.source_meters()
            ),
            views=self._forwarder.view_meters(),
        )

    def _counts(self) -> dict[str, int]:
        """What was counted since the start, and what is there now."""
        transport = self._port.counts.as_dict()
        recorded = asdict(self._running_taping.recorder.counts)
        return {
            **self.counts.as_dict(),
            **self._sessions.sound_counts.as_dict(),
            **self._plain.counts.as_dict(),
            **{f"recording_{kind}": value for kind, value in recorded.items()},
            **{f"webrtc_{kind}": value for kind, value in transport.items()},
            **self._pulls.numbers(),
            **{f"now_{kind}": value for kind, value in self._sessions.numbers().items()},
            "now_plain": len(self._plain.ids),
            "now_pushing": len(self._pushes.ids),
            "now_watching": len(self._watches.ids),
        }

    # Time and news -------------------------------------------------------------------------------------------

    async def _pulse(self) -> None:
        loop = asyncio.get_running_loop()
        due, ticks = loop.time(), 0
        while True:
            # A late tick is not made up for by several at once.
            due = max(due + _TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
            ticks += 1
            try:
                self._tick(ticks)
            except Exception:  # one source's trouble must not stop the clock of all
                log.exception("video_tick_failed")

    def _tick(self, ticks: int) -> None:
        self._plain.tick()
        self._pushes.tick()
        self._forwarder.tick()
        if ticks % _LOOK_EVERY == 0:
            self._sessions.end_failed()
            self._watches.look()
            self._running_taping.end_gone()
            self._troubles.look(self._counts(), self._clock.monotonic())
        if ticks % _MEASURE_EVERY == 0:
            status = self._status()
            if status.sources:
                self._tell(Measured(status))

    def _tell(self, event: Event) -> None:
        if self._control is not None:
            message: Message = protocol.WORDS.event(event)
            self._control.tell(message)


async def run_video_worker(config: VideoWorkerConfig) -> None:
    """Run a worker until cancelled, as the whole of its process."""
    async with VideoWorker(config):
        tune_process()
        await asyncio.Event().wait()
