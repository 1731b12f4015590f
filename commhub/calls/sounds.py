"""Any sound file to a prompt's form: 16 kHz, mono, 16 bit, no longer than five minutes, no louder than a voice.

Whoever wrote the file may mean harm: a few kilobytes that unpack to hours, a header that promises terabytes, a
playlist that names other files. So it is read by a process of its own (`python -m commhub.calls.sounds`) that may use
little memory and time, opens nothing but the file it was given, and stops at the limit while it decodes.

PyAV decodes and brings to the rate (pydub would need an ffmpeg binary for the one, and has no filter against what
folds in the other); pydub levels and writes.
"""

import asyncio
import json
import resource
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from commhub.domain.errors import InvalidError
from commhub.domain.recording import LONGEST_PROMPT_S

log = structlog.get_logger(__name__)

RATE = 16_000
LARGEST_FILE = 20 * 1024 * 1024
READ_WITHIN_S = 30.0

_SHORTEST_S = 0.1
_FORMATS = "wav,w64,aiff,au,caf,mp3,ogg,flac,aac,mov,mp4,m4a,matroska,webm,amr,amrnb,amrwb"
_MEMORY = 2 << 30
_RATES = range(4_000, 192_001)
_MOST_CHANNELS = 8
_LOUDEST_DBFS = -16.0
_PEAK_DBFS = -3.0

_REFUSED = 3
"""Exit code: the file is refused, and why stands on standard output."""


class RefusedSoundError(Exception):
    """The file cannot become a prompt; the text says why."""


@dataclass(frozen=True, slots=True)
class ReadSound:
    seconds: float


async def read_sound(source: Path, target: Path) -> ReadSound:
    """Write `source` as a prompt to `target`. Raises InvalidError with the reason for a person."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(source), str(target),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            out, _ = await process.communicate()
    except TimeoutError as error:
        raise InvalidError("reading this file takes too long; it is refused") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return ReadSound(float(json.loads(out)["seconds"]))
    if process.returncode == _REFUSED:
        raise InvalidError(str(json.loads(out)["refused"]))
    log.warning("sound_reader_died", code=process.returncode)
    raise InvalidError(
        "this file cannot be read: it asks for more memory or time than a prompt may"
    )


# --- the reading process ---------------------------------------------------------------------------------


def convert(source: Path, target: Path) -> float:
    """The same, here and now; returns the length in seconds. Raises RefusedSoundError."""
    samples = b"".join(_decoded(source))
    seconds = len(samples) / (2 * RATE)
    if seconds < _SHORTEST_S:
        raise RefusedSoundError("there is next to no sound in this file")
    with warnings.catch_warnings():
        # It misses ffmpeg when it is imported, and needs none for WAV.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment  # noqa: PLC0415 - the hub itself has no use for it

    sound = AudioSegment(data=samples, sample_width=2, frame_rate=RATE, channels=1)
    over = max(sound.dBFS - _LOUDEST_DBFS, sound.max_dBFS - _PEAK_DBFS)
    if over > 0:
        sound = sound.apply_gain(-over)
    sound.export(str(target), format="wav").close()
    return seconds


def _decoded(source: Path) -> Iterator[bytes]:
    import av  # noqa: PLC0415 - the hub itself has no use for it here
    from av.error import FFmpegError  # noqa: PLC0415 - likewise

    limits = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "probesize": "2000000"}
    left = LONGEST_PROMPT_S * RATE
    try:
        with av.open(str(source), options=limits) as container:
            if not container.streams.audio:
                raise RefusedSoundError("there is no sound in this file")
            stream = container.streams.audio[0]
            _check_shape(stream.codec_context.sample_rate, stream.codec_context.channels)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in container.decode(stream):
                _check_shape(frame.sample_rate, len(frame.layout.channels))
                for piece in resampler.resample(frame):
                    left -= piece.samples
                    if left < 0:
                        minutes = LONGEST_PROMPT_S // 60
                        raise RefusedSoundError(f"a prompt lasts at most {minutes} minutes")
                    yield bytes(piece.planes[0])[: 2 * piece.samples]
            for piece in resampler.resample(None):
                yield bytes(piece.planes[0])[: 2 * piece.samples]
    except (FFmpegError, ValueError, EOFError, OverflowError) as error:
        raise RefusedSoundError("this file is no sound that can be read") from error


def _check_shape(rate: int, channels: int) -> None:
    if rate not in _RATES or not 1 <= channels <= _MOST_CHANNELS:
        raise RefusedSoundError(
            f"no sound a prompt can be made of: {rate} samples a second, {channels} channels"
        )


def main(source: str, target: str) -> int:
    """Exit code of the reading process; what it has to say stands on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    seconds = int(READ_WITHIN_S)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        answer: dict[str, object] = {"seconds": convert(Path(source), Path(target))}
    except RefusedSoundError as error:
        answer = {"refused": str(error)}
    sys.stdout.write(json.dumps(answer))
    return _REFUSED if "refused" in answer else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
