"""A layer's packets as they come in, looked at once for all who watch: extended numbers, and runs.

A `Run` is a batch of one layer with what every view needs to know of it, so that no view looks at single packets.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bridges.video.codecs.numbers import Numbers

CLOCK_RATE = 90_000
"""Timestamp units a second of every video payload (RFC 6184 §8.2.1 and the like)."""
BACK_LIMIT = CLOCK_RATE
"""How far a layer's timestamps may go back and be believed: pictures in decoding order."""
AHEAD_LIMIT = CLOCK_RATE
"""How far they may run ahead of the time that passed."""
_FIRST_CYCLE = 0x10000
"""Extended numbers begin one cycle up, so that what came before the first packet is not negative."""


def signed(difference: int) -> int:
    """A difference of 32-bit timestamps, the short way round."""
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def extended_near(sequence: int, near: int) -> int:
    """The extended number nearest to `near` of those that end in `sequence`."""
    return near + (sequence - near + 0x8000 & 0xFFFF) - 0x8000


@dataclass(slots=True)
class Run:
    """Packets of one layer, in the order they came. `first` and `last` are the lowest and highest extended sequence
    numbers, `newest` the timestamp of the highest; `numbers` the picture numbers of codecs that have any."""

    origin: int
    sequences: NDArray[np.uint16]
    timestamps: NDArray[np.uint32]
    first: int
    last: int
    newest: int
    numbers: Numbers | None = None

    def part(self, lines: slice) -> "Run":
        """Some of its packets, at least one, in their order."""
        sequences, timestamps = self.sequences[lines], self.timestamps[lines]
        numbers = None if self.numbers is None else self.numbers.part(lines)
        return make_run(self.origin, sequences, timestamps, self.last, numbers)


def make_run(
    origin: int,
    sequences: NDArray[np.uint16],
    timestamps: NDArray[np.uint32],
    near: int,
    numbers: Numbers | None = None,
) -> Run:
    """A run of packets (at least one) whose extended numbers are within 32,767 of `near`."""
    away = (sequences - np.uint16(near & 0xFFFF)).view(np.int16)
    top = int(away.argmax())
    return Run(
        origin,
        sequences,
        timestamps,
        near + int(away.min()),
        near + int(away[top]),
        int(timestamps[top]),
        numbers,
    )


class Intake:
    """One layer. `origin` names it in every view that is shown it; unique in the process."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.highest: int | None = None
        """The highest extended sequence number so far."""

    def take(
        self,
        sequences: NDArray[np.uint16],
        timestamps: NDArray[np.uint32],
        numbers: Numbers | None = None,
    ) -> list[Run]:
        """A batch as runs: one, unless its timestamps leap. Empty for no packets. The arrays are kept, in native order."""
        if not len(sequences):
            return []
        if self.highest is None:
            self.highest = int(sequences[0]) + _FIRST_CYCLE
        steps = (timestamps[1:] - timestamps[:-1]).view(np.int32)
        leaps = np.flatnonzero((steps > AHEAD_LIMIT) | (steps < -BACK_LIMIT)) + 1
        bounds = [0, *leaps.tolist(), len(sequences)]
        runs = []
        for begin, end in pairwise(bounds):
            lines = slice(begin, end)
            part = numbers if numbers is None or not len(leaps) else numbers.part(lines)
            run = make_run(self.origin, sequences[lines], timestamps[lines], self.highest, part)
            self.highest = max(self.highest, run.last)
            runs.append(run)
        return runs
