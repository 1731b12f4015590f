"""Comfort noise (RFC 3389): what is heard of a far end that sends none of its silence.

White noise at the level its packet names. The spectrum that may follow is for codecs without one of their own; G.711
far ends rarely send it, and a call with three of them sounds no better for it.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.legs import NONE, Rows
from bridges.audio.rtp import MalformedPacketError

LOUDEST = 30
"""−dBov: a packet may name any level up to overload, and nobody's background is louder than this."""
_QUIETEST = 127
_FULL_SCALE = 32768.0
_TABLE_FRAMES = 64


def read_level(payload: bytes) -> int:
    """The level in −dBov, 0 to 127 (§3.1). Raises MalformedPacketError."""
    if not payload:
        raise MalformedPacketError("comfort noise of no level")
    return payload[0] & 0x7F


class ComfortNoise:
    """Which of `rows` legs are in a silence that they announced, and what it sounds like."""

    def __init__(self, rows: int, frame: int) -> None:
        self._dice = np.random.default_rng()
        self._steps = np.arange(frame)
        noise = self._dice.standard_normal((_TABLE_FRAMES + 1) * frame) * _FULL_SCALE
        self._table = noise.astype(np.float32)
        self._level = np.full(rows, NONE, np.int64)
        self._from = np.zeros(rows, np.int64)
        self._count = 0

    def clear(self, row: int) -> None:
        self._set(np.array([row]), NONE)

    def begin(self, row: int, level: int, due: int) -> None:
        """The row's silence begins at the tick `due`, or its noise changes there."""
        self._set(np.array([row]), min(max(level, LOUDEST), _QUIETEST))
        self._from[row] = due

    def is_on(self, rows: Rows, tick: int) -> NDArray[np.bool_]:
        """Which rows' silence is meant."""
        if not self._count:
            return np.zeros(len(rows), bool)
        on: NDArray[np.bool_] = (self._level[rows] != NONE) & (self._from[rows] <= tick)
        return on

    def end(self, rows: Rows, tick: int) -> None:
        """The rows speak at this tick."""
        if self._count:
            self._set(rows[self.is_on(rows, tick)], NONE)

    def frames(self, rows: Rows) -> NDArray[np.float32]:
        """A frame of noise for each of the rows, which are on."""
        starts = self._dice.integers(0, _TABLE_FRAMES * len(self._steps), len(rows))
        gains = 10 ** (self._level[rows] / -20)
        noise = self._table[starts[:, None] + self._steps] * gains[:, None]
        return np.asarray(noise.clip(-32768, 32767), np.float32)

    def _set(self, rows: Rows, level: int) -> None:
        self._level[rows] = level
        self._count = int(np.count_nonzero(self._level != NONE))
