"""All transports of one gateway: UDP and TCP on one port, TLS on another, over IPv4, IPv6 or both.

Above, a message has a `Hop`; here that becomes a socket or a connection, and the names by which the far end can find
us again: the sent-by of a Via (RFC 3261 §18.1.1) and the URI of a Contact. It also knows by which connection a
registered phone is reached now, because a phone that reconnects keeps its dialogs but not its port (RFC 5626 §5).
"""

import asyncio
import errno
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType

import structlog

from gateways.sip.config import SipConfig
from gateways.sip.datagrams import UdpTransport
from gateways.sip.framing import FramingError
from gateways.sip.mappings import Mappings
from gateways.sip.message import Request
from gateways.sip.streams import StreamTransport
from gateways.sip.tls import TlsIdentity
from gateways.sip.transport import Hop, Receiver, default_port, plain_address

log = structlog.get_logger(__name__)

# Larger ones are cut in pieces by the network, and whole ones are lost with any of the pieces (§18.1.1).
UDP_REQUEST_BYTES = 1_300
_PROBE_WITHIN_S = 1.0
_REMEMBER_UDP_ONLY_S = 3_600.0
_REMEMBERED = 10_000
_PORT_TRIES = 20

Listening = UdpTransport | StreamTransport


class Flows:
    """Which connection a registered contact speaks by, newest last; a phone without one is reached by its Contact."""

    def __init__(self) -> None:
        self._of: dict[str, OrderedDict[str, Hop]] = {}
        self._users: dict[Hop, set[str]] = {}

    def bind(self, account: str, contact: str, hop: Hop) -> None:
        """A REGISTER of that contact came by `hop` and was accepted."""
        contacts = self._of.setdefault(account, OrderedDict())
        contacts[contact] = hop
        contacts.move_to_end(contact)
        self._users.setdefault(hop, set()).add(account)

    def lost(self, hop: Hop) -> None:
        for account in self._users.pop(hop, ()):
            contacts = self._of[account]
            for contact in [c for c, at in contacts.items() if at == hop]:
                del contacts[contact]
            if not contacts:
                del self._of[account]

    def find(self, account: str, contact: str, former: Hop) -> Hop | None:
        """By which connection a contact is reached after `former` was lost: its own new one, or the newest of the
        same account from the same address (a phone may name its new port in its Contact)."""
        contacts = self._of.get(account)
        if not contacts:
            return None
        if (own := contacts.get(contact)) is not None:
            return own
        near = (hop for hop in reversed(contacts.values()) if hop.host == former.host)
        return next(near, None)


