"""Packet times other than the tick: 10, 30, 40 and 60 ms out of a tick of 20 ms.

Ticks are grouped into periods of as many as fit whole packets: one for 10 and 20 ms, two for 40, three for 30 and
60. All legs of one packet time have the same periods, counted from tick 0, so that sending them is one array
operation and a leg that joins or changes its encoder is in step with the others.
"""

from functools import cache
from math import lcm

from bridges.audio.bands import TICK_MS

USUAL_MS = TICK_MS
LONGEST_TICKS = 3
"""The longest period, in ticks."""
G711_PTIMES = (10, 20, 30, 40, 60)


def fitting(wanted_ms: int, possible: tuple[int, ...]) -> int:
    """The packet time for a far end that wants `wanted_ms`: that, else the next shorter possible one."""
    return max((ms for ms in possible if ms <= wanted_ms), default=min(possible))


@cache
def period(ptime_ms: int) -> int:
    """In ticks."""
    return lcm(ptime_ms, TICK_MS) // TICK_MS


@cache
def due(ptime_ms: int, phase: int, per_ms: int) -> tuple[tuple[int, int], ...]:
    """The packets that are whole after tick `phase` of a period: where each begins and ends, in samples from the
    period's start, at `per_ms` samples a millisecond."""
    after, before = (phase + 1) * TICK_MS, phase * TICK_MS
    ends = range(ptime_ms, after + 1, ptime_ms)
    return tuple(((end - ptime_ms) * per_ms, end * per_ms) for end in ends if end > before)
