"""VP8 in RTP (RFC 7741): a descriptor, and at the beginning of a picture the frame header itself (RFC 6386 §9.1)."""

from collections.abc import Sequence

from bridges.video.codecs.numbers import UNNUMBERED, Number
from bridges.video.codecs.picture import MALFORMED, Picture

_START_CODE = b"\x9d\x01\x2a"


def inspect(payload: memoryview) -> Picture:
    """What one RTP payload says (RFC 7741 §4.2, §4.3)."""
    try:
        at, temporal, _ = _descriptor(payload)
    except IndexError:
        return MALFORMED
    if at >= len(payload):
        return MALFORMED
    first = payload[0]
    discardable = bool(first & 0x20)
    if first & 0x17 != 0x10:
        # Not the first byte of the first partition.
        return Picture(False, False, False, 0, 0, temporal, discardable)
    if payload[at] & 1:
        return Picture(True, False, False, 0, 0, temporal, discardable)
    if len(payload) < at + 10 or payload[at + 3 : at + 6] != _START_CODE:
        return MALFORMED
    width = payload[at + 6] | (payload[at + 7] & 0x3F) << 8
    height = payload[at + 8] | (payload[at + 9] & 0x3F) << 8
    return Picture(True, False, True, width, height, temporal, discardable)


def number(payload: memoryview) -> Number:
    """The picture numbers of the descriptor; UNNUMBERED for one that has none or is cut off."""
    try:
        return _descriptor(payload)[2]
    except IndexError:
        return UNNUMBERED


def assemble(payloads: Sequence[bytes]) -> bytes | None:
    """The frame of one picture's payloads, complete and in order; None where they do not make one."""
    parts: list[bytes] = []
    for payload in payloads:
        try:
            at = _descriptor(memoryview(payload))[0]
        except IndexError:
            return None
        is_beginning = payload[0] & 0x17 == 0x10
        if at >= len(payload) or is_beginning != (not parts):
            return None
        parts.append(payload[at:])
    return b"".join(parts) or None


def _descriptor(payload: memoryview) -> tuple[int, int, Number]:
    """Where the frame's bytes begin, the temporal layer, the numbers (§4.2). Raises IndexError beyond the end."""
    if not payload[0] & 0x80:
        return 1, 0, UNNUMBERED
    flags = payload[1]
    if not flags & 0xF0:
        return 2, 0, UNNUMBERED
    at = 2
    picture = tl0 = -1
    picture_at = tl0_at = 0
    is_wide = False
    if flags & 0x80:
        picture_at = at
        picture, is_wide = payload[at] & 0x7F, payload[at] >= 0x80
        at += 1
        if is_wide:
            picture = picture << 8 | payload[at]
            at += 1
    if flags & 0x40:
        tl0, tl0_at = payload[at], at
        at += 1
    temporal = 0
    if flags & 0x30:
        temporal = payload[at] >> 6 if flags & 0x20 else 0
        at += 1
    return at, temporal, Number(picture, picture_at, is_wide, tl0, tl0_at)
