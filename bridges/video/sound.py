"""The sound that comes with a picture, passed on to the audio engine as plain RTP over loopback, and the mix that comes back.

One `SoundLine` is one leg's way there: a socket connected to where the engine expects it, so nobody else is heard on it.
Sessions plug in: those that talk feed it, those that hear are fed; a participant who publishes by WHIP and views by WHEP has
both on one leg and does not hear itself. Packets stay Opus; only the payload type differs from session to session. Where
nothing is mixed, in a camera's live view, sound takes no such way (`own_sound.py`).
"""

import asyncio
import socket
from dataclasses import dataclass, fields

from bridges.transport.peer import FarEnd
from bridges.transport.sealing import RTP_HEADER, is_rtcp
from commhub.ports.media import RtpAddress
from commhub.ports.video import SoundPlace

_LONGEST = 2048
_BUFFER = 1 << 18
_AT_ONCE = 64
"""Packets taken in one go, so that no line keeps the others waiting."""
_STREAMS_LIMIT = 64
"""SSRCs of a line that are remembered."""


@dataclass(slots=True)
class SoundCounts:
    """All since the start of the worker: packets to the engine and from it, those the engine did not take, those of sessions
    that may not talk, and those that were handed on with their picture (`own`)."""

    inward: int = 0
    outward: int = 0
    lost: int = 0
    unwanted: int = 0
    own: int = 0

    def as_dict(self) -> dict[str, int]:
        return {f"sound_{field.name}": getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class SoundPlug:
    """One session's end of a line: its far end, and the payload type it has for Opus. `talks`/`hears` are what it may. `mid` is the
    header extension (RFC 8285) by which a browser knows sound from picture; empty where none was agreed."""

    far_end: FarEnd
    payload_type: int
    talks: bool
    hears: bool
    mid: bytes = b""


class SoundLine:
    """A leg's way to the audio engine. Raises OSError when there is none to its address."""

    def __init__(self, place: SoundPlace, counts: SoundCounts) -> None:
        self.place = place
        self.plugs: dict[str, SoundPlug] = {}
        self._counts = counts
        self._ssrcs: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._sock.connect((place.address.host, place.address.port))
        except BaseException:
            self._sock.close()
            raise
        self._loop.add_reader(self._sock.fileno(), self._readable)

    @property
    def address(self) -> RtpAddress:
        """Where the engine hears it from and sends to."""
        host, port = self._sock.getsockname()
        return RtpAddress(str(host), int(port))

    def move(self, place: SoundPlace) -> None:
        """The engine expects it elsewhere. Raises OSError, and is where it was."""
        if place.address != self.place.address:
            self._sock.connect((place.address.host, place.address.port))
        self.place = place

    def close(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self.plugs.clear()

    # To the engine -------------------------------------------------------------------------------------------

    def speak(self, session_id: str, packet: bytes) -> None:
        """RTP of a session, of its Opus type; dropped when the session may not talk."""
        plug = self.plugs.get(session_id)
        if plug is None or not plug.talks or len(packet) < RTP_HEADER:
            self._counts.unwanted += 1
            return
        self._note(packet)
        self._pass(_as_type(packet, self.place.audio.payload_type))
        self._counts.inward += 1

    def report(self, ssrcs: frozenset[int], packet: bytes) -> None:
        """RTCP of a session, which is the engine's business when it speaks of a stream of this line."""
        if self._ssrcs & ssrcs:
            self._pass(packet)

    def _pass(self, packet: bytes) -> None:
        try:
            self._sock.send(packet)
        except OSError:
            # Nobody listens there just now (the audio worker is being restarted), or the buffer is full.
            self._counts.lost += 1

    # From the engine -----------------------------------------------------------------------------------------

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet = self._sock.recv(_LONGEST)
            except BlockingIOError:
                return
            except OSError:
                # A pending ICMP error is consumed by the call that reports it.
                continue
            if len(packet) >= RTP_HEADER:
                self._hear(packet)

    def _hear(self, packet: bytes) -> None:
        rtcp = is_rtcp(packet[1])
        if not rtcp:
            self._note(packet)
            self._counts.outward += 1
        for plug in self.plugs.values():
            if plug.hears:
                told = packet if rtcp else marked(packet, plug)
                plug.far_end.send(told, is_rtcp=rtcp)

    def _note(self, packet: bytes) -> None:
        if len(self._ssrcs) < _STREAMS_LIMIT:
            self._ssrcs.add(int.from_bytes(packet[8:12], "big"))


class SoundLines:
    """The lines there are, by leg. A line lives as long as a session is plugged in."""

    def __init__(self, counts: SoundCounts) -> None:
        self._counts = counts
        self._lines: dict[str, SoundLine] = {}

    def plug(self, session_id: str, place: SoundPlace, plug: SoundPlug) -> SoundLine:
        """Plug a session in, in place of where it was. Raises OSError."""
        line = self._lines.get(place.leg_id)
        if line is None:
            line = self._lines[place.leg_id] = SoundLine(place, self._counts)
        else:
            line.move(place)
        self.unplug(session_id, but=line)
        line.plugs[session_id] = plug
        return line

    def unplug(self, session_id: str, *, but: SoundLine | None = None) -> None:
        """Take a session out of its line; the last one ends it."""
        for leg_id, line in list(self._lines.items()):
            if line is but or session_id not in line.plugs:
                continue
            del line.plugs[session_id]
            if not line.plugs:
                line.close()
                del self._lines[leg_id]

    def close(self) -> None:
        for line in self._lines.values():
            line.close()
        self._lines.clear()


def level_of(packet: bytes, extension: int) -> int | None:
    """The level a microphone says it has (RFC 6464), in dBov from 0 to −127; None when it says nothing."""
    if not packet[0] & 0x10 or not extension:
        return None
    at = RTP_HEADER + 4 * (packet[0] & 0x0F)
    if packet[at : at + 2] != b"\xbe\xde" or len(packet) < at + 4:
        return None
    end = min(len(packet), at + 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big"))
    at += 4
    while at + 1 < end:
        number, size = packet[at] >> 4, (packet[at] & 0x0F) + 1
        if number == extension:
            return -(packet[at + 1] & 0x7F)
        if number == 15:
            return None
        at += 1 + size if packet[at] else 1
    return None


def mid_extension(number: int, mid: str) -> bytes:
    """The header extension that says a stream's MID (RFC 9143 §15), in one-byte form; empty when none was agreed."""
    value = mid.encode()
    if not 1 <= number <= 14 or not 1 <= len(value) <= 16:
        return b""
    element = bytes([number << 4 | len(value) - 1]) + value
    element += bytes(-len(element) % 4)
    return b"\xbe\xde" + (len(element) // 4).to_bytes(2, "big") + element


def marked(packet: bytes, plug: SoundPlug) -> bytes:
    """A packet of Opus as this far end takes it; one that has extensions of its own keeps them."""
    told = _as_type(packet, plug.payload_type)
    if not plug.mid or told[0] & 0x10:
        return told
    at = RTP_HEADER + 4 * (told[0] & 0x0F)
    return b"%c%b%b%b" % (told[0] | 0x10, told[1:at], plug.mid, told[at:])


def _as_type(packet: bytes, payload_type: int) -> bytes:
    """The packet with another payload type."""
    return b"%c%c%b" % (packet[0], packet[1] & 0x80 | payload_type, packet[2:])
