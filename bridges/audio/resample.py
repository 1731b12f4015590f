"""Between 8 and 16 kHz, for many legs at once: one half-band FIR, used from both sides.

Half of a half-band filter's taps are zero and the middle one is 1/2, so that going up copies every other sample
and computes the ones between, and going down is the same sum. The taps are symmetric about the middle; each pair
of them is one pass over all rows. The last samples of each leg are carried from tick to tick, by table row, so a
stream has no seams; what that costs in time is `DELAY_S` each way.

Design (measured in tests/unit/bridges/test_resample.py): flat to 3.4 kHz within 0.1 dB, images and aliases from
4.6 kHz at least 50 dB down.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.bands import NARROW

_PAIRS = 12
"""Pairs of taps; twice as many narrow samples are looked at for each one made."""
CARRIED = 2 * _PAIRS - 1
"""Narrow samples (or pairs of wide ones) of a leg that the next tick needs."""
DELAY_S = CARRIED / 2 / NARROW.rate
_BETA = 5.2
"""Of the Kaiser window: about 55 dB."""

Rows = NDArray[np.int64]
Samples = NDArray[np.int16]
_Floats = NDArray[np.float32]


def _taps() -> _Floats:
    """The taps of one side, outermost first, for samples between the given ones: they sum to 1/2."""
    distance = np.arange(2 * _PAIRS - 1, 0, -2)
    window = np.kaiser(4 * _PAIRS + 1, _BETA)[2 * _PAIRS - distance]
    taps = np.sin(np.pi * distance / 2) / (np.pi * distance / 2) * window
    return np.asarray(taps / (2 * taps.sum()), np.float32)


_TAPS = _taps()


def _between(ext: _Floats, count: int) -> _Floats:
    """The `count` samples half-way between samples of the lines `ext`, the first between _PAIRS−1 and _PAIRS."""
    made = np.zeros((len(ext), count), np.float32)
    pair = np.empty_like(made)
    for i, tap in enumerate(_TAPS):
        far = CARRIED - i
        np.add(ext[:, i : i + count], ext[:, far : far + count], out=pair)
        pair *= tap
        made += pair
    return made


def _to_int16(values: _Floats) -> Samples:
    np.rint(values, out=values)
    np.clip(values, -32768, 32767, out=values)
    return values.astype(np.int16)


class Upsampler:
    """8 → 16 kHz for the rows of a table. Rows are independent streams."""

    def __init__(self, rows: int) -> None:
        self._last = np.zeros((rows, CARRIED), np.int16)

    def prime(self, rows: Rows, tail: Samples) -> None:
        """Go on where these narrow samples end (n×CARRIED or more)."""
        self._last[rows] = tail[:, -CARRIED:]

    def forget(self, row: int) -> None:
        self._last[row] = 0

    def up(self, rows: Rows, narrow: Samples) -> Samples:
        """The wide samples (n×2m) of the narrow ones (n×m); a row stands in `rows` once."""
        count = narrow.shape[1]
        ext = np.concatenate((self._last[rows], narrow), axis=1)
        self._last[rows] = ext[:, -CARRIED:]
        wide = np.empty((len(narrow), 2 * count), np.int16)
        wide[:, 0::2] = ext[:, _PAIRS - 1 : _PAIRS - 1 + count]
        wide[:, 1::2] = _to_int16(_between(ext.astype(np.float32), count))
        return wide


class Downsampler:
    """16 → 8 kHz for the rows of a table."""

    def __init__(self, rows: int) -> None:
        self._even = np.zeros((rows, CARRIED), np.int16)
        self._odd = np.zeros((rows, CARRIED), np.int16)

    def prime(self, rows: Rows, tail: Samples) -> None:
        """Go on where these narrow samples end (n×2·CARRIED or more), as if they had come up and down again: what
        has come up is `_PAIRS` samples late."""
        end = tail.shape[1] - _PAIRS
        even, following = tail[:, end - CARRIED : end], tail[:, end - CARRIED + 1 : end + 1]
        self._even[rows] = even
        self._odd[rows] = (even.astype(np.int32) + following) // 2

    def forget(self, row: int) -> None:
        self._even[row] = 0
        self._odd[row] = 0

    def down(self, rows: Rows, wide: Samples) -> Samples:
        """The narrow samples (n×m) of the wide ones (n×2m); a row stands in `rows` once."""
        count = wide.shape[1] // 2
        even = np.concatenate((self._even[rows], wide[:, 0::2]), axis=1)
        odd = np.concatenate((self._odd[rows], wide[:, 1::2]), axis=1)
        self._even[rows] = even[:, -CARRIED:]
        self._odd[rows] = odd[:, -CARRIED:]
        values = _between(odd.astype(np.float32), count)
        values += even[:, _PAIRS : _PAIRS + count]
        values *= np.float32(0.5)
        return _to_int16(values)
