"""SIP over TCP and TLS (RFC 3261 §18, RFC 5626): one listening socket, and every connection that comes of it or of us.

A phone behind a NAT is reached only by the connection it opened, so connections are kept and found by their far end;
what is sent to a `Hop` goes by the one that is open, or opens one where that is possible. Connections are accepted
by hand, so that a source which has too many costs nothing, not even a TLS handshake.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import TracebackType

import structlog

from gateways.sip import metrics
from gateways.sip.connection import Connection, StreamLimits
from gateways.sip.framing import FramingError
from gateways.sip.tls import TlsIdentity
from gateways.sip.transport import Hop, Receiver, plain_address

log = structlog.get_logger(__name__)

Lost = Callable[[Hop, str], None]
_WAITING_MESSAGES = 64
_ALIASES = 64
_BACKLOG = 1_024
# Some phones (baresip) take no notice of a farewell in TLS, only of the end of the connection.
_TLS_GOODBYE_WITHIN_S = 0.5
_STOP_WITHIN_S = 1.0
_NO_DESCRIPTORS_PAUSE_S = 0.5

# The kernel finds out within two minutes that a phone has vanished; what is unanswered that long is lost.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 20_000}

_ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
_Key = tuple[str, int, str]


class StreamTransport:
    """TCP, or TLS with an `identity`. `receive` gets framed messages, `unreadable` the head of a message that could
    not be framed, `lost` every hop whose connection broke or could not be opened."""

    def __init__(
        self,
        host: str,
        port: int,
        limits: StreamLimits,
        receive: Receiver,
        unreadable: Callable[[FramingError, Hop], None],
        lost: Lost,
        identity: TlsIdentity | None = None,
    ) -> None:
        self.name = "TLS" if identity else "TCP"
        self._host = host
        self._port = port
        self._limits = limits
        self._receive = receive
        self._tell_unreadable = unreadable
        self._tell_lost = lost
        self._identity = identity
        self._listening: socket.socket | None = None
        self._open: dict[_Key, Connection] = {}
        self._hops: dict[Connection, list[Hop]] = {}
        self._sources: Counter[str] = Counter()
        self._admitted: dict[Connection, str] = {}
        self._loose: OrderedDict[Connection, None] = OrderedDict()
        self._waiting: dict[_Key, list[tuple[bytes, Hop]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._closed = asyncio.Event()

    @property
    def port(self) -> int:
        return self._port

    @property
    def connections(self) -> int:
        """How many are open now, both ways."""
        return len(self._hops)

    # --- life ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "StreamTransport":
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.setblocking(False)
            listening.bind((self._host, self._port))
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        self._listening = listening
        self._port = int(listening.getsockname()[1])
        self._spawn(self._accept(listening), f"sip-{self.name.lower()}-accept")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._hops):
            connection.close("the hub stops")
        try:
            # What was said last still goes out, and the far ends know at once that they must come again.
            async with asyncio.timeout(_STOP_WITHIN_S):
                while self._hops:
                    self._closed.clear()
                    await self._closed.wait()
        except TimeoutError:
            for connection in list(self._hops):
                connection.drop("the hub stops")

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- outward ---------------------------------------------------------------------------------------------

    def is_open(self, hop: Hop) -> bool:
        """Whether what is sent to `hop` needs no new connection."""
        connection = self._open.get(self._key(hop))
        return connection is not None and connection.is_open

    def bind(self, hop: Hop) -> None:
        """A registered phone is reached by the connection from `hop`: it is kept when room is made."""
        if connection := self._open.get(self._key(hop)):
            self._loose.pop(connection, None)

    def hang_up_on(self, hop: Hop) -> None:
        """End a connection whose far end says too much."""
        if connection := self._open.get(self._key(hop)):
            connection.drop("too fast")

    def send(self, data: bytes, hop: Hop) -> None:
        """Send by the open connection, or by a new one. What cannot be sent is told to `lost`, later."""
        connection = self._open.get(self._key(hop))
        if connection is not None and connection.is_open:
            connection.send(data)
            return
        if self._is_closing:
            return
        key = self._key(hop)
        if (waiting := self._waiting.get(key)) is not None:
            if len(waiting) < _WAITING_MESSAGES:
                waiting.append((data, hop))
            else:
                self._lose_later(hop, "too many wait for one connection")
        elif hop.flow and hop.then is None:
            self._lose_later(hop, "the connection of the phone is gone")
        else:
            self._waiting[key] = [(data, hop)]
            self._spawn(self._connect_and_send(key, hop), "sip-connect")

    async def reach(self, hop: Hop, within_s: float) -> bool:
        """Whether there is, or could be opened in that time, a connection to `hop`."""
        if self.is_open(hop):
            return True
        try:
            async with asyncio.timeout(within_s):
                return (await self._connect(hop)).is_open
        except (OSError, TimeoutError):
            return False

    def _lose_later(self, hop: Hop, reason: str) -> None:
        """Whoever sends is still at it: the news comes in the loop's next turn."""
        asyncio.get_running_loop().call_soon(self._tell_lost, hop, reason)

    async def _connect_and_send(self, key: _Key, hop: Hop) -> None:
        target = hop.then if hop.flow and hop.then is not None else hop
        connection = self._open.get(self._key(target))
        reason = ""
        try:
            if connection is None or not connection.is_open:
                async with asyncio.timeout(self._limits.connect_within_s):
                    connection = await self._connect(target)
        except TimeoutError:
            reason = "no connection in time"
        except OSError as error:
            # A certificate that does not fit is one, too (ssl.SSLError).
            reason = f"no connection: {error.strerror or error}"
        waiting = self._waiting.pop(key, [])
        if connection is None or reason:
            metrics.CONNECT_FAILURES.labels(self.name).inc()
            log.info("sip_connect_failed", transport=self.name, reason=reason)
            for one in {hop for _, hop in waiting}:
                self._tell_lost(one, reason)
            return
        self._also(connection, hop)
        for data, _ in waiting:
            connection.send(data)

    async def _connect(self, target: Hop) -> Connection:
        context: ssl.SSLContext | None = None
        if self._identity is not None:
            context = self._identity.client()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(replace(target, flow=False, then=None), self._limits, self),
            target.host,
            target.port,
            # Peers that know us by address (a proxy, a trunk) know the one we listen at.
            local_addr=None if self._host in _ANY_ADDRESS else (self._host, 0),
            ssl=context,
            server_hostname=(target.name or target.host) if context else None,
            ssl_handshake_timeout=self._limits.handshake_within_s if context else None,
            ssl_shutdown_timeout=_TLS_GOODBYE_WITHIN_S if context else None,
        )
        return connection

    def _also(self, connection: Connection, hop: Hop) -> None:
        """What is meant for `hop` goes by this connection from now on."""
        hops = self._hops.get(connection)
        if hops is not None and hop not in hops and len(hops) < _ALIASES:
            hops.append(hop)
            self._open[self._key(hop)] = connection

    def _key(self, hop: Hop) -> _Key:
        # A connection that was opened to one name is not used for another at the same address: its certificate
        # would vouch for the wrong one (RFC 5923 §8.2).
        name = hop.name if self._identity is not None else ""
        return (hop.host, hop.port, name)

    # --- inward ----------------------------------------------------------------------------------------------

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:
                # No descriptors are left, or the peer is gone already: neither ends the listening.
                log.warning("sip_accept_failed", error=str(error))
                await asyncio.sleep(_NO_DESCRIPTORS_PAUSE_S)
                continue
            self._admit(
                sock, Hop(plain_address(str(address[0]).partition("%")[0]), int(address[1]))
            )

    def _admit(self, sock: socket.socket, peer: Hop) -> None:
        source = source_of(peer.host)
        if self._sources[source] >= self._limits.connections_per_source:
            metrics.CONNECTIONS_REFUSED.labels("source").inc()
            sock.close()
            return
        if len(self._admitted) >= self._limits.connections and not self._make_room():
            metrics.CONNECTIONS_REFUSED.labels("full").inc()
            sock.close()
            return
        connection = Connection(replace(peer, transport=self.name).as_flow(), self._limits, self)
        self._sources[source] += 1
        self._admitted[connection] = source
        self._spawn(self._welcome(sock, connection), "sip-welcome")

    async def _welcome(self, sock: socket.socket, connection: Connection) -> None:
        context = self._identity.server() if self._identity is not None else None
        try:
            _be_alert(sock)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=context,
                ssl_handshake_timeout=self._limits.handshake_within_s if context else None,
                ssl_shutdown_timeout=_TLS_GOODBYE_WITHIN_S if context else None,
            )
        except OSError as error:
            metrics.TLS_HANDSHAKES_FAILED.inc()
            log.info("sip_handshake_failed", error=str(error))
            sock.close()
            self._dismiss(connection)
        except BaseException:
            sock.close()
            self._dismiss(connection)
            raise

    def _make_room(self) -> bool:
        """Close the connection that has said nothing for longest and is no registered phone's."""
        connection = next(iter(self._loose), None)
        if connection is None:
            return False
        connection.drop("room for others")
        self._dismiss(connection)
        return True

    def _dismiss(self, connection: Connection) -> None:
        self._loose.pop(connection, None)
        source = self._admitted.pop(connection, None)
        if source is not None:
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]

    # --- gateways.sip.connection.Listener -----------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        if self._is_closing:
            connection.drop("the hub stops")
            return
        self._hops[connection] = [connection.hop]
        self._open[self._key(connection.hop)] = connection
        if connection in self._admitted:
            self._loose[connection] = None
        metrics.CONNECTIONS.labels(self.name).set(len(self._hops))

    def message(self, data: bytes, connection: Connection) -> None:
        if connection in self._loose:
            self._loose.move_to_end(connection)
        self._receive(data, connection.hop)

    def unreadable(self, error: FramingError, connection: Connection) -> None:
        self._tell_unreadable(error, connection.hop)

    def closed(self, connection: Connection, reason: str) -> None:
        self._dismiss(connection)
        hops = self._hops.pop(connection, [])
        self._closed.set()
        metrics.CONNECTIONS.labels(self.name).set(len(self._hops))
        for hop in hops:
            if self._open.get(self._key(hop)) is connection:
                del self._open[self._key(hop)]
                if not self._is_closing:
                    self._tell_lost(hop, f"connection lost: {reason}")


def source_of(host: str) -> str:
    """Whose connections are counted together: an IPv4 address, or the /64 an IPv6 customer has to himself."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return host


def _be_alert(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
