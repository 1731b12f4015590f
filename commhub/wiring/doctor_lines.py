"""What `commhub doctor` says of telephony beyond its ports: whether voice finds its way by IPv6, and where each trunk is."""

import ipaddress
import socket
from collections.abc import Sequence

from commhub.settings import Settings, SettingsError
from commhub.wiring.findings import Finding, Verdict
from commhub.wiring.reachable import comes_back, is_loopback
from commhub.wiring.trunks import trunk_configs
from gateways.sip.errors import TransactionError
from gateways.sip.grammar import read_hostport
from gateways.sip.transport import Hop
from gateways.sip.trunks.config import TrunkConfig
from gateways.sip.trunks.locating import AUTO, Locator

_BOTH = (socket.AF_INET, socket.AF_INET6)


async def ipv6_voice(settings: Settings) -> Finding:
    """The address by which far ends on IPv6 are to send their voice."""
    media, signals = settings.media, settings.sip.ipv6_host is not None
    bound = media.ipv6_host
    if bound is None and signals:
        return _ipv6(
            Verdict.WARNING,
            "phones register by IPv6, and are offered voice by IPv4 only",
            "set media.ipv6_host, or phones without IPv4 hear nobody",
        )
    if bound is None:
        return _ipv6(Verdict.OK, "off: media.ipv6_host is not set")
    told = media.ipv6_advertised_host or bound
    if wrong := _wrong_with(bound, told):
        return _ipv6(Verdict.FAILED, *wrong)
    if not await comes_back(bound, told, 0):
        return _ipv6(
            Verdict.WARNING,
            f"UDP to {told} does not arrive here",
            "is it an address of this machine, and UDP open to it?",
        )
    whom = ": phones on this machine only" if is_loopback(told) else ", arrives"
    return _ipv6(Verdict.OK, f"UDP {told}{whom}")


def _wrong_with(bound: str, told: str) -> tuple[str, str] | None:
    """What is wrong with the addresses as they are written, and what to do about it."""
    try:
        address = ipaddress.IPv6Address(told)
    except ValueError:
        return f"{told} is no IPv6 address", "set media.ipv6_advertised_host to one"
    if address.is_unspecified:
        return (
            f"far ends are told to send to {told}, which is nowhere",
            "set media.ipv6_advertised_host to the address of this machine that they reach",
        )
    if address.is_link_local:
        return (
            f"{told} means another machine on every link",
            "use a global address (2000::/3) or one of your own (fd00::/8)",
        )
    if not _can_bind(bound):
        return (
            f"{bound} is no address of this machine",
            "see «ip -6 address»; media.ipv6_host is where this machine listens, media.ipv6_advertised_host what far ends are told",
        )
    return None


def _ipv6(verdict: Verdict, found: str, hint: str = "") -> Finding:
    return Finding("media_ipv6", verdict, found, hint)


def _can_bind(host: str) -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


async def lines(settings: Settings) -> list[Finding]:
    """Where each trunk is, found as its calls find it (RFC 3263)."""
    try:
        trunks = trunk_configs(settings)
    except SettingsError as error:
        return [Finding("trunks", Verdict.FAILED, str(error), "see docs/protocols/trunks.md")]
    locator = Locator(settings.sip.nameservers)
    ours = _BOTH if settings.sip.ipv6_host is not None else _BOTH[:1]
    return [await _line(trunk, locator, ours) for trunk in trunks]


async def _line(
    trunk: TrunkConfig, locator: Locator, ours: Sequence[socket.AddressFamily]
) -> Finding:
    check = f"trunk-{trunk.name}"
    host, port = read_hostport(trunk.server)
    try:
        places = await locator.places(host.strip("[]"), port, trunk.transport, ours)
    except TransactionError:
        return await _nowhere(check, host, port, trunk, locator)
    if not any(_is_of(place, ours) for place in places):
        return Finding(
            check, Verdict.FAILED, f"{_told(places)}: this hub has no IPv6", "set sip.ipv6_host"
        )
    return Finding(check, Verdict.OK, f"{trunk.server} is {_told(places)}")


async def _nowhere(
    check: str, host: str, port: int | None, trunk: TrunkConfig, locator: Locator
) -> Finding:
    """Why a name leads nowhere, as far as it can be told."""
    try:
        places = await locator.places(host, port, trunk.transport, _BOTH)
    except TransactionError:
        asked = "A, AAAA" if port is not None else "SRV, A, AAAA"
        asked = f"NAPTR, {asked}" if trunk.transport == AUTO and port is None else asked
        return Finding(
            check,
            Verdict.FAILED,
            f"{trunk.server} ({trunk.transport.lower()}) leads nowhere: no {asked}",
            "is the name right, and do the name servers answer (sip.nameservers, else the system's)? "
            "A carrier without records is written as address:port",
        )
    return Finding(
        check,
        Verdict.FAILED,
        f"{trunk.server} is {_told(places)}, by IPv6 only",
        "set sip.ipv6_host, or ask the carrier for an address of IPv4",
    )


def _is_of(place: Hop, families: Sequence[socket.AddressFamily]) -> bool:
    return (socket.AF_INET6 if ":" in place.host else socket.AF_INET) in families


def _told(places: Sequence[Hop]) -> str:
    """In the order in which they are tried."""
    return ", ".join(f"{place} by {place.transport}" for place in places)
