"""Reading session descriptions (RFC 8866): what real phones write, made into values; nothing is judged here.

The reader takes lone line feeds, missing lines and unknown attributes. What no phone writes (a thousand m-lines,
a thousand formats) is refused whole, because an answer must repeat every m-line (RFC 3264 §6).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from commhub.kit.values import quick
from gateways.sip.errors import SdpError

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_MAX_LINES = 1024
_MAX_MEDIA = 16
_MAX_FORMATS = 64
_MAX_CRYPTO = 16
_MAX_FEEDBACK = 64
_MOST_BITS = 1 << 31
_LONGEST_REMEMBERED = 2_000
_UNREADABLE = 400


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One m-line. `formats` keep the writer's order; `names` are rtpmap's «NAME/RATE» by payload type, in
    capitals, and `fmtp` their parameters. `crypto` are the values of a=crypto as they stand (RFC 4568); `rtcp`
    is a=rtcp's (RFC 3605), with the line's own host where it names none. `feedback` are a=rtcp-fb's payload type (or *)
    and words (RFC 4585 §4.2), `kbps` what b=TIAS or else b=AS allows, `content` a=content's (RFC 4796)."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    host: str = ""
    names: dict[str, str] = field(default_factory=dict)
    fmtp: dict[str, str] = field(default_factory=dict)
    direction: str = "sendrecv"
    ptime_ms: int | None = None
    maxptime_ms: int | None = None
    crypto: tuple[str, ...] = field(default=(), repr=False)
    rtcp: tuple[str, int] | None = None
    rtcp_mux: bool = False
    feedback: tuple[tuple[str, str], ...] = ()
    kbps: int | None = None
    content: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A description as read. `media` in the order of the m-lines, which an answer repeats (RFC 3264 §6)."""

    media: tuple[Media, ...]
    session_id: str = "0"
    version: str = "0"


def read(body: bytes) -> Session:
    """Raises SdpError (400) when there is no m-line to make sense of, or more than anybody means."""
    if len(body) > _LONGEST_REMEMBERED or b"a=crypto" in body:
        # Keys of SRTP are kept by nobody but their call.
        return _read(body)
    return _remembered(body)


def _read(body: bytes) -> Session:
    lines = body.decode("utf-8", "replace").splitlines()
    if len(lines) > _MAX_LINES:
        raise SdpError(f"a description of more than {_MAX_LINES} lines", _UNREADABLE)
    reader = _Reader()
    for line in lines:
        kind, equals, value = line.strip().partition("=")
        if equals:
            reader.take(kind, value)
    if not reader.media:
        raise SdpError("no media description", _UNREADABLE)
    return Session(
        media=tuple(one.done() for one in reader.media),
        session_id=reader.session_id,
        version=reader.version,
    )


# A description is looked at five times while its call is agreed on.
_remembered = lru_cache(maxsize=256)(_read)


class _Reader:
    """What was read so far; a line before the first m-line is the session's and holds for all media."""

    def __init__(self) -> None:
        self.media: list[_Draft] = []
        self.session_id = "0"
        self.version = "0"
        self._host = ""
        self._direction = DIRECTIONS[0]

    def take(self, kind: str, value: str) -> None:
        if kind == "m":
            if len(self.media) == _MAX_MEDIA:
                raise SdpError(f"more than {_MAX_MEDIA} media descriptions", _UNREADABLE)
            self.media.append(_read_media(value, self._host, self._direction))
        elif self.media:
            self.media[-1].take(kind, value)
        else:
            self._session_line(kind, value)

    def _session_line(self, kind: str, value: str) -> None:
        if kind == "c":
            self._host = _read_connection(value)
        elif kind == "a" and value in DIRECTIONS:
            self._direction = value
        elif kind == "o" and len(value.split()) >= 3:
            self.session_id, self.version = value.split()[1:3]


