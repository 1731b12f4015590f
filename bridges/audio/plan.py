"""The table of legs arranged for one mix after another: made anew when legs come, go or change, not per tick.

Legs stand in the order of their call's size, then call, so that all calls of one size are one reshaped sum:
N−1 for any number of calls is one subtraction per size that occurs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridges.audio.g711 import Law
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
    """`rows[i]` is the table row of place i. `place_of_call` finds a call's line among the totals.

    `base_law` is the law most legs have; `other_law` are the places of the others. `sending` are the places that
    are sent to, those on the shared socket first (`shared_count` of them), then those with a socket of their own.
    """

    rows: Index
    classes: tuple[SizeClass, ...]
    place_of_call: dict[int, int]
    call_count: int
    base_law: Law
    other_law: Index
    muted: Index
    sending: Index
    shared_count: int

    def __len__(self) -> int:
        return len(self.rows)


def make_plan(legs: LegTable) -> Plan:
    """Arrange the connected legs and the radio rows."""
    active = np.flatnonzero(legs.connected | legs.radio)
    calls = legs.call[active]
    sizes = np.bincount(calls)[calls] if len(calls) else calls
    order = np.lexsort((calls, sizes))
    rows, calls, sizes = active[order], calls[order], sizes[order]
    firsts = np.flatnonzero(np.diff(calls, prepend=-1))
    laws = legs.law[rows]
    base_law = Law.PCMA if 2 * np.count_nonzero(laws == Law.PCMA) > len(rows) else Law.PCMU
    sends_to = legs.connected[rows] & legs.receives[rows]
    shared = legs.own_fd[rows] < 0
    on_shared, on_own = np.flatnonzero(sends_to & shared), np.flatnonzero(sends_to & ~shared)
    return Plan(
        rows=rows,
        classes=_classes(sizes),
        place_of_call={int(calls[first]): place for place, first in enumerate(firsts)},
        call_count=len(firsts),
        base_law=base_law,
        other_law=np.flatnonzero(laws != base_law),
        muted=np.flatnonzero(legs.muted[rows]),
        sending=np.concatenate((on_shared, on_own)),
        shared_count=len(on_shared),
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
