"""The forwarder: sources in, views out, the same packets, never decoded.

The face of the data path to the sessions. A source's far end hands in what it sent (`SourceHandle.take_rtp`,
`take_rtcp`), a view's far end what it reports (`ViewHandle.take_rtcp`); `flush`, after every drained socket, sends
what came in to all views; `tick`, every 20–50 ms, does what has its time. Nothing here blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bridges.transport.peer import FarEnd
from bridges.transport.sealing import RtpBatch
from bridges.video.audience import Audience
from bridges.video.counts import VideoCounts
from bridges.video.events import Event, SourceStarted, SpeakerMoved
from bridges.video.fanout import Fanout
from bridges.video.gop import replay_kbps
from bridges.video.pacing import Share
from bridges.video.publisher import Publisher
from bridges.video.showing import Showing
from bridges.video.source import Source
from bridges.video.speaker import SpeakersOfRooms
from bridges.video.streams import SourceStreams, ViewStream
from bridges.video.table import ViewTable
from bridges.video.track import Portion, Track
from bridges.video.view import View
from bridges.video.viewer_reports import ViewerReports
from commhub.domain.errors import ConflictError
from commhub.kit.clock import Clock
from commhub.ports.video import Layer, SourceMeter, VideoCodec, ViewMeter

_LOOK_EVERY_S = 0.25
"""How often a view's path, layer and address are looked at."""
_DECIDE_EVERY_S = 0.2
_MANY_VIEWS = 24
"""From so many on it pays to wait for the rest of a picture: full batches are cheaper, and so sooner with the last view."""


@dataclass(frozen=True, slots=True)
class SourceHandle:
    """One session that publishes a source, or some of its layers."""

    _forwarder: "Forwarder"
    _source: Source
    _publisher: Publisher

    def take_rtp(self, batch: RtpBatch, now: float) -> None:
        """RTP in the clear; packets of other payload types are left alone."""
        self._publisher.take_rtp(batch, now)

    def take_rtcp(self, packet: bytes, now: float) -> None:
        self._publisher.take_rtcp(packet, now)

    def close(self) -> None:
        self._forwarder.end_publishing(self._source, self._publisher)


@dataclass(frozen=True, slots=True)
class ViewHandle:
    """One far end that watches."""

    _forwarder: "Forwarder"
    _view: View

    def take_rtcp(self, packet: bytes, now: float) -> None:
        self._forwarder.take_report(self._view, packet, now)

    def can_show(self, codec: VideoCodec) -> bool:
        """Whether that was agreed with the far end."""
        return codec in self._view.stream.types

    def hand_over(self, view: View) -> None:
        """Let the view, of the same SSRC, go on where this one, which is closed, has ended."""
        view.rewriter = self._view.rewriter
        view.repairs.next_sequence = self._view.repairs.next_sequence

    def show(self, source_id: str, best: Layer) -> None:
        """Another source (or SPEAKER), never better than `best`: at most a freeze for the far end."""
        self._forwarder.show(self._view, source_id, best)

    def close(self) -> None:
        self._forwarder.end_view(self._view)


