"""Reading the parts of SIP header fields, tolerantly and in linear time.

`sipmessage` gives the value types URI and CSeq. Its own readers are not used on what
comes from the network: version 0.7 merges `"A" <sip:a@x>, "B" <sip:b@y>` into one address, percent-encodes
quoted parameters when it writes them back, refuses `SIP:` in capitals and host names with digits at the end,
and its credentials pattern backtracks for seconds on a crafted header. The scanners here split outside quotes
and angle brackets in one pass and raise ValueError for what has no meaning. What nearly everybody writes (a Via, a tagged
address, credentials, all without blanks where none are needed) is known by one expression first; whatever that does not
fit is scanned.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from sipmessage import URI, CSeq, Parameters

from commhub.kit.values import quick

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_\-.]*[A-Za-z0-9_.])?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")
_SENT_PROTOCOL = re.compile(
    r"SIP ?/ ?2\.0 ?/ ?(?P<transport>[A-Za-z0-9\-.!%*_+`'~]+) +(?P<rest>.*)", re.IGNORECASE
)
_NUMBER = re.compile(r"[0-9]{1,10}")
_NOT_IN_URI = re.compile(r'[\s\x00-\x1f<>"]')
# A quoted-string, a bracketed URI, the separator, or text before any of them: each step moves on, so the whole
# is linear.
_PIECE = {
    mark: re.compile(rf'"(?:[^"\\]|\\.)*"|<[^>]*>|{mark}|[^"<{mark}]+', re.DOTALL) for mark in ",;"
}
_SPACE = re.compile(r"\s+")
_T = r"[A-Za-z0-9\-.!%*_+`'~]+"
_USUAL_VIA = re.compile(
    rf"SIP/2\.0/(UDP|TCP|TLS) ([A-Za-z0-9](?:[A-Za-z0-9\-.]*[A-Za-z0-9])?)(?::([1-9][0-9]{{0,4}}))?((?:;{_T}(?:={_T})?)*)"
)
_USUAL_ADDRESS = re.compile(rf'(?:"([^"\\]*)" ?)?<(sips?:[^\s<>"]+)>(?:;tag=({_T}))?')
_USUAL_CREDENTIAL = re.compile(r'([A-Za-z]+)=(?:"([^"\\]*)"|([^\s",=<>\\]+)) *(?:, *|\Z)')

MAX_CSEQ = 2**31 - 1
NO_PARAMETERS: Mapping[str, str | None] = MappingProxyType({})


T = TypeVar("T")

_REMEMBERED = 4096
_LONGEST_REMEMBERED = 200


class _Remembering(dict[str, T], Generic[T]):
    """Texts that were read lately. One that is known costs a look-up in a dictionary and no call, fifty times a call."""

    def __init__(self, read: Callable[[str], T]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> T:
        value = self._read(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                # Those that are still in use are soon known again.
                self.clear()
            self[text] = value
        return value


def remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader of immutable values that knows the texts it has read lately: the same addresses are in every message
    of a call, and in every call of a phone. Long texts are read anew, so that memory is bounded whoever writes."""
    return _Remembering(read).__getitem__


def split_outside(text: str, separator: str) -> list[str]:
    """Split at `separator` («,» or «;») where it stands outside quotes and angle brackets. Raises ValueError
    when a quote or a bracket is left open."""
    if '"' not in text and "<" not in text:
        return [part.strip() for part in text.split(separator)]
    piece = _PIECE[separator]
    parts: list[str] = []
    start = position = 0
    while position < len(text):
        match = piece.match(text, position)
        if match is None:
            raise ValueError("a quote or bracket is left open")
        position = match.end()
        if match.group() == separator:
            parts.append(text[start : match.start()].strip())
            start = position
    parts.append(text[start:].strip())
    return parts


def _listed(value: str) -> list[str]:
    """The members of a list, of which most have one."""
    return split_outside(value, ",") if "," in value else [value.strip()]


