"""Transport-wide congestion control feedback: when each packet of a connection arrived, told back to who sent it
(draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

`ArrivalLog` notes what publishers' packets carried and says it every 50 ms; what viewers say comes in through
`read_transport_feedback` to the estimator.
"""

import struct
from dataclasses import dataclass

from aiortc import rtp

_HEAD = struct.Struct("!HH3sB")
_RTPFB, _TRANSPORT_CC = 205, 15
_TICKS_PER_S = 4_000
_TICKS_PER_REFERENCE = 256
"""Arrival times are told in 250 µs, the reference time in 64 ms."""
_COUNT_LIMIT = 4_096
"""Packets one feedback may be about: run lengths let 20 bytes claim 65,535."""
_ABSENT, _SMALL, _LARGE = 0, 1, 2
_SMALLEST, _LARGEST = -0x8000, 0x7FFF
_REFERENCE_MASK = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """About the packets from `first` (16 bits) on, one entry each: when it arrived on the far end's clock in 250 µs,
    None for one that did not. `number` counts feedbacks (8 bits)."""

    first: int
    number: int
    arrivals: tuple[int | None, ...]


def read_transport_feedback(fci: bytes) -> TransportFeedback:
    """Read what follows the two SSRCs. Raises ValueError or struct.error."""
    first, count, reference, number = _HEAD.unpack_from(fci)
    if not 0 < count <= _COUNT_LIMIT:
        raise ValueError("feedback about no packet, or about far too many")
    symbols, at = _read_symbols(fci, count)
    time = int.from_bytes(reference, "big", signed=True) * _TICKS_PER_REFERENCE
    arrivals: list[int | None] = []
    for symbol in symbols:
        if symbol == _SMALL and at < len(fci):
            time += fci[at]
            at += 1
        elif symbol == _LARGE and at + 2 <= len(fci):
            time += int.from_bytes(fci[at : at + 2], "big", signed=True)
            at += 2
        elif symbol != _ABSENT:
            raise ValueError("an arrival without its time")
        arrivals.append(None if symbol == _ABSENT else time)
    return TransportFeedback(first, number, tuple(arrivals))


def _read_symbols(fci: bytes, count: int) -> tuple[list[int], int]:
    """The status of `count` packets (§3.1.1–3.1.4), and where the times begin."""
    symbols: list[int] = []
    at = _HEAD.size
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", fci, at)
        at += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13 & 3] * min(chunk & 0x1FFF, count - len(symbols))
            if not chunk & 0x1FFF:
                raise ValueError("a run of no packets")
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    return symbols[:count], at


def write_transport_feedback(ssrc: int, media_ssrc: int, feedback: TransportFeedback) -> bytes:
    """The RTCP packet. At least one entry arrived, and no two in a row lie further apart than 8.19 s."""
    begun = next(time for time in feedback.arrivals if time is not None)
    time = begun // _TICKS_PER_REFERENCE * _TICKS_PER_REFERENCE
    symbols = []
    deltas = bytearray()
    for arrival in feedback.arrivals:
        if arrival is None:
            symbols.append(_ABSENT)
            continue
        delta, time = arrival - time, arrival
        is_small = 0 <= delta <= 0xFF
        symbols.append(_SMALL if is_small else _LARGE)
        deltas += delta.to_bytes(1, "big") if is_small else delta.to_bytes(2, "big", signed=True)
    reference = (begun // _TICKS_PER_REFERENCE & _REFERENCE_MASK).to_bytes(3, "big")
    fci = _HEAD.pack(feedback.first & 0xFFFF, len(symbols), reference, feedback.number & 0xFF)
    fci += _write_symbols(symbols) + deltas
    # Zeros fill the last word; the length that counts is that of the statuses.
    fci += bytes(-len(fci) % 4)
    body = struct.pack("!II", ssrc, media_ssrc) + fci
    return rtp.pack_rtcp_packet(_RTPFB, _TRANSPORT_CC, body)


def _write_symbols(symbols: list[int]) -> bytes:
    """Runs where seven or more are alike, else two bits each."""
    chunks = []
    at = 0
    while at < len(symbols):
        run = 1
        while at + run < len(symbols) and symbols[at + run] == symbols[at] and run < 0x1FFF:
            run += 1
        if run >= 7 or at + run == len(symbols):
            chunks.append(symbols[at] << 13 | run)
            at += run
            continue
        seven = symbols[at : at + 7]
        chunk = 0xC000
        for index, symbol in enumerate(seven):
            chunk |= symbol << 12 - 2 * index
        chunks.append(chunk)
        at += len(seven)
    return struct.pack(f"!{len(chunks)}H", *chunks)


class ArrivalLog:
    """The arrivals of one publisher's connection since the last feedback. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._arrived: dict[int, int] = {}
        self._highest: int | None = None
        self._next: int | None = None
        self._number = 0

    def note(self, sequence: int, now: float) -> None:
        """A packet carried this transport-wide sequence number (16 bits)."""
        ticks = int(now * _TICKS_PER_S)
        if self._highest is None:
            extended = sequence + 0x10000
        else:
            extended = self._highest + (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
        if self._highest is None or extended > self._highest:
            self._highest = extended
        self._arrived.setdefault(extended, ticks)

    def take(self) -> list[TransportFeedback]:
        """What there is to say: every packet from the last one told on, arrived or not; late ones are told again with what
        is between. More than one where the numbers or times leap too far for one."""
        if not self._arrived:
            return []
        told = []
        numbers = sorted(self._arrived)
        first = numbers[0]
        if self._next is not None and first > self._next and first - self._next < _COUNT_LIMIT // 2:
            first = self._next
        arrivals: list[int | None] = [None] * (numbers[0] - first)
        last_time: int | None = None
        for extended in numbers:
            time = self._arrived[extended]
            is_far = last_time is not None and not _SMALLEST < time - last_time < _LARGEST
            if is_far or extended - first >= _COUNT_LIMIT:
                told.append(self._feedback(first, arrivals))
                first, arrivals = extended, []
            arrivals += [None] * (extended - first - len(arrivals))
            arrivals.append(time)
            last_time = time
        told.append(self._feedback(first, arrivals))
        self._next = max(numbers[-1] + 1, self._next or 0)
        self._arrived.clear()
        return told

    def _feedback(self, first: int, arrivals: list[int | None]) -> TransportFeedback:
        self._number = self._number + 1 & 0xFF
        return TransportFeedback(first & 0xFFFF, self._number, tuple(arrivals))
