"""Parameter sets for a stream that never sends them: its SDP has them once (RFC 6184 §8.1), who joins later needs them with a
key frame.

They are put before each key frame as a packet of their own (STAP-A), so every later number of the stream is higher by
one more. Here is the arithmetic, and the way back for what is said to the sender of its own numbers. A stream that
does send parameter sets is right about them, and is left alone from then on.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bridges.video.codecs import h264
from bridges.video.intake import extended_near

Packet = tuple[int, int, bool, NDArray[np.uint8]]
"""Sequence number, timestamp, marker, payload."""
_REMEMBERED = 64
"""Key frames back that a number can be told of."""
_FIRST_CYCLE = 0x10000


class Preface:
    """Of one layer's stream. `parameters` is the payload that is put in."""

    def __init__(self, parameters: bytes) -> None:
        self._parameters = np.frombuffer(parameters, np.uint8)
        self._is_needed = True
        self.restart()

    def restart(self) -> None:
        """Another stream of the same sender begins."""
        self._highest: int | None = None
        self._timestamp = -1
        # From which of the sender's extended numbers on how many packets of ours are before it.
        self._firsts: list[int] = []
        self._shifts: list[int] = []

    def insert(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """The packets under their new numbers, with ours between them."""
        for sequence, timestamp, marker, payload in packets:
            if self._highest is None:
                self._highest = _FIRST_CYCLE + sequence - 1
            extended = extended_near(sequence, self._highest)
            ours: int | None = None
            if self._begins_bare_key(extended, timestamp, payload.data):
                first = self._first_of_picture(extended, payload.data)
                ours = first + self._shift_at(first)
                self._remember(first, self._shift_at(first) + 1)
            self._highest = max(self._highest, extended)
            number = extended + self._shift_at(extended)
            # Whoever takes the packets may have us restart.
            if ours is not None:
                yield ours & 0xFFFF, timestamp, False, self._parameters
            yield number & 0xFFFF, timestamp, marker, payload

    def original(self, extended: int) -> int:
        """The sender's number of a packet that stands under that number after `insert`."""
        for first, shift in zip(reversed(self._firsts), reversed(self._shifts), strict=True):
            if (extended - first - shift & 0xFFFF) < 0x8000:
                return extended - shift
        return extended - (self._shifts[0] - 1 if self._shifts else 0)

    def _begins_bare_key(self, extended: int, timestamp: int, payload: memoryview) -> bool:
        """Whether this is the first that comes of a key frame without parameter sets."""
        kinds = h264.unit_kinds(payload)
        if h264.SPS in kinds:
            self._is_needed = False
        highest = self._highest or 0
        if not self._is_needed or extended <= highest or timestamp == self._timestamp:
            return False
        if not h264.inspect(payload).key:
            return False
        self._timestamp = timestamp
        return True

    def _first_of_picture(self, extended: int, payload: memoryview) -> int:
        """Where ours goes: before the picture's first packet, or, while that one is missing, after the last of the picture
        before it."""
        highest = self._highest or 0
        return extended if h264.inspect(payload).start else highest + 1

    def _shift_at(self, extended: int) -> int:
        if not self._firsts:
            return 0
        place = bisect_right(self._firsts, extended) - 1
        return self._shifts[place] if place >= 0 else self._shifts[0] - 1

    def _remember(self, first: int, shift: int) -> None:
        self._firsts.append(first)
        self._shifts.append(shift)
        if len(self._firsts) > _REMEMBERED:
            del self._firsts[0], self._shifts[0]
