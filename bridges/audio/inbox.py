"""What comes from the field waits here for the next tick. Called from the network's thread; never blocks."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridges.audio.counts import Counts
from commhub.ports.voice import VoiceFrame

_LIMIT = 8192


@dataclass(frozen=True, slots=True)
class FrameIn:
    device_id: str
    group: str
    frame: VoiceFrame


@dataclass(frozen=True, slots=True)
class FloorIn:
    device_id: str
    message: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DeviceLeft:
    device_id: str


RadioIn = FrameIn | FloorIn | DeviceLeft


class RadioInbox:
    """Implements `commhub.ports.voice.VoiceSink`. One queue, so that a release comes after the last word."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._queue: deque[RadioIn] = deque()

    def frame_received(self, device_id: str, group: str, frame: VoiceFrame) -> None:
        self._put(FrameIn(device_id, group, frame))

    def floor_received(self, device_id: str, message: Mapping[str, object]) -> None:
        self._put(FloorIn(device_id, message))

    def device_left(self, device_id: str) -> None:
        self._put(DeviceLeft(device_id))

    def take(self) -> Iterator[RadioIn]:
        """What waited when asked; a network thread that never pauses does not hold up the tick."""
        for _ in range(len(self._queue)):
            yield self._queue.popleft()

    def _put(self, item: RadioIn) -> None:
        if len(self._queue) >= _LIMIT:
            # Old voice is worth less than new voice.
            self._queue.popleft()
            self._counts.radio_overflow += 1
        self._queue.append(item)


class PacketInbox:
    """RTP packets of legs without a socket (WebRTC, in the clear), until the next tick."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._queue: deque[tuple[str, bytes]] = deque()

    def put(self, leg_id: str, packet: bytes) -> None:
        """Called from the network's side; old voice goes when too much waits."""
        if len(self._queue) >= _LIMIT:
            self._queue.popleft()
            self._counts.packet_overflow += 1
        self._queue.append((leg_id, packet))

    def take(self) -> Iterator[tuple[str, bytes]]:
        """What waited when asked."""
        for _ in range(len(self._queue)):
            yield self._queue.popleft()