class Wires:
    """`receive` gets every message with the hop it came from, `unreadable` the head of one that a stream could not
    frame, `lost` each hop whose connection broke."""

    name = "all"

    def __init__(
        self,
        config: SipConfig,
        receive: Receiver,
        unreadable: Callable[[FramingError, Hop], None],
        lost: Callable[[Hop, str], None],
    ) -> None:
        self._config = config
        self._receive = receive
        self._unreadable = unreadable
        self._tell_lost = lost
        self._identity: TlsIdentity | None = None
        self._stack = AsyncExitStack()
        self._listening: dict[tuple[str, bool], Listening] = {}
        self._datagrams: list[UdpTransport] = []
        self._port = config.port
        self._tls_port = config.tls_port
        self._names: dict[tuple[str, bool], str] = {}
        self._hosts = frozenset(plain_address(host) for host in config.public_hosts)
        self._udp_only: OrderedDict[tuple[str, int], float] = OrderedDict()
        self.flows = Flows()
        self.mappings = Mappings()

    # --- life ------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port of UDP and TCP."""
        return self._port

    @property
    def tls_port(self) -> int | None:
        """The port of TLS, None where it is off."""
        return self._tls_port if ("TLS", False) in self._listening else None

    @property
    def waited_s(self) -> float:
        """How long the oldest datagram waits to be read, in seconds."""
        return max((udp.waited_s for udp in self._datagrams), default=0.0)

    async def __aenter__(self) -> "Wires":
        config = self._config
        if config.tls is not None:
            self._identity = TlsIdentity(
                config.tls.certificate, config.tls.key, config.tls.authorities
            )
        for attempt in range(_PORT_TRIES):
            try:
                await self._bind()
            except OSError as error:
                await self._stack.aclose()
                self._forget()
                # Any port will do, but one that is free for UDP may be taken for TCP.
                again = config.port == 0 and error.errno == errno.EADDRINUSE
                if not again or attempt == _PORT_TRIES - 1:
                    raise
            else:
                return self
        raise AssertionError("unreachable")

    async def _bind(self) -> None:
        config = self._config
        self._port, self._tls_port = config.port, config.tls_port
        for host in filter(None, (config.host, config.ipv6_host)):
            six = ":" in host
            udp = UdpTransport(host, self._port, self._receive)
            await self._listen(udp, six=six)
            self._datagrams.append(udp)
            self._port = udp.port
            if config.tcp:
                await self._listen(self._stream(host, self._port, None), six=six)
            if self._identity is not None:
                tls = self._stream(host, self._tls_port, self._identity)
                await self._listen(tls, six=six)
                self._tls_port = tls.port
        # Our ports are known only now.
        self._names.clear()

    def _stream(self, host: str, port: int, identity: TlsIdentity | None) -> StreamTransport:
        limits = self._config.streams
        return StreamTransport(
            host, port, limits, self._receive, self._unreadable, self._lost, identity
        )

    async def _listen(self, transport: Listening, *, six: bool) -> None:
        await self._stack.enter_async_context(transport)
        self._listening[transport.name, six] = transport

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        self._forget()

    def _forget(self) -> None:
        self._listening.clear()
        self._datagrams.clear()
        self._names.clear()

    def _lost(self, hop: Hop, reason: str) -> None:
        self.flows.lost(hop)
        self._tell_lost(hop, reason)

    # --- sending ---------------------------------------------------------------------------------------------

    def send(self, data: bytes, hop: Hop) -> None:
        """Hand over one message. Never blocks; a stream that cannot take it is told to `lost`."""
        transport = self._listening.get((hop.transport, ":" in hop.host))
        if transport is not None:
            transport.send(data, hop)
        elif hop.reliable:
            reason = f"this hub has no {hop.transport} to such an address"
            asyncio.get_running_loop().call_soon(self._lost, hop, reason)
        else:
            log.info("sip_send_failed", error="no socket of this family")

    def families(self) -> set[int]:
        """What addresses can be reached: AF_INET, AF_INET6."""
        return {socket.AF_INET6 if six else socket.AF_INET for _, six in self._listening}

    def _stream_to(self, hop: Hop) -> StreamTransport | None:
        found = self._listening.get((hop.transport, ":" in hop.host))
        return found if isinstance(found, StreamTransport) else None

    def bind(self, account: str, contact: str, hop: Hop) -> None:
        """A phone has registered `contact` by the connection from `hop`, or over UDP by the mapping of its NAT."""
        if not hop.reliable:
            self.mappings.learn(account, contact, hop)
        if (transport := self._stream_to(hop)) is not None and transport.is_open(hop):
            transport.bind(hop)
            self.flows.bind(account, contact, hop)

    def hang_up_on(self, hop: Hop) -> None:
        """End the connection from `hop`, whose message was not read: over a stream nobody sends it again (§17.1), so
        whoever is meant well must learn of it. Datagrams have none."""
        if (transport := self._stream_to(hop)) is not None:
            transport.hang_up_on(hop)

    def is_open(self, hop: Hop) -> bool:
        """Whether a message to `hop` needs no new connection; datagrams never do."""
        transport = self._stream_to(hop)
        return not hop.reliable or (transport is not None and transport.is_open(hop))

    def current(self, hop: Hop, account: str, contact: str) -> Hop:
        """`hop`, or by what connection its phone has registered since, when its own is gone."""
        if not hop.flow or self.is_open(hop):
            return hop
        return self.flows.find(account, contact, hop) or hop

    async def choose(self, size: int, hop: Hop, *, direct: bool = True) -> Hop:
        """The hop for a request of that many bytes: a large one goes by TCP where the far end takes it, else by UDP
        all the same (§18.1.1). Not `direct`: its UDP address is a NAT's, and nobody listens there."""
        if hop.reliable or size <= UDP_REQUEST_BYTES or not direct:
            return hop
        stream = Hop(hop.host, hop.port, "TCP", hop.name)
        transport = self._stream_to(stream)
        if transport is None:
            return hop
        key, now = (hop.host, hop.port), asyncio.get_running_loop().time()
        if not transport.is_open(stream) and self._udp_only.get(key, now) > now:
            return hop
        if await transport.reach(stream, _PROBE_WITHIN_S):
            self._udp_only.pop(key, None)
            return stream
        self._udp_only[key] = now + _REMEMBER_UDP_ONLY_S
        self._udp_only.move_to_end(key)
        while len(self._udp_only) > _REMEMBERED:
            self._udp_only.popitem(last=False)
        return hop

    # --- our names -------------------------------------------------------------------------------------------

    def authority(self, hop: Hop | None = None) -> str:
        """`host:port` by which that far end reaches us; by default, a phone on UDP and IPv4."""
        transport = hop.transport if hop else "UDP"
        six = hop is not None and ":" in hop.host
        if (known := self._names.get((transport, six))) is not None:
            return known
        host = self._config.public_ipv6_host if six else None
        port = self._tls_port if transport == "TLS" else self._port
        name = self._names[transport, six] = str(Hop(host or self._config.public_host, port))
        return name

    def contact(self, hop: Hop | None = None, *, secure: bool = False) -> str:
        """The URI by which that far end reaches us in a dialog; `secure`: it must be a sips URI (§12.1.1)."""
        authority = self.authority(hop)
        if secure:
            return f"<sips:commhub@{authority}>"
        transport = hop.transport if hop else "UDP"
        more = "" if transport == "UDP" else f";transport={transport.lower()}"
        return f"<sip:commhub@{authority}{more}>"

    def is_ours(self, host: str, port: int | None, transport: str) -> bool:
        """Whether a Via names us (§18.1.2)."""
        expected = self._tls_port if transport == "TLS" else self._port
        return (port or default_port(transport)) == expected and plain_address(host) in self._hosts


def is_secure(request: Request) -> bool:
    """Whether a dialog that this request opens is one of sips URIs: by its target, or by its top Record-Route."""
    first = request.get("Record-Route").lstrip().lower()
    return request.uri.lower().startswith("sips:") or "<sips:" in first.partition(">")[0] + ">"
