"""A piece of a recording, cut by pydub, for somebody who needs one minute of an hour."""

import warnings
from io import BytesIO
from pathlib import Path

from commhub.domain.errors import InvalidError


def cut(recording: Path, from_s: float, to_s: float | None) -> bytes:
    """The WAV file from `from_s` to `to_s` seconds (None: to the end). Blocks; raises InvalidError."""
    with warnings.catch_warnings():
        # It misses ffmpeg when it is imported, and needs none for WAV.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment  # noqa: PLC0415 - rarely needed, and noisy to import

    sound = AudioSegment.from_wav(str(recording))
    until_s = sound.duration_seconds if to_s is None else min(to_s, sound.duration_seconds)
    if from_s >= until_s:
        raise InvalidError(
            f"the recording lasts {sound.duration_seconds:.1f} s, so there is nothing from {from_s:g} s "
            f"to {until_s:g} s"
        )
    out = BytesIO()
    sound[round(from_s * 1000) : round(until_s * 1000)].export(out, format="wav")
    return out.getvalue()
