"""Prompts as samples at both rates: built in by name, or from the prompts directory by id.

Reading a file or computing a tone takes longer than a tick, so it is done by a thread and asked for by a future;
what was asked for lately stays in memory. Control made the files (`commhub.calls.sounds`: any format in, 16 kHz
mono WAV out); here they are checked again, because a worker trusts no file.
"""

import re
import wave
from collections import OrderedDict
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridges.audio import tones
from bridges.audio.bands import NARROW, WIDE, Band
from bridges.audio.resample import Downsampler
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.domain.recording import LONGEST_PROMPT_S, BuiltInPrompt

Samples = NDArray[np.int16]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_BUILT_IN = frozenset(map(str, BuiltInPrompt))
_KEPT_SECONDS = 1800
"""Of sounds in memory: 90 MB."""
_PEAK = 32768 * 10 ** (-3 / 20)
_LOUDEST_RMS = 32768 * 10 ** (-16 / 20)
"""A prompt is as loud as a person who speaks up, and no louder."""
_WINDOW_S = 0.4


@dataclass(frozen=True, slots=True)
class Sound:
    """The same sound twice; `wide` is exactly twice as long."""

    narrow: Samples
    wide: Samples

    def of(self, band: Band) -> Samples:
        return self.narrow if band is NARROW else self.wide

    @property
    def seconds(self) -> float:
        return len(self.narrow) / NARROW.rate


def file_of(folder: Path, prompt: str) -> Path:
    """Where the uploaded prompt of that id lies. Raises InvalidError for what is no id."""
    if not _ID.fullmatch(prompt):
        raise InvalidError("a prompt is a built-in one by its name or an uploaded one by its id")
    return folder / f"{prompt}.wav"


class SoundLibrary:
    """`request` belongs to one thread, the engine's; `folder` None has the built-in prompts only."""

    def __init__(self, folder: Path | None, executor: Executor | None = None) -> None:
        self._folder = folder
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="prompts")
        self._kept: OrderedDict[str, Future[Sound]] = OrderedDict()

    def request(self, prompt: str) -> Future[Sound]:
        """The sound, now or soon. Raises NotFoundError, InvalidError."""
        kept = self._kept.get(prompt)
        if kept is not None and not (kept.done() and kept.exception() is not None):
            self._kept.move_to_end(prompt)
            return kept
        if prompt in _BUILT_IN:
            future = self._executor.submit(_built_in, BuiltInPrompt(prompt))
        else:
            path = self._path(prompt)
            future = self._executor.submit(_read, path)
        self._kept[prompt] = future
        self._forget_oldest()
        return future

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)

    def _path(self, prompt: str) -> Path:
        path = None if self._folder is None else file_of(self._folder, prompt)
        if path is None or not path.is_file():
            raise NotFoundError(f"there is no prompt «{prompt[:64]}»", prompt=prompt[:64])
        return path

    def _forget_oldest(self) -> None:
        """What is being played holds its own reference."""
        while len(self._kept) > 1 and self._seconds() > _KEPT_SECONDS:
            self._kept.popitem(last=False)

    def _seconds(self) -> float:
        return sum(
            one.result().seconds
            for one in self._kept.values()
            if one.done() and not one.cancelled() and one.exception() is None
        )


def _built_in(prompt: BuiltInPrompt) -> Sound:
    narrow = tones.make(prompt, NARROW.rate)
    return Sound(narrow, tones.make(prompt, WIDE.rate)[: 2 * len(narrow)])


def _read(path: Path) -> Sound:
    """Raises InvalidError for a file that is not what control writes, OSError for one that cannot be read."""
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            if shape != (1, 2, WIDE.rate):
                raise InvalidError("a prompt's file is 16-bit mono at 16 kHz")
            if file.getnframes() > LONGEST_PROMPT_S * WIDE.rate:
                raise InvalidError("a prompt's file is too long")
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    except (wave.Error, EOFError) as error:
        raise InvalidError(f"a prompt's file is no WAV: {error}") from error
    wide = limited(samples[: len(samples) // 2 * 2].astype(np.int16))
    if not len(wide):
        raise InvalidError("a prompt's file is empty")
    narrow = Downsampler(1).down(np.zeros(1, np.int64), wide[None])[0]
    return Sound(narrow, wide)


def limited(wide: Samples) -> Samples:
    """The samples, quieter as a whole where their peak or their loudest moment is over the limit."""
    window = max(1, min(len(wide), round(_WINDOW_S * WIDE.rate)))
    energy = np.concatenate(([0.0], np.cumsum(wide.astype(np.float64) ** 2)))
    loudest = float(np.sqrt(np.max(energy[window:] - energy[:-window], initial=0.0) / window))
    peak = float(np.max(np.abs(wide.astype(np.int32)), initial=0))
    gain = min(1.0, _PEAK / max(peak, 1.0), _LOUDEST_RMS / max(loudest, 1.0))
    return wide if gain == 1.0 else np.asarray(np.rint(wide * gain), np.int16)