def unquote_string(text: str) -> str:
    """The inside of a quoted-string with its escapes resolved; other text as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def quote_string(text: str) -> str:
    """A quoted-string (RFC 3261 §25.1); control characters become spaces."""
    clean = text
    if not text.isprintable():
        clean = "".join(c if c.isprintable() else " " for c in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_parameters(parts: list[str]) -> dict[str, str | None]:
    """`name[=value]` pieces to a mapping; names in lower case, the first of a name counts. One separator too
    many at the very end is forgiven. Raises ValueError."""
    found: dict[str, str | None] = {}
    if parts and not parts[-1]:
        parts = parts[:-1]
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not TOKEN.fullmatch(name):
            raise ValueError(f"«{name[:32]}» is no parameter name")
        found.setdefault(name, unquote_string(value.strip()) if equals else None)
    return found


@remembered
def read_uri(text: str) -> URI:
    """A sip, sips or tel URI. Raises ValueError; `scheme_of` tells whether the scheme is to blame."""
    scheme = scheme_of(text)
    if scheme not in ("sip", "sips", "tel"):
        raise ValueError(f"«{scheme[:32]}» is no scheme this hub speaks")
    rest = text.split(":", 1)[1]
    if _NOT_IN_URI.search(rest):
        raise ValueError("a URI has no blanks, brackets or quotes")
    if scheme == "tel":
        number, *pieces = rest.split(";")
        if not number:
            raise ValueError("a tel URI without a number")
        return URI(scheme=scheme, host="", user=number, parameters=_uri_parameters(pieces))
    user: str | None = None
    password: str | None = None
    if "@" in rest:
        # The user part may itself hold «;» and «?» (RFC 3261 §25.1), so the last «@» divides.
        userinfo, _, rest = rest.rpartition("@")
        name, colon, secret = userinfo.partition(":")
        if not name:
            raise ValueError("a URI with an empty user")
        user, password = unquote(name), unquote(secret) if colon else None
    rest = rest.partition("?")[0]
    hostport, *pieces = rest.split(";")
    host, port = read_hostport(hostport)
    return URI(
        scheme=scheme,
        host=host,
        user=user,
        password=password,
        port=port,
        parameters=_uri_parameters(pieces),
    )


def scheme_of(text: str) -> str:
    """The URI's scheme in lower case; empty when it has none."""
    scheme, colon, _ = text.partition(":")
    return scheme.lower() if colon and _SCHEME.fullmatch(scheme) else ""


@remembered
def read_hostport(text: str) -> tuple[str, int | None]:
    """`host[:port]`; the host in lower case, an IPv6 reference keeps its brackets."""
    text = text.strip()
    match = _HOST.match(text)
    if match is None:
        raise ValueError(f"«{text[:64]}» is no host")
    rest = text[match.end() :].strip()
    if not rest:
        return match.group().lower(), None
    if not rest.startswith(":") or not _NUMBER.fullmatch(rest[1:].strip()):
        raise ValueError(f"«{text[:64]}» is no host and port")
    port = int(rest[1:])
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    return match.group().lower(), port


def _uri_parameters(pieces: list[str]) -> Parameters:
    found: dict[str, str | None] = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if name:
            found.setdefault(unquote(name).lower(), unquote(value) if equals else None)
    return parameters_of(found)


def parameters_of(found: Mapping[str, str | None]) -> Parameters:
    """They as the library keeps them."""
    # The library takes them as keyword arguments, so a peer's parameter named «self» would be a TypeError.
    return Parameters(**{name: value for name, value in found.items() if name != "self"})


@quick
@dataclass(frozen=True, slots=True)
class NameAddr:
    """From, To, Contact, Route: a display name, the URI's text as it came, and header parameters."""

    uri: str
    name: str = ""
    parameters: Mapping[str, str | None] = field(default_factory=lambda: NO_PARAMETERS)

    @classmethod
    def read(cls, text: str) -> "NameAddr":
        """One name-addr or addr-spec (RFC 3261 §20.10). The URI itself is not judged. Raises ValueError."""
        return read_address(text)

    @classmethod
    def read_all(cls, values: list[str]) -> "list[NameAddr]":
        """Every address of a header that may repeat and may hold a list."""
        return [read_address(part) for value in values for part in _listed(value) if part]

    @property
    def tag(self) -> str:
        return self.parameters.get("tag") or ""


