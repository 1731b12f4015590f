"""The arithmetic of a tick: sum each call, give each leg the sum without itself, clip.

Pure array operations over the places of a plan, the same at every rate; the buffers are kept between ticks. What
arrives and leaves as bytes is the stage's matter (`stages`).
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.plan import Plan

Samples = NDArray[np.int16]
Totals = NDArray[np.int32]

FULL_SCALE = 32768.0
QUIETEST_DBOV = -127.0
"""RFC 6464 §3."""


class Mixer:
    """Buffers for one plan, and the steps in the order of a tick: total → subtract → clip."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        count, frame = len(plan), plan.band.frame
        self.voice: Samples = np.zeros((count, frame), np.int16)
        """What each place says."""
        self.missing: NDArray[np.bool_] = np.zeros(count, bool)
        """The places that said nothing this tick."""
        self.totals: Totals = np.zeros((plan.call_count, frame), np.int32)
        """What all legs of a call say together; what is added to it before `subtract` everybody in it hears."""
        self.mix: Totals = np.zeros((count, frame), np.int32)
        """What each place hears; what is added to it before `clip` only that place hears."""
        self.heard: Samples = np.zeros((count, frame), np.int16)
        """What each place is sent: `mix`, saturated."""

    def total(self) -> None:
        for one in self._plan.classes:
            voices = self.voice[one.start : one.end].reshape(one.calls, one.size, -1)
            into = self.totals[one.first_call : one.first_call + one.calls]
            np.sum(voices, axis=1, dtype=np.int32, out=into)

    def subtract(self) -> None:
        for one in self._plan.classes:
            shape = (one.calls, one.size, self._plan.band.frame)
            totals = self.totals[one.first_call : one.first_call + one.calls, None]
            voices = self.voice[one.start : one.end].reshape(shape)
            np.subtract(totals, voices, out=self.mix[one.start : one.end].reshape(shape))

    def clip(self) -> None:
        np.clip(self.mix, -32768, 32767, out=self.heard, casting="unsafe")


def clip(samples: Totals) -> Samples:
    """Saturate to 16 bits."""
    return np.clip(samples, -32768, 32767).astype(np.int16)


def levels_dbov(samples: NDArray[np.int16] | Totals) -> NDArray[np.float64]:
    """The level of each line of samples: RMS relative to overload, −127…0 (RFC 6464)."""
    lines = np.atleast_2d(samples).astype(np.float32)
    power = np.einsum("ij,ij->i", lines, lines) / (FULL_SCALE**2 * lines.shape[1])
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-13))
    return levels.clip(QUIETEST_DBOV, 0.0)
