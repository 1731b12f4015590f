"""What changes with every packet of every view, as columns: a batch for two hundred views is one addition.

A row belongs to one view from `take` to `give_back`.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.transport.batch import ADDRESS_SIZE, source_key, write_addresses
from bridges.transport.stun import Address
from commhub.domain.errors import ConflictError

VIEWS_LIMIT = 1024
HISTORY = 1024
"""Transport-wide numbers of a view whose sending is remembered: more than two seconds of 1080p."""


class ViewTable:
    """`packets`, `octets` (payload) sent, `unsent`; `names[row]` is the memory address of where the row's packets go."""

    def __init__(self, capacity: int = VIEWS_LIMIT) -> None:
        self.packets = np.zeros(capacity, np.int64)
        self.octets = np.zeros(capacity, np.int64)
        self.unsent = np.zeros(capacity, np.int64)
        self._addresses = np.zeros((capacity, ADDRESS_SIZE), np.uint8)
        self.names = self._addresses.ctypes.data + np.arange(capacity, dtype=np.uint64) * np.uint64(
            ADDRESS_SIZE
        )
        self._free = list(range(capacity - 1, -1, -1))
        self._next_transport = np.zeros(capacity, np.uint32)
        self._sent_at = np.zeros((capacity, HISTORY), np.float64)
        self._sent_bytes = np.zeros((capacity, HISTORY), np.uint16)

    def take(self) -> int:
        """A row of zeros. Raises ConflictError when there is none."""
        if not self._free:
            raise ConflictError("this worker has no room for another view")
        row = self._free.pop()
        for column in (self.packets, self.octets, self.unsent, self._next_transport):
            column[row] = 0
        self._sent_at[row] = 0
        return row

    def give_back(self, row: int) -> None:
        self._free.append(row)

    def aim(self, row: int, address: Address) -> None:
        """Where the row's packets go from now on."""
        key = np.array([source_key(*address)], np.int64)
        write_addresses(self._addresses[row : row + 1], key)

    def take_transport_numbers(
        self, rows: NDArray[np.intp], sizes: NDArray[np.int64], now: float
    ) -> NDArray[np.uint32]:
        """The next transport-wide numbers (rows × packets) for packets of those sizes, noted as sent now."""
        count = len(sizes)
        after = np.arange(count, dtype=np.uint32)
        numbers: NDArray[np.uint32] = (self._next_transport[rows][:, None] + after) & np.uint32(
            0xFFFF
        )
        at = numbers & (HISTORY - 1)
        self._sent_at[rows[:, None], at] = now
        self._sent_bytes[rows[:, None], at] = sizes
        self._next_transport[rows] += count
        return numbers

    def sent(self, row: int, number: int) -> tuple[float, int] | None:
        """When a transport-wide number was last sent to the row, and how many bytes; None before, or too long ago."""
        behind = int(self._next_transport[row]) - 1 - number & 0xFFFF
        if behind >= HISTORY or not self._sent_at[row, number & (HISTORY - 1)]:
            return None
        at = number & (HISTORY - 1)
        return float(self._sent_at[row, at]), int(self._sent_bytes[row, at])
