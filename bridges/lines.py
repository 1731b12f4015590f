"""A connection that speaks lines, as both ends of a worker protocol need it: no task, no future and no timer a line.

What is sent in one turn of the event loop leaves in one write, and what came with one read is taken in one turn: a busy
hub and its worker exchange some ten lines at a time.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import cast

from bridges import wire
from bridges.errors import ProtocolError
from bridges.wire import Message
from commhub.domain.errors import DomainError


class LineConnection(asyncio.Protocol, ABC):
    """One end. A line that is no message, or that `_take` refuses with an error, ends the connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._unsent: list[bytes] = []
        self._is_over = False
        self._is_closing = False

    @abstractmethod
    def _take(self, message: Message) -> None:
        """A line came. Raises DomainError, ProtocolError and ValueError for one that cannot be understood."""

    @abstractmethod
    def _ended(self, error: Exception | None) -> None:
        """The connection is over; `error` is why, None for an end that the other side chose. Told once."""

    # Out ---------------------------------------------------------------------------------------------------------

    def send(self, line: bytes) -> None:
        """Send a line, as `wire.line` makes it, with the others of this turn. After the end it goes nowhere."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(line)

    @property
    def unread(self) -> int:
        """Bytes that the other side has yet to read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close(self) -> None:
        """End it when everything is sent. What still comes is not looked at."""
        self._is_closing = True
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    # In ----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's, by how this protocol is used; uvloop's has the same face but not the same class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        try:
            for text in lines:
                if self._is_closing:
                    return
                self._take(wire.parse(text))
        except (ProtocolError, DomainError, ValueError, TypeError) as error:
            self._break_off(error)
        else:
            if len(self._rest) > wire.LINE_LIMIT:
                self._break_off(ProtocolError("a line without an end"))

    def _break_off(self, error: Exception) -> None:
        self._end(error)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._transport = None

    def _end(self, error: Exception | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._ended(error)
