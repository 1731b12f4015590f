"""SIP messages out of a stream of bytes (RFC 3261 §18.3): heads end with an empty line, bodies by Content-Length.

Pure: bytes in, pieces out, no clock and no socket. On a stream a message whose length is not known leaves no way to
find the next one, so any doubt ends the stream (`FramingError`); what is kept is bounded by one message.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gateways.sip.errors import MalformedError, SipError
from gateways.sip.grammar import TOKEN
from gateways.sip.message import content_length

PONG = b"\r\n"
_PING = b"\r\n\r\n"
_BLANK = b"\r\n\r\n"


class FramingError(SipError):
    """The stream cannot be read any further. `head` is the head of the message at fault, if one came."""

    def __init__(self, reason: str, head: bytes = b"") -> None:
        super().__init__(reason)
        self.head = head


@dataclass(frozen=True, slots=True)
class Ping:
    """An empty line twice between two messages: the far end asks for one back (RFC 5626 §3.5.1)."""


class Framer:
    """One direction of one connection. `max_bytes` bounds a message, head and body."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._needed: int | None = None

    @property
    def is_amid(self) -> bool:
        """Whether a message has begun and is not complete; empty lines are none."""
        return not _PING.startswith(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | Ping]:
        """The messages and pings that are complete now. Raises FramingError; the framer is of no use then."""
        self._buffer += data
        while (piece := self._next()) is not None:
            yield piece

    def _next(self) -> bytes | Ping | None:
        if self._needed is None:
            if self._buffer.startswith(_PING):
                del self._buffer[: len(_PING)]
                return Ping()
            if self._buffer.startswith(PONG) and self.is_amid:
                # An answer to a ping, or an empty line before a message (§7.5).
                del self._buffer[: len(PONG)]
            if not self.is_amid or not self._find_head():
                return None
        if self._needed is None or len(self._buffer) < self._needed:
            return None
        message = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._scanned, self._needed = 0, None
        return message

    def _find_head(self) -> bool:
        """Whether the head is complete; then `_needed` is known."""
        if not TOKEN.match(chr(self._buffer[0])):
            raise FramingError("a stream that does not speak SIP")
        end = self._buffer.find(_BLANK, max(0, self._scanned - len(_BLANK)))
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > self._max_bytes:
                raise FramingError(f"no end of a head within {self._max_bytes} bytes")
            return False
        head = bytes(self._buffer[: end + len(_BLANK)])
        self._needed = len(head) + self._body_length(head)
        return True

    def _body_length(self, head: bytes) -> int:
        try:
            length = content_length(head)
        except MalformedError as error:
            raise FramingError(str(error), head) from error
        if length is None:
            raise FramingError("no Content-Length on a stream", head)
        if len(head) + length > self._max_bytes:
            raise FramingError(f"a message of {len(head) + length} bytes", head)
        return length
