"""Watches: what another hub shows us by WHEP, and is a source here. We offer to be sent it, because that hub cannot reach us.

To the forwarder it is a publisher like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from bridges.transport.port import WebRtcPort
from bridges.transport.sdp import OfferedCodec, read_watch_answer, write_watch
from bridges.video import agreements
from bridges.video.events import SessionLost
from bridges.video.forwarder import Forwarder, SourceHandle
from bridges.video.outgoing import OutgoingSession, OutgoingSessions
from bridges.video.push_terms import takeable_codecs
from commhub.kit.clock import Clock
from commhub.ports.video import PublishOrder

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True, kw_only=True)
class _Watch(OutgoingSession):
    order: PublishOrder
    source: SourceHandle | None = None
    codec: OfferedCodec | None = None


class Watches(OutgoingSessions[_Watch]):
    """All of a worker. `tell` is told of those that go."""

    kind = "watch"

    def __init__(
        self, forwarder: Forwarder, clock: Clock, tell: Callable[[SessionLost], None]
    ) -> None:
        super().__init__(clock)
        self._forwarder = forwarder
        self._tell = tell

    def codec_of(self, source_id: str) -> OfferedCodec | None:
        """What a watched source is sent in; None for one that is not there."""
        return next(
            (one.codec for one in self._live.values() if one.order.source_id == source_id), None
        )

    def offer(self, order: PublishOrder) -> str:
        """Raises ConflictError when too many are watched, UnavailableError without a port."""
        watch = _Watch(
            id=order.session_id,
            port=self._port_for(order.session_id),
            offered_at=self._clock.monotonic(),
            order=order,
        )
        self._offered[watch.id] = watch
        return write_watch(self._offer_of(watch, takeable_codecs()))

    def answered(self, session_id: str, text: str) -> None:
        """Raises InvalidError, NotFoundError, ConflictError."""
        watch = self._waiting(session_id, text)
        if watch is None:
            return
        answer = read_watch_answer(text)
        order, clock = watch.order, self._clock
        layers = agreements.layers_of(order, answer.taken)
        self._take_up(watch, text)
        watch.codec = answer.taken.codecs[0]
        self._replace_others(watch)
        made: list[SourceHandle] = []
        try:
            peer = self._connect(
                watch,
                answer,
                deliver_rtcp=lambda packet: made[0].take_rtcp(packet, clock.monotonic()),
                deliver_batch=lambda batch: made[0].take_rtp(batch, clock.monotonic()),
            )
            watch.source = self._forwarder.add_source(
                session_id,
                order.source_id,
                order.room_id,
                agreements.streams_of(order, answer.taken, layers),
                peer,
            )
        except BaseException:
            self.release(session_id)
            raise
        made.append(watch.source)

    def _replace_others(self, watch: _Watch) -> None:
        """The new one begins where the old one was, as when a camera comes anew."""
        for other in list(self._live.values()):
            if other is not watch and other.order.source_id == watch.order.source_id:
                self._drop(other)
                self._tell(SessionLost(other.id, "replaced"))

    def _lost(self, session: _Watch, reason: str) -> None:
        log.info("watch_lost", session=session.id, reason=reason)
        self._tell(SessionLost(session.id, reason))

    def _unanswered(self, session: _Watch) -> None:
        """The HTTP request that was to bring the answer has failed, and whoever made it knows."""

    def _stop(self, session: _Watch) -> None:
        if session.source is not None:
            session.source.close()

    def _make_port(self, beside: WebRtcPort) -> WebRtcPort:
        config = replace(beside.config, port=0)
        port = WebRtcPort(config, self._clock, self._vanished, beside=beside)
        port.drained, port.is_patient = beside.drained, beside.is_patient
        return port
