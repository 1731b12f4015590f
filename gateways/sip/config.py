"""What the SIP edge is told by wiring. Times are seconds."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from gateways.sip.connection import StreamLimits
from gateways.sip.formats import CODECS
from gateways.sip.sdes import SrtpPolicy
from gateways.sip.sdp import Terms
from gateways.sip.trunks.config import TrunkConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerConfig:
    """RFC 3261 table 4. The other timers follow from these three."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0

    @property
    def timeout_s(self) -> float:
        """Timers B, F, H, L and M: 64·T1."""
        return 64 * self.t1_s

    @property
    def linger_s(self) -> float:
        """Timer D: how long a refused INVITE absorbs retransmissions on an unreliable transport."""
        return max(32.0 if self.t1_s >= 0.5 else 0.0, self.timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """PEM files: our certificate chain, its key, and the authorities we believe when we connect to others (None:
    the system's)."""

    certificate: Path
    key: Path
    authorities: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Messages a second, and how many at once after a silence."""

    per_s: float
    burst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConfig:
    """A call is seven messages of its caller, a registration two. The widest of the three is what one core can still
    answer beside its calls."""

    stranger: Rate = Rate(per_s=100, burst=400)
    proved: Rate = Rate(per_s=2_000, burst=4_000)
    strangers: Rate = Rate(per_s=1_500, burst=3_000)
    proved_for_s: float = 7_200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SipConfig:
    """`port` 0 takes any free port. `advertised_host` is what Via, Contact and SDP-independent headers say
    (default: `host`, which then must be a reachable address). `ipv6_host` is listened at besides; `ipv6_media` says that
    the media workers are reached by IPv6 too. `realm` is also the domain of the accounts; changing it makes every stored HA1 worthless (RFC 7616 §3.4.2).
    `proxies` are addresses and networks of the proxies in front: what those say of where a request came from is
    believed, and their Path (RFC 3327)."""

    host: str = "127.0.0.1"
    port: int = 5060
    advertised_host: str | None = None
    ipv6_host: str | None = None
    ipv6_advertised_host: str | None = None
    ipv6_media: bool = False
    tcp: bool = True
    tls: TlsConfig | None = None
    tls_port: int = 5061
    streams: StreamLimits = field(default_factory=StreamLimits)
    proxies: tuple[str, ...] = ()
    realm: str = "commhub"
    user_agent: str = "commhub"
    timers: TimerConfig = field(default_factory=TimerConfig)

    # The order of preference, in our offers and in our answers. G.711 first: one wideband leg makes its whole
    # call mix at 16 kHz, so HD voice is for those who put it first, and for phones that have nothing else.
    codecs: tuple[str, ...] = ("PCMA", "PCMU", "G722", "opus")
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT
    comfort_noise: bool = True
    rtcp_mux: bool = True

    # Challenges in this order; a phone takes the first it knows (RFC 8760 §2.4). Without «MD5» it is refused.
    digest_algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    # User-Agents (by their beginning) that give up when they see a SHA-256 challenge beside the MD5 one.
    md5_only_agents: tuple[str, ...] = ("baresip v0.", "baresip v1.", "SIPp")
    nonce_lifetime_s: float = 300.0
    auth_failures_allowed: int = 10
    auth_failure_window_s: float = 300.0

    min_expires_s: int = 60
    max_expires_s: int = 3600
    default_expires_s: int = 600
    max_contacts: int = 10
    # After so long the contacts with the next lower q are rung too.
    next_choice_after_s: float = 10.0

    max_message_bytes: int = 16_384
    # Subscriptions to busy lamps, of all phones and of one.
    max_watches: int = 10_000
    max_watches_each: int = 200

    rates: RateConfig = field(default_factory=RateConfig)
    # Requests outside dialogs that wait for the store at once; more are told 503 (RFC 3261 §21.5.4).
    max_pending: int = 512
    # So many more when they are calls.
    max_pending_calls: int = 128
    max_legs: int = 2_000
    # Calls that hear nothing yet; with more, new ones would wait longer than anybody should.
    max_opening: int = 32
    # How long an unanswered call to the hub may ring at the desk.
    inbound_ring_s: float = 180.0

    # Session timers (RFC 4028): what we ask for, and the least we agree to.
    session_s: int = 1_800
    min_session_s: int = 90

    # Whether what a single far end plays before it answers (183) is heard in the call.
    early_media: bool = True

    # Texts (RFC 3428) of one account that become reports: so many at once, then one in so many seconds.
    texts_at_once: int = 5
    text_every_s: float = 10.0

    trunks: tuple[TrunkConfig, ...] = ()
    # Who is asked for the records of trunks, as `address` or `address:port`; nobody named: the system's.
    nameservers: tuple[str, ...] = ()

    hang_up_on_stop: bool = False

    def __post_init__(self) -> None:
        if {"", "0.0.0.0", "::"} & set(self.public_hosts):  # noqa: S104 - compared, not bound
            raise ValueError(
                "listening on every address needs an advertised_host for Via and Contact"
            )
        for proxy in self.proxies:
            ipaddress.ip_network(proxy)
        if not set(self.digest_algorithms) <= {"SHA-256", "MD5"} or not self.digest_algorithms:
            raise ValueError("digest algorithms are SHA-256 and MD5")
        if len({trunk.name for trunk in self.trunks}) != len(self.trunks):
            raise ValueError("two trunks have one name")
        if not self.codecs or not set(self.codecs) <= CODECS.keys():
            raise ValueError(f"a hub speaks at least one codec of {', '.join(CODECS)}")

    @property
    def public_host(self) -> str:
        return self.advertised_host or self.host

    @property
    def public_ipv6_host(self) -> str | None:
        """What a far end on IPv6 is told; None: the same as everybody."""
        return self.ipv6_advertised_host or self.ipv6_host

    @property
    def public_hosts(self) -> tuple[str, ...]:
        """All names under which this hub is known."""
        six = self.public_ipv6_host
        return (self.public_host,) if six is None else (self.public_host, six)

    @property
    def terms(self) -> Terms:
        """What descriptions are agreed to."""
        return Terms(
            codecs=self.codecs,
            srtp=self.srtp,
            comfort_noise=self.comfort_noise,
            rtcp_mux=self.rtcp_mux,
        )

    @property
    def uri_host(self) -> str:
        """The public host as a URI writes it."""
        return f"[{self.public_host}]" if ":" in self.public_host else self.public_host
