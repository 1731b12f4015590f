"""A stream's audio as RTP: Twilio's payloads of any length become packets of 20 ms for the media engine, and back.

Timestamps stay honest: they follow Twilio's own, so that a gap of the stream is a gap of the leg and a burst after a
stalled connection is late where it is late; what to play of it is the engine's decision, as for any RTP leg.
"""

import secrets
import struct
from collections.abc import Iterator

from gateways.twilio.messages import DIGITS
from gateways.twilio.metrics import DROPPED

FRAME = 160
"""Bytes, samples and RTP timestamp units of 20 ms."""
PCMU = 0
TELEPHONE_EVENT = 101
_SAMPLES_A_MS = 8
_SILENCE = b"\xff"
# Twilio's timestamps may be uneven by a few frames; more is a gap.
_GAP_MS = 100
# A day: no gap within one stream, but a timestamp that means nothing.
_LONGEST_GAP_MS = 86_400_000
# How much audio may come faster than time passes: what a stalled connection held back.
_BURST_S = 5.0
_EVENT_UNITS = 800
_VOLUME = 10
_HEADER = struct.Struct("!BBHII")
_MARKER = 0x80


class Uplink:
    """What the far end says, as RTP packets in order. `started` is monotonic time in seconds."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._taken = 0
        self._expected_ms: int | None = None
        self._rest = b""
        # RFC 3550 §5.1: random beginnings.
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(16)
        self._stamp = secrets.randbits(32)
        self._last_event: int | None = None
        self._marker = True

    def take(self, payload: bytes, timestamp_ms: int, now: float) -> Iterator[bytes]:
        """The packets that are complete with this payload; a rest waits for the next."""
        if self._taken + len(payload) > (now - self._started + _BURST_S) * 1000 * _SAMPLES_A_MS:
            DROPPED.labels("flood").inc()
            return
        self._taken += len(payload)
        if self._expected_ms is not None:
            yield from self._bridge(timestamp_ms - self._expected_ms)
        self._expected_ms = timestamp_ms + len(payload) // _SAMPLES_A_MS
        sound = self._rest + payload
        whole = len(sound) - len(sound) % FRAME
        for start in range(0, whole, FRAME):
            yield self._packet(sound[start : start + FRAME])
        self._rest = sound[whole:]

    def _bridge(self, gap_ms: int) -> Iterator[bytes]:
        """Leave out of the RTP stream what was left out of Twilio's. A step back means a new count, no gap."""
        if not _GAP_MS < gap_ms < _LONGEST_GAP_MS:
            return
        if self._rest:
            yield self._packet(self._rest.ljust(FRAME, _SILENCE))
            self._rest = b""
        self._stamp += gap_ms * _SAMPLES_A_MS
        self._marker = True

    def _packet(self, sound: bytes) -> bytes:
        kind = PCMU | (_MARKER if self._marker else 0)
        self._marker = False
        packet = self._head(kind, self._stamp) + sound
        self._stamp += FRAME
        return packet

    def press(self, digit: str) -> Iterator[bytes]:
        """A key as a telephone-event (RFC 4733 §2.5): its beginning, and its end three times."""
        stamp = self._stamp
        if self._last_event is not None:
            # Two keys of one instant are still two events.
            stamp = max(stamp, self._last_event + _EVENT_UNITS)
        self._last_event = stamp
        code = DIGITS.index(digit)
        begin = struct.pack("!BBH", code, _VOLUME, FRAME)
        end = struct.pack("!BBH", code, _VOLUME | 0x80, _EVENT_UNITS)
        yield self._head(TELEPHONE_EVENT | _MARKER, stamp) + begin
        for _ in range(3):
            yield self._head(TELEPHONE_EVENT, stamp) + end

    def _head(self, kind: int, stamp: int) -> bytes:
        head = _HEADER.pack(0x80, kind, self._sequence, stamp & 0xFFFFFFFF, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return head


def voice_of(packet: bytes) -> bytes | None:
    """The µ-law payload of one of the engine's packets; None for what is no voice (RFC 3550 §5.1)."""
    if len(packet) <= _HEADER.size or packet[0] >> 6 != 2 or packet[1] & 0x7F != PCMU:
        return None
    start, end = _HEADER.size + 4 * (packet[0] & 0x0F), len(packet)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    if packet[0] & 0x20:
        end -= packet[-1]
    return packet[start:end] or None
