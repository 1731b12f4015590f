"""The built-in prompts: tones and chimes computed, not shipped, at any rate.

Levels are peak values; every one stays under what `sounds` lets pass. Ringing and busy are the tones of GB/T 3380
(450 Hz), which callers here know.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from commhub.domain.recording import BuiltInPrompt

Sound = NDArray[np.float32]

_PEAK = 0.16
"""Of a single tone: −16 dBFS."""
_EDGE_S = 0.01
"""A tone that begins or ends at once is heard as a click."""


def _tone(rate: int, hertz: Sequence[float], seconds: float, peak: float = _PEAK) -> Sound:
    """Sines together, with soft edges."""
    at = np.arange(round(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * one * at) for one in hertz) / len(hertz)
    edge = np.minimum(1, np.minimum(at, at[::-1]) / _EDGE_S)
    return np.asarray(peak * wave * edge, np.float32)


def _bell(rate: int, hertz: float, seconds: float) -> Sound:
    """A struck tone that dies away, with one overtone."""
    at = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * hertz * at) + 0.3 * np.sin(4 * np.pi * hertz * at)
    decay = (
        np.exp(-4 * at / seconds) * np.minimum(1, at / 0.004) * np.minimum(1, at[::-1] / _EDGE_S)
    )
    return np.asarray(_PEAK * wave * decay, np.float32)


def _silence(rate: int, seconds: float) -> Sound:
    return np.zeros(round(seconds * rate), np.float32)


def _row(*parts: Sound) -> Sound:
    return np.concatenate(parts)


# Semitones over A4 in the order of the melody: an arpeggio walk that comes back to where it began.
_MELODY = (
    (-9, -5, -2, 3, -2, -5), (-12, -9, -5, 0, -5, -9), (-4, 0, 3, 8, 3, 0), (-2, 2, 5, 10, 5, 2),
)  # fmt: skip
_NOTE_S = 0.4


def _music(rate: int) -> Sound:
    """Quiet bells for whoever waits; its end goes over into its beginning."""
    step = round(_NOTE_S * rate)
    notes = [note for bar in _MELODY for note in (*bar, *bar)]
    made = np.zeros(step * len(notes), np.float32)
    for n, note in enumerate(notes):
        bell = 0.6 * _bell(rate, 440 * 2 ** (note / 12), 3 * _NOTE_S)
        places = np.arange(n * step, n * step + len(bell)) % len(made)
        made[places] += bell
    return made


_MADE: Mapping[BuiltInPrompt, Callable[[int], Sound]] = {
    BuiltInPrompt.RINGBACK: lambda rate: _row(_tone(rate, [450], 1.0), _silence(rate, 4.0)),
    BuiltInPrompt.BUSY: lambda rate: _row(_tone(rate, [450], 0.36), _silence(rate, 0.36)),
    BuiltInPrompt.HOLD: _music,
    BuiltInPrompt.BEEP: lambda rate: _tone(rate, [1000], 0.2),
    BuiltInPrompt.JOIN: lambda rate: _row(_bell(rate, 523.25, 0.18), _bell(rate, 783.99, 0.4)),
    BuiltInPrompt.LEAVE: lambda rate: _row(_bell(rate, 783.99, 0.18), _bell(rate, 523.25, 0.4)),
    BuiltInPrompt.RECORDING: lambda rate: _tone(rate, [1400], 0.4),
    BuiltInPrompt.ATTENTION: lambda rate: _row(
        _bell(rate, 659.26, 0.5), _bell(rate, 523.25, 0.5), _bell(rate, 392.0, 1.0)
    ),
}


def make(prompt: BuiltInPrompt, rate: int) -> NDArray[np.int16]:
    """The prompt's samples."""
    return np.asarray(np.rint(_MADE[prompt](rate) * 32767), np.int16)
