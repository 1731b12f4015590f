"""What a REGISTER asks for, read before anything is looked up (RFC 3261 §10.3, RFC 3327, RFC 5626 §4.2)."""

from dataclasses import dataclass

from gateways.sip.config import SipConfig
from gateways.sip.dialogs import checked_target
from gateways.sip.errors import MalformedError
from gateways.sip.grammar import NameAddr, read_number, read_uri
from gateways.sip.message import Request

_INSTANCE_AT_MOST = 128
_PATHS_AT_MOST = 8
_MALFORMED_EXPIRES_S = 3600  # RFC 3261 §20.19: a malformed value counts as an hour.


class RefusedError(Exception):
    """A REGISTER that fails as a whole."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(status))
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a REGISTER asks of one contact; 0 seconds removes it. `flow` when the phone keeps a connection of its own
    for it (RFC 5626): its instance and the number of the flow."""

    contact: str
    seconds: int
    q: float = 1.0
    flow: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """All of one REGISTER. `contacts` None: remove all of them (`Contact: *`); empty: only asks."""

    contacts: tuple[Wish, ...] | None
    path: tuple[str, ...]

    @property
    def is_outbound(self) -> bool:
        return any(wish.flow for wish in self.contacts or ())


def read_wishes(request: Request, config: SipConfig) -> Wishes:
    """Raises MalformedError, and RefusedError for what can be read and not be granted."""
    path = _path(request)
    values = request.headers.getlist("Contact")
    default = request.number("Expires")
    if [value.strip() for value in values] == ["*"]:
        if default != 0:
            raise MalformedError("Contact: * wants Expires: 0")
        return Wishes(contacts=None, path=path)
    wishes: dict[str, Wish] = {}
    for address in request.addresses("Contact"):
        contact = checked_target(address.uri)
        wishes[contact] = Wish(
            contact=contact,
            seconds=_seconds(address, default, config),
            q=_preference(address),
            flow=_flow(address, request),
        )
    found = Wishes(contacts=tuple(wishes.values()), path=path)
    if found.is_outbound and not _first_hop_keeps_flows(request, path):
        raise RefusedError(439)
    return found


def _path(request: Request) -> tuple[str, ...]:
    """The proxies that want to stand before every request to the contact (RFC 3327 §5.3)."""
    addresses = request.addresses("Path")
    if len(addresses) > _PATHS_AT_MOST:
        raise MalformedError("Path: too many proxies")
    for address in addresses:
        try:
            scheme = read_uri(address.uri).scheme
        except ValueError as error:
            raise MalformedError(f"Path: {error}") from error
        if scheme == "tel":
            raise MalformedError("Path: a tel URI names no proxy")
    return tuple(f"<{address.uri}>" for address in addresses)


def _seconds(address: NameAddr, default: int | None, config: SipConfig) -> int:
    """How long (§10.3 step 7): the contact's own parameter, the header, or our default; bounded above, and 423 below
    the minimum."""
    seconds = config.default_expires_s if default is None else default
    if (own := address.parameters.get("expires")) is not None:
        try:
            seconds = read_number(own)
        except ValueError:
            seconds = _MALFORMED_EXPIRES_S
    if 0 < seconds < config.min_expires_s:
        raise RefusedError(423, {"Min-Expires": str(config.min_expires_s)})
    return min(seconds, config.max_expires_s)


def _preference(address: NameAddr) -> float:
    """qvalue (§25.1): 0 to 1 with three digits at most. Without one, or with nonsense, a phone is as good as any."""
    text = address.parameters.get("q") or ""
    whole, _, fraction = text.partition(".")
    if whole not in ("0", "1") or len(fraction) > 3 or not (fraction + "0").isdecimal():
        return 1.0
    return min(float(f"{whole}.{fraction or 0}"), 1.0)


def _flow(address: NameAddr, request: Request) -> tuple[str, int] | None:
    """RFC 5626 §6: a flow needs both parameters and a phone that says `outbound`; half of it is an old-fashioned
    contact."""
    instance = (address.parameters.get("+sip.instance") or "").strip("<>")
    number = address.parameters.get("reg-id")
    if not instance or number is None or "outbound" not in request.tokens("Supported"):
        return None
    if len(instance) > _INSTANCE_AT_MOST or not instance.isprintable():
        raise MalformedError("+sip.instance is no instance")
    try:
        flow = read_number(number, at_most=2**31 - 1)
    except ValueError as error:
        raise MalformedError(f"reg-id: {error}") from error
    if flow == 0:
        raise MalformedError("reg-id: flows are counted from one")
    return instance, flow


def _first_hop_keeps_flows(request: Request, path: tuple[str, ...]) -> bool:
    """Behind proxies the first of them must have said `ob` in its Path (RFC 5626 §6), or nobody holds the flow."""
    hops = sum(len(value.split(",")) for value in request.headers.getlist("Via"))
    if hops == 1:
        return True
    return bool(path) and "ob" in read_uri(path[-1].strip("<>")).parameters
