"""The sound that comes with a picture, handed to those who watch it: a body camera's live view, where one speaks and all others listen.

It does not go through the audio engine as a meeting's does (`sound.py`). One voice needs no mixing, and nobody answers it: a
leg a viewer would decode and encode for nothing, be a call on the desk that nobody opened, and fall silent with the audio
worker. So the packets go as they came, as the picture's do. What is a listener's own is the RTP header: one stream with unbroken
numbers, whoever sends it, so that a camera that begins anew, or another one in its place, is a pause and nothing more.
"""

import secrets
from dataclasses import dataclass

from bridges.transport.sealing import RTP_HEADER
from bridges.video.sound import SoundPlug, marked

_CLOCK_RATE = 48_000
"""Of Opus, whatever it was made from (RFC 7587 §4.1)."""
_FRAME = 960
"""Of its clock, in a packet of 20 ms."""
_MARKER = 0x80
_BEHIND = 0x8000
"""A sequence number further ahead than this is one from before (RFC 1982)."""
_STRAGGLERS = 64
"""Packets after a join in which one from before it may still come."""


class Listener:
    """One far end that hears what it watches. `take` makes a packet its own."""

    def __init__(self, source_id: str, plug: SoundPlug) -> None:
        self.source_id = source_id
        self.plug = plug
        self._ssrc = secrets.randbits(32).to_bytes(4, "big")
        self._from: tuple[str, bytes] | None = None
        self._first = self._taken = 0
        self._sequence_by = self._stamp_by = 0
        self._last = _Last(secrets.randbits(15), secrets.randbits(31), None)

    def take(self, packet: bytes, now: float) -> bytes | None:
        """An RTP packet of Opus with this listener's numbers, payload type and MID; None for one that comes behind the others
        of before the listener joined. `now` in seconds of the monotonic clock."""
        sequence = int.from_bytes(packet[2:4], "big")
        stamp = int.from_bytes(packet[4:8], "big")
        stream = (self.source_id, packet[8:12])
        begins = stream != self._from
        if begins:
            self._from = stream
            self._join(sequence, stamp, now)
        elif self._taken < _STRAGGLERS and (sequence - self._first) % 0x10000 >= _BEHIND:
            # Its number was another packet's, and no two are sealed under one (RFC 7714 §8.3).
            return None
        self._taken += 1
        sequence = sequence + self._sequence_by & 0xFFFF
        stamp = stamp + self._stamp_by & 0xFFFFFFFF
        if (sequence - self._last.sequence) % 0x10000 < _BEHIND:
            self._last = _Last(sequence, stamp, now)
        head = bytes((packet[0], packet[1] | (_MARKER if begins else 0)))
        numbers = sequence.to_bytes(2, "big") + stamp.to_bytes(4, "big")
        return marked(head + numbers + self._ssrc + packet[RTP_HEADER:], self.plug)

    def _join(self, sequence: int, stamp: int, now: float) -> None:
        """Go on behind what was sent last, as much later as it is later (RFC 3550 §5.1: a pause counts in the timestamp)."""
        last = self._last
        passed = 0 if last.at is None else round((now - last.at) * _CLOCK_RATE)
        self._first, self._taken = sequence, 0
        self._sequence_by = last.sequence + 1 - sequence
        self._stamp_by = last.stamp + max(_FRAME, passed) - stamp


@dataclass(frozen=True, slots=True)
class _Last:
    """The newest packet a listener was sent: its numbers, and when; None: there is none yet."""

    sequence: int
    stamp: int
    at: float | None


class OwnSounds:
    """All listeners of a worker, by their sessions."""

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}

    def listen(self, session_id: str, source_id: str, plug: SoundPlug) -> None:
        """A session hears this source from now on; said again, on the stream it has."""
        known = self._listeners.get(session_id)
        if known is None:
            self._listeners[session_id] = Listener(source_id, plug)
        else:
            known.source_id, known.plug = source_id, plug

    def turn(self, session_id: str, source_id: str) -> None:
        """It watches another source: it hears that one, if it hears anything."""
        known = self._listeners.get(session_id)
        if known is not None:
            known.source_id = source_id

    def forget(self, session_id: str) -> None:
        """An unknown one is fine."""
        self._listeners.pop(session_id, None)

    def pass_on(self, source_id: str, packet: bytes, now: float) -> int:
        """Hand a source's packet of RTP to everybody who hears it; returns how many got it."""
        told = 0
        for one in self._listeners.values():
            own = one.take(packet, now) if one.source_id == source_id else None
            if own is not None:
                one.plug.far_end.send(own)
                told += 1
        return told
