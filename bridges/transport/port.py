"""The UDP port of a worker: every browser's ICE, DTLS and media on one socket, told apart by who proved what.

STUN is for whom its username names; DTLS and media belong to the peer that proved their source address by a
signed check (RFC 7983 §7 gives the first byte). An unproven source costs a look-up and is dropped.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsParameters

from bridges.transport.batch import source_address, source_key, widen_buffers
from bridges.transport.checking import Checking
from bridges.transport.counts import TransportCounts
from bridges.transport.peer import Deliver, DeliverBatch, Peer, Wire
from bridges.transport.sealing import MediaArena, Scratch
from bridges.transport.stun import Address, is_answer, local_ufrag
from commhub.domain.errors import UnavailableError
from commhub.kit.clock import Clock

log = structlog.get_logger(__name__)

_BUFFER = 8 << 20
_BATCH = 512
"""Packets taken at once, of all peers."""
_PAUSE_S = 0.00025
_PAUSES = 3
"""Pauses for more of what has begun to come, at most; one in which nothing comes is the last."""
_WATCH_EVERY_S = 1.0
_CERTIFICATE_DAYS_LEFT = 15


Drained = Callable[[bool], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortConfig:
    """`advertise_host` is the address far ends are told, `port` 0 any. A peer whose checks stop for
    `consent_s` seconds is gone (RFC 7675 §5.1 says 30 at most; browsers check every 5)."""

    bind_host: str = "127.0.0.1"
    advertise_host: str = "127.0.0.1"
    port: int = 0
    consent_s: float = 15.0
    max_peers: int = 512


class WebRtcPort:
    """Open while entered. `gone` is told of each peer that vanished, which is closed by then; `drained` is called after
    each batch that was delivered, with whether it may ask for more first, and answers False when it does."""

    def __init__(
        self,
        config: PortConfig,
        clock: Clock,
        gone: Callable[[Peer], None],
        *,
        batch: int = _BATCH,
        beside: "WebRtcPort | None" = None,
    ) -> None:
        """`batch`: packets taken at once. A port `beside` another counts with it and has its certificate."""
        self.config = config
        self.counts: TransportCounts = TransportCounts() if beside is None else beside.counts
        self._clock = clock
        self._gone = gone
        self._by_ufrag: dict[str, Peer] = {}
        self._by_address: dict[int, Peer] = {}
        self._certificate = (
            RTCCertificate.generateCertificate() if beside is None else beside.current_certificate()
        )
        self._asking: dict[Peer, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sock: socket.socket | None = None
        self._arena = MediaArena(batch)
        self._scratch = Scratch()
        self.drained: Drained = lambda _: True
        self.is_patient: Callable[[], bool] = lambda: False
        """Whether a first packet is better not read alone."""
        self._watching: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> Address:
        """What far ends are told. Raises UnavailableError while the port is closed."""
        if self._sock is None:
            raise UnavailableError("the WebRTC port is closed")
        return self.config.advertise_host, int(self._sock.getsockname()[1])

    @property
    def peers(self) -> int:
        return len(set(self._by_ufrag.values()))

    async def __aenter__(self) -> Self:
        """Raises OSError when the port is taken."""
        self.begin()
        return self

    def begin(self) -> None:
        """Open it, on the running loop. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            widen_buffers(sock, _BUFFER)
            sock.bind((self.config.bind_host, self.config.port))
            loop.add_reader(sock.fileno(), self._readable)
        except BaseException:
            sock.close()
            raise
        self._loop, self._sock = loop, sock
        self._watching = asyncio.create_task(self._watch(), name="webrtc-consent")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """Say goodbye to all peers and close."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        for peer in set(self._by_ufrag.values()):
            self.close(peer)
        if self._closing:
            await asyncio.wait(self._closing)
        if self._sock is not None and self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    # Peers ---------------------------------------------------------------------------------------------------

    def open(
        self,
        remote: RTCDtlsParameters,
        *,
        is_server: bool,
        deliver_rtcp: Deliver,
        deliver: Deliver = lambda _: None,
        deliver_batch: DeliverBatch | None = None,
        checking: Checking | None = None,
    ) -> Peer:
        """Expect a far end, or, with `checking`, ask it for a path. Raises UnavailableError when there is no room for another."""
        if self._sock is None:
            raise UnavailableError("the WebRTC port is closed")
        if self.peers >= self.config.max_peers:
            raise UnavailableError("this media worker has no room for another browser")
        peer = Peer(
            remote,
            self.current_certificate(),
            is_server=is_server,
            wire=Wire(
                fd=self._sock.fileno(),
                transmit=self._transmit,
                scratch=self._scratch,
                counts=self.counts,
            ),
            deliver=deliver,
            deliver_rtcp=deliver_rtcp,
            deliver_batch=deliver_batch,
            now=self._clock.monotonic(),
        )
        if checking is not None:
            peer.ask(checking)
        self._by_ufrag[peer.credentials.ufrag] = peer
        if checking is not None:
            self._asking[peer] = asyncio.create_task(self._ask(checking), name="webrtc-checks")
        return peer

    def restart(self, peer: Peer) -> None:
        """Give the peer new ICE credentials; the old ones end here."""
        self._by_ufrag.pop(peer.credentials.ufrag, None)
        peer.restart()
        peer.alive_at = self._clock.monotonic()
        self._by_ufrag[peer.credentials.ufrag] = peer

    def close(self, peer: Peer) -> None:
        """Forget the peer; its goodbye leaves in the background."""
        self._by_ufrag.pop(peer.credentials.ufrag, None)
        asking = self._asking.pop(peer, None)
        if asking is not None:
            asking.cancel()
        for address in peer.addresses:
            if self._by_address.get(source_key(*address)) is peer:
                del self._by_address[source_key(*address)]
        task = asyncio.ensure_future(peer.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def end_vanished(self) -> None:
        """Close the peers whose checks stopped, and tell of them."""
        limit = self._clock.monotonic() - self.config.consent_s
        for peer in set(self._by_ufrag.values()):
            if peer.alive_at < limit:
                self.counts.peers_gone += 1
                self.close(peer)
                self._gone(peer)

    async def _ask(self, checking: Checking) -> None:
        while True:
            now = self._clock.monotonic()
            for check, goal in checking.due(now):
                self._transmit(check, goal)
            await asyncio.sleep(checking.pause_s(now))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            try:
                self.end_vanished()
            except Exception:  # the watch must outlive what `gone` does
                log.exception("webrtc_watch_failed")

    def current_certificate(self) -> RTCCertificate:
        """What the next peer is shown."""
        left = self._certificate.expires - self._clock.now()
        if left.days < _CERTIFICATE_DAYS_LEFT:
            self._certificate = RTCCertificate.generateCertificate()
        return self._certificate

    # The socket ----------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        """Take what waits, and more while it keeps coming and is worth the wait."""
        pauses = 0
        if self.is_patient():
            _pause()
        while not self._drain(may_wait=pauses < _PAUSES):
            _pause()
            pauses += 1

    def _drain(self, *, may_wait: bool) -> bool:
        """One batch; False while it is kept because more of it comes."""
        sock = self._sock
        if sock is None:
            return True
        try:
            count = self._arena.drain(sock.fileno(), 0, self._arena.capacity)
            self.take(count)
            return self.drained(may_wait and count > 0)
        except Exception:  # one far end's packet must not end the reading for all
            log.exception("webrtc_batch_failed")
            return True

    def take(self, count: int) -> None:
        """Sort the arena's packets by their first byte (RFC 7983 §7)."""
        arena = self._arena
        self.counts.received += count
        sizes = arena.sizes(count).tolist()
        kinds = arena.data[:count, 0].tolist()
        cut = arena.truncated(count)
        batches: dict[Peer, list[int]] = {}
        for row, (kind, key) in enumerate(zip(kinds, arena.keys(count).tolist(), strict=True)):
            size = sizes[row]
            if size and kind < 4:
                self._check(arena.data[row, :size].tobytes(), source_address(key))
                continue
            peer = self._by_address.get(key)
            if peer is None:
                self.counts.strangers += 1
            elif not size or cut[row]:
                self.counts.shapeless += 1
            elif 128 <= kind < 192:
                if peer.takes_batches:
                    batches.setdefault(peer, []).append(row)
                else:
                    peer.take_media(arena.data[row, :size].tobytes())
            elif 20 <= kind < 64:
                peer.take_record(arena.data[row, :size].tobytes())
            else:
                self.counts.shapeless += 1
        for peer, rows in batches.items():
            peer.take_batch(arena, rows)

    def _check(self, data: bytes, source: Address) -> None:
        if is_answer(data):
            self._take_answer(data, source)
            return
        ufrag = local_ufrag(data)
        peer = self._by_ufrag.get(ufrag) if ufrag else None
        if peer is None:
            self.counts.unknown_checks += 1
            return
        check = peer.take_check(data, source, self._clock.monotonic())
        if check is None:
            self.counts.forged_checks += 1
            return
        self.counts.checks += 1
        self._prove(peer, source)
        self._transmit(check.answer, source)

    def _take_answer(self, data: bytes, source: Address) -> None:
        """An answer to a check of ours; others are nobody's."""
        now = self._clock.monotonic()
        peer = next((one for one in self._asking if one.take_answer(data, source, now)), None)
        if peer is None or peer.checking is None:
            self.counts.unknown_checks += 1
            return
        self.counts.answers += 1
        self._prove(peer, source)
        # What follows from it (the nomination) is not to wait for the next turn.
        for check, goal in peer.checking.due(now):
            self._transmit(check, goal)

    def _prove(self, peer: Peer, source: Address) -> None:
        """What comes from there is the peer's."""
        self._by_address[source_key(*source)] = peer
        surplus = peer.surplus_address()
        if surplus is not None and self._by_address.get(source_key(*surplus)) is peer:
            del self._by_address[source_key(*surplus)]

    def _transmit(self, data: bytes, goal: Address) -> None:
        if self._sock is None:
            return
        try:
            self._sock.sendto(data, goal)
        except OSError:
            # A full buffer, or a host nobody reaches: its checks will stop, which is what counts.
            self.counts.unsent += 1
            return
        self.counts.sent += 1


def _pause() -> None:
    """Too short for the event loop's clock, which counts in milliseconds."""
    time.sleep(_PAUSE_S)
