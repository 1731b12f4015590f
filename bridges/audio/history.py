"""The last frames each leg said, as linear samples: what concealment repeats and what changes of delay fade between.

Frames stand in planes by tick, like the rings, so that remembering a tick is one assignment.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.legs import Rows

Samples = NDArray[np.int16]

PAST = 3
"""Frames that are remembered beside the current one."""
_PLANES = PAST + 1


class History:
    """The lines of `rows` legs, `frame` samples a frame."""

    def __init__(self, rows: int, frame: int) -> None:
        self.frame = frame
        self._planes = np.zeros((_PLANES, rows, frame), np.int16)
        self._current = 0

    def begin(self) -> None:
        """A tick begins: what was current is past."""
        self._current = (self._current + 1) % _PLANES

    def put(self, rows: Rows, voice: Samples) -> None:
        """The rows' current frames."""
        self._planes[self._current][rows] = voice

    def past(self, rows: Rows) -> Samples:
        """The frames before the current ones, oldest first: n×(PAST·frame)."""
        return np.concatenate([self._plane(age)[rows] for age in range(PAST, 0, -1)], axis=1)

    def line(self, rows: Rows) -> Samples:
        """The past and the current frames: n×((PAST+1)·frame)."""
        return np.concatenate([self._plane(age)[rows] for age in range(PAST, -1, -1)], axis=1)

    def insert(self, rows: Rows, frames: Samples) -> None:
        """One more frame before the current one: the rows' time goes on faster."""
        for age in range(PAST, 1, -1):
            self._plane(age)[rows] = self._plane(age - 1)[rows]
        self._plane(1)[rows] = frames

    def withdraw(self, rows: Rows) -> Samples:
        """Take back the frames before the current ones: the rows' time waits for a tick."""
        taken: Samples = self._plane(1)[rows]
        for age in range(1, PAST):
            self._plane(age)[rows] = self._plane(age + 1)[rows]
        return taken

    def clear(self, row: int) -> None:
        self._planes[:, row] = 0

    def _plane(self, age: int) -> Samples:
        plane: Samples = self._planes[(self._current - age) % _PLANES]
        return plane
