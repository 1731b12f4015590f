"""A call that changes its band must not be heard to: what G.711 legs say and hear goes on from stage to stage.

The filters between the bands are primed with what came before, so that nothing starts from silence. The way through
them is 3 ms longer than past them, so the first samples after a change are not the ones that would have come next: what
the leg heard before goes on by its own period for 5 ms and fades out, while the new way fades in.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.bands import NARROW
from bridges.audio.mixer import Samples

_FADE = NARROW.rate * 5 // 1000
_SHORTEST, _LONGEST = 20, 120
"""Periods that are tried, in samples: voices of 400 to 67 Hz, and what is higher by its multiples."""
_IN = (0.5 - 0.5 * np.cos(np.pi * (np.arange(_FADE) + 1) / (_FADE + 1))).astype(np.float32)

Rows = NDArray[np.int64]


class Seam:
    """The coded rows of one stage with the last tick (n×160) of what they said and heard, at 8 kHz."""

    def __init__(self, rows: Rows, said: Samples, heard: Samples) -> None:
        self.rows = rows
        self.said = said
        self.heard = heard

    def of(self, rows: Rows) -> "Seam":
        """Those of the rows that were here."""
        here = np.isin(self.rows, rows)
        return Seam(self.rows[here], self.said[here], self.heard[here])


class Joint:
    """Fades the first samples that `rows` hear after a seam out of the ones before it."""

    def __init__(self, seam: Seam, rows: Rows) -> None:
        order = np.argsort(rows)
        self._places = order[np.searchsorted(rows, seam.rows, sorter=order)]
        self._before = _continued(seam.heard.astype(np.float32))

    def fade(self, heard: Samples) -> None:
        """Change `heard` (coded rows × 160) in place."""
        begin = heard[self._places, :_FADE]
        mixed = begin * _IN + self._before * (1 - _IN)
        heard[self._places, :_FADE] = np.rint(mixed).astype(np.int16)


def _continued(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """`_FADE` samples more of each line (n×160): the ones that followed when it last was as it ends."""
    size = lines.shape[1]
    ends = lines[:, -_FADE:]
    likeness = np.empty((_LONGEST - _SHORTEST + 1, len(lines)), np.float32)
    for i, lag in enumerate(range(_SHORTEST, _LONGEST + 1)):
        then = lines[:, size - _FADE - lag : size - lag]
        likeness[i] = -np.square(ends - then).sum(axis=1)
    lags = _SHORTEST + likeness.argmax(axis=0)
    at = size - lags[:, None] + np.arange(_FADE) % lags[:, None]
    continued: NDArray[np.float32] = np.take_along_axis(lines, at, axis=1)
    return continued
