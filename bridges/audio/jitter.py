"""Interarrival jitter (RFC 3550 §6.4.1 and A.8), for all packets of a tick at once.

Arrival is when the kernel received a packet: a tick's own time would make every path look like one of 0 or 20 ms.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.legs import LegTable, Rows

_GAIN = 1 / 16
_ROUNDS = 8
"""Packets of one leg in one tick that are followed one after another; a burst of more is followed no further."""


class Jitter:
    """What the jitter of each row's stream is."""

    def __init__(self, legs: LegTable) -> None:
        self._clock = legs.clock
        self._jitter = np.zeros(legs.capacity)
        self._transit = np.zeros(legs.capacity)
        self._begun = np.zeros(legs.capacity, bool)

    def begin(self, row: int) -> None:
        """Another stream: its timestamps follow no other's."""
        self._jitter[row] = 0
        self._begun[row] = False

    def note(self, rows: Rows, stamps: Rows, arrivals: NDArray[np.float64], most: int) -> None:
        """Packets came at `arrivals` (seconds), in this order; at most `most` of one row."""
        if most == 1:
            self._follow(rows, stamps, arrivals)
            return
        order = np.argsort(rows, kind="stable")
        rows, stamps, arrivals = rows[order], stamps[order], arrivals[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        for turn in range(min(most, _ROUNDS)):
            now = rank == turn
            self._follow(rows[now], stamps[now], arrivals[now])

    def units(self, row: int) -> int:
        """As reports have it: in timestamp units."""
        return int(self._jitter[row])

    def milliseconds(self, rows: Rows) -> NDArray[np.float64]:
        return np.asarray(self._jitter[rows] * 1000 / self._clock[rows])

    def _follow(self, rows: Rows, stamps: Rows, arrivals: NDArray[np.float64]) -> None:
        transit = arrivals * self._clock[rows] - stamps
        # Timestamps wrap, so the difference counts in their circle.
        change = np.abs((transit - self._transit[rows] + 2.0**31) % 2.0**32 - 2.0**31)
        jitter = self._jitter[rows]
        self._jitter[rows] = np.where(self._begun[rows], jitter + (change - jitter) * _GAIN, 0)
        self._transit[rows] = transit
        self._begun[rows] = True
