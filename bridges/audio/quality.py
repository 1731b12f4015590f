"""What is done to voices between the rings and the mix, so that a bad path is heard as little as possible: gaps are
concealed (`concealment`) or are comfort noise (`noise`), and the delay follows what packets need (`depth`) without
anybody hearing it change (`playout`).

It works on the rows of one ring at that ring's own rate, so a leg's line goes on unbroken when its call becomes wide.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bridges.audio.concealment import Concealer
from bridges.audio.counts import Counts
from bridges.audio.history import History, Samples
from bridges.audio.legs import LegTable, Rows
from bridges.audio.noise import ComfortNoise
from bridges.audio.playout import Playout
from bridges.audio.rings import Rings, Units

_NONE: Rows = np.empty(0, np.int64)

Decode = Callable[[Rows, Units], Samples]
"""What the rows' units in the ring say, as samples."""


class Quality:
    """The quality of one ring's legs. In a tick `prepare` comes first, then `mend` for the rows of each stage."""

    def __init__(
        self, legs: LegTable, rings: Rings, counts: Counts, rate: int, decode: Decode
    ) -> None:
        self._legs = legs
        self.rings = rings
        self._counts = counts
        self._decode = decode
        self._rate = rate
        self._history = History(legs.capacity, rings.frame)
        self._concealer = Concealer(legs.capacity, self._history, rate)
        self._playout = Playout(legs.capacity, self._history, rate)
        self.noise = ComfortNoise(legs.capacity, rings.frame)
        self._too_long: set[int] = set()
        self._waiting = _NONE
        self._repeated: Samples = np.empty((0, rings.frame), np.int16)
        rings.on_reset = self.clear

    def clear(self, row: int) -> None:
        """Another leg, or another voice: nothing of what was said before goes on."""
        self._concealer.clear(row)
        self._playout.clear(row)
        self.noise.clear(row)
        self._too_long.discard(row)

    def comfort(self, row: int, timestamp: int | None, level: int, tick: int) -> None:
        """The row's far end stopped speaking at `timestamp` (None: just now), before a background of −`level` dBov."""
        if timestamp is None:
            due = tick + self.rings.waits.first(row)
        else:
            due = self.rings.turn_of(row, timestamp, tick)
        self.noise.begin(row, level, due)

    def depth_ms(self, rows: Rows) -> NDArray[np.float64]:
        """How long the rows' packets wait here, on average: in the ring, and behind it."""
        ring = self.rings.waits.mean(rows) * self.rings.frame
        return (ring + self._playout.shift(rows)) * 1000 / self._rate

    def prepare(self, tick: int) -> None:
        """A tick begins: change delays where the time is right."""
        self._history.begin()
        self._waiting = _NONE
        grown = self._playout.grown()
        if len(grown):
            self._lengthen(grown[self._concealer.is_steady(grown)], tick)
        if self.rings.too_short:
            asked = self.rings.too_short
            rows = np.fromiter(asked, np.int64, len(asked))
            self._playout.lengthen(rows, np.fromiter(asked.values(), np.int64, len(asked)))
            self._too_long.difference_update(asked)
            asked.clear()
        too_long, too_short = self.rings.waits.review(tick)
        if len(too_short):
            self._playout.lengthen(too_short)
        self._too_long.update(too_long.tolist())
        if self._too_long:
            self._shorten(np.array(sorted(self._too_long)), tick)

    def read(self, rows: Rows, tick: int, out: Units) -> NDArray[np.bool_]:
        """What waits for this tick, as `Rings.read` has it."""
        return self.rings.read(rows, tick, out)

    def said(self, rows: Rows, tick: int) -> Samples:
        """What waits for this tick of rows that have something, as samples."""
        return self._decode(rows, self.rings.peek(rows, tick))

    def missing(self, rows: Rows, tick: int) -> NDArray[np.bool_]:
        """Who has nothing waiting for this tick: what `read` returns, without the reading."""
        return ~self.rings.holds(rows, tick)

    def mend(self, rows: Rows, voice: Samples, missing: NDArray[np.bool_], tick: int) -> None:
        """Change `voice` (n×frame) to what is to be heard of the rows; `missing` are the places the ring had nothing
        for, and is changed to those that have nothing to say."""
        if len(self._waiting):
            self._repeat(rows, voice, missing)
        if missing.any():
            meant = self._is_meant(rows, missing, tick)
            made_up = self._concealer.repair(rows, voice, missing, meant)
            self._legs.concealed[rows[made_up]] += 1
            self._counts.concealed += len(made_up)
            missing[made_up] = False
            silent = np.flatnonzero(missing & self.noise.is_on(rows, tick))
            if len(silent):
                voice[silent] = self.noise.frames(rows[silent])
            self.noise.end(rows[~missing], tick)
        else:
            self._concealer.repair(rows, voice, missing, missing)
            self.noise.end(rows, tick)
        self._history.put(rows, voice)
        self._playout.play(rows, voice, tick)

    def _is_meant(self, rows: Rows, missing: NDArray[np.bool_], tick: int) -> NDArray[np.bool_]:
        """Which silences are no losses: those announced, and those of radios between two talks."""
        meant = self.noise.is_on(rows, tick)
        radios = np.flatnonzero(missing & self._legs.radio[rows])
        if len(radios):
            meant[radios] |= ~self.rings.goes_on(rows[radios], tick)
        return meant

    def _lengthen(self, rows: Rows, tick: int) -> None:
        """A frame of delay goes over from the reading points to the rings, which have nothing for this tick then."""
        self._waiting = rows
        self._repeated = self._playout.settle(rows)
        self.rings.delay(rows, 1, tick)

    def _shorten(self, rows: Rows, tick: int) -> None:
        """Let the rings go on by two frames in this tick, where both are there."""
        ready = (
            self.rings.holds(rows, tick)
            & self.rings.holds(rows, tick + 1)
            & self._concealer.is_steady(rows)
            & self._playout.is_idle(rows)
        )
        rows = np.setdiff1d(rows[ready], self._waiting)
        if len(rows):
            self._playout.shorten(rows, self._decode(rows, self.rings.peek(rows, tick)))
            self.rings.delay(rows, -1, tick)
            self._too_long.difference_update(rows.tolist())

    def _repeat(self, rows: Rows, voice: Samples, missing: NDArray[np.bool_]) -> None:
        for row, frame in zip(self._waiting, self._repeated, strict=True):
            place = np.flatnonzero(rows == row)
            voice[place] = frame
            missing[place] = False
