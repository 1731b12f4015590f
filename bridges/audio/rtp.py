"""What an RTP packet says (RFC 3550 §5.1), for the packets that are not plain 20 ms of agreed audio.

The plain ones never come here: the receiver reads their headers as array columns.
"""

import struct
from dataclasses import dataclass

HEADER_SIZE = 12
VERSION_BYTE = 0x80
"""Version 2, no padding, no extension, no CSRC: the first byte of a plain packet."""
COMFORT_NOISE = 13
"""Static payload type of RFC 3389."""

DIGITS = "0123456789*#ABCD"


class MalformedPacketError(ValueError):
    """The packet's own lengths contradict each other."""


def payload_span(packet: bytes) -> tuple[int, int]:
    """Where the payload begins and ends, after CSRCs and extension, before padding.

    `packet` has at least a fixed header. Raises MalformedPacketError.
    """
    start = HEADER_SIZE + 4 * (packet[0] & 0x0F)
    end = len(packet)
    if packet[0] & 0x10:
        if start + 4 > end:
            raise MalformedPacketError("the header extension is cut off")
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    if packet[0] & 0x20:
        padding = packet[-1]
        if padding == 0:
            raise MalformedPacketError("padding of no length")
        end -= padding
    if start > end:
        raise MalformedPacketError("header and padding are longer than the packet")
    return start, end


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """RFC 4733 §2.3. `digit` is None for events that are no DTMF key."""

    digit: str | None
    end: bool
    duration: int


def read_telephone_event(payload: bytes) -> TelephoneEvent:
    """Read the event. Raises MalformedPacketError."""
    if len(payload) < 4:
        raise MalformedPacketError("a telephone-event of fewer than 4 bytes")
    code, flags, duration = struct.unpack_from("!BBH", payload)
    digit = DIGITS[code] if code < len(DIGITS) else None
    return TelephoneEvent(digit, bool(flags & 0x80), duration)