@dataclass(slots=True, kw_only=True)
class _Draft:
    """One m-line while its attributes are read; the fields are `Media`'s."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    host: str
    direction: str
    names: dict[str, str] = field(default_factory=dict)
    fmtp: dict[str, str] = field(default_factory=dict)
    ptime_ms: int | None = None
    maxptime_ms: int | None = None
    crypto: list[str] = field(default_factory=list)
    rtcp: tuple[str, int] | None = None
    rtcp_mux: bool = False
    feedback: list[tuple[str, str]] = field(default_factory=list)
    tias_kbps: int | None = None
    as_kbps: int | None = None
    content: str = ""

    def take(self, kind: str, value: str) -> None:
        """A line behind the m-line."""
        if kind == "c":
            self.host = _read_connection(value)
        elif kind == "b":
            self._bandwidth(value)
        elif kind == "a":
            name, _, rest = value.partition(":")
            if name in DIRECTIONS:
                self.direction = name
            elif (attribute := _ATTRIBUTES.get(name)) is not None:
                attribute(self, rest.strip())

    def _bandwidth(self, value: str) -> None:
        kind, _, rest = value.partition(":")
        amount = _number(rest.strip(), below=_MOST_BITS)
        if amount and kind == "TIAS":
            self.tias_kbps = max(1, amount // 1000)
        elif amount and kind == "AS":
            self.as_kbps = amount

    def done(self) -> Media:
        return Media(
            kind=self.kind,
            port=self.port,
            protocol=self.protocol,
            formats=self.formats,
            host=self.host,
            names=self.names,
            fmtp=self.fmtp,
            direction=self.direction,
            ptime_ms=self.ptime_ms,
            maxptime_ms=self.maxptime_ms,
            crypto=tuple(self.crypto),
            rtcp=self.rtcp,
            rtcp_mux=self.rtcp_mux,
            feedback=tuple(self.feedback),
            kbps=self.tias_kbps or self.as_kbps,
            content=self.content,
        )


def _read_media(value: str, host: str, direction: str) -> _Draft:
    parts = value.split()
    if len(parts) < 4:
        raise SdpError("an m-line has a kind, a port, a protocol and formats", _UNREADABLE)
    kind, port_text, protocol, *formats = parts
    if len(formats) > _MAX_FORMATS:
        raise SdpError(f"more than {_MAX_FORMATS} formats in an m-line", _UNREADABLE)
    port = _number(port_text.partition("/")[0], below=65536)
    if port is None:
        raise SdpError(f"«{port_text[:16]}» is no port", _UNREADABLE)
    return _Draft(
        kind=kind.lower(),
        port=port,
        protocol=protocol.upper(),
        formats=tuple(formats),
        host=host,
        direction=direction,
    )


def _rtpmap(media: _Draft, rest: str) -> None:
    payload_type, _, text = rest.partition(" ")
    if payload_type in media.formats:
        media.names[payload_type] = text.strip().upper()


def _fmtp(media: _Draft, rest: str) -> None:
    payload_type, _, text = rest.partition(" ")
    if payload_type in media.formats:
        media.fmtp[payload_type] = text.strip()


def _ptime(media: _Draft, rest: str) -> None:
    media.ptime_ms = _milliseconds(rest) or media.ptime_ms


def _maxptime(media: _Draft, rest: str) -> None:
    media.maxptime_ms = _milliseconds(rest) or media.maxptime_ms


def _crypto(media: _Draft, rest: str) -> None:
    if len(media.crypto) < _MAX_CRYPTO:
        media.crypto.append(rest)


def _rtcp(media: _Draft, rest: str) -> None:
    parts = rest.split()
    port = _number(parts[0], below=65536) if parts else None
    if port:
        media.rtcp = (parts[3] if len(parts) >= 4 else "", port)


def _rtcp_mux(media: _Draft, _: str) -> None:
    media.rtcp_mux = True


def _feedback(media: _Draft, rest: str) -> None:
    payload_type, _, words = rest.partition(" ")
    if len(media.feedback) < _MAX_FEEDBACK:
        media.feedback.append((payload_type, " ".join(words.split()).lower()))


def _content(media: _Draft, rest: str) -> None:
    media.content = rest.partition(",")[0].strip().lower()


_ATTRIBUTES: dict[str, Callable[[_Draft, str], None]] = {
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "ptime": _ptime,
    "maxptime": _maxptime,
    "crypto": _crypto,
    "rtcp": _rtcp,
    "rtcp-mux": _rtcp_mux,
    "rtcp-fb": _feedback,
    "content": _content,
}


def _milliseconds(text: str) -> int | None:
    """Some phones write «20.0»; a length no packet can have is as good as none."""
    return _number(text.partition(".")[0], below=1000) or None


def _read_connection(value: str) -> str:
    parts = value.split()
    return parts[2].partition("/")[0] if len(parts) >= 3 else ""


def _number(text: str, *, below: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    number = int(text)
    return number if number < below else None
