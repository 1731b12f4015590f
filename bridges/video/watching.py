"""Watches: what another hub shows us by WHEP, and is a source here. We offer to be sent it, because that hub cannot reach us.

To the forwarder it is a publisher like any other; what is our own is the offer, the controlling side of ICE (`transport.checking`),
and a UDP port for each, for the same reason as in `push`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from bridges.transport.checking import Checking
from bridges.transport.peer import Peer
from bridges.transport.port import WebRtcPort
from bridges.transport.sdp import OfferedCodec, PushOffer, read_watch_answer, write_watch
from bridges.transport.stun import Credentials
from bridges.video import agreements
from bridges.video.events import SessionLost
from bridges.video.forwarder import Forwarder, SourceHandle
from bridges.video.push_terms import takeable_codecs
from commhub.domain.errors import ConflictError, NotFoundError, UnavailableError
from commhub.kit.clock import Clock
from commhub.ports.video import PublishOrder

log = structlog.get_logger(__name__)

WATCHES_LIMIT = 64
_ANSWER_S = 60.0


@dataclass(eq=False, slots=True)
class _Watch:
    order: PublishOrder
    port: WebRtcPort
    credentials: Credentials
    offered_at: float
    answer: str = ""
    peer: Peer | None = None
    source: SourceHandle | None = None
    codec: OfferedCodec | None = None


class Watches:
    """All of a worker. `tell` is told of those that go."""

    def __init__(
        self, forwarder: Forwarder, clock: Clock, tell: Callable[[SessionLost], None]
    ) -> None:
        self._forwarder = forwarder
        self._clock = clock
        self._tell = tell
        self._offered: dict[str, _Watch] = {}
        self._watches: dict[str, _Watch] = {}
        self._beside: WebRtcPort | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def use(self, port: WebRtcPort) -> None:
        """The worker's port, whose address and certificate watches have, too."""
        self._beside = port

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._watches, *self._offered)))

    def codec_of(self, source_id: str) -> OfferedCodec | None:
        """What a watched source is sent in; None for one that is not there."""
        return next(
            (one.codec for one in self._watches.values() if one.order.source_id == source_id), None
        )

    # Orders --------------------------------------------------------------------------------------------------

    def offer(self, order: PublishOrder) -> str:
        """Raises ConflictError when too many are watched, UnavailableError without a port."""
        if order.session_id not in self.ids and len(self.ids) >= WATCHES_LIMIT:
            raise ConflictError(f"this worker watches at most {WATCHES_LIMIT} streams")
        self._forget_offer(order.session_id)
        port = self._open_port()
        watch = _Watch(order, port, Credentials(), self._clock.monotonic())
        self._offered[order.session_id] = watch
        return write_watch(
            PushOffer(
                credentials=watch.credentials,
                fingerprints=port.current_certificate().getFingerprints(),
                address=port.address,
                codecs=takeable_codecs(),
            )
        )

    def answered(self, session_id: str, text: str) -> None:
        """Raises InvalidError, NotFoundError, ConflictError."""
        watch = self._offered.get(session_id)
        if watch is None:
            known = self._watches.get(session_id)
            if known is None or known.answer != text:
                raise NotFoundError("no offer of this watch waits for an answer")
            return
        answer = read_watch_answer(text)
        order, clock = watch.order, self._clock
        layers = agreements.layers_of(order, answer.taken)
        del self._offered[session_id]
        for other in list(self._watches.values()):
            # The new one begins where the old one was, as when a camera comes anew.
            if other.order.source_id == order.source_id:
                self._drop(other)
                if other.order.session_id != session_id:
                    self._tell(SessionLost(other.order.session_id, "replaced"))
        watch.answer, watch.codec = text, answer.taken.codecs[0]
        self._watches[session_id] = watch
        made: list[SourceHandle] = []
        try:
            watch.peer = watch.port.open(
                answer.dtls,
                is_server=answer.we_are_server,
                deliver_rtcp=lambda packet: made[0].take_rtcp(packet, clock.monotonic()),
                deliver_batch=lambda batch: made[0].take_rtp(batch, clock.monotonic()),
                checking=Checking(watch.credentials, answer.ice, clock.monotonic()),
            )
            watch.source = self._forwarder.add_source(
                session_id,
                order.source_id,
                order.room_id,
                agreements.streams_of(order, answer.taken, layers),
                watch.peer,
            )
        except BaseException:
            self.release(session_id)
            raise
        made.append(watch.source)

    def release(self, session_id: str) -> None:
        """End a watch; an unknown one is fine."""
        self._forget_offer(session_id)
        watch = self._watches.get(session_id)
        if watch is not None:
            self._drop(watch)

    async def close(self) -> None:
        for session_id in self.ids:
            self.release(session_id)
        if self._ending:
            await asyncio.wait(self._ending)

    # Life ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Each second: who is gone, and what was never answered."""
        for watch in list(self._watches.values()):
            if watch.peer is not None and watch.peer.has_failed:
                self._lose(watch, "failed")
        now = self._clock.monotonic()
        for session_id, watch in list(self._offered.items()):
            if now - watch.offered_at > _ANSWER_S:
                self._forget_offer(session_id)

    def _vanished(self, peer: Peer) -> None:
        gone = next((one for one in self._watches.values() if one.peer is peer), None)
        if gone is not None:
            self._lose(gone, "vanished")

    def _lose(self, watch: _Watch, reason: str) -> None:
        log.info("watch_lost", session=watch.order.session_id, reason=reason)
        self._drop(watch)
        self._tell(SessionLost(watch.order.session_id, reason))

    def _drop(self, watch: _Watch) -> None:
        if self._watches.get(watch.order.session_id) is watch:
            del self._watches[watch.order.session_id]
        if watch.source is not None:
            watch.source.close()
        self._end(watch.port)

    def _forget_offer(self, session_id: str) -> None:
        watch = self._offered.pop(session_id, None)
        if watch is not None:
            self._end(watch.port)

    # Ports ---------------------------------------------------------------------------------------------------

    def _open_port(self) -> WebRtcPort:
        beside = self._beside
        if beside is None:
            raise UnavailableError("this worker has no WebRTC port")
        port = WebRtcPort(
            replace(beside.config, port=0), self._clock, self._vanished, beside=beside
        )
        port.drained, port.is_patient = beside.drained, beside.is_patient
        try:
            port.begin()
        except OSError as error:
            raise UnavailableError(f"no UDP port for a watch: {error.strerror}") from error
        return port

    def _end(self, port: WebRtcPort) -> None:
        task = asyncio.create_task(port.end(), name="watch-end")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
