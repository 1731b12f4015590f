"""The forwarder: sources in, views out, the same packets, never decoded.

The face of the data path to the sessions. A source's far end hands in what it sent (`SourceHandle.take_rtp`,
`take_rtcp`), a view's far end what it reports (`ViewHandle.take_rtcp`); `flush`, after every drained socket, sends
what came in to all views; `tick`, every 20–50 ms, does what has its time. Nothing here blocks.
"""

from collections.abc import Callable

from bridges.transport.batch import RtpBatch
from bridges.transport.peer import FarEnd
from bridges.video.counts import VideoCounts
from bridges.video.events import Event
from bridges.video.streams import SourceStreams, ViewStream
from commhub.kit.clock import Clock
from commhub.ports.video import Layer, SourceMeter, ViewMeter


class SourceHandle:
    """One session that publishes a source (or one of its layers)."""

    def take_rtp(self, batch: RtpBatch, now: float) -> None:
        """RTP in the clear; packets of other payload types are left alone."""
        raise NotImplementedError

    def take_rtcp(self, packet: bytes, now: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class ViewHandle:
    """One far end that watches. `source_id` is what it asked for (may be SPEAKER)."""

    def take_rtcp(self, packet: bytes, now: float) -> None:
        raise NotImplementedError

    def show(self, source_id: str, best: Layer) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Forwarder:
    """All sources and views of a worker. `tell` gets its events."""

    def __init__(
        self, clock: Clock, counts: VideoCounts, tell: Callable[[Event], None] = lambda _: None
    ) -> None:
        raise NotImplementedError

    def add_source(
        self,
        session_id: str,
        source_id: str,
        room_id: str,
        streams: SourceStreams,
        far_end: FarEnd,
    ) -> SourceHandle:
        """A second session of the same source adds its layer, or takes the place of one that was lost."""
        raise NotImplementedError

    def add_view(
        self,
        session_id: str,
        source_id: str,
        room_id: str,
        stream: ViewStream,
        far_end: FarEnd,
        best: Layer = Layer.MAIN,
    ) -> ViewHandle:
        """`source_id` may be SPEAKER, or a source that is not there yet: it is shown when it comes."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send on what came since the last time (the port calls it after each drained batch)."""
        raise NotImplementedError

    def tick(self) -> None:
        """Reports, repairs, pacing, estimates: every 20–50 ms."""
        raise NotImplementedError

    def mute(self, source_id: str, muted: bool) -> None:
        raise NotImplementedError

    def spotlight(self, room_id: str, source_id: str | None) -> None:
        raise NotImplementedError

    def heard(self, source_id: str, level_dbov: int, now: float) -> None:
        """The level of a source's microphone (RFC 6464, 0…−127), by which SPEAKER is decided."""
        raise NotImplementedError

    def request_keyframe(self, source_id: str) -> None:
        raise NotImplementedError

    def source_meters(self) -> tuple[SourceMeter, ...]:
        raise NotImplementedError

    def view_meters(self) -> tuple[ViewMeter, ...]:
        raise NotImplementedError
