"""Far ends of the audio engine as it keeps them: addresses as source keys. Its ports are `bridges.transport.pairs`."""

import ipaddress

from bridges.transport.batch import source_key
from bridges.transport.pairs import UdpPair
from bridges.transport.six import SixHosts
from commhub.domain.errors import InvalidError
from commhub.ports.media import RtpAddress


def key_of(hosts: SixHosts, pair: UdpPair | None, address: RtpAddress) -> tuple[int, bool]:
    """The address as a source key, and whether anything can be sent there (RFC 2543 holds by 0.0.0.0). Raises
    InvalidError for what a leg with that pair (None: the shared one) does not reach."""
    try:
        host = ipaddress.ip_address(address.host)
    except ValueError as error:
        raise InvalidError(f"not an IP address: {address.host}") from error
    if not 0 < address.port < 65536:
        raise InvalidError(f"not a UDP port: {address.port}")
    is_six = pair is not None and pair.is_six
    if host.is_unspecified:
        return address.port, False
    if is_six != (host.version == 6):
        raise InvalidError(f"this leg does not reach {address.host}: the other IP version")
    if is_six:
        return hosts.named(str(host), address.port), True
    return source_key(str(host), address.port), True
