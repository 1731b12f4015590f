"""H.264 in RTP (RFC 6184): single NAL units, STAP-A and FU-A, which is all that WebRTC and cameras send.

A payload does not say where a picture begins. What can stand only there does: parameter sets, delimiters, and a slice
whose first macroblock is the first of the picture (the first bit of its header).
"""

import base64
import binascii
from collections.abc import Sequence
from functools import lru_cache

from aiortc.codecs.h264 import H264PayloadDescriptor

from bridges.video.codecs.bits import Bits, ShortError
from bridges.video.codecs.picture import MALFORMED, Picture

SPS = 7
"""The NAL unit type of a sequence parameter set."""
_SLICE, _IDR, _SEI, _SPS, _PPS, _DELIMITER = 1, 5, 6, SPS, 8, 9
_PREFIX, _SUBSET_SPS, _STAP_A, _FU_A = 14, 15, 24, 28
_SLICES = range(_SLICE, _IDR + 1)
_STARTERS = frozenset({_SEI, _SPS, _PPS, _DELIMITER, _PREFIX, _SUBSET_SPS})
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_UNITS_LIMIT = 64
"""NAL units that are looked at in one STAP-A: an honest one has three or four."""
_SPS_LIMIT = 512
"""Bytes of a sequence parameter set; with every scaling list written out it is about 400."""
_SIZE_LIMIT = 16_384


def inspect(payload: memoryview) -> Picture:
    """What one RTP payload says (RFC 6184 §5.2–5.8)."""
    size = len(payload)
    if size < 2:
        return MALFORMED
    head = payload[0]
    kind = head & 0x1F
    if kind == _FU_A:
        return _inspect_fragment(payload, head, payload[1], size)
    if kind == _STAP_A:
        return _inspect_aggregate(payload, size)
    if 0 < kind < _STAP_A:
        return _inspect_unit(payload, head)
    return MALFORMED


def _inspect_fragment(payload: memoryview, head: int, fragment: int, size: int) -> Picture:
    """FU-A (§5.8): the slice header is in the first fragment only."""
    kind = fragment & 0x1F
    if size < 3 or not 0 < kind < _STAP_A:
        return MALFORMED
    is_first = bool(fragment & 0x80)
    start = is_first and (kind not in _SLICES or payload[2] >= 0x80)
    return Picture(start, False, kind == _IDR, discardable=not head & 0x60)


def _inspect_unit(unit: memoryview, head: int) -> Picture:
    """One whole NAL unit of at least two bytes."""
    kind = head & 0x1F
    if kind in _SLICES:
        start = unit[1] >= 0x80
        return Picture(start, False, kind == _IDR, discardable=not head & 0x60)
    if kind == _SPS:
        width, height = dimensions(bytes(unit[:_SPS_LIMIT]))
        return Picture(True, False, True, width, height)
    return Picture(kind in _STARTERS, False, False)


def _inspect_aggregate(payload: memoryview, size: int) -> Picture:
    """STAP-A (§5.7.1): units with a 16-bit length each."""
    start = key = False
    discardable = False
    width = height = 0
    at = 1
    for _ in range(_UNITS_LIMIT):
        if at + 2 > size:
            break
        length = payload[at] << 8 | payload[at + 1]
        at += 2
        if length < 2 or at + length > size:
            return MALFORMED
        one = _inspect_unit(payload[at : at + length], payload[at])
        start |= one.start
        key |= one.key
        discardable |= one.discardable
        if one.width:
            width, height = one.width, one.height
        at += length
    if at == 1:
        return MALFORMED
    return Picture(start, False, key, width, height, discardable=discardable and not key)


def assemble(payloads: Sequence[bytes]) -> bytes | None:
    """The access unit (Annex B) of one picture's payloads, complete and in order; None where they do not make one."""
    parts = []
    is_open = False
    for payload in payloads:
        try:
            _, part = H264PayloadDescriptor.parse(payload)
        except (ValueError, IndexError):
            return None
        if payload[0] & 0x1F == _FU_A:
            if bool(payload[1] & 0x80) == is_open:
                return None
            is_open = not payload[1] & 0x40
        elif is_open:
            return None
        parts.append(part)
    return None if is_open else b"".join(parts) or None


