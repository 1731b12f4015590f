"""Which codec a leg speaks: a law of G.711, which is a column of the table, or a lane of any other codec."""

from bridges.audio import packet_times
from bridges.audio.codecs.book import CodecBook
from bridges.audio.g711 import RATE, Law
from bridges.audio.lanes import Lane, Lanes
from bridges.audio.legs import LegTable
from bridges.audio.rings import Rings
from bridges.audio.speakers import Streams
from commhub.domain.errors import InvalidError
from commhub.ports.media import AudioFormat

_LAWS = {"PCMU": Law.PCMU, "PCMA": Law.PCMA}


class Codings:
    """Gives legs their codecs. `rings` are those of G.711, `linear_rings` those of lanes."""

    def __init__(
        self,
        legs: LegTable,
        book: CodecBook,
        rings: Rings,
        linear_rings: Rings,
        lanes: Lanes,
        streams: Streams,
    ) -> None:
        self._legs = legs
        self._book = book
        self._rings = rings
        self._linear_rings = linear_rings
        self._lanes = lanes
        self._streams = streams

    def find(self, audio: AudioFormat) -> Law | Lane:
        """What turns the format's packets into samples and back. Raises InvalidError."""
        if not 0 <= audio.payload_type <= 127:
            raise InvalidError("an RTP payload type is 0 to 127")
        law = _LAWS.get(audio.encoding.upper())
        if law is not None and audio.clock_rate == RATE:
            return law
        codec = self._book.find(audio.encoding, audio.clock_rate)
        return Lane(codec, audio.ptime_ms, audio.fmtp)

    def give(self, row: int, coding: Law | Lane, audio: AudioFormat) -> None:
        """Change the leg's codec, unless it is the one it has."""
        legs = self._legs
        kind, dtmf = audio.payload_type, audio.dtmf_payload_type
        dtmf_clock = audio.dtmf_clock_rate
        legs.comfort[row] = audio.comfort_noise
        if isinstance(coding, Law):
            if not legs.connected[row] or legs.linear[row] or coding != legs.law[row]:
                self.forget(row)
                self._rings.reset(row, coding)
            ptime_ms = packet_times.fitting(audio.ptime_ms, packet_times.G711_PTIMES)
            legs.set_codec(row, coding, kind, dtmf, ptime_ms=ptime_ms, dtmf_clock=dtmf_clock)
            return
        lane = self._lanes.find(row)
        if lane is None or lane.kind != coding.kind:
            self._streams.forget(row)
            self._linear_rings.reset(row)
            self._lanes.put(row, coding)
        lane_clock = coding.codec.clock_rate
        legs.set_codec(row, Law.PCMU, kind, dtmf, dtmf_clock=dtmf_clock, lane_clock=lane_clock)

    def forget(self, row: int) -> None:
        """The leg goes, or becomes one of G.711."""
        self._lanes.remove(row)
        self._streams.forget(row)
