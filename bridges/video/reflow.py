"""H.264 for far ends that take no split NAL units (packetization-mode 0, RFC 6184 §6.2).

What the room's sources send is split (FU-A) and joined (STAP-A) for browsers. For such a far end the packets make a detour
over a loopback socket, where every NAL unit becomes one packet again, with numbers of its own. Nothing is encoded anew, so a NAL
unit larger than the network's packets leaves as IP fragments, and one that no UDP datagram holds is left out.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator

import structlog

from bridges.transport.peer import Outlet
from bridges.transport.sealing import RTP_HEADER

log = structlog.get_logger(__name__)

LARGEST_NAL = 60_000
"""Bytes: below what a UDP datagram holds."""
_REMEMBERED = 256
_AT_ONCE = 256
_BUFFER = 1 << 20
_LONGEST = 2048
_STAP_A, _FU_A = 24, 28
_HEADER = struct.Struct("!BBHII")


class Reflow:
    """Of one far end. `send` gets RTP packets that are each a whole NAL unit; give `outlet` to the view."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._sequence = 0
        self._expected: int | None = None
        self._parts: list[bytes] = []
        self._part_octets = 0
        self._sent: dict[int, bytes] = {}
        self.left_out = 0
        self._loop = asyncio.get_running_loop()
        self._inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (self._inner, self._outer):
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
        self._inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        host, port = self._outer.getsockname()
        self._from = host, port
        host, port = self._inner.getsockname()
        self.outlet = Outlet(self._outer.fileno(), (str(host), int(port)), None)
        self._loop.add_reader(self._inner.fileno(), self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._inner.fileno())
        self._inner.close()
        self._outer.close()

    def repair(self, numbers: tuple[int, ...]) -> None:
        """Send packets again that the far end misses, by our numbers."""
        for number in numbers:
            if (packet := self._sent.get(number)) is not None:
                self._send(packet)

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet, source = self._inner.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError:
                continue
            if source == self._from and len(packet) > RTP_HEADER:
                self.take(packet)

    def take(self, packet: bytes) -> None:
        """A packet of the room, in order."""
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
        if self._expected is not None and sequence != self._expected:
            # The rest of a NAL unit that lost a part is of no use.
            self._drop()
        self._expected = sequence + 1 & 0xFFFF
        marker = second & 0x80
        units = list(self._units(packet[RTP_HEADER:]))
        for place, unit in enumerate(units):
            mark = marker if place == len(units) - 1 else 0
            self._pass(
                _HEADER.pack(first, second & 0x7F | mark, self._sequence, timestamp, ssrc), unit
            )

    def _units(self, payload: bytes) -> Iterator[bytes]:
        """The NAL units that end in this payload."""
        kind = payload[0] & 0x1F
        if kind == _STAP_A:
            yield from _taken_apart(payload)
        elif kind == _FU_A and len(payload) > 2:
            unit = self._put_together(payload)
            if unit is not None:
                yield unit
        elif 0 < kind < _STAP_A:
            yield payload

    def _put_together(self, payload: bytes) -> bytes | None:
        begins, ends = payload[1] & 0x80, payload[1] & 0x40
        if begins:
            self._drop()
            self._parts = [bytes((payload[0] & 0xE0 | payload[1] & 0x1F,))]
        if not self._parts:
            return None
        self._parts.append(payload[2:])
        self._part_octets += len(payload) - 2
        if self._part_octets > LARGEST_NAL:
            if not self.left_out:
                log.warning("nal_unit_too_large_for_mode_0", limit=LARGEST_NAL)
            self.left_out += 1
            self._drop()
        if not ends or not self._parts:
            return None
        unit = b"".join(self._parts)
        self._drop()
        return unit

    def _drop(self) -> None:
        self._parts, self._part_octets = [], 0

    def _pass(self, head: bytes, unit: bytes) -> None:
        packet = head + unit
        self._sent[self._sequence] = packet
        self._sent.pop(self._sequence - _REMEMBERED & 0xFFFF, None)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._send(packet)


def _taken_apart(payload: bytes) -> Iterator[bytes]:
    at = 1
    while at + 2 < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        unit = payload[at + 2 : at + 2 + size]
        at += 2 + size
        if unit and len(unit) == size:
            yield unit
