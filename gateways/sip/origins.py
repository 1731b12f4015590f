"""Where a request really came from: the far end of the transport, or, when that is a proxy of ours, what it wrote down.

Lockouts, nonces and rates go by this address; by the proxy's, one guesser would shut out everybody behind it.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from gateways.sip.grammar import read_via, split_outside
from gateways.sip.message import Request
from gateways.sip.transport import Hop, plain_address


@lru_cache(maxsize=4096)
def source_of(host: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 of an IPv6 one, of which anybody has 2^64."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


class Proxies:
    """The proxies in front of this hub, by address or network."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def has(self, host: str) -> bool:
        """Whether an address is a proxy's."""
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def origin(self, request: Request, source: Hop) -> str:
        """The address before the proxies: what the last of them wrote into the Via below its own (RFC 3261 §18.2.1).
        Nobody else's word about it counts; what cannot be read came from the proxy."""
        if not self.has(source.host):
            return source.host
        try:
            return self._before(request) or source.host
        except ValueError:
            return source.host

    def _before(self, request: Request) -> str | None:
        for value in request.headers.getlist("Via"):
            for text in split_outside(value, ","):
                via = read_via(text)
                host = plain_address(via.parameters.get("received") or via.host)
                if not self.has(host):
                    return host
        return None
