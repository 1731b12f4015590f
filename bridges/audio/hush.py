"""What is sent of silence to legs that agreed on comfort noise (RFC 3389): how it sounds, and then nothing.

A far end is told again when the background changed, and at least every 15 seconds, so that a NAT on the way keeps its
door open. Everybody else is sent every frame.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.g711 import DECODE_BOTH, FRAME, SILENCE
from bridges.audio.legs import NONE, LegTable, Rows
from bridges.audio.mixer import levels_dbov
from bridges.audio.outbox import Outbox

QUIET_DBOV = -50.0
_HANG_TICKS = 10
"""Quiet ticks before silence begins: words end softly."""
_TELL_AGAIN_TICKS = 700
"""14 s."""
_CHANGE_DB = 6
_CHANGE_TICKS = 50
"""A background that wavers is told of once a second at most."""
_SILENT = np.array(SILENCE, np.uint8)
_SILENT_DBOV = levels_dbov(DECODE_BOTH[[0, 1], _SILENT][:, None])


class Hush:
    """The silence of all rows."""

    def __init__(self, legs: LegTable, outbox: Outbox) -> None:
        self._legs = legs
        self._outbox = outbox
        self._quiet = np.zeros(legs.capacity, np.int64)
        self._level = np.full(legs.capacity, NONE, np.int64)
        self._told_at = np.zeros(legs.capacity, np.int64)

    def clear(self, row: int) -> None:
        self._quiet[row] = 0
        self._level[row] = NONE

    def judge(self, rows: Rows, voice: NDArray[np.uint8], tick: int) -> NDArray[np.bool_]:
        """Which of the rows, whose next packets are `voice` (n×160), are sent none. Tells far ends what they need of
        it; who speaks again is marked."""
        legs = self._legs
        levels = _levels(legs.law[rows], voice)
        self._quiet[rows] = np.where(levels < QUIET_DBOV, self._quiet[rows] + 1, 0)
        silent: NDArray[np.bool_] = self._quiet[rows] > _HANG_TICKS
        said = self._level[rows]
        spoken = ~silent & (said != NONE)
        if spoken.any():
            legs.marker[rows[spoken]] = True
            self._level[rows[spoken]] = NONE
        noise = np.round(-levels).astype(np.int64)
        since = tick - self._told_at[rows]
        changed = (np.abs(noise - said) >= _CHANGE_DB) & (since >= _CHANGE_TICKS)
        due = silent & ((said == NONE) | changed | (since >= _TELL_AGAIN_TICKS))
        for i in np.flatnonzero(due).tolist():
            row = int(rows[i])
            stamp = int(legs.out_zero[row]) + tick * FRAME
            self._outbox.put_noise(row, int(noise[i]), stamp)
        self._level[rows[due]] = noise[due]
        self._told_at[rows[due]] = tick
        return silent


def _levels(laws: NDArray[np.int8], voice: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The level of each line of `voice`. Most are digital silence, which a look at the bytes tells."""
    levels: NDArray[np.float64] = _SILENT_DBOV[laws]
    sounding = np.flatnonzero((voice != _SILENT[laws][:, None]).any(axis=1))
    if len(sounding):
        laws_of = laws[sounding][:, None]
        levels[sounding] = levels_dbov(DECODE_BOTH[laws_of, voice[sounding]])
    return levels
