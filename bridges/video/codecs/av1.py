"""AV1 in RTP (AOM's RTP payload format v1.0): OBUs cut into elements, without the temporal units' delimiters.

Where a temporal unit begins is not said: an OBU that is no continuation and can come first may begin one. The N bit,
or a sequence header, says that this is where decoding can begin.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from bridges.video.codecs.bits import Bits, ShortError
from bridges.video.codecs.picture import MALFORMED, Picture

_SEQUENCE, _DELIMITER, _FRAME_HEADER, _METADATA, _FRAME = 1, 2, 3, 5, 6
_TILE_LIST, _PADDING = 8, 15
_STARTERS = frozenset({_SEQUENCE, _DELIMITER, _FRAME_HEADER, _METADATA, _FRAME})
_NOT_STORED = frozenset({_DELIMITER, _TILE_LIST, _PADDING})
_ELEMENTS_LIMIT = 64
_SEQUENCE_LIMIT = 128
"""Bytes of a sequence header that are read; 32 operating points are about 100."""


def inspect(payload: memoryview) -> Picture:
    """What one RTP payload says (§4.3–4.5)."""
    if len(payload) < 2:
        return MALFORMED
    head = payload[0]
    start = False
    key = bool(head & 0x08)
    width = height = temporal = 0
    is_first = True
    for begin, end in _elements(payload):
        if begin < 0 or end - begin < 1:
            return MALFORMED
        continues = is_first and head & 0x80
        if not continues:
            obu = payload[begin]
            kind = obu >> 3 & 0x0F
            if is_first:
                start = kind in _STARTERS
                temporal = payload[begin + 1] >> 5 if obu & 4 and end - begin > 1 else 0
            if kind == _SEQUENCE:
                key = True
                width, height = dimensions(
                    bytes(payload[begin : min(end, begin + _SEQUENCE_LIMIT)])
                )
        is_first = False
    return MALFORMED if is_first else Picture(start, False, key, width, height, temporal)


def assemble(payloads: Sequence[bytes]) -> bytes | None:
    """The temporal unit of one picture's payloads, complete and in order, each OBU with its size (AV1 §5.2) as
    files want it; None where they do not make one."""
    obus: list[bytearray] = []
    is_open = False
    for payload in payloads:
        if len(payload) < 2 or bool(payload[0] & 0x80) != is_open:
            return None
        for begin, end in _elements(memoryview(payload)):
            if begin < 0:
                return None
            if is_open:
                obus[-1] += payload[begin:end]
                is_open = False
            else:
                obus.append(bytearray(payload[begin:end]))
        is_open = bool(payload[0] & 0x40)
    if is_open or not all(len(obu) >= _header_size(obu) for obu in obus):
        return None
    stored = (_with_size(obu) for obu in obus if obu[0] >> 3 & 0x0F not in _NOT_STORED)
    return b"".join(stored) or None


def _elements(payload: memoryview) -> Iterator[tuple[int, int]]:
    """Where the OBU elements begin and end; (−1, −1) for the one whose length is not true, the last."""
    count = payload[0] >> 4 & 3
    at, size = 1, len(payload)
    index = 0
    while at < size and index < _ELEMENTS_LIMIT:
        index += 1
        length = size - at
        if index != count:
            length, at = _leb128(payload, at)
            if length < 0 or at + length > size:
                yield -1, -1
                return
        yield at, at + length
        at += length
    if count and index != count:
        yield -1, -1


def _leb128(data: memoryview, at: int) -> tuple[int, int]:
    """A length (AV1 §4.10.5) of at most three bytes, enough for any packet, and where it ends; −1 for a longer one."""
    value = 0
    for shift in (0, 7, 14):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    return -1, at


def _header_size(obu: bytearray) -> int:
    """Of a header with or without extension (AV1 §5.3); 1 for an OBU that is not even that long."""
    return 2 if obu and obu[0] & 0x04 else 1


def _with_size(obu: bytearray) -> bytes:
    if obu[0] & 0x02:
        return bytes(obu)
    header = _header_size(obu)
    size = len(obu) - header
    encoded = bytearray()
    while size >= 0x80:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    encoded.append(size)
    return bytes((obu[0] | 0x02,)) + obu[1:header] + encoded + obu[header:]


@lru_cache(maxsize=256)
def dimensions(obu: bytes) -> tuple[int, int]:
    """Width and height of a sequence header OBU (AV1 §5.5); (0, 0) for one that cannot be read."""
    at = 2 if obu[0] & 0x04 else 1
    if obu[0] & 0x02:
        _, at = _leb128(memoryview(obu), at)
    try:
        return _read_dimensions(Bits(obu[at:]))
    except ShortError:
        return 0, 0


def _read_dimensions(bits: Bits) -> tuple[int, int]:
    bits.skip(4)
    if bits.flag():
        bits.skip(5)
    else:
        _skip_operating_points(bits)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(across) + 1, bits.take(down) + 1


def _skip_operating_points(bits: Bits) -> None:
    delay_bits = 0
    if bits.flag():
        bits.skip(64)
        if bits.flag():
            bits.golomb()
        if bits.flag():
            delay_bits = bits.take(5) + 1
            bits.skip(42)
    shows_delay = bits.flag()
    for _ in range(bits.take(5) + 1):
        bits.skip(12)
        if bits.take(5) > 7:
            bits.skip(1)
        if delay_bits and bits.flag():
            bits.skip(2 * delay_bits + 1)
        if shows_delay and bits.flag():
            bits.skip(4)
