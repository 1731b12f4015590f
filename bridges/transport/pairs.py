"""UDP ports of plain RTP: pairs out of a range, each socket marked for its class of traffic.

Batches are read and written by `bridges.transport.batch`.
"""

import ctypes
import errno
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bridges.transport.batch import widen_buffers
from commhub.domain.errors import UnavailableError

_SO_TIMESTAMPNS = 35
_BUFFER_BYTES = 8 << 20
_OWN_BUFFER_BYTES = 64 << 10
VOICE = 46 << 2
"""Expedited forwarding (RFC 3246), in the TOS byte, or the traffic class."""
PICTURES = 34 << 2
"""Assured forwarding AF41 (RFC 2597, RFC 4594 §4.4: interactive video)."""


@dataclass(slots=True)
class UdpPair:
    """An even RTP port and the odd RTCP port above it (RFC 3550 §11)."""

    rtp: socket.socket
    rtcp: socket.socket

    @property
    def is_six(self) -> bool:
        """Whether it is IPv6's."""
        return self.rtp.family is socket.AF_INET6

    @property
    def port(self) -> int:
        return int(self.rtp.getsockname()[1])

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def _open(host: str, port: int, buffer_bytes: int, traffic: int) -> socket.socket:
    is_six = ":" in host
    made = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        widen_buffers(made, buffer_bytes)
        if is_six:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, traffic)
        else:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, traffic)
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


class PortPool:
    """Pairs of UDP ports out of a range. Opening the socket is the reservation, so a port that another process
    has is simply not given."""

    def __init__(
        self,
        host: str,
        port_min: int,
        port_max: int,
        ipv6_host: str | None = None,
        *,
        traffic: int = VOICE,
        buffer_bytes: int = _OWN_BUFFER_BYTES,
    ) -> None:
        if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise UnavailableError("RTP needs Linux on a 64-bit machine")
        self._host = host
        self._ipv6_host = ipv6_host
        self._traffic = traffic
        self._buffer_bytes = buffer_bytes
        self._first = port_min + port_min % 2
        self._last = port_max
        self._next = self._first

    def open_pair(self, wanted: int = 0, *, shared: bool = False, ipv6: bool = False) -> UdpPair:
        """Open `wanted` if it is in the range and free, else the next free pair. Raises UnavailableError."""
        host = self._ipv6_host if ipv6 else self._host
        if host is None:
            raise UnavailableError("this worker is not reached by IPv6 (media.ipv6_host)")
        size = _BUFFER_BYTES if shared else self._buffer_bytes
        for port in self._candidates(wanted):
            try:
                rtp = _open(host, port, size, self._traffic)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise UnavailableError(f"no UDP socket on {host}: {error}") from error
                continue
            try:
                rtcp = _open(host, port + 1, _OWN_BUFFER_BYTES, self._traffic)
            except OSError:
                rtp.close()
                continue
            return UdpPair(rtp, rtcp)
        raise UnavailableError("every RTP port of this worker is in use")

    def _candidates(self, wanted: int) -> Iterator[int]:
        if self._first <= wanted < self._last and wanted % 2 == 0:
            yield wanted
        count = (self._last + 1 - self._first) // 2
        for _ in range(count):
            port = self._next
            # Round robin: a port just freed rests, so that a late packet of its last leg meets nobody.
            self._next = port + 2 if port + 3 <= self._last else self._first
            yield port