@remembered
def read_address(text: str) -> NameAddr:
    """One name-addr or addr-spec. Raises ValueError."""
    if usual := _USUAL_ADDRESS.fullmatch(text):
        name, uri, tag = usual.groups()
        return NameAddr(uri, name or "", {"tag": tag} if tag else NO_PARAMETERS)
    text = text.strip()
    pieces = split_outside(text, ";")
    head = pieces[0]
    if head.endswith(">"):
        name, bracket, uri = head[:-1].rpartition("<")
        if not bracket:
            raise ValueError("an address without its opening bracket")
        name = name.strip()
        uri = uri.strip()
    else:
        if "<" in head or '"' in head:
            raise ValueError("text behind an address")
        name, uri = "", head
        if "?" in uri or "," in uri:
            raise ValueError("a URI with «?» or «,» needs angle brackets (RFC 3261 §20)")
    if not scheme_of(uri) or _SPACE.search(uri):
        raise ValueError(f"«{uri[:64]}» is no URI")
    if name and name[0] != '"' and any(c in name for c in '"<>,;:@'):
        raise ValueError("a display name that needs quotes")
    return NameAddr(uri, unquote_string(name), read_parameters(pieces[1:]))


class Via(NamedTuple):
    """One Via value (RFC 3261 §20.42): the transport in capitals, the host in lower case, an IPv6 reference in brackets."""

    transport: str
    host: str
    port: int | None = None
    parameters: Mapping[str, str | None] = NO_PARAMETERS


def read_via(text: str) -> Via:
    """One Via value. Raises ValueError."""
    if usual := _USUAL_VIA.fullmatch(text):
        transport, host, digits, rest = usual.groups()
        port = int(digits) if digits else None
        if port is None or port < 65536:
            return Via(transport, host.lower(), port, _usual_parameters(rest))
    return _read_unusual_via(text)


def _usual_parameters(text: str) -> dict[str, str | None]:
    """Parameters that are tokens; the first of a name counts."""
    found: dict[str, str | None] = {}
    for piece in text.split(";")[1:]:
        name, equals, value = piece.partition("=")
        found.setdefault(name.lower(), value if equals else None)
    return found


@remembered
def _read_unusual_via(text: str) -> Via:
    head, *pieces = split_outside(" ".join(text.split()), ";")
    match = _SENT_PROTOCOL.fullmatch(head)
    if match is None:
        raise ValueError("a Via that is not SIP/2.0")
    host, port = read_hostport(match.group("rest"))
    return Via(
        transport=match.group("transport").upper(),
        host=host,
        port=port,
        parameters=read_parameters(pieces),
    )


@remembered
def read_cseq(text: str) -> CSeq:
    """A CSeq value (RFC 3261 §20.16). Raises ValueError, also for a number of 2³¹ or more (§8.1.1.5)."""
    number, _, method = " ".join(text.split()).partition(" ")
    if not _NUMBER.fullmatch(number.lstrip("0") or "0") or not TOKEN.fullmatch(method):
        raise ValueError("a CSeq is a number and a method")
    sequence = int(number)
    if sequence > MAX_CSEQ:
        raise ValueError("a CSeq number of 2**31 or more")
    return CSeq(sequence=sequence, method=method)


def read_number(text: str, at_most: int = 2**32 - 1) -> int:
    """A decimal field such as Expires or Max-Forwards. Raises ValueError."""
    text = text.strip()
    if not text.isascii() or not text.isdigit() or (len(text) > 10 and len(text.lstrip("0")) > 10):
        raise ValueError(f"«{text[:32]}» is no number")
    value = int(text)
    if value > at_most:
        raise ValueError(f"{value} is more than {at_most}")
    return value


def read_auth(text: str) -> tuple[str, dict[str, str]]:
    """Scheme (lower case) and parameters of an Authorization or WWW-Authenticate value. Raises ValueError."""
    scheme, _, rest = text.strip().partition(" ")
    if not TOKEN.fullmatch(scheme):
        raise ValueError("credentials without a scheme")
    found = _usual_credentials(rest)
    if found is not None:
        return scheme.lower(), found
    found = {}
    for part in split_outside(rest, ","):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not part:
            continue
        if not equals or not TOKEN.fullmatch(name):
            raise ValueError("credentials are name=value pairs")
        if name in found:
            raise ValueError(f"«{name}» twice in the credentials")
        found[name] = unquote_string(value.strip())
    return scheme.lower(), found


def _usual_credentials(text: str) -> dict[str, str] | None:
    """name=value pairs without escapes and each name once; None for any others."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _USUAL_CREDENTIAL.match(text, position)
        if match is None:
            return None
        name, quoted, plain = match.groups()
        found_under = name.lower()
        if found_under in found:
            return None
        found[found_under] = quoted if plain is None else plain
        position = match.end()
    return found