def unit_kinds(payload: memoryview) -> tuple[int, ...]:
    """The types of the NAL units a payload carries or begins; a later fragment has none. Empty for what is malformed."""
    if len(payload) < 2:
        return ()
    kind = payload[0] & 0x1F
    if kind == _FU_A:
        return (payload[1] & 0x1F,) if payload[1] & 0x80 else ()
    if kind == _STAP_A:
        return tuple(unit[0] & 0x1F for unit in units_of(payload))
    return (kind,)


def units_of(aggregate: memoryview) -> list[memoryview]:
    """The NAL units of a STAP-A, as far as their lengths are true."""
    units: list[memoryview] = []
    at = 1
    while at + 2 < len(aggregate) and len(units) < _UNITS_LIMIT:
        length = aggregate[at] << 8 | aggregate[at + 1]
        at += 2
        if not length or at + length > len(aggregate):
            break
        units.append(aggregate[at : at + length])
        at += length
    return units


@lru_cache(maxsize=256)
def dimensions(sps: bytes) -> tuple[int, int]:
    """Width and height in pixels of a sequence parameter set with its NAL header (H.264 §7.3.2.1.1), cropping applied; (0, 0)
    for one that cannot be read. Remembered, because a camera sends the same few bytes with every key frame."""
    try:
        width, height = _read_dimensions(Bits(_without_emulation(sps[1:])))
    except ShortError:
        return 0, 0
    return (width, height) if 0 < width <= _SIZE_LIMIT and 0 < height <= _SIZE_LIMIT else (0, 0)


def _without_emulation(data: bytes) -> bytes:
    """The bytes as they were before 0x03 was put between two zeros and what follows (H.264 §7.4.1)."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def _read_dimensions(bits: Bits) -> tuple[int, int]:
    profile = bits.take(8)
    bits.skip(16)
    bits.golomb()
    chroma = 1
    is_split = False
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3:
            is_split = bits.flag()
        bits.golomb()
        bits.golomb()
        bits.skip(1)
        if bits.flag():
            _skip_scaling(bits, 12 if chroma == 3 else 8)
    bits.golomb()
    _skip_order_count(bits)
    bits.golomb()
    bits.skip(1)
    width = (bits.golomb() + 1) * 16
    map_units = bits.golomb() + 1
    fields = 1 if bits.flag() else 2
    if fields == 2:
        bits.skip(1)
    height = map_units * 16 * fields
    bits.skip(1)
    if bits.flag():
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        across = 2 if chroma in (1, 2) and not is_split else 1
        down = (2 if chroma == 1 and not is_split else 1) * fields
        width -= (left + right) * across
        height -= (top + bottom) * down
    return width, height


def _skip_scaling(bits: Bits, lists: int) -> None:
    """Scaling lists (§7.3.2.1.1.1), which have no length of their own."""
    for index in range(lists):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed_golomb()) % 256
            last = following or last


def _skip_order_count(bits: Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.skip(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()


def parameter_sets(fmtp: str) -> bytes:
    """The payload (STAP-A) of the parameter sets in an SDP's `sprop-parameter-sets` (§8.1), for a source that sends
    them nowhere else; empty without or with unreadable ones."""
    for parameter in fmtp.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "sprop-parameter-sets":
            return aggregate_of(value)
    return b""


def aggregate_of(encoded: str) -> bytes:
    """The same of the value alone."""
    units = []
    for one in encoded.split(","):
        try:
            unit = base64.b64decode(one.strip(), validate=True)
        except (binascii.Error, ValueError):
            return b""
        if not 2 <= len(unit) <= _SPS_LIMIT or unit[0] & 0x1F not in (_SPS, _PPS):
            return b""
        units.append(len(unit).to_bytes(2, "big") + unit)
    return bytes((0x60 | _STAP_A,)) + b"".join(units) if units else b""
