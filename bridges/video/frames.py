"""Whole pictures out of a layer's packets, for those who need pictures and not packets: the recorder.

Packets are waited for in order, a while longer than a repair takes. What is missing then costs everything up to the next key
frame: a picture that refers to one that never came is grey mud, and a recording is evidence. Time is the layer's own,
as far as it can be true, else that of the clock; what was lost or never sent is a gap of its true length.
"""

from collections.abc import Iterable
from typing import NamedTuple

from bridges.video.codecs.book import FACES
from bridges.video.codecs.picture import Picture
from bridges.video.intake import AHEAD_LIMIT, CLOCK_RATE, signed
from commhub.ports.video import VideoCodec

_PATIENCE_S = 0.8
"""How long a missing packet holds up those after it."""
_WAITING_LIMIT = 2_048
_PARTS_LIMIT = 4_096
"""Packets of one picture; at 1,200 bytes each, five megabytes."""


class LayerPacket(NamedTuple):
    """A packet as the cache has it: `origin` names the stream, `extended` is its number there."""

    origin: int
    extended: int
    timestamp: int
    marker: bool
    payload: bytes


class Frame(NamedTuple):
    """A picture as files want it. `time` in 1/90,000 s since the first; width and height 0 where the picture does not say."""

    data: bytes
    time: int
    key: bool
    width: int
    height: int


class FrameMaker:
    """One recording's pictures, of one codec. Seconds, monotonic."""

    def __init__(self, codec: VideoCodec) -> None:
        self.incomplete = 0
        """Pictures that were begun and not kept."""
        self.needs_key = True
        """Nothing comes before the next key frame."""
        self._face = FACES[codec]
        self._origin: int | None = None
        self._next = 0
        self._waiting: dict[int, LayerPacket] = {}
        self._stalled_at: float | None = None
        self._parts: list[LayerPacket] = []
        self._is_broken = False
        self._time: int | None = None
        self._timestamp: int | None = None
        self._at = 0.0

    def take(self, packets: Iterable[LayerPacket], now: float) -> list[Frame]:
        """The pictures that are whole by these packets, in order."""
        frames: list[Frame] = []
        for packet in packets:
            if packet.origin != self._origin:
                self._begin(packet)
            if packet.extended >= self._next:
                self._waiting[packet.extended] = packet
        self._go_on(now, frames, is_last=False)
        return frames

    def finish(self, now: float) -> list[Frame]:
        """The pictures that were held up, when nothing more will come."""
        frames: list[Frame] = []
        self._go_on(now, frames, is_last=True)
        return frames

    def _go_on(self, now: float, frames: list[Frame], *, is_last: bool) -> None:
        """Take what is there in order, as far as nothing is missing that may still come."""
        while self._waiting:
            packet = self._waiting.pop(self._next, None)
            if packet is not None:
                self._stalled_at = None
                self._next += 1
                self._add(packet, now, frames)
            elif is_last or not self._is_patient(now):
                self._skip()
            else:
                break

    def _begin(self, packet: LayerPacket) -> None:
        """Another stream: nothing of the one before is waited for."""
        self._origin = packet.origin
        self._next = packet.extended
        self._waiting.clear()
        self._stalled_at = None
        self._drop()
        self.needs_key = True
        self._timestamp = None

    def _is_patient(self, now: float) -> bool:
        if self._stalled_at is None:
            self._stalled_at = now
        return now - self._stalled_at < _PATIENCE_S and len(self._waiting) < _WAITING_LIMIT

    def _skip(self) -> None:
        """The packets before the next that is there will not come."""
        self._next = min(self._waiting)
        self._stalled_at = None
        self._is_broken = bool(self._parts)
        self.needs_key = True

    def _add(self, packet: LayerPacket, now: float, frames: list[Frame]) -> None:
        if not packet.payload:
            # Padding alone (RFC 3550 §5.1) is of no picture.
            return
        if self._parts and packet.timestamp != self._parts[0].timestamp:
            self._finish(now, frames)
        self._parts.append(packet)
        if packet.marker:
            self._finish(now, frames)
        elif len(self._parts) > _PARTS_LIMIT:
            self._drop()
            self._is_broken = self.needs_key = True

    def _drop(self) -> None:
        self.incomplete += bool(self._parts)
        self._parts = []
        self._is_broken = False

    def _finish(self, now: float, frames: list[Frame]) -> None:
        """The picture's last packet is there."""
        parts = self._parts
        seen = [self._face.inspect(memoryview(one.payload)) for one in parts]
        is_key = seen[0].start and any(one.key for one in seen)
        is_wanted = not self._is_broken and (is_key or not self.needs_key)
        data = self._face.assemble([one.payload for one in parts]) if is_wanted else None
        if data is None:
            self.needs_key |= is_wanted
            self._drop()
            return
        self._parts = []
        self.needs_key = False
        width, height = _size_of(seen)
        time = self._time_of(parts[0].timestamp, now)
        frames.append(Frame(data, time, is_key, width, height))

    def _time_of(self, timestamp: int, now: float) -> int:
        """Since the first picture: by the layer's clock, or ours where that leaps."""
        if self._time is None:
            self._time = 0
        else:
            elapsed = max(1, round((now - self._at) * CLOCK_RATE))
            advance = 0 if self._timestamp is None else signed(timestamp - self._timestamp)
            self._time += advance if 0 < advance <= elapsed + AHEAD_LIMIT else elapsed
        self._timestamp, self._at = timestamp, now
        return self._time


def _size_of(seen: list[Picture]) -> tuple[int, int]:
    return next(((one.width, one.height) for one in seen if one.width), (0, 0))
