"""Whose packet is it, on the socket that many legs share: by source address, and by SSRC where two legs share
that too (two calls of one gateway port)."""

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
"""No leg has this source."""
CROWDED = -2
"""More than one leg has it: ask `crowd`."""


class SharedSources:
    """Source keys to rows. Changing it is a dictionary; looking up thousands at once is one binary search."""

    def __init__(self) -> None:
        self._rows: dict[int, list[int]] = {}
        self._keys = np.empty(0, np.int64)
        self._values = np.empty(0, np.int64)
        self._stale = False

    def put(self, key: int, row: int) -> None:
        self._rows.setdefault(key, []).append(row)
        self._stale = True

    def remove(self, key: int, row: int) -> None:
        rows = self._rows.get(key, [])
        if row in rows:
            rows.remove(row)
            self._stale = True
        if not rows:
            self._rows.pop(key, None)

    def crowd(self, key: int) -> list[int]:
        """The rows behind one source, oldest first."""
        return self._rows.get(key, [])

    def lookup(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of every key, or UNKNOWN, or CROWDED."""
        if self._stale:
            self._sort()
        if not len(self._keys):
            return np.full(len(keys), UNKNOWN, np.int64)
        at = np.searchsorted(self._keys, keys)
        at[at == len(self._keys)] = 0
        return np.where(self._keys[at] == keys, self._values[at], UNKNOWN)

    def _sort(self) -> None:
        self._keys = np.array(sorted(self._rows), np.int64)
        owners = (self._rows[int(key)] for key in self._keys)
        self._values = np.array([o[0] if len(o) == 1 else CROWDED for o in owners], np.int64)
        self._stale = False
