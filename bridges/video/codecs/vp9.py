"""VP9 in RTP (RFC 9628). The descriptor says nearly everything; the size of a picture is in its scalability structure or
in the header of a key frame (VP9 bitstream §6.2).

Spatial layers within one stream are forwarded as they are, all of them, and not recorded.
"""

from collections.abc import Sequence

from bridges.video.codecs.bits import Bits, ShortError
from bridges.video.codecs.numbers import UNNUMBERED, Number
from bridges.video.codecs.picture import MALFORMED, Picture

_HEADER_LIMIT = 16
"""Bytes of a key frame's header up to its size."""
_SYNC = 0x498342
_RGB = 7
_REFERENCES_LIMIT = 3


def inspect(payload: memoryview) -> Picture:
    """What one RTP payload says (§4.2). `end` is the end of a frame of one spatial layer."""
    try:
        at, layers, width, height = _descriptor(payload)
    except IndexError:
        return MALFORMED
    if at >= len(payload):
        return MALFORMED
    flags = payload[0]
    start = bool(flags & 0x08) and not layers >> 1 & 7
    # FFmpeg sets the P bit on no packet, so that the frame itself is asked as well.
    key = start and not flags & 0x40 and _is_key(payload[at])
    if key and not width:
        width, height = _dimensions(bytes(payload[at : at + _HEADER_LIMIT]))
    return Picture(start, bool(flags & 0x04), key, width, height, layers >> 5)


def number(payload: memoryview) -> Number:
    """The picture numbers of the descriptor; UNNUMBERED for one that has none or is cut off."""
    try:
        return _number(payload)
    except IndexError:
        return UNNUMBERED


def assemble(payloads: Sequence[bytes]) -> bytes | None:
    """The frame of one picture's payloads, complete and in order; None where they do not make one."""
    parts = []
    last = len(payloads) - 1
    for index, payload in enumerate(payloads):
        try:
            at, _, _, _ = _descriptor(memoryview(payload))
        except IndexError:
            return None
        begins, ends = bool(payload[0] & 0x08), bool(payload[0] & 0x04)
        if at >= len(payload) or begins != (index == 0) or ends != (index == last):
            return None
        parts.append(payload[at:])
    return b"".join(parts) or None


def _descriptor(payload: memoryview) -> tuple[int, int, int, int]:
    """Where the frame's bytes begin, the byte of layer indices, width and height. Raises IndexError beyond the end."""
    flags = payload[0]
    at = 1
    layers = width = height = 0
    if flags & 0x80:
        at += 2 if payload[at] & 0x80 else 1
    if flags & 0x20:
        layers = payload[at]
        at += 1 if flags & 0x10 else 2
    if flags & 0x50 == 0x50:
        for _ in range(_REFERENCES_LIMIT):
            at += 1
            if not payload[at - 1] & 1:
                break
        else:
            raise IndexError("more than three references")
    if flags & 0x02:
        at, width, height = _structure(payload, at)
    return at, layers, width, height


def _number(payload: memoryview) -> Number:
    flags = payload[0]
    if not flags & 0x80:
        return UNNUMBERED
    picture, is_wide = payload[1] & 0x7F, payload[1] >= 0x80
    at = 2
    if is_wide:
        picture = picture << 8 | payload[at]
        at += 1
    if flags & 0x30 == 0x20:
        return Number(picture, 1, is_wide, payload[at + 1], at + 1)
    return Number(picture, 1, is_wide)


def _structure(payload: memoryview, at: int) -> tuple[int, int, int]:
    """The scalability structure (§4.2.1): where it ends, and the size of the highest spatial layer."""
    head = payload[at]
    at += 1
    width = height = 0
    if head & 0x10:
        at += 4 * ((head >> 5) + 1)
        width = payload[at - 4] << 8 | payload[at - 3]
        height = payload[at - 2] << 8 | payload[at - 1]
    if head & 0x08:
        pictures = payload[at]
        at += 1
        for _ in range(pictures):
            at += 1 + (payload[at] >> 2 & 3)
    return at, width, height


def _is_key(head: int) -> bool:
    """Whether a frame header begins like that of a key frame: marker 2, no frame shown again, frame type 0."""
    if head & 0xF0 == 0xB0:
        return not head & 0x06
    return head & 0xCC == 0x80


def _dimensions(header: bytes) -> tuple[int, int]:
    """Width and height of a key frame's uncompressed header; (0, 0) where there are none."""
    try:
        return _read_dimensions(Bits(header))
    except ShortError:
        return 0, 0


def _read_dimensions(bits: Bits) -> tuple[int, int]:
    if bits.take(2) != 2:
        return 0, 0
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3:
        bits.skip(1)
    shows_existing, is_inter = bits.flag(), bits.flag()
    bits.skip(2)
    if shows_existing or is_inter or bits.take(24) != _SYNC:
        return 0, 0
    if profile >= 2:
        bits.skip(1)
    if bits.take(3) != _RGB:
        bits.skip(4 if profile % 2 else 1)
    elif profile % 2:
        bits.skip(1)
    return bits.take(16) + 1, bits.take(16) + 1
