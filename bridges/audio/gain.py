"""Gain of single legs: a fixed one, and an automatic one that brings speech to a target level.

The automatic gain is that of a careful hand at a fader: down at once when somebody shouts, up slowly while somebody
speaks softly, still while nobody speaks. From tick to tick the gain is a ramp, never a step, and it never drives a
sample into saturation. All legs with a gain are one array operation.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.mixer import Samples, levels_dbov
from commhub.ports.media import LegShape

Rows = NDArray[np.int64]
Columns = NDArray[np.float32]

MOST_DB = 20.0
_SPEECH_DBOV = -50.0
"""Quieter than this is the room, and is left as it is."""
_DOWN_DB = 3.0
"""A tick."""
_UP_DB = 0.1
"""A tick: 5 dB a second."""
_CEILING = 32000.0


class Gains:
    """What is remembered of each row of the leg table: the automatic gain, and the gain at the end of the last
    tick."""

    def __init__(self, rows: int) -> None:
        self.automatic_db = np.zeros(rows, np.float32)
        self.last = np.ones(rows, np.float32)

    def reset(self, row: int) -> None:
        self.automatic_db[row] = 0.0
        self.last[row] = 1.0

    def stage(self, rows: Rows, shapes: dict[int, LegShape]) -> "GainStage | None":
        """The gains of those places (of the plan whose rows are given) that have one."""
        return GainStage(self, rows, shapes) if shapes else None


class GainStage:
    """The gains of one plan."""

    def __init__(self, gains: Gains, rows: Rows, shapes: dict[int, LegShape]) -> None:
        self._gains = gains
        self._places = np.fromiter(shapes, np.int64, len(shapes))
        self._rows = rows[self._places]
        self._fixed_db = np.array([shape.gain_db for shape in shapes.values()], np.float32)
        self._limit = np.array([shape.limit for shape in shapes.values()], bool)
        self._target = np.array([shape.target_dbov for shape in shapes.values()], np.float32)
        gains.automatic_db[self._rows[~self._limit]] = 0.0

    def apply(self, voice: Samples, missing: NDArray[np.bool_]) -> None:
        """Change the voice of the places in the tick's `voice` (places×frame)."""
        said = voice[self._places].astype(np.float32)
        if self._limit.any():
            self._listen(said, missing[self._places])
        wanted = 10 ** ((self._fixed_db + self._gains.automatic_db[self._rows]) / 20)
        begin, end = self._gains.last[self._rows], wanted.astype(np.float32)
        peak = np.abs(said).max(axis=1)
        most = np.where(self._limit & (peak > 0), _CEILING / np.maximum(peak, 1), np.inf)
        begin, end = np.minimum(begin, most), np.minimum(end, most)
        self._gains.last[self._rows] = end
        part = np.linspace(0, 1, said.shape[1] + 1, dtype=np.float32)[1:]
        said *= begin[:, None] + (end - begin)[:, None] * part
        voice[self._places] = np.clip(np.rint(said), -32768, 32767).astype(np.int16)

    def _listen(self, said: Columns, missing: NDArray[np.bool_]) -> None:
        """Move the automatic gains toward what the speech of this tick asks for."""
        levels = levels_dbov(said.astype(np.int32)) + self._fixed_db
        now = self._gains.automatic_db[self._rows]
        wanted = np.clip(self._target - levels, -MOST_DB, MOST_DB)
        step = np.clip(wanted - now, -_DOWN_DB, _UP_DB)
        heard = self._limit & ~missing & (levels > _SPEECH_DBOV)
        self._gains.automatic_db[self._rows] = now + np.where(heard, step, 0.0)
