"""SIP messages: bytes to a Request or Response and back.

Compact forms and some value types are `sipmessage`'s. The framing is ours, because the edge must be able to answer a
message it cannot fully read: unfolding, lone line feeds, a start line whose URI is unknown, and texts that are echoed
exactly as they came (a Via or a tag rewritten by a parser breaks the peer's matching). Values are read when somebody
asks for them, and kept.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from sipmessage import CSeq
from sipmessage.message import COMPACT_FORMS

from gateways.sip.errors import MalformedError
from gateways.sip.grammar import (
    TOKEN,
    NameAddr,
    Via,
    read_address,
    read_cseq,
    read_number,
    read_via,
    split_outside,
)
from gateways.sip.headers import Fields, Headers
from gateways.sip.once import once
from gateways.sip.reasons import REASONS

T = TypeVar("T")

VERSION = "SIP/2.0"
_ONCE = ("call-id", "cseq", "from", "to", "max-forwards", "content-length", "expires")
_WITH_CONTACT = ("INVITE", "REGISTER", "SUBSCRIBE", "REFER")
_MAX_HEADERS = 256
_LONGEST_NAME = 256
# What a response repeats beside its Vias, and how it is written.
_ECHOED = {"from": "From", "to": "To", "call-id": "Call-ID", "cseq": "CSeq"}
_ONCE_ECHOED = tuple(_ECHOED)
# What we write ourselves, and the nothing behind one separator too many, which is forgiven.
_NOT_ECHOED = ("received", "rport", "")
_LONGEST_START = 512
_NOT_IN_REQUEST_URI = re.compile(r'[\s<>"]')
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?")


class Message(ABC):
    """What requests and responses share. Typed values are read when asked for and raise MalformedError."""

    def __init__(self, headers: Headers | None = None, body: bytes = b"") -> None:
        self.headers = headers if headers is not None else Headers()
        self.body = body

    @property
    @abstractmethod
    def start_line(self) -> str:
        """The first line, without its end."""

    @property
    def size(self) -> int:
        """How many bytes it has, give or take those of its Content-Length."""
        text = f"{self.start_line}\r\n{self.headers}"
        head = len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
        return head + len(self.body)

    def __bytes__(self) -> bytes:
        self.headers.set("Content-Length", str(len(self.body)))
        text = f"{self.start_line}\r\n{self.headers}"
        return text.encode("utf-8", "surrogateescape") + self.body

    def get(self, name: str) -> str:
        """The first value of a header, empty when it is absent."""
        return self.headers.first(name.lower())

    def tokens(self, name: str) -> list[str]:
        """A list header such as Require or Supported, in lower case."""
        values = self.headers.getlist(name)
        if not values:
            return []
        return [
            token.strip().lower() for value in values for token in value.split(",") if token.strip()
        ]

    @once
    def call_id(self) -> str:
        return self._read("call-id", str)

    @once
    def cseq(self) -> CSeq:
        return self._read("cseq", read_cseq)

    @once
    def sender(self) -> NameAddr:
        """The From header."""
        return self._read("from", read_address)

    @once
    def recipient(self) -> NameAddr:
        """The To header."""
        return self._read("to", read_address)

    @once
    def top_via(self) -> Via:
        first = self.headers.first("via")
        if not first:
            raise MalformedError("no Via")
        try:
            return read_via(split_outside(first, ",")[0] if "," in first else first)
        except ValueError as error:
            raise MalformedError(f"Via: {error}") from error

    def addresses(self, name: str) -> list[NameAddr]:
        """Contact, Route or Record-Route as a list. Raises MalformedError."""
        try:
            return NameAddr.read_all(self.headers.getlist(name))
        except ValueError as error:
            raise MalformedError(f"{name}: {error}") from error

    def number(self, name: str) -> int | None:
        """A numeric header, None when it is absent. Raises MalformedError."""
        value = self.headers.get(name)
        if value is None:
            return None
        try:
            return read_number(value)
        except ValueError as error:
            raise MalformedError(f"{name}: {error}") from error

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case; empty when there is none."""
        return self.get("Content-Type").partition(";")[0].strip().lower()

    def _read(self, key: str, reader: Callable[[str], T]) -> T:
        """What the reader makes of a header that every message has. Five of them are read of every message."""
        value = self.headers.first(key)
        if not value:
            raise MalformedError(f"no {_ECHOED[key]}")
        try:
            return reader(value)
        except ValueError as error:
            raise MalformedError(f"{_ECHOED[key]}: {error}") from error


