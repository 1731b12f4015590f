"""The arithmetic of a tick: decode, sum each call, give each leg the sum without itself, clip, encode.

Pure array operations over the places of a plan; the buffers are kept between ticks.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.g711 import DECODE_PAIRS, ENCODE, FRAME, Law
from bridges.audio.plan import Plan

Samples = NDArray[np.int16]
Totals = NDArray[np.int32]

FULL_SCALE = 32768.0
QUIETEST_DBOV = -127.0
"""RFC 6464 §3."""


class Mixer:
    """Buffers for one plan, and the steps in the order of a tick: decode → total → spread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        count = len(plan)
        self.payload = np.empty((count, FRAME), np.uint8)
        """What each place says, encoded: filled by the rings."""
        self.voice: Samples = np.empty((count, FRAME), np.int16)
        """What each place says."""
        self.totals: Totals = np.zeros((plan.call_count, FRAME), np.int32)
        """What all legs of a call say together; what is added to it before `spread` everybody in it hears."""
        self._mix = np.empty((count, FRAME), np.int32)
        self._clipped: Samples = np.empty((count, FRAME), np.int16)

    def decode(self) -> None:
        plan = self._plan
        pairs, voice = self.payload.view(np.uint16), self.voice.view(np.int32)
        np.take(DECODE_PAIRS[plan.base_law], pairs, out=voice, mode="wrap")
        if len(plan.other_law):
            table = DECODE_PAIRS[_other(plan.base_law)]
            voice[plan.other_law] = table[pairs[plan.other_law]]
        if len(plan.muted):
            self.voice[plan.muted] = 0

    def total(self) -> None:
        for one in self._plan.classes:
            voices = self.voice[one.start : one.end].reshape(one.calls, one.size, FRAME)
            into = self.totals[one.first_call : one.first_call + one.calls]
            np.sum(voices, axis=1, dtype=np.int32, out=into)

    def spread(self, out: NDArray[np.uint8]) -> None:
        """Encode what each place hears into `out` (places×160)."""
        plan = self._plan
        for one in plan.classes:
            shape = (one.calls, one.size, FRAME)
            totals = self.totals[one.first_call : one.first_call + one.calls, None]
            voices = self.voice[one.start : one.end].reshape(shape)
            np.subtract(totals, voices, out=self._mix[one.start : one.end].reshape(shape))
        np.clip(self._mix, -32768, 32767, out=self._clipped, casting="unsafe")
        codes = self._clipped.view(np.uint16)
        np.take(ENCODE[plan.base_law], codes, out=out, mode="clip")
        if len(plan.other_law):
            out[plan.other_law] = ENCODE[_other(plan.base_law)][codes[plan.other_law]]


def _other(law: Law) -> Law:
    return Law.PCMA if law is Law.PCMU else Law.PCMU


def clip(samples: Totals) -> Samples:
    """Saturate to 16 bits."""
    return np.clip(samples, -32768, 32767).astype(np.int16)


def levels_dbov(samples: NDArray[np.int16] | Totals) -> NDArray[np.float64]:
    """The level of each line of samples: RMS relative to overload, −127…0 (RFC 6464)."""
    lines = np.atleast_2d(samples).astype(np.float32)
    power = np.einsum("ij,ij->i", lines, lines) / (FULL_SCALE**2 * lines.shape[1])
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-13))
    return levels.clip(QUIETEST_DBOV, 0.0)
