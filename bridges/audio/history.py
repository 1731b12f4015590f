"""The last frames each leg said, as linear samples: what concealment repeats and what changes of delay fade between.

Frames stand in planes by tick, like the rings, so that remembering a tick is one assignment.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.rings import Rows

Samples = NDArray[np.int16]

DEPTH = 4
"""Frames a window has: the current one and three before it."""


class History:
    """The windows of `rows` legs, `frame` samples a frame."""

    def __init__(self, rows: int, frame: int) -> None:
        self.frame = frame
        self._planes = np.zeros((DEPTH, rows, frame), np.int16)
        self._newest = 0

    def push(self, rows: Rows, voice: Samples) -> None:
        """Remember this tick's frames; once a tick."""
        self._newest = (self._newest + 1) % DEPTH
        self._planes[self._newest][rows] = voice

    def window(self, rows: Rows) -> Samples:
        """The rows' last frames, oldest first: n×(DEPTH·frame)."""
        order = [(self._newest + 1 + i) % DEPTH for i in range(DEPTH)]
        return np.concatenate([self._planes[plane][rows] for plane in order], axis=1)

    def newest(self, rows: Rows) -> Samples:
        frames: Samples = self._planes[self._newest][rows]
        return frames

    def insert(self, rows: Rows, frames: Samples) -> None:
        """One more frame for some rows, between two ticks: the rows' time goes on faster."""
        for age in range(DEPTH - 1, 0, -1):
            self._plane(age)[rows] = self._plane(age - 1)[rows]
        self._plane(0)[rows] = frames

    def withdraw(self, rows: Rows) -> Samples:
        """Take back the rows' newest frames: their time waits for a tick."""
        taken = self.newest(rows)
        for age in range(DEPTH - 1):
            self._plane(age)[rows] = self._plane(age + 1)[rows]
        return taken

    def clear(self, row: int) -> None:
        self._planes[:, row] = 0

    def _plane(self, age: int) -> Samples:
        plane: Samples = self._planes[(self._newest - age) % DEPTH]
        return plane