class Request(Message):
    """`uri` is the Request-URI's text as it came; `uas` judges it."""

    def __init__(
        self, method: str, uri: str, headers: Headers | None = None, body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri = uri
        self.credentials: dict[str, object] = {}
        """What was read of them, by header: `digest.Credentials`, or None."""

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} {VERSION}"

    def stamp(self, host: str, port: int) -> None:
        """Write where the request came from into the top Via: `received` always, `rport` when it was asked
        for (RFC 3261 §18.2.1, RFC 3581 §4). The rest of the Via stays as it came. Raises MalformedError."""
        via = self.top_via
        values = self.headers.getlist("Via")
        first, *others = split_outside(values[0], ",") if "," in values[0] else values[:1]
        is_plain = '"' not in first and "<" not in first
        head, *pieces = first.split(";") if is_plain else split_outside(first, ";")
        kept = [p for p in pieces if p.partition("=")[0].strip().lower() not in _NOT_ECHOED]
        ours = {"received": host}
        if "rport" in via.parameters:
            ours["rport"] = str(port)
        stamped = ";".join([head, *kept, *(f"{name}={value}" for name, value in ours.items())])
        self.headers.setlist("Via", [", ".join([stamped, *others]), *values[1:]])
        self.top_via = Via(via.transport, via.host, via.port, {**via.parameters, **ours})

    def response(
        self,
        status: int,
        *,
        reason: str | None = None,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> "Response":
        """The response to this request: Via, From, To, Call-ID and CSeq as they came (RFC 3261 §8.2.6.2).
        `to_tag` is added unless the To had a tag."""
        answer = Response(status, reason or REASONS.get(status, "Unknown"), body=body)
        answer.headers.take(self.headers, "via")
        # A message with two of the others cannot be read, and is told so with the first.
        answer.headers.take_first(self.headers, _ONCE_ECHOED)
        if to_tag and status > 100:
            try:
                tagged = bool(self.recipient.tag)
            except MalformedError:
                tagged = True  # An unreadable To is echoed untouched.
            if not tagged:
                answer.headers.set("To", f"{self.get('To')};tag={to_tag}")
        answer.headers.add_all(headers)
        return answer


class Response(Message):
    def __init__(
        self, status: int, reason: str = "", headers: Headers | None = None, body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = reason

    @property
    def start_line(self) -> str:
        return f"{VERSION} {self.status} {self.reason}"

    @property
    def is_final(self) -> bool:
        return self.status >= 200


def parse(data: bytes, max_bytes: int = 65_535) -> Request | Response:
    """Read one datagram, or one framed message of a stream.

    Raises MalformedError; its `request` is set when a 400 (or 505) can be sent for it.
    """
    if len(data) > max_bytes:
        raise MalformedError(f"{len(data)} bytes are too many", 413)
    head, body = _split(data)
    lines = _unfold(head)
    message, flaw = _start(lines[0])
    flaw = _read_headers(message, lines) or flaw
    if flaw is None:
        flaw = _frame_body(message, body)
    if flaw is not None:
        if isinstance(message, Request) and message.headers.getlist("Via"):
            flaw.request = message
        raise flaw
    return message


def content_length(head: bytes) -> int | None:
    """The Content-Length of a head that ends with its empty line, as `parse` will read it; None without one. Raises
    MalformedError for one that is no number or stands there twice."""
    # Any message will do: only its headers are filled in and read.
    message = Response(100, "")
    _, *lines = _unfold(_split(head)[0])
    for line in lines:
        name, _, value = line.partition(":")
        if COMPACT_FORMS.get(name.strip().lower(), name.strip()).lower() == "content-length":
            message.headers.add("Content-Length", value.strip())
    if len(message.headers.getlist("Content-Length")) > 1:
        raise MalformedError("Content-Length more than once")
    return message.number("Content-Length")


def _split(data: bytes) -> tuple[str, bytes]:
    data = data.lstrip(b"\r\n")
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        # Hand-made messages end their lines with a lone line feed; nothing is lost by reading them.
        head, blank, body = data.partition(b"\n\n")
    if not blank:
        head = data
    return head.decode("utf-8", "surrogateescape"), body


def _unfold(head: str) -> list[str]:
    """Logical header lines (RFC 3261 §7.3.1); stray carriage returns become blanks."""
    lines = head.split("\r\n")
    if len(lines) - 1 == head.count("\n") == head.count("\r") and not (
        "\n " in head or "\n\t" in head or "\n\r" in head or head.endswith("\n")
    ):
        # As nearly everybody writes it.
        return lines
    lines = []
    for line in head.split("\n"):
        text = line.removesuffix("\r").replace("\r", " ")
        if text[:1] in (" ", "\t") and lines:
            lines[-1] += " " + text.strip()
        elif text or not lines:
            lines.append(text)
    return lines


def _start(line: str) -> tuple[Request | Response, MalformedError | None]:
    if len(line) > _LONGEST_START:
        return _read_start(line)
    kind, text, status = _known_start(line)
    if status:
        return Response(status, text), None
    return (Request(kind, text), None) if kind else _read_start(line)


@lru_cache(maxsize=4096)
def _known_start(line: str) -> tuple[str, str, int]:
    """The method and the Request-URI of a request, or the status of a response and its reason; neither when there is
    something wrong with the line. Those of a phone's messages are always the same ones."""
    try:
        message, flaw = _read_start(line)
    except MalformedError:
        return "", "", 0
    if flaw is not None:
        return "", "", 0
    if isinstance(message, Response):
        return "", message.reason, message.status
    return message.method, message.uri, 0


def _read_start(line: str) -> tuple[Request | Response, MalformedError | None]:
    if match := _STATUS_LINE.fullmatch(line):
        return Response(int(match.group(1)), match.group(2) or ""), None
    if line.startswith("SIP/"):
        raise MalformedError("a status line without a status of 100 to 699")
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not TOKEN.fullmatch(method) or not version.upper().startswith("SIP/"):
        # Extra blanks at the end of the line leave the version empty (RFC 4475 §3.1.2.7).
        uri, _, version = rest.rstrip().rpartition(" ")
        if not TOKEN.fullmatch(method) or not version.upper().startswith("SIP/"):
            raise MalformedError("neither a request nor a response")
        return Request(method, uri), MalformedError("blanks behind the version")
    request = Request(method, uri)
    if version.upper() != VERSION:
        return request, MalformedError(f"version {version[:16]}", 505)
    if not uri or _NOT_IN_REQUEST_URI.search(uri):
        return request, MalformedError("the Request-URI holds blanks or brackets")
    return request, None


def _read_headers(message: Message, lines: list[str]) -> MalformedError | None:
    """Fill the message's headers from all lines but the first; the first thing wrong with them, if any."""
    flaw: MalformedError | None = None
    if len(lines) - 1 > _MAX_HEADERS:
        flaw = MalformedError(f"more than {_MAX_HEADERS} header lines")
    fields: Fields = {}
    for line in lines[1 : _MAX_HEADERS + 1]:
        written, colon, value = line.partition(":")
        key, name = _name(written) if len(written) <= _LONGEST_NAME else _NO_NAME
        if not colon or not key:
            flaw = flaw or MalformedError(f"«{line[:32]}» is no header line")
            continue
        found = fields.get(key)
        fields[key] = (name, value.strip()) if found is None else (*found, value.strip())
    message.headers = headers = Headers(fields)
    if flaw is None and len(headers) < len(lines) - 1:
        for twice in headers.more_than_once(_ONCE):
            return MalformedError(f"{twice} more than once")
    return flaw


_NO_NAME = ("", "")


@lru_cache(maxsize=1024)
def _name(written: str) -> tuple[str, str]:
    """The name of a field in its long form, in lower case and as it is written; empty for what is none."""
    name = written.rstrip()
    if not TOKEN.fullmatch(name):
        return _NO_NAME
    name = COMPACT_FORMS.get(name.lower(), name)
    return name.lower(), name


def _frame_body(message: Message, body: bytes) -> MalformedError | None:
    """Cut the body to Content-Length (RFC 3261 §18.3); over UDP the rest of the datagram is ignored."""
    try:
        length = message.number("Content-Length")
    except MalformedError as error:
        return error
    if length is None:
        message.body = body
        return None
    if length > len(body):
        return MalformedError(f"Content-Length {length}, but only {len(body)} bytes came")
    message.body = body[:length]
    return None


def check_request(request: Request) -> None:
    """Read everything a transaction needs. Raises MalformedError (400, §8.2, RFC 4475 §3.1.2) that carries the
    request, so that it can be answered."""
    try:
        _ = request.top_via, request.call_id, request.sender, request.recipient
        request.number("Max-Forwards")
        if request.cseq.method != request.method:
            raise MalformedError("the CSeq names another method")  # noqa: TRY301 - completed like the others
        if request.method in _WITH_CONTACT and request.get("Contact").strip() != "*":
            request.addresses("Contact")
    except MalformedError as error:
        error.request = request
        raise


def check_response(response: Response) -> None:
    """The same for a response: what fails here is dropped (§18.1.2)."""
    _ = response.top_via, response.call_id, response.cseq, response.sender, response.recipient


def clean_text(text: str, limit: int = 64) -> str:
    """Text of a peer made fit for a screen or a log: printable, valid Unicode, bounded."""
    return "".join(c for c in text if c.isprintable())[:limit].strip()
