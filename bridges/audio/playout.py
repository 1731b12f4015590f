"""Changes of delay that nobody hears: a leg's voice is read a few samples earlier or later than it stands.

The samples of a leg are one line of frames (`history`); what is heard is read `shift` samples behind its end. To
make the delay shorter or longer the reading point jumps by a pitch period, where the voice is most like itself, and
fades over from the old point to the new one (the idea of WSOLA); in silence it jumps at once. A whole frame given or
taken becomes a frame of the rings: `depth` decides that, here it only becomes inaudible.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.concealment import pieces
from bridges.audio.history import PAST, History, Samples
from bridges.audio.legs import Rows

_SHORTEST_S, _LONGEST_S = 0.0025, 0.015
_FADE_S = 0.010
_ALIKE = 0.7
"""Least correlation of two places between which a voice may jump."""
_TRIES = 12
"""Attempts after which the best place is taken: noise is like itself nowhere, and nobody hears a jump in it."""
_PACE = 3
"""Ticks from one jump to the next."""
_QUIET = 60.0**2
"""Mean square below which nothing is heard of a jump (−55 dBov)."""
_NONE: Rows = np.empty(0, np.int64)


class Playout:
    """The reading points of `rows` legs."""

    def __init__(self, rows: int, history: History, rate: int) -> None:
        self._history = history
        self._frame = frame = history.frame
        self._steps = np.arange(frame)
        self._fade = round(_FADE_S * rate)
        self._rise = np.minimum((self._steps + 1) / self._fade, 1).astype(np.float32)
        self._shortest = round(_SHORTEST_S * rate)
        self._lags = np.arange(1, round(_LONGEST_S * rate) + 1)
        self._shift = np.zeros(rows, np.int64)
        self._wish = np.zeros(rows, np.int8)
        self._busy = np.zeros(rows, bool)
        self._any_busy = False
        self._next = np.zeros(rows, np.int64)
        self._tries = np.zeros(rows, np.int64)

    def clear(self, row: int) -> None:
        self._shift[row] = self._wish[row] = self._tries[row] = 0
        self._busy[row] = False

    def shift(self, rows: Rows) -> Rows:
        """Samples by which each row is read behind the end of its line."""
        return np.asarray(self._shift[rows])

    def is_idle(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows are free for another change."""
        return (self._wish[rows] <= 0) & (self._shift[rows] < self._frame // 2)

    def shorten(self, rows: Rows, frames: Samples) -> None:
        """Take a frame of delay from the rows: `frames` are those that would be heard this tick; the current ones
        will be the next."""
        self._history.insert(rows, frames)
        self._shift[rows] += self._frame
        self._wish[rows] = -1
        self._busy[rows] = self._any_busy = True

    def lengthen(self, rows: Rows, frames: int | Rows = 1) -> None:
        """Begin to give the rows so many frames of delay; they are `grown` some ticks later, frame by frame."""
        self._wish[rows] = np.maximum(self._wish[rows], frames)
        self._busy[rows] = self._any_busy = True

    def grown(self) -> Rows:
        """The rows whose delay has grown by a frame."""
        if not self._any_busy:
            return _NONE
        busy = np.flatnonzero(self._busy)
        self._any_busy = len(busy) > 0
        return busy[(self._wish[busy] > 0) & (self._shift[busy] >= self._frame)]

    def settle(self, rows: Rows) -> Samples:
        """The rings took over a frame of delay of rows that are `grown`: returns the frames that are current in this
        tick, for which the rings have none."""
        self._shift[rows] -= self._frame
        wish = self._wish[rows] - 1
        self._wish[rows] = np.where(wish > 0, wish, -1)
        return self._history.withdraw(rows)

    def play(self, rows: Rows, voice: Samples, tick: int) -> None:
        """Put in place of `voice` (n×frame, the current ones of the history) what the shifted rows are heard to say."""
        at = np.flatnonzero(self._busy[rows]) if self._any_busy else _NONE
        if not len(at):
            return
        mine = rows[at]
        line = self._history.line(mine).astype(np.float32)
        start = PAST * self._frame - self._shift[mine]
        said = _read(line, start, self._steps)
        # Who has grown by a frame waits for the rings to take it over.
        room = (self._wish[mine] < 0) | (self._shift[mine] < self._frame)
        due = np.flatnonzero((self._wish[mine] != 0) & (self._next[mine] <= tick) & room)
        if len(due):
            said[due] = self._jump(mine[due], line[due], start[due], said[due], tick)
        voice[at] = said
        done = mine[(self._shift[mine] == 0) & (self._wish[mine] <= 0)]
        self._wish[done] = 0
        self._busy[done] = False

    def _jump(
        self,
        rows: Rows,
        line: NDArray[np.float32],
        start: Rows,
        said: NDArray[np.float32],
        tick: int,
    ) -> NDArray[np.float32]:
        """Move the reading points of the rows, where there is a good place to; returns what is heard meanwhile."""
        length, alike = self._best(rows, line, start, said)
        self._tries[rows] += 1
        moving = (alike >= _ALIKE) | (self._tries[rows] >= _TRIES)
        quiet = np.einsum("ij,ij->i", said, said) < _QUIET * self._frame
        whole = np.where(
            self._wish[rows] < 0, np.minimum(self._shift[rows], self._frame), self._frame
        )
        length = np.where(quiet, whole, np.where(moving, length, 0))
        signed = -np.sign(self._wish[rows]).astype(np.int64) * length
        then = _read(line, start + signed, self._steps)
        self._shift[rows] -= signed
        moved = length > 0
        self._next[rows[moved]] = tick + _PACE
        self._tries[rows[moved]] = 0
        return np.asarray(said + (then - said) * self._rise, np.float32)

    def _best(
        self, rows: Rows, line: NDArray[np.float32], start: Rows, said: NDArray[np.float32]
    ) -> tuple[Rows, NDArray[np.float32]]:
        """How far each row jumps best, and how alike the voice is there (−1…1)."""
        lags, sign = self._lags, -np.sign(self._wish[rows]).astype(np.int64)
        span = self._steps[: self._fade]
        here = said[:, : self._fade]
        starts = start[:, None] + sign[:, None] * lags
        starts = np.clip(starts, 0, line.shape[1] - self._fade)
        there = pieces(line, len(span))[np.arange(len(rows))[:, None], starts]
        energy = np.einsum("ilt,ilt->il", there, there) * np.einsum("it,it->i", here, here)[:, None]
        alike = np.einsum("ilt,it->il", there, here) / np.sqrt(energy + 1)
        shift = self._shift[rows][:, None]
        lasts = (lags == shift) & (sign > 0)[:, None]
        possible = lasts | ((lags >= self._shortest) & ((sign < 0)[:, None] | (lags <= shift)))
        # Of places as good as one another the farther one is less work, and the last one ends it.
        score = np.where(possible, alike + 0.02 * lags / lags[-1] + 0.05 * lasts, -np.inf)
        best = score.argmax(axis=1)
        return lags[best], np.asarray(alike[np.arange(len(rows)), best], np.float32)


def _read(line: NDArray[np.float32], start: Rows, steps: Rows) -> NDArray[np.float32]:
    read: NDArray[np.float32] = line[np.arange(len(line))[:, None], start[:, None] + steps]
    return read
