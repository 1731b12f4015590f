"""Recordings as somebody wants them: a piece of one, two legs side by side, in a format that mails well.

pydub cuts and joins; PyAV compresses, with the encoders it was built with.
"""

import warnings
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commhub.domain.errors import ConflictError, InvalidError

if TYPE_CHECKING:
    from commhub.domain.recording import Recording


class ExportFormat(StrEnum):
    WAV = "wav"
    OGG = "ogg"
    MP3 = "mp3"
    M4A = "m4a"
    FLAC = "flac"


@dataclass(frozen=True, slots=True)
class _Coding:
    """How PyAV writes a format; `rate` when the encoder wants one of its own, `bits` a second and channel."""

    media_type: str
    codec: str
    container: str
    rate: int | None = None
    bits: int | None = None


_CODINGS: Mapping[ExportFormat, _Coding] = {
    ExportFormat.OGG: _Coding("audio/ogg", "libopus", "ogg", 48_000, 24_000),
    ExportFormat.MP3: _Coding("audio/mpeg", "libmp3lame", "mp3", bits=32_000),
    ExportFormat.M4A: _Coding("audio/mp4", "aac", "ipod", bits=32_000),
    ExportFormat.FLAC: _Coding("audio/flac", "flac", "flac"),
}
_LONGEST_COMPRESSED_S = 4 * 3600


def media_type(wanted: ExportFormat) -> str:
    return "audio/wav" if wanted is ExportFormat.WAV else _CODINGS[wanted].media_type


def available() -> list[ExportFormat]:
    """The formats this installation can write."""
    return [ExportFormat.WAV, *(one for one, how in _CODINGS.items() if _has(how.codec))]


def export(
    recording: Path,
    from_s: float,
    to_s: float | None,
    wanted: ExportFormat = ExportFormat.WAV,
    beside: "tuple[Path, float] | None" = None,
) -> bytes:
    """The recording from `from_s` to `to_s` seconds (None: to the end). Blocks.

    `beside` is another one for the right ear, and how many seconds after this one it began. Raises InvalidError,
    ConflictError for two recordings of unlike rates.
    """
    sound = _piece(recording, from_s, to_s)
    if beside is not None:
        sound = _side_by_side(sound, *beside, from_s)
    if wanted is ExportFormat.WAV:
        out = BytesIO()
        sound.export(out, format="wav")
        return out.getvalue()
    return _compressed(sound, wanted)


def seconds_between(one: "Recording", other: "Recording") -> float:
    """How much later the other one began."""
    return (other.started_at - one.started_at).total_seconds()


def _piece(recording: Path, from_s: float, to_s: float | None) -> Any:
    """Only what is asked for is read: an hour of it is a hundred megabytes."""
    with wave.open(str(recording), "rb") as file:
        rate, frames = file.getframerate(), file.getnframes()
        lasts = frames / rate
        until_s = lasts if to_s is None else min(to_s, lasts)
        if from_s >= until_s:
            raise InvalidError(
                f"the recording lasts {lasts:.1f} s, so there is nothing from {from_s:g} s to {until_s:g} s"
            )
        first = round(from_s * rate)
        file.setpos(first)
        data = file.readframes(round(until_s * rate) - first)
    return _segment(data, rate)


def _segment(data: bytes, rate: int) -> Any:
    with warnings.catch_warnings():
        # It misses ffmpeg when it is imported, and needs none for WAV.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment  # noqa: PLC0415 - rarely needed, and noisy to import

    return AudioSegment(data=data, sample_width=2, frame_rate=rate, channels=1)


def _side_by_side(left: Any, recording: Path, later_s: float, from_s: float) -> Any:
    """Left and right at the same moment, silent where the other one was not there."""
    with wave.open(str(recording), "rb") as file:
        rate, lasts = file.getframerate(), file.getnframes() / file.getframerate()
        if rate != left.frame_rate:
            raise ConflictError("these two were recorded at different rates; export each alone")
        begin = from_s - later_s
        end = min(begin + left.duration_seconds, lasts)
        data = b""
        if end > max(begin, 0):
            file.setpos(round(max(begin, 0) * rate))
            data = file.readframes(round(end * rate) - round(max(begin, 0) * rate))
    silent = min(round(max(-begin, 0) * rate), len(left.raw_data) // 2)
    data = (bytes(2 * silent) + data)[: len(left.raw_data)].ljust(len(left.raw_data), b"\0")
    right = _segment(data, rate)
    return type(left).from_mono_audiosegments(left, right)


def _compressed(sound: Any, wanted: ExportFormat) -> bytes:
    """Raises InvalidError when the encoder is not there, with what is."""
    import av  # noqa: PLC0415 - rarely needed
    import numpy as np  # noqa: PLC0415 - as above

    how = _CODINGS[wanted]
    if not _has(how.codec):
        names = ", ".join(available())
        raise InvalidError(
            f"{wanted} cannot be written here ({how.codec} is missing); there is {names}"
        )
    if sound.duration_seconds > _LONGEST_COMPRESSED_S:
        raise InvalidError("more than four hours are exported in pieces, by from_s and to_s")
    layout = "mono" if sound.channels == 1 else "stereo"
    out = BytesIO()
    with av.open(out, "w", format=how.container) as container:
        rate = how.rate or sound.frame_rate
        stream = container.add_stream(how.codec, rate=rate, layout=layout)
        if not isinstance(stream, av.AudioStream):
            raise InvalidError(f"{how.codec} is no encoder of sound")
        if how.bits is not None:
            stream.bit_rate = how.bits * sound.channels
        samples = np.frombuffer(sound.raw_data, "<i2")
        step = sound.frame_rate * sound.channels
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout=layout, rate=rate,
            frame_size=stream.codec_context.frame_size,
        )  # fmt: skip
        pieces = (samples[at : at + step] for at in range(0, len(samples), step))
        for piece in [*pieces, None]:
            frame = None
            if piece is not None:
                frame = av.AudioFrame.from_ndarray(piece[None], format="s16", layout=layout)
                frame.sample_rate = sound.frame_rate
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return out.getvalue()


def _has(codec: str) -> bool:
    import av  # noqa: PLC0415 - rarely needed
    from av.codec.codec import UnknownCodecError  # noqa: PLC0415 - likewise

    try:
        av.codec.Codec(codec, "w")
    except UnknownCodecError:
        return False
    return True
