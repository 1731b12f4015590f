"""The plumbing of codecs made with PyAV: samples to frames, frames to samples."""

from fractions import Fraction

import av
import numpy as np
from av import AudioFrame, AudioResampler, Packet
from av.audio.codeccontext import AudioCodecContext

from bridges.audio.codecs.codec import RATE, Samples, UndecodableError

_LONGEST_MS = 120
"""RFC 6716 §3.2.5; no other codec we take in has longer packets either."""


class PyavDecoder:
    """Mono samples at 16 kHz, whatever rate the codec decodes to."""

    def __init__(self, name: str, rate: int) -> None:
        context = av.CodecContext.create(name, "r")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 - for the type checker
        context.layout = "mono"
        if rate == RATE:
            context.sample_rate = rate
        self._context = context
        self._rate = rate
        self._resampler = (
            None if rate == RATE else AudioResampler(format="s16", layout="mono", rate=RATE)
        )

    def decode(self, payload: bytes) -> Samples:
        # An empty packet would mean the end of the stream to the library.
        if not payload:
            raise UndecodableError("an empty payload")
        try:
            frames = self._context.decode(Packet(payload))
        except av.FFmpegError as error:
            raise UndecodableError(str(error)) from error
        pieces = [self._samples(frame) for frame in frames]
        if not pieces:
            raise UndecodableError("a payload without a sample")
        return np.concatenate(pieces)

    def _samples(self, frame: AudioFrame) -> Samples:
        if not 0 < frame.samples <= self._rate * _LONGEST_MS // 1000:
            raise UndecodableError(f"{frame.samples} samples in one packet")
        count = frame.samples * RATE // self._rate
        frames = [frame] if self._resampler is None else self._resampler.resample(frame)
        made = [np.frombuffer(bytes(one.planes[0]), np.int16, one.samples) for one in frames]
        samples = np.concatenate(made) if made else np.zeros(0, np.int16)
        if len(samples) < count:
            # The first packet fills the resampler's filter; in front is where nothing was yet.
            samples = np.concatenate((np.zeros(count - len(samples), np.int16), samples))
        return samples[:count]


class PyavEncoder:
    """One packet for every `encode`. The context must have a frame size of what it is given."""

    def __init__(self, name: str, options: dict[str, str], bit_rate: int | None = None) -> None:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 - for the type checker
        context.sample_rate = RATE
        context.layout = "mono"
        context.format = "s16"
        context.time_base = Fraction(1, RATE)
        if bit_rate is not None:
            context.bit_rate = bit_rate
        context.options = options
        self._context = context

    def encode(self, samples: Samples) -> bytes:
        frame = AudioFrame(format="s16", layout="mono", samples=len(samples))
        frame.sample_rate = RATE
        frame.planes[0].update(samples.tobytes())
        return b"".join(bytes(packet) for packet in self._context.encode(frame))
