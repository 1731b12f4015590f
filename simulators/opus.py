"""Opus as radios speak it: mono speech of 16 kHz in, frames of 60 ms; heard as 8 kHz, which is all a meter needs."""

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

RATE = 16000
FRAME_MS = 60
SAMPLES = RATE * FRAME_MS // 1000
CLOCK = 48000
"""Of the timestamps, whatever the sampling rate (RFC 7587 §4.1)."""
_HEARD_RATE = 8000


class Encoder:
    """60 ms of samples to a frame."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 - for the type checker
        context.sample_rate, context.layout, context.format = RATE, "mono", "s16"
        context.time_base = Fraction(1, RATE)
        context.bit_rate = 24_000
        context.options = {"application": "voip", "frame_duration": str(FRAME_MS)}
        self._context = context

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """The frame of `SAMPLES` samples."""
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm))
        frame.sample_rate = RATE
        frame.planes[0].update(pcm.tobytes())
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


class Decoder:
    """Frames of any length to samples of 8 kHz."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 - for the type checker
        context.layout = "mono"
        self._context = context
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=_HEARD_RATE)

    def decode(self, data: bytes) -> NDArray[np.int16]:
        """Raises ValueError for what is no Opus."""
        try:
            frames = self._context.decode(av.Packet(data)) if data else []
        except av.FFmpegError as error:
            raise ValueError(str(error)) from error
        if not frames:
            raise ValueError("no frame")
        heard = [one for frame in frames for one in self._resampler.resample(frame)]
        return np.concatenate(
            [np.frombuffer(bytes(one.planes[0]), np.int16, one.samples) for one in heard]
        )
