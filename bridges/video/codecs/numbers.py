"""Picture ids: VP8 and VP9 number their pictures inside the payload, and a view's numbers must go on over a switch.

A packet's `Number` is what its descriptor says and where; `NumberReader` makes the ids of a layer count on in 15 bits, and
`Numbers` are those of a run as arrays, so that a view's are written with one addition.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

PICTURE_MASK = 0x7FFF
TL0_MASK = 0xFF


class Number(NamedTuple):
    """What one payload's descriptor says: the picture id (−1: none; 15 bits if `is_wide`, else 7) and the index of the base
    layer's picture it is after (TL0PICIDX, −1: none), each with its offset in the payload."""

    picture: int = -1
    picture_at: int = 0
    is_wide: bool = False
    tl0: int = -1
    tl0_at: int = 0


UNNUMBERED = Number()


@dataclass(slots=True)
class Numbers:
    """The numbers of a run, an entry a packet; `newest` and `newest_tl0` are those of its latest picture (−1: none has any)."""

    picture: NDArray[np.int32]
    picture_at: NDArray[np.intp]
    is_wide: NDArray[np.bool_]
    tl0: NDArray[np.int32]
    tl0_at: NDArray[np.intp]
    newest: int
    newest_tl0: int

    @classmethod
    def of(cls, numbers: list[Number]) -> Self:
        """From packets in the order they came, their picture ids already in 15 bits where there are any."""
        columns = np.array(numbers, np.int64).reshape(-1, 5)
        picture = columns[:, 0].astype(np.int32)
        tl0 = columns[:, 3].astype(np.int32)
        return cls(
            picture,
            columns[:, 1].astype(np.intp),
            columns[:, 2].astype(np.bool_),
            tl0,
            columns[:, 4].astype(np.intp),
            newest_of(picture, PICTURE_MASK),
            newest_of(tl0, TL0_MASK),
        )

    def part(self, lines: slice | NDArray[np.intp]) -> "Numbers":
        """Those of some of the packets."""
        picture, tl0 = self.picture[lines], self.tl0[lines]
        return Numbers(
            picture,
            self.picture_at[lines],
            self.is_wide[lines],
            tl0,
            self.tl0_at[lines],
            newest_of(picture, PICTURE_MASK),
            newest_of(tl0, TL0_MASK),
        )

    def tiled(self, times: int) -> "Numbers":
        """The same packets for so many views, one view after the other."""
        return Numbers(
            np.tile(self.picture, times),
            np.tile(self.picture_at, times),
            np.tile(self.is_wide, times),
            np.tile(self.tl0, times),
            np.tile(self.tl0_at, times),
            self.newest,
            self.newest_tl0,
        )

    def write(
        self,
        slots: NDArray[np.uint8],
        at: NDArray[np.intp],
        picture_shift: int | NDArray[np.int32],
        tl0_shift: int | NDArray[np.int32],
    ) -> None:
        """Write the shifted numbers into `slots` (packets × bytes), whose payloads begin at `at`."""
        rows = np.flatnonzero(self.picture >= 0)
        if len(rows):
            written = (self.picture + picture_shift & PICTURE_MASK)[rows]
            wide = self.is_wide[rows]
            column = (at + self.picture_at)[rows]
            slots[rows, column] = np.where(wide, 0x80 | written >> 8, written & 0x7F)
            slots[rows[wide], column[wide] + 1] = written[wide] & 0xFF
        rows = np.flatnonzero(self.tl0 >= 0)
        if len(rows):
            written = (self.tl0 + tl0_shift & TL0_MASK)[rows]
            slots[rows, (at + self.tl0_at)[rows]] = written


def newest_of(values: NDArray[np.int32], mask: int) -> int:
    """The latest of numbers that wrap at `mask`, the short way round from the first; −1 when none is there."""
    there = values[values >= 0]
    if not len(there):
        return -1
    half = (mask + 1) // 2
    ahead = (there - there[0] + half & mask) - half
    return int(there[ahead.argmax()])


def is_ahead(value: int, other: int, mask: int) -> bool:
    """Whether `value` comes after `other`, the short way round; anything comes after none (−1)."""
    return other < 0 or 0 < (value - other & mask) <= mask // 2


class NumberReader:
    """The picture ids of one layer, counted on in 15 bits whatever the sender's width is."""

    def __init__(self) -> None:
        self._newest = -1

    def extend(self, number: Number) -> Number:
        if number.picture < 0:
            return number
        picture = number.picture
        if not number.is_wide and self._newest >= 0:
            step = (picture - self._newest + 0x40 & 0x7F) - 0x40
            picture = self._newest + step & PICTURE_MASK
        if is_ahead(picture, self._newest, PICTURE_MASK):
            self._newest = picture
        return number._replace(picture=picture)
