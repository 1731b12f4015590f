"""One connection of a stream transport: reading in pieces, writing within bounds, and the patience of both.

A peer may be slow, silent or hostile: a message must be complete some seconds after it began, the first one some
seconds after the connection, and what it does not read is not kept for it for ever (RFC 3261 §18.4 leaves it to us).
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

import structlog

from gateways.sip import metrics
from gateways.sip.framing import PONG, Framer, FramingError, Ping
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What streams may cost. `idle_s` is longer than a registration lives, so a phone that refreshes stays."""

    max_message_bytes: int = 16_384
    connections: int = 5_000
    connections_per_source: int = 200
    connect_within_s: float = 4.0
    handshake_within_s: float = 8.0
    first_message_within_s: float = 10.0
    message_within_s: float = 10.0
    idle_s: float = 3_900.0
    unsent_bytes: int = 256 * 1024


class Listener(Protocol):
    """Whoever keeps the connections."""

    def opened(self, connection: "Connection") -> None:
        """Before anything is read from it."""
        ...

    def message(self, data: bytes, connection: "Connection") -> None:
        """One framed message. Does not raise."""
        ...

    def unreadable(self, error: FramingError, connection: "Connection") -> None:
        """The stream ends here; what is sent now still goes out."""
        ...

    def closed(self, connection: "Connection", reason: str) -> None: ...


class Connection(asyncio.Protocol):
    """One connection; `hop` is its far end."""

    def __init__(self, hop: Hop, limits: StreamLimits, listener: Listener) -> None:
        self.hop = hop
        self._limits = limits
        self._listener = listener
        self._framer = Framer(limits.max_message_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_spoken = False
        self._began = self._heard = self._loop.time()
        self._reason = "closed by the far end"

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> None:
        """Queue bytes; a far end that reads nothing loses its connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > self._limits.unsent_bytes:
            self.drop("the far end does not read")

    def close(self, reason: str) -> None:
        """Close once what was queued is out."""
        self._reason = reason
        if self._transport is not None:
            self._transport.close()
            # A far end that does not read would keep a closing connection for ever.
            self._arm(self._loop.time() + self._limits.message_within_s)

    def drop(self, reason: str) -> None:
        """Close at once."""
        self._reason = reason
        metrics.CONNECTIONS_DROPPED.labels(reason).inc()
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What every loop makes of a stream socket; libuv's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._began = self._heard = self._loop.time()
        self._arm(self._deadline())
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        was_amid = self._framer.is_amid
        try:
            for piece in self._framer.feed(data):
                self._has_spoken, was_amid = True, False
                if isinstance(piece, Ping):
                    self.send(PONG)
                else:
                    self._listener.message(piece, self)
                if not self.is_open:
                    return
        except FramingError as error:
            metrics.CONNECTIONS_DROPPED.labels("unreadable").inc()
            self._listener.unreadable(error, self)
            self.close("unreadable")
            return
        if self._framer.is_amid and not was_amid:
            self._began = self._heard
        self._arm(self._deadline())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._listener.closed(self, str(exc) if exc else self._reason)

    # --- patience --------------------------------------------------------------------------------------------

    def _deadline(self) -> float:
        if self._framer.is_amid:
            return self._began + self._limits.message_within_s
        if not self._has_spoken:
            return self._began + self._limits.first_message_within_s
        return self._heard + self._limits.idle_s

    def _arm(self, at: float) -> None:
        """Look again at `at` or before: a timer that is due sooner stays, and moves itself on."""
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._transport is None:
            return
        if self._transport.is_closing():
            self._transport.abort()
        elif self._loop.time() < (deadline := self._deadline()):
            self._arm(deadline)
        elif self._framer.is_amid:
            self.drop("slow message")
        else:
            self.drop("idle" if self._has_spoken else "silent")
