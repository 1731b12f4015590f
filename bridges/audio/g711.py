"""G.711 (ITU-T) by lookup: both laws as tables over all bytes and all 16-bit samples.

Decoding looks up two bytes at a time (65,536 pairs of samples), which halves the lookups of the tick.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
"""Samples, and bytes, in 20 ms."""


class Law(IntEnum):
    """Which companding; also the index into the tables of this module."""

    PCMU = 0
    PCMA = 1


STATIC_PAYLOAD_TYPE = {Law.PCMU: 0, Law.PCMA: 8}
"""RFC 3551 table 4."""


def _decode_mu() -> NDArray[np.int16]:
    code = np.arange(256) ^ 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


def _decode_a() -> NDArray[np.int16]:
    code = np.arange(256) ^ 0x55
    segment = (code & 0x70) >> 4
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(
        segment == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(segment - 1, 0)
    )
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _all_samples() -> NDArray[np.int32]:
    """Every 16-bit sample, in the order of its bits read as unsigned."""
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _segment(magnitude: NDArray[np.int32], first_end: int) -> NDArray[np.int32]:
    ends = (first_end + 1 << np.arange(8)) - 1
    return np.searchsorted(ends, magnitude).clip(0, 7).astype(np.int32)


def _encode_mu() -> NDArray[np.uint8]:
    sample = _all_samples() >> 2
    mask = np.where(sample < 0, 0x7F, 0xFF)
    magnitude = np.minimum(np.abs(sample), 8158) + 33
    segment = _segment(magnitude, 0x3F)
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    return np.asarray(code ^ mask, np.uint8)


def _encode_a() -> NDArray[np.uint8]:
    sample = _all_samples() >> 3
    mask = np.where(sample < 0, 0x55, 0xD5)
    magnitude = np.where(sample < 0, -sample - 1, sample)
    segment = _segment(magnitude, 0x1F)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    return (code ^ mask).astype(np.uint8)


DECODE: tuple[NDArray[np.int16], NDArray[np.int16]] = (_decode_mu(), _decode_a())
"""Per law: the 16-bit sample of every byte."""

DECODE_BOTH: NDArray[np.int16] = np.stack(DECODE)
"""The same, for rows of either law."""

ENCODE: tuple[NDArray[np.uint8], NDArray[np.uint8]] = (_encode_mu(), _encode_a())
"""Per law: the byte of every 16-bit sample, indexed by the sample's bits as uint16."""

_ENCODE_BOTH: NDArray[np.uint8] = np.stack(ENCODE)

SILENCE: tuple[int, int] = (int(ENCODE[0][0]), int(ENCODE[1][0]))
"""Per law: the byte of sample 0."""


def _pairs(table: NDArray[np.int16]) -> NDArray[np.int32]:
    pair = np.arange(65536, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    return np.ascontiguousarray(table[pair]).view(np.int32).reshape(-1)


DECODE_PAIRS: tuple[NDArray[np.int32], NDArray[np.int32]] = (_pairs(DECODE[0]), _pairs(DECODE[1]))
"""Per law: two samples (as the bits of one int32) of every two bytes (as the bits of one uint16)."""

TRANSCODE: tuple[NDArray[np.uint8], NDArray[np.uint8]] = (
    ENCODE[Law.PCMU][DECODE[Law.PCMA].view(np.uint16)],
    ENCODE[Law.PCMA][DECODE[Law.PCMU].view(np.uint16)],
)
"""To that law, from the other one, byte by byte."""


class Companding:
    """Many legs of either law at once: line i of an array has `laws[i]`.

    All lines are looked up in the table most of them have; the lines of the other law are then done over.
    """

    def __init__(self, laws: NDArray[np.int8]) -> None:
        self._laws = laws
        self._silence = np.array(SILENCE, np.uint8)[laws][:, None]
        mostly_a = 2 * np.count_nonzero(laws == Law.PCMA) > len(laws)
        self._most, self._rest = (Law.PCMA, Law.PCMU) if mostly_a else (Law.PCMU, Law.PCMA)
        self._others = np.flatnonzero(laws == self._rest)

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.int16]) -> None:
        """Bytes (n×160) to samples."""
        pairs, voice = payload.view(np.uint16), out.view(np.int32)
        np.take(DECODE_PAIRS[self._most], pairs, out=voice, mode="wrap")
        if len(self._others):
            voice[self._others] = DECODE_PAIRS[self._rest][pairs[self._others]]

    def encode(self, samples: NDArray[np.int16], out: NDArray[np.uint8]) -> None:
        """Samples (n×160) to bytes; `out` may be a view into packets."""
        sounding = np.flatnonzero(samples.any(axis=1))
        if 2 * len(sounding) < len(samples):
            # Of who is silent, only the rest is worth a look into the table.
            out[:] = self._silence
            laws = self._laws[sounding][:, None]
            out[sounding] = _ENCODE_BOTH[laws, samples[sounding].view(np.uint16)]
            return
        codes = samples.view(np.uint16)
        np.take(ENCODE[self._most], codes, out=out, mode="clip")
        if len(self._others):
            out[self._others] = ENCODE[self._rest][codes[self._others]]


def decode(payload: bytes, law: Law) -> NDArray[np.int16]:
    """The samples of a payload."""
    return DECODE[law][np.frombuffer(payload, np.uint8)]


def encode(samples: NDArray[np.int16], law: Law) -> bytes:
    """The payload of samples."""
    return ENCODE[law][np.ascontiguousarray(samples).view(np.uint16)].tobytes()


def transcode(payload: bytes, to: Law) -> bytes:
    """A payload of the other law, in this one."""
    return TRANSCODE[to][np.frombuffer(payload, np.uint8)].tobytes()
