"""Which module knows which codec."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridges.video.codecs import av1, h264, vp8, vp9
from bridges.video.codecs.numbers import Number
from bridges.video.codecs.picture import Picture
from commhub.ports.video import VideoCodec


@dataclass(frozen=True, slots=True)
class Face:
    """What a codec's module does: `inspect` a payload, read its picture `number` (None: the codec numbers no pictures, and
    a view of it costs less), `assemble` a picture's payloads to a frame as files want it."""

    inspect: Callable[[memoryview], Picture]
    assemble: Callable[[Sequence[bytes]], bytes | None]
    number: Callable[[memoryview], Number] | None = None


FACES: Mapping[VideoCodec, Face] = {
    VideoCodec.H264: Face(h264.inspect, h264.assemble),
    VideoCodec.VP8: Face(vp8.inspect, vp8.assemble, vp8.number),
    VideoCodec.VP9: Face(vp9.inspect, vp9.assemble, vp9.number),
    VideoCodec.AV1: Face(av1.inspect, av1.assemble),
}
