"""The voice frame: a 16-byte header, big-endian, then exactly one codec frame.

0        version (low four bits) and flags (high four, none defined: sent as 0, ignored on receipt)
1        codec: 1 Opus, 2 PCMA, 3 PCMU, 4 AMR
2        duration in ms
3        reserved: sent as 0, ignored on receipt
4..7     talk id, given with the grant of the floor
8..11    sequence, from 0 with every talk id
12..15   timestamp in samples of the codec's RTP clock (RFC 3551, RFC 7587)
"""

import struct

from commhub.ports.voice import VoiceFrame
from devices.errors import WireError

VERSION = 1
HEADER = struct.Struct("!BBBBIII")
# One Opus frame has at most 1275 bytes (RFC 6716 §3.2.1); the bound keeps a stolen device from making a whole group
# receive whatever the broker lets through.
MAX_PAYLOAD = 1500
MAX_DURATION_MS = 120

_CODECS = {1: "OPUS", 2: "PCMA", 3: "PCMU", 4: "AMR"}
_CODES = {name: code for code, name in _CODECS.items()}
# One byte a sample at 8 kHz (ITU-T G.711).
_BYTES_PER_MS = {"PCMA": 8, "PCMU": 8}


def encode(frame: VoiceFrame) -> bytes:
    """Put a frame on the wire. Raises WireError («codec», «field») for one that cannot be."""
    code = _CODES.get(frame.codec)
    if code is None:
        raise WireError("codec", f"no frame carries {frame.codec}")
    try:
        header = HEADER.pack(
            VERSION,
            code,
            frame.duration_ms,
            0,
            frame.talk_id,
            frame.sequence & 0xFFFFFFFF,
            frame.timestamp & 0xFFFFFFFF,
        )
    except struct.error as error:
        raise WireError("field", f"a header field is out of range: {error}") from error
    return header + frame.payload


def decode(data: bytes) -> VoiceFrame:
    """Read a frame. Raises WireError: «short», «version», «codec», «duration» or «length»."""
    if len(data) <= HEADER.size:
        raise WireError("short", "shorter than a header and a byte")
    version, code, duration_ms, _, talk_id, sequence, timestamp = HEADER.unpack_from(data)
    if version & 0x0F != VERSION:
        raise WireError("version", "another version of the frame")
    codec = _CODECS.get(code)
    if codec is None:
        raise WireError("codec", "an unknown codec")
    if not 0 < duration_ms <= MAX_DURATION_MS:
        raise WireError("duration", "no duration a codec frame can have")
    payload = data[HEADER.size :]
    if len(payload) > MAX_PAYLOAD:
        raise WireError("length", "longer than a speech frame")
    per_ms = _BYTES_PER_MS.get(codec)
    if per_ms is not None and len(payload) != per_ms * duration_ms:
        raise WireError("length", "the payload does not fill its duration")
    return VoiceFrame(codec, duration_ms, talk_id, sequence, timestamp, payload)
