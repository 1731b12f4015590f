"""How long a leg's voice should wait for the packets behind it: watched on arrival, decided twice a second.

A packet's *wait* is the number of ticks from its arrival to its turn; below 0 it is late. Late packets make the
delay longer at once; it becomes shorter, a frame at a time, when for seconds nearly nobody needed the last frame of
it. A calm stream keeps the wait it was configured with: it only moves when the clocks of both sides have drifted
apart by a frame.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.legs import Rows

CEILING = 10
"""Ticks: 200 ms, the longest a first packet in time may wait."""
_EARLIEST, _BINS = -8, 32
"""Waits from −8 to 23: packets wait less than `rings.SLOTS`, and what was seen moves with the time line."""
_REVIEW_TICKS = 25
_STRIPES = 5
"""Parts of the table that are reviewed in turn."""
_FORGET = 0.9
"""What a review leaves of what was seen before: packets count for about five seconds."""
_RARE = 0.005
"""The share of packets for which no delay is kept."""
_ENOUGH = 30.0
"""Packets below which nothing is decided."""
_LATE_AGAIN = 100
"""Ticks within which a second late tick shows that the first one was no accident."""
_NEVER = -(1 << 40)
_NONE: Rows = np.empty(0, np.int64)


class Waits:
    """What was seen of the waits of `rows` legs. `least` is the wait the legs are configured with."""

    def __init__(self, rows: int) -> None:
        self._seen = np.zeros((rows, _BINS), np.float32)
        self._least = np.ones(rows, np.int64)
        self._in_use = False
        self._late_tick = np.full(rows, _NEVER, np.int64)
        self._steps = np.arange(_BINS) + _EARLIEST

    def clear(self, row: int, least: int) -> None:
        self._seen[row] = 0
        self._least[row] = least
        self._late_tick[row] = _NEVER

    def first(self, row: int) -> int:
        """How long the first packet of a new time line of the row is to wait: as long as those before it did."""
        return max(int(self._least[row]), round(float(self.mean(np.array([row]))[0])))

    def note(self, rows: Rows, waits: Rows) -> None:
        """Packets came in time, less than 16 ticks before their turn. One of several of a leg may go unnoticed."""
        self._seen[rows, waits - _EARLIEST] += 1
        self._in_use = True

    def late(self, row: int, lateness: int, tick: int) -> int:
        """A packet came `lateness` ticks after its turn: returns by how many the delay is to grow. All packets of one
        tick are one accident (a stall and its burst), which is no reason to."""
        before = int(self._late_tick[row])
        self._late_tick[row] = tick
        if tick == before or tick - before > _LATE_AGAIN:
            return 0
        return max(0, min(lateness, CEILING - self._longest(row)))

    def moved(self, rows: Rows, frames: int) -> None:
        """The rows' delay grew by `frames`, or shrank: so would every wait seen before have."""
        self._seen[rows] = np.roll(self._seen[rows], frames, axis=1)
        if frames > 0:
            self._seen[rows, :frames] = 0
        else:
            self._seen[rows, frames:] = 0

    def review(self, tick: int) -> tuple[Rows, Rows]:
        """Look at a part of the rows: which have a frame of delay too much, and which a frame too little."""
        turn, rest = divmod(tick, _REVIEW_TICKS // _STRIPES)
        if rest or not self._in_use:
            return _NONE, _NONE
        rows = np.arange(turn % _STRIPES, len(self._seen), _STRIPES)
        seen = self._seen[rows]
        total = seen.sum(axis=1)
        rows, seen, total = rows[total >= _ENOUGH], seen[total >= _ENOUGH], total[total >= _ENOUGH]
        if not len(rows):
            return rows, rows
        self._seen[rows] = seen * np.float32(_FORGET)
        least = self._least[rows]
        share = np.cumsum(seen, axis=1) / total[:, None]
        at = np.arange(len(rows))
        below_two = share[at, np.minimum(least - _EARLIEST, _BINS - 1)]
        below_one = share[at, np.maximum(least - 1 - _EARLIEST, 0)]
        return rows[below_two < _RARE], rows[(below_one > 0.5) & (least > 0)]

    def mean(self, rows: Rows) -> NDArray[np.float64]:
        """The mean wait in ticks; the configured one where nothing was seen."""
        seen = self._seen[rows].astype(np.float64)
        total = seen.sum(axis=1)
        return np.where(total > 0, seen @ self._steps / np.maximum(total, 1e-9), self._least[rows])

    def _longest(self, row: int) -> int:
        """The wait of the earliest packets."""
        seen = np.flatnonzero(self._seen[row] > 0.5)
        return int(seen[-1]) + _EARLIEST if len(seen) else int(self._least[row])
