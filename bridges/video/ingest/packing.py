"""A picture of H.264 as RTP payloads (RFC 6184): small units together (STAP-A), long ones in fragments (FU-A)."""

from collections.abc import Iterator

LONGEST = 1200
"""Bytes of a payload: with every header on the way it stays below what any path carries."""
_STAP_A, _FU_A = 24, 28
_SPS, _DELIMITER, _FILLER = 7, 9, 12
_START = b"\x00\x00\x01"


def units_of(picture: bytes) -> Iterator[bytes]:
    """The NAL units of an access unit (H.264 Annex B), without delimiters and filler, which RTP has no use for."""
    at = picture.find(_START)
    while at >= 0:
        begin = at + len(_START)
        at = picture.find(_START, begin)
        unit = picture[begin : at if at >= 0 else len(picture)].rstrip(b"\x00")
        if unit and unit[0] & 0x1F not in (_DELIMITER, _FILLER):
            yield unit


def pack(units: list[bytes]) -> list[bytes]:
    """The payloads of one picture, in order."""
    payloads: list[bytes] = []
    small: list[bytes] = []
    size = 1
    for unit in units:
        fits = size + 2 + len(unit) <= LONGEST
        if small and not fits:
            payloads.append(_together(small))
            small, size = [], 1
        if 1 + 2 + len(unit) <= LONGEST:
            small.append(unit)
            size += 2 + len(unit)
        elif len(unit) <= LONGEST:
            payloads.append(unit)
        else:
            payloads += _fragments(unit)
    if small:
        payloads.append(_together(small))
    return payloads


def begins_with_parameters(units: list[bytes]) -> bool:
    """Whether the picture brings its own parameter sets."""
    return any(unit[0] & 0x1F == _SPS for unit in units)


def profile_of(units: list[bytes]) -> str | None:
    """The `profile-level-id` of the parameter sets (§8.1); None without any."""
    return next((unit[1:4].hex() for unit in units if unit[0] & 0x1F == _SPS), None)


def _together(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    # §5.7: forbidden when any is, as important as the most important.
    head = max(unit[0] & 0x60 for unit in units) | (0x80 & max(unit[0] for unit in units)) | _STAP_A
    return bytes((head,)) + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def _fragments(unit: bytes) -> list[bytes]:
    """§5.8, of nearly equal length, so that the last one is no straggler."""
    head = unit[0] & 0xE0 | _FU_A
    body = unit[1:]
    count = -(-len(body) // (LONGEST - 2))
    length = -(-len(body) // count)
    pieces = [body[at : at + length] for at in range(0, len(body), length)]
    last = len(pieces) - 1
    return [
        bytes((head, unit[0] & 0x1F | (not place) << 7 | (place == last) << 6)) + piece
        for place, piece in enumerate(pieces)
    ]
