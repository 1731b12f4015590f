"""SIP over UDP on one socket, so that answers come from the port the phone knows (RFC 3581).

The socket is read here and not by the event loop: what has come is taken some at a time, which costs the loop one turn
and not one each, and the kernel says when each of them came. How long the oldest one waits is how far the hub is behind
with what it was sent; nothing else shows that, as the loop itself turns on.
"""

import asyncio
import socket
import struct
import time
from functools import lru_cache
from types import TracebackType

import structlog

from gateways.sip.transport import Hop, Receiver, is_literal

log = structlog.get_logger(__name__)

_RECEIVE_BUFFER = 4 * 1024 * 1024
_LONGEST = 65_535
# So many at one turn of the loop: then whatever they set going has its turn.
_AT_ONCE = 16
_REMEMBERED = 16_384
# Linux; the socket module of Python has no name for it. Elsewhere nobody knows what waits.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size)


class UdpTransport:
    """One bound socket. Implements `transport.Transport`."""

    name = "UDP"

    def __init__(self, host: str, port: int, receive: Receiver) -> None:
        self._host = host
        self._port = port
        self._receive = receive
        self._socket: socket.socket | None = None
        self._buffer = bytearray(_LONGEST)

    @property
    def port(self) -> int:
        return self._port

    @property
    def waited_s(self) -> float:
        """How long the oldest datagram waits to be read, in seconds; 0 when none does."""
        if self._socket is None:
            return 0.0
        try:
            _, told, _, _ = self._socket.recvmsg(1, _ANCILLARY, socket.MSG_PEEK)
        except OSError:
            return 0.0
        came_at = _time_of(told)
        return 0.0 if came_at is None else max(time.time() - came_at, 0.0)

    async def __aenter__(self) -> "UdpTransport":
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            self._host, self._port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            # A registration storm arrives faster than the loop turns; the kernel may grant less than this.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            _ask_for_times(sock)
            sock.bind(address)
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        self._port = int(sock.getsockname()[1])
        loop.add_reader(sock.fileno(), self._read)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def send(self, data: bytes, hop: Hop) -> None:
        if self._socket is None:
            return
        if not is_literal(hop.host):
            # The socket would look the name up, and all would wait.
            log.info("sip_send_failed", error="a host that is no address")
            return
        try:
            self._socket.sendto(data, (hop.host, hop.port))
        except (OSError, ValueError, OverflowError) as error:
            # An unreachable network, or a full one: the transaction's timers tell its user.
            log.info("sip_send_failed", error=str(error))

    def _read(self) -> None:
        """Take what has come, the oldest first."""
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                size, address = self._socket.recvfrom_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.info("sip_socket_error", error=str(error))
                return
            self._receive(bytes(self._buffer[:size]), _hop(address[0], address[1]))


def _ask_for_times(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError as error:
        log.info("sip_times_unknown", error=str(error))


def _time_of(told: list[tuple[int, int, bytes]]) -> float | None:
    """When the kernel received a datagram, on the clock of `time.time`."""
    for level, kind, value in told:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            return float(seconds) + float(nanoseconds) * 1e-9
    return None


@lru_cache(maxsize=_REMEMBERED)
def _hop(host: str, port: int) -> Hop:
    return Hop(host.partition("%")[0], port)
