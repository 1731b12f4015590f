"""The picture engine as a port, over a connection to the video worker (`bridges.reach`).

A worker that was restarted says another boot id and has forgotten its sessions: `VideoIn.engine_came` is told at every
connection, before any event, and far ends offer again by themselves.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from bridges import wire
from bridges.reach import ClientConfig, Connection, WorkerClient
from bridges.video import protocol
from bridges.video.events import (
    Event,
    KeyframeWanted,
    Measured,
    PushConnected,
    PushLost,
    RoomEvent,
    SessionLost,
    SourceStarted,
    SpeakerMoved,
    VideoRecordingFailed,
)
from bridges.video.orders import VideoOrders
from bridges.video.protocol import Args
from bridges.wire import Message
from commhub.domain.errors import UnavailableError
from commhub.kit.clock import Clock
from commhub.ports.video import PushesIn, RecordedVideo, VideoIn

log = structlog.get_logger(__name__)

COUNTED = Counter(
    "commhub_bridges_video_total", "What the picture engine did and dropped, by kind", ["kind"]
)
SESSIONS = Gauge("commhub_bridges_video_sessions", "Far ends that publish or view", ["kind"])
_COUNT_EVERY_S = 2.0


class VideoClient(WorkerClient[Args, Event], VideoOrders):
    """Implements `commhub.ports.video.VideoEngine`. What it tells goes where `deliver_to` said before it was entered."""

    def __init__(self, config: ClientConfig, clock: Clock) -> None:
        super().__init__(config, protocol.WORDS, clock)
        self._inward: VideoIn | None = None
        self._pushes: PushesIn | None = None
        self._boot_id = ""
        self._told: dict[str, int] = {}
        self._counting: asyncio.Task[None] | None = None

    def deliver_to(self, inward: VideoIn) -> None:
        """Who is told; they in turn may order of this engine."""
        self._inward = inward

    def deliver_pushes_to(self, inward: PushesIn) -> None:
        """Who is told of pushes."""
        self._pushes = inward

    async def __aenter__(self) -> "VideoClient":
        await super().__aenter__()
        self._counting = asyncio.create_task(self._keep_counting(), name="video-counts")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._counting is not None:
            self._counting.cancel()
            with suppress(asyncio.CancelledError):
                await self._counting
        await super().__aexit__(kind, error, traceback)

    # --- the connection ----------------------------------------------------------------------------------------

    async def _meet(self, connection: Connection[Args], hello: Message) -> None:
        del connection
        boot_id = str(hello.get("boot_id"))
        if boot_id != self._boot_id:
            self._told.clear()
        self._boot_id = boot_id

    async def _met(self) -> None:
        if self._inward is not None:
            await self._deliver("engine_came", self._inward.engine_came(self._boot_id))

    def _receipt_of(self, event: Event) -> str | None:
        if self._inward is not None and isinstance(event, RecordedVideo):
            return event.path
        return None

    def _inward_of(self, event: Event) -> Coroutine[Any, Any, None]:
        if isinstance(event, PushConnected | PushLost):
            return _told_of_push(self._pushes, event) if self._pushes is not None else _nothing()
        return _told_to(self._inward, event) if self._inward is not None else _nothing()

    # --- counts ------------------------------------------------------------------------------------------------

    async def _keep_counting(self) -> None:
        """Carry what the worker counts over to Prometheus; one that is away counts nothing."""
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            if not self.is_connected:
                continue
            try:
                self._publish(wire.read_as(dict, await self.ask(protocol.CountsArgs())))
            except UnavailableError:
                continue
            except Exception:  # figures must not end the loop that makes them
                log.exception("video_counts_failed")

    def _publish(self, counts: Mapping[str, int]) -> None:
        for kind, value in counts.items():
            if kind.startswith("now_"):
                SESSIONS.labels(kind.removeprefix("now_")).set(value)
                continue
            COUNTED.labels(kind).inc(max(0, value - self._told.get(kind, 0)))
            self._told[kind] = value


async def _nothing() -> None:
    """For events that nobody wants."""


def _told_of_push(inward: PushesIn, event: PushConnected | PushLost) -> Coroutine[Any, Any, None]:
    if isinstance(event, PushConnected):
        return inward.push_connected(event.session_id)
    return inward.push_lost(event.session_id, event.reason)


def _told_to(inward: VideoIn, event: RoomEvent) -> Coroutine[Any, Any, None]:
    telling: Coroutine[Any, Any, None]
    match event:
        case SourceStarted(room_id, source_id, codec, layers):
            telling = inward.source_started(room_id, source_id, codec, layers)
        case SpeakerMoved(room_id, source):
            telling = inward.speaker_moved(room_id, source)
        case KeyframeWanted(session_id):
            telling = inward.keyframe_wanted(session_id)
        case SessionLost(session_id, reason):
            telling = inward.session_lost(session_id, reason)
        case Measured(status):
            telling = inward.measured(status)
        case RecordedVideo():
            telling = inward.recording_stored(event)
        case VideoRecordingFailed(source_id, reason):
            telling = inward.recording_failed(source_id, reason)
    return telling
