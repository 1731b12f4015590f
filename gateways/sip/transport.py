"""Where SIP messages come from and go to: one small Protocol, and UDP behind it.

The layers above know a `Hop` (transport, host, port) and whether the transport is reliable, nothing else, so TCP
and TLS are two more classes with `send` here and no change there (RFC 3261 §18).
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import structlog

from gateways.sip.grammar import read_hostport

log = structlog.get_logger(__name__)

DEFAULT_PORT = 5060
_RECEIVE_BUFFER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hop:
    """The other end of a transport: an address literal or a host name, and a port."""

    host: str
    port: int
    transport: str = "UDP"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str, transport: str = "UDP") -> "Hop":
        """Read `host:port` as `str(hop)` wrote it. Raises ValueError."""
        host, port = read_hostport(text)
        return cls(host.strip("[]"), port or DEFAULT_PORT, transport)


Receiver = Callable[[bytes, Hop], None]


class Transport(Protocol):
    """One listening point. Used as an async context manager."""

    @property
    def name(self) -> str:
        """UDP, TCP or TLS, as a Via writes it."""
        ...

    @property
    def reliable(self) -> bool:
        """Whether the transport itself retransmits (then no transaction timer A, E, G does)."""
        ...

    @property
    def port(self) -> int:
        """The port that is bound, also when any was asked for."""
        ...

    def send(self, data: bytes, hop: Hop) -> None:
        """Hand over one message. Never blocks; what cannot be sent is lost, as on any network."""
        ...

    async def __aenter__(self) -> "Transport": ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class UdpTransport:
    """SIP over UDP on one socket, so that answers come from the port the phone knows (RFC 3581)."""

    name = "UDP"
    reliable = False

    def __init__(self, host: str, port: int, receive: Receiver) -> None:
        self._host = host
        self._port = port
        self._receive = receive
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        return self._port

    async def __aenter__(self) -> "UdpTransport":
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._receive), local_addr=(self._host, self._port)
        )
        sock: socket.socket = transport.get_extra_info("socket")
        # A registration storm arrives faster than the loop turns; the kernel may grant less than this.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._transport = transport
        self._port = int(transport.get_extra_info("sockname")[1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def send(self, data: bytes, hop: Hop) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        try:
            self._transport.sendto(data, (hop.host, hop.port))
        except (OSError, ValueError) as error:
            # An unreachable network, or a host that is no address: the transaction's timers tell its user.
            log.info("sip_send_failed", error=str(error))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, receive: Receiver) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._receive(data, Hop(addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        log.info("sip_socket_error", error=str(exc))
