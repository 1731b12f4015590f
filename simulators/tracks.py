"""What a camera sends by WebRTC: packets that were encoded before, each in its time."""

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamTrack
from av.audio.codeccontext import AudioCodecContext

from simulators.footage import FPS
from simulators.tones import Tone

_VIDEO_CLOCK = Fraction(1, 90_000)
_SOUND_CLOCK = Fraction(1, 48_000)
_SOUND_RATE = 48_000
_SAMPLES = 960


class _Loop(MediaStreamTrack):
    """Goes round `packets`, one every `period_s`, each `ticks` of its clock long. aiortc passes on what is encoded already."""

    def __init__(
        self, packets: Sequence[bytes], period_s: float, ticks: int, clock: Fraction
    ) -> None:
        super().__init__()
        self._packets = packets
        self._period_s = period_s
        self._ticks = ticks
        self._clock = clock
        self._began: float | None = None
        self.sent = 0

    @property
    def showing(self) -> int:
        """Which of the packets went last."""
        return max(0, self.sent - 1) % len(self._packets)

    async def recv(self) -> "av.Packet[Any]":
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        due = self._began + self.sent * self._period_s
        if due < loop.time() - 1:
            # It was held up: what is a second late is not made up for by a burst.
            self._began += loop.time() - due
        await asyncio.sleep(max(0.0, due - loop.time()))
        packet = av.Packet(self._packets[self.sent % len(self._packets)])
        packet.pts, packet.time_base = self.sent * self._ticks, self._clock
        self.sent += 1
        return packet


class PictureLoop(_Loop):
    """The camera's picture."""

    kind = "video"

    def __init__(self, pictures: Sequence[bytes]) -> None:
        super().__init__(pictures, 1 / FPS, 90_000 // FPS, _VIDEO_CLOCK)


class ToneLoop(_Loop):
    """The camera's microphone: a tone of whole hertz, so that its last second runs into its first."""

    kind = "audio"

    def __init__(self, frequency: int) -> None:
        super().__init__(_tone(frequency), _SAMPLES / _SOUND_RATE, _SAMPLES, _SOUND_CLOCK)


def _tone(frequency: int) -> list[bytes]:
    """A second of it in Opus, taken from a stream that has been going on for a while."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)  # noqa: S101 - for the type checker
    context.sample_rate, context.layout, context.format = _SOUND_RATE, "mono", "s16"
    context.time_base = _SOUND_CLOCK
    context.bit_rate = 32_000
    tone = Tone(frequency, rate=_SOUND_RATE)
    frames = []
    for number in range(2 * _SOUND_RATE // _SAMPLES):
        frame = av.AudioFrame(format="s16", layout="mono", samples=_SAMPLES)
        frame.sample_rate, frame.pts = _SOUND_RATE, number * _SAMPLES
        frame.planes[0].update(tone.take(_SAMPLES).tobytes())
        frames += [bytes(packet) for packet in context.encode(frame)]
    second = _SOUND_RATE // _SAMPLES
    return frames[second // 2 :][:second]
