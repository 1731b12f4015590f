"""Tones to speak with and a meter to hear with, so that «who hears whom» is a measurement.

Every simulated voice sends one sine; a listener looks for every other voice's frequency in the last second it
received. Levels are dBFS (0 dB: a full-scale sine); the floor is the median of the spectrum.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

RATE = 8000
_WINDOW = np.hanning(RATE)
# A full-scale sine's peak bin under this window.
_FULL_SCALE = 32767 * _WINDOW.sum() / 2


class Tone:
    """An endless sine, handed out in pieces without a jump between them."""

    def __init__(self, frequency: float, level_dbfs: float = -12.0, rate: int = RATE) -> None:
        self._step = 2 * np.pi * frequency / rate
        self._amplitude = 32767 * 10 ** (level_dbfs / 20)
        self._phase = 0.0

    def take(self, samples: int) -> NDArray[np.int16]:
        """The next `samples` samples."""
        phases = self._phase + self._step * np.arange(samples)
        self._phase = float((self._phase + self._step * samples) % (2 * np.pi))
        return np.asarray(self._amplitude * np.sin(phases), np.int16)


class ToneMeter:
    """Listens to the last second of 8 kHz audio."""

    def __init__(self) -> None:
        self._last = np.zeros(RATE, np.int16)
        self.samples = 0

    def hear(self, pcm: NDArray[np.int16]) -> None:
        """Take the next samples."""
        self.samples += len(pcm)
        pcm = pcm[-RATE:]
        self._last = np.concatenate((self._last[len(pcm) :], pcm))

    def clear(self) -> None:
        """Forget what was heard."""
        self._last = np.zeros(RATE, np.int16)

    def levels(self, frequencies: Iterable[float]) -> dict[str, float]:
        """The level of each frequency in dBFS, and the floor's under the key `floor`."""
        spectrum = np.abs(np.fft.rfft(self._last * _WINDOW)) / _FULL_SCALE
        decibels = 20 * np.log10(np.maximum(spectrum, 1e-7))

        def peak(frequency: float) -> float:
            middle = round(frequency)
            return float(decibels[max(0, middle - 3) : middle + 4].max())

        found = {f"{frequency:g}": round(peak(frequency), 1) for frequency in frequencies}
        return {**found, "floor": round(float(np.median(decibels)), 1)}