class Forwarder:
    """All sources and views of a worker. `tell` gets its events."""

    def __init__(
        self, clock: Clock, counts: VideoCounts, tell: Callable[[Event], None] = lambda _: None
    ) -> None:
        self.counts = counts
        self._clock = clock
        self._tell = tell
        self._table = ViewTable()
        self._fanout = Fanout(self._table, counts)
        self._share = Share()
        self._sources: dict[str, Source] = {}
        self._views: list[View] = []
        self._speakers = SpeakersOfRooms()
        self._touched: dict[Audience, Source] = {}
        self._showing = Showing(self._sources, self._speakers, self._share, tell)
        self._reports = ViewerReports(self._table, counts, self._track_of, self._showing.sync)
        self._decided_at = 0.0
        self.tap: Callable[[Source, Track, Portion], None] | None = None
        """Who else is shown what comes of a source that is not muted."""

    # Sources and views ---------------------------------------------------------------------------------------

    def add_source(
        self,
        session_id: str,
        source_id: str,
        room_id: str,
        streams: SourceStreams,
        far_end: FarEnd,
    ) -> SourceHandle:
        """A second session of the same source adds its layer, or takes the place of one that was lost. Raises
        ConflictError for another codec or room than its other layers have."""
        source = self._sources.get(source_id)
        if source is not None and not source.publishers:
            self._forget(source)
            source = None
        if source is None:
            source = Source(source_id, room_id, streams.codec, self._fanout, self.counts)
            self._sources[source_id] = source
        elif (source.codec, source.room_id) != (streams.codec, room_id):
            raise ConflictError("all layers of a source have one codec and one room")
        found = source

        def took(audience: Audience) -> None:
            self._touched[audience] = found

        publisher = source.publish(session_id, streams, far_end, took)
        return SourceHandle(self, source, publisher)

    def add_view(
        self,
        session_id: str,
        source_id: str,
        room_id: str,
        stream: ViewStream,
        far_end: FarEnd,
        best: Layer = Layer.MAIN,
        own: str | None = None,
        continuing: ViewHandle | None = None,
    ) -> ViewHandle:
        """`own` is the source of the same far end, if any; `continuing` a closed view whose stream goes on. `source_id` may be SPEAKER, or a source that is not there yet: it is shown when it comes. Raises ConflictError
        when there is no room for another view."""
        view = View(session_id, room_id, source_id, best, stream, far_end, self._table.take(), own)
        view.choice.limit(best)
        if continuing is not None:
            continuing.hand_over(view)
        self._views.append(view)
        return ViewHandle(self, view)

    def end_publishing(self, source: Source, publisher: Publisher) -> None:
        """The session is gone; views of its layers go on with what comes next under the source's name."""
        if publisher not in source.publishers:
            return
        source.publishers.remove(publisher)
        if source.publishers:
            for layer in publisher.tracks:
                source.audiences[layer].track.restart()
            return
        self._forget(source)

    def _forget(self, source: Source) -> None:
        for audience in source.audiences.values():
            for view in list(audience):
                audience.leave(view)
                view.forget()
            self._touched.pop(audience, None)
        if self._sources.get(source.source_id) is source:
            del self._sources[source.source_id]
        if self._speakers.gone(source.room_id, source.source_id):
            self._tell_speaker(source.room_id)

    def show(self, view: View, source_id: str, best: Layer) -> None:
        view.wanted, view.best = source_id, best
        view.choice.limit(best)
        self._showing.aim(view, self._clock.monotonic())

    def end_view(self, view: View) -> None:
        if view not in self._views:
            return
        self._showing.leave(view)
        self._views.remove(view)
        self._table.give_back(view.row)

    # Packets -------------------------------------------------------------------------------------------------

    def flush(self, *, may_wait: bool = False) -> bool:
        """Send on what came since the last time (the port calls it after each batch). False, when it `may_wait`: nothing
        was sent, because a picture of many views has begun to come and the rest of it is worth a moment."""
        if not self._touched:
            return True
        is_crowded = may_wait and self.is_crowded
        if is_crowded and any(audience.track.is_midway for audience in self._touched):
            return False
        now = self._clock.monotonic()
        touched, self._touched = self._touched, {}
        for audience, source in touched.items():
            track = audience.track
            for view in audience.restarted():
                audience.wait(view)
            portions, track.pending = track.pending, []
            for portion in portions:
                if not source.is_muted:
                    audience.pass_on(portion, now)
                    if self.tap is not None:
                        self.tap(source, track, portion)
                if portion.key_at is not None:
                    self._key_came(source, audience, portion.key_at, now)
            audience.catch_up(self._share, now)
        return True

    @property
    def is_crowded(self) -> bool:
        """Whether there are so many views that it pays to wait for the rest of a picture."""
        return len(self._views) >= _MANY_VIEWS

    def _key_came(self, source: Source, audience: Audience, key_at: int, now: float) -> None:
        publisher = source.publisher_of(audience.track.layer)
        if publisher is not None:
            publisher.keyframe_came(audience.track.layer)
        if not source.has_started:
            source.has_started = True
            layers = tuple(sorted(source.audiences))
            self._tell(SourceStarted(source.room_id, source.source_id, source.codec, layers))
        self._showing.key_came(source, audience, key_at, now)

    # What has its time ---------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Reports, repairs, pacing, estimates: every 20–50 ms."""
        self.flush()
        now = self._clock.monotonic()
        decides = now - self._decided_at >= _DECIDE_EVERY_S
        if decides:
            self._decided_at = now
            self._decide_speakers(now)
        for source in self._sources.values():
            if decides:
                source.measure(now)
                self._ask_for_first(source, now)
            for publisher in source.publishers:
                publisher.tick(now)
            for audience in source.audiences.values():
                if audience.waiting and not source.is_muted:
                    self._showing.ask(source, audience.track.layer, now)
                audience.catch_up(self._share, now)
        for view in self._views:
            if view.outlet is None or now - view.looked_at >= _LOOK_EVERY_S:
                self._look(view, now)

    def _ask_for_first(self, source: Source, now: float) -> None:
        """A far end that began before it could be heard would send no key frame again for a long time."""
        if source.has_started:
            return
        for publisher in source.publishers:
            for layer in publisher.tracks if publisher.last_at else ():
                self._showing.ask(source, layer, now)

    def _look(self, view: View, now: float) -> None:
        """Where it is, what it gets, what its path carries."""
        view.looked_at = now
        outlet = view.far_end.outlet
        if outlet is not view.outlet:
            view.outlet = outlet
            if outlet is not None:
                self._table.aim(view.row, outlet.address)
            self._showing.refresh(view)
        if outlet is None:
            return
        octets = int(self._table.octets[view.row])
        view.estimator.sent(octets - view.octets, now)
        view.octets = octets
        view.rates.read(octets, 0, now)
        view.pace.limit_kbps = view.estimator.limit_kbps(now)
        if view.cursor is not None and view.track is not None:
            view.pace.kbps = replay_kbps(view.track.rates.kbps, view.pace.limit_kbps)
        self._showing.aim(view, now)
        self._reports.report(view, now)

    def _decide_speakers(self, now: float) -> None:
        for room_id in self._speakers.decide(now):
            self._tell_speaker(room_id)

    def _tell_speaker(self, room_id: str) -> None:
        self._tell(SpeakerMoved(room_id, self._speakers.shown(room_id)))

    def _track_of(self, origin: int) -> Track | None:
        return next(
            (
                audience.track
                for source in self._sources.values()
                for audience in source.audiences.values()
                if audience.track.origin == origin
            ),
            None,
        )

    # Orders and meters ---------------------------------------------------------------------------------------

    def take_report(self, view: View, packet: bytes, now: float) -> None:
        said = self._reports.take(view, packet, now)
        source = self._sources.get(view.source_id or "")
        if said.wants_keyframe and source is not None and view.track is not None:
            self._showing.ask(source, view.track.layer, now)

    def mute(self, source_id: str, muted: bool) -> None:
        """Forward and record nothing of the source, or go on from a key frame: what came meanwhile is never shown."""
        source = self._sources.get(source_id)
        if source is None or source.is_muted == muted:
            return
        self.flush()
        source.is_muted = muted
        now = self._clock.monotonic()
        for layer, audience in source.audiences.items():
            for view in list(audience):
                audience.leave(view)
                view.track = view.cursor = None
                audience.wait(view)
            if not muted:
                audience.track.key_at = None
                self._showing.ask(source, layer, now)

    def spotlight(self, room_id: str, source_id: str | None) -> None:
        """What SPEAKER shows in the room; None: whoever speaks."""
        if self._speakers.spotlight(room_id, source_id):
            self._tell_speaker(room_id)

    def heard(self, source_id: str, level_dbov: int, now: float) -> None:
        """The level of a source's microphone (RFC 6464, 0…−127), by which SPEAKER is decided."""
        source = self._sources.get(source_id)
        if source is not None:
            self._speakers.heard(source.room_id, source_id, level_dbov, now)

    def told(self, room_id: str, source_id: str, level_dbov: float | None) -> None:
        """Somebody in the room speaks, so loud, or (None) no longer, as was heard elsewhere; they need no source."""
        self._speakers.told(room_id, source_id, level_dbov, self._clock.monotonic())

    def left(self, room_id: str, source_id: str) -> None:
        """Whoever was told of is there no more."""
        if source_id not in self._sources and self._speakers.gone(room_id, source_id):
            self._tell_speaker(room_id)

    def request_keyframe(self, source_id: str) -> None:
        source = self._sources.get(source_id)
        if source is not None:
            for layer in source.audiences:
                self._showing.ask(source, layer, self._clock.monotonic())

    def room_of(self, source_id: str) -> str | None:
        """Where a source is; None for one that is not there."""
        source = self._sources.get(source_id)
        return None if source is None else source.room_id

    def source_meters(self) -> tuple[SourceMeter, ...]:
        now = self._clock.monotonic()
        return tuple(
            source.meter(now, self._speakers.level(source.room_id, source.source_id))
            for source in self._sources.values()
        )

    def view_meters(self) -> tuple[ViewMeter, ...]:
        now = self._clock.monotonic()
        return tuple(view.meter(now) for view in self._views)
