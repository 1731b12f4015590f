"""What wiring says of trunks and numbers. Times are seconds, money is in the smallest unit's whole (1.5 = one yuan fifty)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateways.sip.sdes import SrtpPolicy

ALL_DIGITS = frozenset("0123456789")
EMERGENCY_NUMBERS = ("110", "119", "120", "122")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkConfig:
    """One line to a carrier, a PBX or a session border controller.

    `server` is `host` or `host:port`, `transport` UDP, TCP, TLS, or AUTO: as the name's NAPTR records say. With `register` the hub registers there as
    `username` (RFC 3261 §10.2); without, both sides know each other by address. `realm` is the only one that is
    ever given the password, in the form of a digest. `sources` are the addresses calls may come from besides the server's own: an
    address, a network (`203.0.113.0/28`) or `address:port`. `number` is ours there, in full.

    `out_prefixes` and `in_prefixes` say how numbers are written on this line: the longest prefix that fits is replaced,
    on the way out from `+86…` and on the way in to `+86…`. `inbound` says whom a called number means, as if that had
    been dialled on a phone; `*` stands for any other.

    `trusted` is RFC 3325's trust: identities are asserted to it and believed from it. `emergency` says that emergency
    calls over this line arrive at the right centre with the right address; somebody has to have verified that.
    """

    name: str
    server: str
    transport: str = "UDP"
    domain: str = ""
    register: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    realm: str = ""
    number: str = ""
    sources: tuple[str, ...] = ()
    out_prefixes: Mapping[str, str] = field(default_factory=dict)
    in_prefixes: Mapping[str, str] = field(default_factory=dict)
    inbound: Mapping[str, str] = field(default_factory=dict)
    codecs: tuple[str, ...] = ()
    srtp: SrtpPolicy | None = None
    trusted: bool = False
    emergency: bool = False
    max_calls: int = 30
    register_for_s: int = 600
    # A probe that is refused is an answer too; 0 never asks.
    probe_every_s: float = 30.0
    # Without any answer to an INVITE for so long the next line is tried.
    patience_s: float = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRule:
    """Numbers that begin with `prefix`; the longest prefix decides. `via` are lines in the order they are tried; none
    at all forbids what a shorter prefix allows. `longest_s` is when such a call is hung up. `hairpin`: who came in
    over a line may go out over one."""

    prefix: str
    via: tuple[str, ...] = ()
    price_per_minute: float = 0.0
    longest_s: float = 4 * 3600.0
    hairpin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyPolicy:
    """Apart from every other rule: no cap, no budget and no count of lines ever stands in the way of these numbers.
    `via` are lines marked emergency-capable, in order; empty means that the hub has no way and says so."""

    numbers: tuple[str, ...] = EMERGENCY_NUMBERS
    via: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What all calls to the outside together may be; 0 means no limit. `burst_calls` attempts within a minute, or
    `burst_refusals` refused ones, raise the alarm."""

    calls_per_minute: int = 60
    calls_per_minute_per_caller: int = 10
    calls_at_once: int = 60
    spend_per_day: float = 0.0
    burst_calls: int = 30
    burst_refusals: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberingConfig:
    """`outside_prefix` is what a phone dials before an outside number; empty: nothing. `dialled_prefixes` turn what is
    dialled behind it into numbers in full (`{"00": "+", "0": "+86"}`). `area_code` (without its 0) and `country_code` are the
    hub's own."""

    rules: tuple[NumberRule, ...] = ()
    emergency: EmergencyPolicy = field(default_factory=EmergencyPolicy)
    caps: Caps = field(default_factory=Caps)
    outside_prefix: str = ""
    dialled_prefixes: Mapping[str, str] = field(default_factory=dict)
    country_code: str = "86"
