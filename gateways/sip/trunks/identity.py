"""Who calls, between networks that trust each other (RFC 3325, RFC 3323).

P-Asserted-Identity is believed from a trusted line only and written to a trusted line only. Nobody else's is read, and
because the hub is an end of every call and not a proxy, nobody else's is ever passed on (§5).
"""

from dataclasses import dataclass

from gateways.sip.errors import MalformedError
from gateways.sip.grammar import NameAddr, quote_string, read_uri
from gateways.sip.message import Request, clean_text
from gateways.sip.trunks.line import Line

_WITHHELD = frozenset({"anonymous", "restricted", "unavailable", "unknown", ""})
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """`number` is in full, or ANONYMOUS. `name` is what their display says, None for nothing."""

    number: str
    name: str | None = None


def caller_of(request: Request, line: Line) -> Caller:
    """Who calls over a line: what a trusted one asserts, else what the caller says of itself. A caller that asks for
    privacy is known to us all the same, because a command centre has to call back; it is passed on to nobody."""
    asserted = _asserted(request) if line.config.trusted else None
    sender = asserted or request.sender
    number = _number(sender)
    if number.lower() in _WITHHELD:
        return Caller(ANONYMOUS)
    return Caller(line.number_of(number), clean_text(sender.name) or None)


def _asserted(request: Request) -> NameAddr | None:
    """The first identity that names a number (§9.1: at most one sip and one tel URI)."""
    try:
        found = request.addresses("P-Asserted-Identity")
    except MalformedError:
        return None
    return next((one for one in found if _number(one).lower() not in _WITHHELD), None)


def _number(address: NameAddr) -> str:
    try:
        user = read_uri(address.uri.partition("?")[0]).user or ""
    except ValueError:
        return ""
    # Number portability and the like travel as parameters of the user part (RFC 4694).
    return clean_text(user.partition(";")[0].translate(_SEPARATORS), limit=64)


_SEPARATORS = str.maketrans("", "", " -.()")


def write_caller(request: Request, line: Line, name: str, tag: str) -> None:
    """The From of a call of ours on this line: our number there, and to a trusted line the assertion of it."""
    own = line.config.number or line.config.username or "commhub"
    uri = f"sip:{line.uri_user(own)}@{line.domain}"
    request.headers.set("From", f"{quote_string(name)} <{uri}>;tag={tag}")
    if line.config.trusted:
        request.headers.set("P-Asserted-Identity", f"<{uri}>")
