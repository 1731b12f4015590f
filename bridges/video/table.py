"""What changes with every packet of every view, as columns: a batch for two hundred views is one addition.

A row belongs to one view from `take` to `give_back`.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.transport import six
from bridges.transport.batch import source_key, write_addresses
from bridges.transport.stun import Address
from commhub.domain.errors import ConflictError

NAME_SIZE = six.ADDRESS_SIZE
"""Bytes of an address: IPv6's, and the kernel does not mind more behind one of IPv4."""
VIEWS_LIMIT = 1024
HISTORY = 1024
"""Transport-wide numbers of a view whose sending is remembered: more than two seconds of 1080p."""
_STAMPS = 1 << 16


class ViewTable:
    """`packets`, `octets` (payload) sent, `unsent`; `names[row]` is the memory address of where the row's packets go."""

    def __init__(self, capacity: int = VIEWS_LIMIT) -> None:
        self.packets = np.zeros(capacity, np.int64)
        self.octets = np.zeros(capacity, np.int64)
        self.unsent = np.zeros(capacity, np.int64)
        self._addresses = np.zeros((capacity, NAME_SIZE), np.uint8)
        self.names = self._addresses.ctypes.data + np.arange(capacity, dtype=np.uint64) * np.uint64(
            NAME_SIZE
        )
        self._free = list(range(capacity - 1, -1, -1))
        self._next_transport = np.zeros(capacity, np.uint32)
        # Each packet of a chunk has a stamp, the same for all its views: one number is noted a packet and view.
        self._stamps = np.zeros(capacity * HISTORY, np.int64)
        self._stamp = 1
        self._stamped_at = np.zeros(_STAMPS, np.float64)
        self._stamped_size = np.zeros(_STAMPS, np.int64)

    def take(self) -> int:
        """A row of zeros. Raises ConflictError when there is none."""
        if not self._free:
            raise ConflictError("this worker has no room for another view")
        row = self._free.pop()
        for column in (self.packets, self.octets, self.unsent, self._next_transport):
            column[row] = 0
        self._stamps[row * HISTORY : (row + 1) * HISTORY] = 0
        return row

    def give_back(self, row: int) -> None:
        self._free.append(row)

    def aim(self, row: int, address: Address) -> None:
        """Where the row's packets go from now on."""
        if ":" in address[0]:
            self._addresses[row] = np.frombuffer(six.sockaddr(*address), np.uint8)
            return
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
        stamps = np.arange(self._stamp, self._stamp + count)
        self._stamp += count
        self._stamped_at[stamps & _STAMPS - 1] = now
        self._stamped_size[stamps & _STAMPS - 1] = sizes
        self._stamps[rows[:, None] * HISTORY + (numbers & (HISTORY - 1))] = stamps
        self._next_transport[rows] += count
        return numbers

    def sent(
        self, row: int, first: int, count: int
    ) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float64]]:
        """Of the transport-wide numbers from `first` on, those that were sent to the row not too long ago, their bytes
        and when that was."""
        numbers = first + np.arange(count) & 0xFFFF
        behind = int(self._next_transport[row]) - 1 - numbers & 0xFFFF
        stamps = self._stamps[row * HISTORY + (numbers & HISTORY - 1)]
        there = (behind < HISTORY) & (stamps > max(0, self._stamp - _STAMPS))
        found = stamps[there] & _STAMPS - 1
        return numbers[there], self._stamped_size[found], self._stamped_at[found]
