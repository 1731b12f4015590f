"""Pushes: views for which we offer (WHIP as the client), to the hub above or any WHIP ingest.

To the forwarder a push is a view like any other. What is its own: its stream outlives its connection: who is pushed to again within
half a minute gets the same SSRC, and sequence and time go on, so that a recorder or a player behind it sees a freeze and no
new camera.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from bridges.transport.port import WebRtcPort
from bridges.transport.sdp import OfferedCodec, read_push_answer, write_push
from bridges.video.events import PushConnected, PushLost
from bridges.video.forwarder import Forwarder, ViewHandle
from bridges.video.outgoing import OutgoingSession, OutgoingSessions
from bridges.video.push_terms import agreed_stream, offered_codecs
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.kit.clock import Clock
from commhub.ports.video import Layer, PushOrder

log = structlog.get_logger(__name__)

_BATCH = 32
"""Packets of one far end that only reports."""
_KEPT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a push is, whatever connection carries it."""

    ssrc: int
    rtx_ssrc: int
    last: ViewHandle | None = None
    """How far it went."""
    ended_at: float = 0.0


@dataclass(eq=False, slots=True, kw_only=True)
class _Push(OutgoingSession):
    order: PushOrder
    offered: tuple[OfferedCodec, ...]
    stream: _Stream
    view: ViewHandle | None = None
    is_connected: bool = False


class Pushes(OutgoingSessions[_Push]):
    """All of a worker. `tell` is told of those that connect and go; `codec_of` knows what a source sends."""

    kind = "push"

    def __init__(
        self,
        forwarder: Forwarder,
        clock: Clock,
        tell: Callable[[PushConnected | PushLost], None],
        codec_of: Callable[[str], OfferedCodec | None],
    ) -> None:
        super().__init__(clock)
        self._forwarder = forwarder
        self._tell = tell
        self._codec_of = codec_of
        self._kept: dict[str, _Stream] = {}

    # Orders --------------------------------------------------------------------------------------------------

    def offer(self, order: PushOrder) -> str:
        """Raises ConflictError when too many are pushed, UnavailableError without a port."""
        push = _Push(
            id=order.session_id,
            port=self._port_for(order.session_id),
            offered_at=self._clock.monotonic(),
            order=order,
            offered=offered_codecs(self._codec_of(order.source_id)),
            stream=self._stream_of(order.session_id),
        )
        self._offered[push.id] = push
        return write_push(
            replace(
                self._offer_of(push, push.offered),
                ssrc=push.stream.ssrc,
                rtx_ssrc=push.stream.rtx_ssrc,
                name=secrets.token_hex(8),
            )
        )

    def answered(self, session_id: str, text: str) -> None:
        """Raises InvalidError, NotFoundError, ConflictError."""
        push = self._waiting(session_id, text)
        if push is None:
            return
        answer = read_push_answer(text)
        stream = agreed_stream(answer, self._codec_of(push.order.source_id), push.offered)
        self._take_up(push, text)
        push.stream = self._kept.pop(session_id, push.stream)
        made: list[ViewHandle] = []
        rtx_ssrc = None if stream.rtx_ssrc is None else push.stream.rtx_ssrc
        try:
            peer = self._connect(
                push,
                answer,
                deliver_rtcp=lambda packet: made[0].take_rtcp(packet, self._clock.monotonic()),
            )
            push.view = self._forwarder.add_view(
                session_id,
                push.order.source_id,
                push.order.room_id,
                replace(stream, ssrc=push.stream.ssrc, rtx_ssrc=rtx_ssrc),
                peer,
                push.order.best,
                continuing=push.stream.last,
            )
        except BaseException:
            self.release(session_id)
            raise
        made.append(push.view)

    def show(self, session_id: str, source_id: str, best: Layer) -> None:
        """Raises NotFoundError, InvalidError for a source whose codec was not agreed: that needs another offer."""
        push = self._live.get(session_id)
        if push is None or push.view is None:
            raise NotFoundError(f"push {session_id} is not answered yet")
        source = self._codec_of(source_id)
        if source is not None and not push.view.can_show(source.codec):
            raise InvalidError(f"this push was not agreed for {source.codec}: offer it again")
        push.order = replace(push.order, source_id=source_id, best=best)
        push.view.show(source_id, best)

    # Life ----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Several times a second: who is reached, and who is gone."""
        self.look()
        for push in self._live.values():
            if push.peer is not None and push.peer.is_connected and not push.is_connected:
                push.is_connected = True
                self._tell(PushConnected(push.id))
        now = self._clock.monotonic()
        for session_id, stream in list(self._kept.items()):
            if now - stream.ended_at > _KEPT_S:
                del self._kept[session_id]

    def _lost(self, session: _Push, reason: str) -> None:
        log.info("push_lost", session=session.id, reason=reason)
        # Whoever takes the next connection may end this one first: it is no loss while that is being agreed.
        if session.id not in self._offered:
            self._tell(PushLost(session.id, reason))

    def _unanswered(self, session: _Push) -> None:
        if session.id not in self._live:
            self._tell(PushLost(session.id, "unanswered"))

    def _stop(self, session: _Push) -> None:
        """End a connection; its stream is kept for the next."""
        if session.view is not None:
            session.view.close()
        self._kept[session.id] = replace(
            session.stream,
            last=session.view or session.stream.last,
            ended_at=self._clock.monotonic(),
        )

    def _stream_of(self, session_id: str) -> _Stream:
        """The stream of the push as it is, was a moment ago, or a new one."""
        known = self._live.get(session_id)
        if known is not None:
            return known.stream
        return self._kept.get(session_id) or _Stream(_new_ssrc(), _new_ssrc())

    def _make_port(self, beside: WebRtcPort) -> WebRtcPort:
        config = replace(beside.config, port=0)
        return WebRtcPort(config, self._clock, self._vanished, batch=_BATCH, beside=beside)


def _new_ssrc() -> int:
    return secrets.randbits(31) + 1
