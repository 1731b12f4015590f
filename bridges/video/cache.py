"""The latest packets of one layer, in the shape in which they leave: what a NACK asks for again and where a newcomer begins.

A slot is `[RTP header 12][extension block 12][payload]`, so that a batch is copied to a view's slots in one piece and only six
words of each packet are written over. The header extensions of the publisher end here; a view gets its own.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.transport.batch import VIDEO_STRIDE
from bridges.video.codecs.numbers import UNNUMBERED, Number, Numbers
from bridges.video.intake import Run, make_run

HEADER = 24
"""Where the payload begins in a slot."""
EXTENSION_WORD = 0xBEDE0002
"""The one-byte form (RFC 8285 §4.2), two words of elements."""
LONGEST_PAYLOAD = VIDEO_STRIDE - HEADER - 20
CAPACITY = 2048
"""Packets of a layer that are kept: more than four seconds of 1080p at 4 Mbit/s."""


class PacketCache:
    """A ring by extended sequence number; `capacity` is a power of two."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._mask = capacity - 1
        self.slots = np.zeros((capacity, VIDEO_STRIDE), np.uint8)
        self.slots.view(">u4")[:, 3] = EXTENSION_WORD
        self.extended = np.full(capacity, -1, np.int64)
        self.sizes = np.zeros(capacity, np.int64)
        self.timestamps = np.zeros(capacity, np.uint32)
        self.markers = np.zeros(capacity, np.uint32)
        self._numbers: list[Number] = [UNNUMBERED] * capacity
        # The same as `extended`, for looking at one: an array takes ten times as long.
        self._there = [-1] * capacity

    def clear(self) -> None:
        self.extended[:] = -1
        self._there = [-1] * self.capacity

    def holds(self, extended: int) -> bool:
        return self._there[extended & self._mask] == extended

    def put(self, extended: int, payload: NDArray[np.uint8], number: Number) -> int:
        """Keep one packet's payload; returns its slot, which `describe` has to hear of."""
        slot = extended & self._mask
        self.slots[slot, HEADER : HEADER + len(payload)] = payload
        self._there[slot] = extended
        self._numbers[slot] = number
        return slot

    def describe(
        self,
        slots: NDArray[np.intp],
        extended: list[int],
        sizes: list[int],
        timestamps: NDArray[np.uint32],
        markers: list[bool],
    ) -> None:
        """What was put into those slots."""
        self.extended[slots] = extended
        self.sizes[slots] = sizes
        self.timestamps[slots] = timestamps
        self.markers[slots] = np.where(markers, 0x800000, 0)

    def between(self, first: int, last: int) -> NDArray[np.intp]:
        """The slots of the packets from extended `first` to `last` that are there, in order."""
        first = max(first, last - self.capacity + 1)
        wanted = np.arange(first, last + 1)
        slots = (wanted & self._mask).astype(np.intp)
        there: NDArray[np.intp] = slots[self.extended[slots] == wanted]
        return there

    def run_of(self, origin: int, slots: NDArray[np.intp], *, numbered: bool) -> Run:
        """Packets of the cache (at least one) as a run, as if they had just come."""
        extended = self.extended[slots]
        numbers = Numbers.of([self._numbers[slot] for slot in slots.tolist()]) if numbered else None
        return make_run(
            origin,
            (extended & 0xFFFF).astype(np.uint16),
            self.timestamps[slots],
            int(extended[-1]),
            numbers,
        )

    def payload(self, extended: int) -> bytes | None:
        """One packet's payload, None when it is gone."""
        slot = extended & self._mask
        if self.extended[slot] != extended:
            return None
        return self.slots[slot, HEADER : HEADER + int(self.sizes[slot])].tobytes()

    def described(self, extended: int) -> tuple[int, bool, Number]:
        """Timestamp, marker and picture number of a packet that is there."""
        slot = extended & self._mask
        return int(self.timestamps[slot]), bool(self.markers[slot]), self._numbers[slot]
