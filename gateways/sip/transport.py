"""Where SIP messages come from and go to: a small Protocol (RFC 3261 §18).

The layers above know a `Hop` and nothing else. `datagrams` is UDP, `streams` is TCP and TLS, `wires` is all transports
of one gateway.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import TracebackType
from typing import Protocol

from commhub.kit.values import quick
from gateways.sip.grammar import read_hostport, remembered

_REMEMBERED = 16_384
# An IPv6 address with a zone.
_LONGEST_ADDRESS = 64
DEFAULT_PORT = 5060
TLS_PORT = 5061


def default_port(transport: str) -> int:
    """Where a host is asked that names no port (RFC 3261 §19.1.2)."""
    return TLS_PORT if transport == "TLS" else DEFAULT_PORT


@remembered
def plain_address(host: str) -> str:
    """An address literal in one spelling and without brackets; a name in lower case as it is. An IPv4 address that
    a socket of both families shows as IPv6 is the IPv4 address."""
    text = host.strip("[]").lower()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_literal(host: str) -> bool:
    """Whether a host is an address, and no name."""
    return len(host) <= _LONGEST_ADDRESS and _is_literal(host)


@lru_cache(maxsize=_REMEMBERED)
def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@quick
@dataclass(frozen=True, slots=True)
class Hop:
    """The other end of a transport: an address literal or a host name, and a port.

    A `flow` is the far end of a connection that the peer opened: its port is good only as long as that connection
    is (RFC 5626 §4.1); `then` is where another one may be opened when it is gone, None when nowhere. `name` is the
    host name that was looked up, which the certificate must name. Two hops are one by address, port and transport.
    """

    host: str
    port: int
    transport: str = "UDP"
    name: str = field(default="", compare=False)
    flow: bool = field(default=False, compare=False)
    then: "Hop | None" = field(default=None, compare=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def reliable(self) -> bool:
        """Whether the transport itself retransmits (then no timer A, E, G does, and D, I, J, K are 0)."""
        return self.transport != "UDP"

    def as_flow(self, then: "Hop | None" = None) -> "Hop":
        """The same end as a connection of the peer's. UDP has none: there the hop stays as it is."""
        if not self.reliable:
            return self
        usable = then is not None and then.transport == self.transport and not then.flow
        return replace(self, flow=True, then=then if usable else None)

    @classmethod
    def parse(cls, text: str, transport: str = "UDP") -> "Hop":
        """Read `host:port` as `str(hop)` wrote it. Raises ValueError."""
        return _parse(text, transport)


@lru_cache(maxsize=_REMEMBERED)
def _parse(text: str, transport: str) -> Hop:
    host, port = read_hostport(text)
    return Hop(host.strip("[]"), port or default_port(transport), transport)


Receiver = Callable[[bytes, Hop], None]


class Transport(Protocol):
    """One listening point. Used as an async context manager."""

    @property
    def name(self) -> str:
        """UDP, TCP or TLS, as a Via writes it."""
        ...

    @property
    def port(self) -> int:
        """The port that is bound, also when any was asked for."""
        ...

    def send(self, data: bytes, hop: Hop) -> None:
        """Hand over one message. Never blocks and never raises; over UDP what cannot be sent is lost, streams tell
        whoever listens for lost hops."""
        ...

    async def __aenter__(self) -> "Transport": ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
