"""Where a trunk is that the settings name (RFC 3263): NAPTR says by which transports, SRV on which hosts and in what order
(RFC 2782), A and AAAA at which addresses. Failing over to the next place is its caller's.

What was found is kept for as long as its TTL says, by the resolver; when nobody answers for a name any more, the line
stays where it was last.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Sequence
from dataclasses import replace

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver
import structlog
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from gateways.sip.errors import TransactionError
from gateways.sip.grammar import read_hostport
from gateways.sip.transport import Hop, default_port, plain_address

log = structlog.get_logger(__name__)

AUTO = "AUTO"
"""A transport that the name's NAPTR records choose."""

_SRV = {"UDP": "_sip._udp.", "TCP": "_sip._tcp.", "TLS": "_sips._tcp."}
_NAPTR = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
# A call waits for it; a name server that takes longer is as good as none.
_WITHIN_S = 2.0
_MOST_PLACES = 10
_DNS_PORT = 53


class Locator:
    """`nameservers` are `address` or `address:port`; none: the system's."""

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        self._nameservers = tuple(nameservers)
        self._made: dns.asyncresolver.Resolver | None = None
        self._last: dict[tuple[str, int | None, str], list[Hop]] = {}

    async def places(
        self, host: str, port: int | None, transport: str, families: Collection[int]
    ) -> list[Hop]:
        """The hops of a server, the first to be tried first. A named `port` is asked for by no SRV (§4.2), an address
        by nothing at all. Raises TransactionError where there is none and never was."""
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return await self._of_name(host, port, transport, families)
        transport = "UDP" if transport == AUTO else transport
        return [Hop(plain_address(host), port or default_port(transport), transport)]

    async def _of_name(
        self, host: str, port: int | None, transport: str, families: Collection[int]
    ) -> list[Hop]:
        key = (host, port, transport)
        found: list[Hop] = []
        for target in await self._targets(host, port, transport):
            found += await self._addresses(target, families)
        # The certificate names the domain that was asked for, not where its records led (RFC 5922 §4, RFC 3263 §4.1).
        found = [replace(hop, name=host) for hop in found][:_MOST_PLACES]
        if found:
            self._last[key] = found
        elif key not in self._last:
            raise TransactionError(f"no address for {host}", 503)
        else:
            log.warning("sip_line_not_located", host=host)
        return list(self._last[key])

    async def _targets(self, host: str, port: int | None, transport: str) -> list[Hop]:
        """Hosts and ports, not yet addresses, in order (§4.1, §4.2)."""
        if port is not None:
            transport = "UDP" if transport == AUTO else transport
            return [Hop(host, port, transport)]
        if transport != AUTO:
            names = [(_SRV[transport] + host, transport)]
        else:
            names = await self._by_naptr(host) or [(_SRV[one] + host, one) for one in _SRV]
            transport = "UDP"
        targets: list[Hop] = []
        for name, one in names:
            targets += await self._by_srv(name, one)
        return targets or [Hop(host, default_port(transport), transport)]

    async def _by_naptr(self, host: str) -> list[tuple[str, str]]:
        records = [r for r in await self._ask(host, "NAPTR") if isinstance(r, NAPTR)]
        records.sort(key=lambda record: (record.order, record.preference))
        return [
            (record.replacement.to_text(omit_final_dot=True), transport)
            for record in records
            if record.flags.lower() == b"s"
            and (transport := _NAPTR.get(record.service.decode("ascii", "replace").upper()))
        ]

    async def _by_srv(self, name: str, transport: str) -> list[Hop]:
        """By priority, within one by weight and chance (RFC 2782)."""
        return [
            Hop(record.target.to_text(omit_final_dot=True), record.port, transport)
            for record in await self._ask(name, "SRV")
            # A lone dot says that there is no such service here.
            if isinstance(record, SRV) and record.target.to_text() != "."
        ]

    async def _ask(self, name: str, kind: str) -> list[object]:
        """The records in the order they are to be used; none where nobody has or knows any."""
        try:
            answer = await self._resolver().resolve(name, kind, search=False)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            log.debug("sip_dns", record=kind, reason=type(error).__name__)
            return []
        return [] if answer.rrset is None else list(answer.rrset.processing_order())

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Raises NoResolverConfiguration on a machine without any."""
        if self._made is None:
            made = dns.asyncresolver.Resolver(configure=not self._nameservers)
            if self._nameservers:
                made.nameservers = [_server(text) for text in self._nameservers]
            made.lifetime, made.timeout = _WITHIN_S, _WITHIN_S / 2
            made.cache = dns.resolver.LRUCache()
            self._made = made
        return self._made

    # --- addresses -----------------------------------------------------------------------------------------------

    async def _addresses(self, target: Hop, families: Collection[int]) -> list[Hop]:
        if self._nameservers and (found := await self._asked_for(target.host, families)):
            return [replace(target, host=address) for address in found]
        # The system's way, which knows /etc/hosts too.
        loop = asyncio.get_running_loop()
        try:
            infos = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
        except OSError:
            return []
        return [replace(target, host=str(one[4][0])) for one in infos if one[0] in families]

    async def _asked_for(self, host: str, families: Collection[int]) -> list[str]:
        found = []
        for family, kind in ((socket.AF_INET, "A"), (socket.AF_INET6, "AAAA")):
            if family in families:
                found += [
                    str(getattr(record, "address", "")) for record in await self._ask(host, kind)
                ]
        return [address for address in found if address]


def _server(text: str) -> dns.nameserver.Nameserver:
    """Raises ValueError."""
    host, port = read_hostport(text)
    return dns.nameserver.Do53Nameserver(plain_address(host), port or _DNS_PORT)
