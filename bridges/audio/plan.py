"""The table of legs arranged for one mix after another: made anew when legs come, go or change, not per tick.

Legs stand in the order of their call's size, then call, so that all calls of one size are one reshaped sum:
N−1 for any number of calls is one subtraction per size that occurs. Each band has a plan of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridges.audio.bands import NARROW, WIDE, Band
from bridges.audio.legs import LegTable

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Legs `start` to `end` of the plan are `calls` calls of `size` legs, the totals from `first_call`."""

    size: int
    start: int
    end: int
    first_call: int

    @property
    def calls(self) -> int:
        return (self.end - self.start) // self.size


@dataclass(frozen=True, slots=True)
class Plan:
    """`rows[i]` is the table row of place i, `line[i]` its call's line among the totals, which `place_of_call`
    finds by the call's index.

    `coded` are the places whose voice waits as G.711 bytes, `linear` those whose voice waits as samples of the
    band; in the narrow band every place is coded.
    """

    band: Band
    rows: Index
    line: Index
    classes: tuple[SizeClass, ...]
    place_of_call: dict[int, int]
    call_count: int
    coded: Index
    linear: Index

    def __len__(self) -> int:
        return len(self.rows)


def make_plans(legs: LegTable, wide_calls: Iterable[int] = ()) -> tuple[Plan, Plan]:
    """Arrange the connected legs and the radio rows: the narrow calls, and the wide ones, which are those with a
    linear leg and the `wide_calls` (indices)."""
    active = np.flatnonzero(legs.connected | legs.radio)
    calls = legs.call[active]
    is_wide = np.zeros(int(calls.max(initial=-1)) + 1, bool)
    is_wide[[index for index in wide_calls if index < len(is_wide)]] = True
    is_wide[calls[legs.linear[active]]] = True
    wide = is_wide[calls]
    return _plan(NARROW, legs, active[~wide]), _plan(WIDE, legs, active[wide])


def _plan(band: Band, legs: LegTable, active: Index) -> Plan:
    calls = legs.call[active]
    sizes = np.bincount(calls)[calls] if len(calls) else calls
    order = np.lexsort((calls, sizes))
    rows, calls, sizes = active[order], calls[order], sizes[order]
    begins = np.diff(calls, prepend=-1) != 0
    firsts = np.flatnonzero(begins)
    linear = legs.linear[rows]
    return Plan(
        band=band,
        rows=rows,
        line=np.cumsum(begins) - 1,
        classes=_classes(sizes),
        place_of_call=dict(zip(calls[firsts].tolist(), range(len(firsts)), strict=True)),
        call_count=len(firsts),
        coded=np.flatnonzero(~linear),
        linear=np.flatnonzero(linear),
    )


def _classes(sizes: Index) -> tuple[SizeClass, ...]:
    starts = np.flatnonzero(np.diff(sizes, prepend=0))
    ends = np.flatnonzero(np.diff(sizes, append=0)) + 1
    made: list[SizeClass] = []
    first_call = 0
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        one = SizeClass(int(sizes[start]), start, end, first_call)
        made.append(one)
        first_call += one.calls
    return tuple(made)
