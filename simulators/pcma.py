"""G.711 A-law (PCMA, ITU-T G.711), one byte a sample: two tables made from the standard's segments."""

import numpy as np
from numpy.typing import NDArray

# Every second bit is inverted on the line.
_LINE = 0x55


def _decode_table() -> NDArray[np.int16]:
    codes = np.arange(256) ^ _LINE
    segment, step = (codes >> 4) & 7, (codes & 15) * 2 + 1
    magnitude = np.where(segment == 0, step << 3, (step + 32) << (segment + 2))
    return np.where(codes & 0x80, magnitude, -magnitude).astype(np.int16)


_DECODE = _decode_table()
_BY_LEVEL = np.argsort(_DECODE).astype(np.uint8)
_LEVELS = _DECODE[_BY_LEVEL].astype(np.int32)
# Half-way between two neighbouring levels the nearer one changes.
_BORDERS = (_LEVELS[1:] + _LEVELS[:-1]) // 2


def encode(pcm: NDArray[np.int16]) -> bytes:
    """Samples to bytes, each to the nearest level."""
    return _BY_LEVEL[np.searchsorted(_BORDERS, pcm)].tobytes()


def decode(data: bytes) -> NDArray[np.int16]:
    """Bytes to samples."""
    return _DECODE[np.frombuffer(data, np.uint8)]
