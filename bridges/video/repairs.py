"""What a view asks for again, bounded: a NACK of some bytes must not fetch a flood (an amplifier), nor keep others waiting.

A packet is sent again by RTX (RFC 4588) where that was agreed, else as it was; at most a few times, and all together at most
a part of what the view gets anyway.
"""

from dataclasses import dataclass

_TIMES = 6
_SHORTEST_S = 0.015
"""Asked again within that, the first answer is still on its way."""
_PART = 0.25
_BURST_BYTES = 150_000
_FLOOR_BPS = 25_000
"""Bytes a second that may be repaired however little the view gets."""
_REMEMBERED = 1024


@dataclass(slots=True)
class _Asked:
    at: float
    times: int


class Repairs:
    """Of one view. Times in seconds, monotonic; sizes in bytes."""

    def __init__(self) -> None:
        self.next_sequence = 0
        """Of the RTX stream."""
        self.repaired = 0
        self._asked: dict[int, _Asked] = {}
        self._bytes = float(_BURST_BYTES)
        self._at = 0.0
        self._octets = 0

    def refill(self, octets: int, now: float) -> None:
        """`octets`: what the view was sent so far."""
        if self._at:
            more = (octets - self._octets) * _PART + (now - self._at) * _FLOOR_BPS
            self._bytes = min(_BURST_BYTES, self._bytes + more)
        self._at, self._octets = now, octets

    def may(self, sequence: int, now: float, round_trip_s: float | None) -> bool:
        """Whether this packet may be sent again now."""
        if self._bytes <= 0:
            return False
        known = self._asked.get(sequence)
        if known is None or now - known.at > 2.0:
            if len(self._asked) >= _REMEMBERED:
                del self._asked[next(iter(self._asked))]
            self._asked.pop(sequence, None)
            self._asked[sequence] = _Asked(now, 1)
            return True
        pause = max(_SHORTEST_S, 0.8 * (round_trip_s or 0.0))
        if known.times >= _TIMES or now - known.at < pause:
            return False
        known.at = now
        known.times += 1
        return True

    def spend(self, size: int) -> int:
        """A packet of that size goes; returns its number in the RTX stream."""
        self._bytes -= size
        self.repaired += 1
        number = self.next_sequence
        self.next_sequence = number + 1 & 0xFFFF
        return number
