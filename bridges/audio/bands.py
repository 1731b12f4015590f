"""The two bands a call can have: narrow (8 kHz) while all its legs are G.711, wide (16 kHz) as soon as one is not.

Both are mixed by the same code; a band is only the size of the arrays.
"""

from dataclasses import dataclass

TICK_MS = 20


@dataclass(frozen=True, slots=True)
class Band:
    """`rate` in samples a second, `frame` in samples a tick."""

    name: str
    rate: int

    @property
    def frame(self) -> int:
        return self.rate * TICK_MS // 1000


NARROW = Band("narrow", 8000)
WIDE = Band("wide", 16000)
