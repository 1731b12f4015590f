"""One trunk: where it is, whether it can be used now, and which legs are on it."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from commhub.domain.call import Direction
from gateways.sip.grammar import read_hostport
from gateways.sip.sdp import Terms
from gateways.sip.transport import Hop, default_port, plain_address
from gateways.sip.trunks import metrics
from gateways.sip.trunks.config import TrunkConfig
from gateways.sip.trunks.credentials import LineCredentials
from gateways.sip.trunks.locating import AUTO, Locator
from gateways.sip.trunks.numbers import rewrite

AS_DIALLED = "*"
# As long as that another place of the line is tried before one that did not answer.
_MISSED_FOR_S = 60.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Source:
    """Addresses calls may come from; `port` None is any."""

    network: Network
    port: int | None = None

    @classmethod
    def read(cls, text: str) -> "_Source":
        """`address`, `network/bits` or `address:port`. Raises ValueError."""
        try:
            return cls(ipaddress.ip_network(text))
        except ValueError:
            host, port = read_hostport(text)
            return cls(ipaddress.ip_network(plain_address(host)), port)

    def has(self, source: Hop) -> bool:
        address = _address_of(source.host)
        if address is None:
            return False
        # Over streams the port is whichever the far end's system took.
        port_fits = self.port is None or source.reliable or self.port == source.port
        return port_fits and address in self.network


@lru_cache(maxsize=4096)
def _address_of(host: str) -> Address | None:
    """Asked for every message that comes in, so remembered; None for what is no address."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Line:
    """A trunk with its state. `reachable` is None until something was heard or missed for the first time."""

    def __init__(self, config: TrunkConfig) -> None:
        host, port = read_hostport(config.server)
        self.config = config
        transport = "UDP" if config.transport == AUTO else config.transport
        self.server = Hop(host.strip("[]"), port or default_port(transport), transport)
        self._port = port
        self._server_host = plain_address(host)
        self.domain = config.domain or host
        self.credentials = LineCredentials(
            config.username, config.password, config.realm or self.domain
        )
        self.reachable: bool | None = None
        self.registered = False
        self.trouble: str | None = None
        self._sources = [_Source.read(text) for text in config.sources]
        self._places: list[Hop] = []
        self._missed: dict[Hop, float] = {}
        self._legs: dict[str, Direction] = {}
        metrics.UP.labels(self.name).set(0)

    @property
    def name(self) -> str:
        return self.config.name

    # --- state -------------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether the desk may count on it: it answered when it was last asked, and knows us where it must."""
        return bool(self.reachable) and (self.registered or not self.config.register)

    @property
    def is_worth_trying(self) -> bool:
        """A line that nobody has asked yet may well be there."""
        return self.reachable is not False and (self.registered or not self.config.register)

    def is_heard(self) -> bool:
        """It answered something; returns whether that is news."""
        news = self.reachable is not True
        self.reachable, self.trouble = True, None
        metrics.UP.labels(self.name).set(1)
        return news

    def is_missed(self, why: str) -> bool:
        """It did not answer; returns whether that is news."""
        news = self.reachable is not False
        self.reachable, self.trouble = False, why
        metrics.UP.labels(self.name).set(0)
        return news

    def is_forgiven(self) -> None:
        """It was missed long enough ago to be tried again."""
        self.reachable = None

    def knows_us(self, yes: bool, why: str | None = None) -> None:
        """Whether the hub is registered there."""
        self.registered = yes
        if why is not None:
            self.trouble = why
        metrics.REGISTERED.labels(self.name).set(int(yes))

    # --- legs --------------------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        return len(self._legs)

    @property
    def is_full(self) -> bool:
        return len(self._legs) >= self.config.max_calls

    def enter(self, leg_id: str, direction: Direction) -> None:
        self._legs[leg_id] = direction
        self._count(direction)

    def leave(self, leg_id: str) -> None:
        direction = self._legs.pop(leg_id, None)
        if direction is not None:
            self._count(direction)

    def calls_of(self, direction: Direction) -> int:
        return sum(one is direction for one in self._legs.values())

    def _count(self, direction: Direction) -> None:
        metrics.CALLS.labels(self.name, direction.value).set(self.calls_of(direction))

    # --- numbers and addresses ---------------------------------------------------------------------------------

    async def places(
        self, locator: Locator, families: Collection[int], now: float
    ) -> Sequence[Hop]:
        """Where the line is now, in the order to try (RFC 3263); a place that was missed lately comes last. Raises
        TransactionError."""
        transport = self.config.transport
        found = await locator.places(self.server.host, self._port, transport, families)
        self._places = found
        self._missed = {hop: until for hop, until in self._missed.items() if until > now}
        return sorted(found, key=lambda hop: hop in self._missed)

    def misses(self, hop: Hop, now: float) -> None:
        """Nobody answered there."""
        self._missed[hop] = now + _MISSED_FOR_S

    @property
    def tells_transport(self) -> bool:
        """Whether its URIs name the transport; where DNS chooses it, they do not."""
        return self.config.transport not in ("UDP", AUTO)

    def is_source(self, source: Hop) -> bool:
        """Whether a message from there is this line's."""
        if any(one.has(source) for one in self._sources):
            return True
        if source.host == self._server_host:
            return source.reliable or source.port == self.server.port
        return any(
            place.host == source.host and (source.reliable or place.port == source.port)
            for place in self._places
        )

    def uri_of(self, number: str) -> str:
        """The Request-URI for a number in full, as this line writes it (RFC 3261 §19.1.6)."""
        place = self.config.domain or self._own_domain
        shown = f";transport={self.server.transport.lower()}" if self.tells_transport else ""
        return f"sip:{self.uri_user(number)}@{place}{shown};user=phone"

    @property
    def _own_domain(self) -> str:
        """The server's own name, with the port where the settings name one: a port would keep others from asking for
        its records (RFC 3263 §4.1)."""
        if self._port is None and not _address_of(self._server_host):
            return self.domain
        return str(replace(self.server, host=self.domain.strip("[]")))

    def uri_user(self, number: str) -> str:
        """A number in full as this line writes it."""
        return rewrite(number, self.config.out_prefixes)

    def number_of(self, text: str) -> str:
        """A number as this line writes it, in full."""
        return rewrite(text, self.config.in_prefixes)

    def meaning_of(self, number: str) -> str | None:
        """Whom a called number means here; None: nobody said so, and then it means nobody."""
        return _meaning(self.config.inbound, number)

    def terms(self, common: Terms) -> Terms:
        """What descriptions are agreed to on this line."""
        return replace(
            common,
            codecs=self.config.codecs or common.codecs,
            srtp=common.srtp if self.config.srtp is None else self.config.srtp,
        )


def _meaning(inbound: Mapping[str, str], number: str) -> str | None:
    """The entry of the number itself, else that of the longest beginning written with a star behind it."""
    entry = inbound.get(number)
    if entry is None:
        beginnings = (number[:length] + "*" for length in range(len(number), -1, -1))
        entry = next((inbound[one] for one in beginnings if one in inbound), None)
    return number if entry == AS_DIALLED else entry
