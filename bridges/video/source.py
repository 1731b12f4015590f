"""A source: its layers, who publishes them, who is shown them.

Main and sub-stream may come by two sessions, and a session that comes again takes the layers of the one before it: the
tracks stay, their views go on with the next key frame.
"""

from collections.abc import Callable

from bridges.transport.peer import FarEnd
from bridges.video.audience import Audience
from bridges.video.codecs.book import FACES
from bridges.video.codecs.numbers import UNNUMBERED, Number
from bridges.video.codecs.picture import Picture
from bridges.video.counts import VideoCounts
from bridges.video.fanout import Fanout
from bridges.video.preface import Preface
from bridges.video.publisher import Publisher
from bridges.video.streams import SourceStreams
from bridges.video.track import Inspect, Track
from commhub.ports.video import Layer, LayerMeter, SourceMeter, VideoCodec

_STALE_S = 2.0
"""A layer that sent nothing for so long is no choice for a view."""


class Source:
    """One of a room. `audiences` by layer, also of layers that stopped."""

    def __init__(
        self,
        source_id: str,
        room_id: str,
        codec: VideoCodec,
        fanout: Fanout,
        counts: VideoCounts,
    ) -> None:
        self.source_id = source_id
        self.room_id = room_id
        self.codec = codec
        self.publishers: list[Publisher] = []
        self.audiences: dict[Layer, Audience] = {}
        self.is_muted = False
        self.has_started = False
        self._fanout = fanout
        self._counts = counts

    def publish(
        self,
        session_id: str,
        streams: SourceStreams,
        far_end: FarEnd,
        took: Callable[[Audience], None],
    ) -> Publisher:
        """A session begins to publish some layers; who had them loses them."""
        tracks: dict[Layer, Track] = {}
        for one in streams.layers:
            audience = self.audiences.get(one.layer)
            if audience is None:
                track = Track(
                    one.layer,
                    _inspect_of(self.codec),
                    self._counts,
                    numbered=FACES[self.codec].number is not None,
                )
                audience = self.audiences[one.layer] = Audience(track, self._fanout, self._counts)
            else:
                audience.track.restart()
            track = tracks[one.layer] = audience.track
            track.preface = Preface(streams.parameter_sets) if streams.parameter_sets else None
        by_track = {id(track): self.audiences[layer] for layer, track in tracks.items()}
        publisher = Publisher(
            session_id,
            streams,
            tracks,
            far_end,
            self._counts,
            lambda track: took(by_track[id(track)]),
        )
        for other in list(self.publishers):
            for layer in tracks:
                other.tracks.pop(layer, None)
            if not other.tracks:
                self.publishers.remove(other)
        self.publishers.append(publisher)
        return publisher

    def publisher_of(self, layer: Layer) -> Publisher | None:
        return next((one for one in self.publishers if layer in one.tracks), None)

    def want_keyframe(self, layer: Layer, now: float) -> Publisher | None:
        """Ask for a whole picture; the publisher that cannot be asked by RTCP, if it is one."""
        publisher = self.publisher_of(layer)
        if publisher is None or publisher.want_keyframe(layer, now):
            return None
        return publisher

    def rates(self, now: float) -> dict[Layer, float]:
        """kbit/s of the layers that arrive."""
        found: dict[Layer, float] = {}
        for layer, audience in self.audiences.items():
            track = audience.track
            if track.key_at is not None and now - track.reception.last_at < _STALE_S:
                found[layer] = track.rates.kbps
        return found

    def measure(self, now: float) -> None:
        """Read the counters, several times a second."""
        for audience in self.audiences.values():
            track = audience.track
            track.rates.read(track.octets, track.frames, now)

    def meter(self, now: float, level_dbov: float) -> SourceMeter:
        last_at = max((one.last_at for one in self.publishers), default=0.0)
        round_trips = [one.round_trip_s for one in self.publishers if one.round_trip_s is not None]
        return SourceMeter(
            source_id=self.source_id,
            room_id=self.room_id,
            codec=self.codec,
            layers=tuple(
                LayerMeter(
                    layer=layer,
                    width=audience.track.width,
                    height=audience.track.height,
                    fps=round(audience.track.rates.fps, 1),
                    kbps=round(audience.track.rates.kbps, 1),
                    lost=audience.track.reception.lost,
                )
                for layer, audience in sorted(self.audiences.items())
            ),
            started=self.has_started,
            views=sum(audience.size for audience in self.audiences.values()),
            silent_s=round(now - last_at, 3) if last_at else 0.0,
            round_trip_ms=round(min(round_trips) * 1000, 1) if round_trips else None,
            muted=self.is_muted,
            level_dbov=level_dbov,
        )


def _inspect_of(codec: VideoCodec) -> Inspect:
    face = FACES[codec]
    inspect, number = face.inspect, face.number

    def read(payload: memoryview) -> tuple[Picture, Number]:
        return inspect(payload), UNNUMBERED if number is None else number(payload)

    return read
