"""Pushes: views for which we offer (WHIP as the client), to the hub above or any WHIP ingest.

To the forwarder a push is a view like any other. What is its own: we ask for the path and have consent (`transport.checking`), and
its stream outlives its connection: who is pushed to again within half a minute gets the same SSRC, and sequence and time
go on, so that a recorder or a player behind it sees a freeze and no new camera.

Each push has a UDP port of its own beside the worker's. Two streams between one port here and one port there could not be told
apart at either end, because both know a connection by its addresses; and two hubs that push to each other would meet just so.
Nothing has to be opened for it: its first packet goes outward.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from bridges.transport.checking import Checking
from bridges.transport.peer import Peer
from bridges.transport.port import WebRtcPort
from bridges.transport.sdp import OfferedCodec, PushOffer, read_push_answer, write_push
from bridges.transport.stun import Credentials
from bridges.video.events import PushConnected, PushLost
from bridges.video.forwarder import Forwarder, ViewHandle
from bridges.video.push_terms import agreed_stream, offered_codecs
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from commhub.kit.clock import Clock
from commhub.ports.video import Layer, PushOrder

log = structlog.get_logger(__name__)

PUSHES_LIMIT = 64
_BATCH = 32
"""Packets of one far end that only reports."""
_ANSWER_S = 60.0
_KEPT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a push is, whatever connection carries it."""

    ssrc: int
    rtx_ssrc: int
    last: ViewHandle | None = None
    """How far it went."""
    ended_at: float = 0.0


@dataclass(eq=False, slots=True)
class _Push:
    order: PushOrder
    port: WebRtcPort
    credentials: Credentials
    offered: tuple[OfferedCodec, ...]
    stream: _Stream
    offered_at: float
    answer: str = ""
    peer: Peer | None = None
    view: ViewHandle | None = None
    is_connected: bool = False


class Pushes:
    """All of a worker. `tell` is told of those that connect and go; `codec_of` knows what a source sends."""

    def __init__(
        self,
        forwarder: Forwarder,
        clock: Clock,
        tell: Callable[[PushConnected | PushLost], None],
        codec_of: Callable[[str], OfferedCodec | None],
    ) -> None:
        self._forwarder = forwarder
        self._clock = clock
        self._tell = tell
        self._codec_of = codec_of
        self._offered: dict[str, _Push] = {}
        self._pushes: dict[str, _Push] = {}
        self._kept: dict[str, _Stream] = {}
        self._beside: WebRtcPort | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def use(self, port: WebRtcPort) -> None:
        """The worker's port, whose address and certificate pushes have, too."""
        self._beside = port

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._pushes, *self._offered)))

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._pushes or session_id in self._offered

    # Orders --------------------------------------------------------------------------------------------------

    def offer(self, order: PushOrder) -> str:
        """Raises ConflictError when too many are pushed, UnavailableError without a port."""
        if order.session_id not in self and len(self.ids) >= PUSHES_LIMIT:
            raise ConflictError(f"this worker pushes at most {PUSHES_LIMIT} streams")
        self._forget_offer(order.session_id)
        port = self._open_port()
        push = _Push(
            order,
            port,
            Credentials(),
            offered_codecs(self._codec_of(order.source_id)),
            self._stream_of(order.session_id),
            self._clock.monotonic(),
        )
        self._offered[order.session_id] = push
        return write_push(
            PushOffer(
                credentials=push.credentials,
                fingerprints=port.current_certificate().getFingerprints(),
                address=port.address,
                codecs=push.offered,
                ssrc=push.stream.ssrc,
                rtx_ssrc=push.stream.rtx_ssrc,
                name=secrets.token_hex(8),
            )
        )

    def answered(self, session_id: str, text: str) -> None:
        """Raises InvalidError, NotFoundError, ConflictError."""
        push = self._offered.get(session_id)
        if push is None:
            known = self._pushes.get(session_id)
            if known is None or known.answer != text:
                raise NotFoundError("no offer of this push waits for an answer")
            return
        answer = read_push_answer(text)
        stream = agreed_stream(answer, self._codec_of(push.order.source_id), push.offered)
        now = self._clock.monotonic()
        del self._offered[session_id]
        before = self._pushes.get(session_id)
        if before is not None:
            self._drop(before)
        push.stream, push.answer = self._kept.pop(session_id, push.stream), text
        self._pushes[session_id] = push
        made: list[ViewHandle] = []
        rtx_ssrc = None if stream.rtx_ssrc is None else push.stream.rtx_ssrc
        try:
            push.peer = push.port.open(
                answer.dtls,
                is_server=answer.we_are_server,
                deliver_rtcp=lambda packet: made[0].take_rtcp(packet, self._clock.monotonic()),
                checking=Checking(push.credentials, answer.ice, now),
            )
            push.view = self._forwarder.add_view(
                session_id,
                push.order.source_id,
                push.order.room_id,
                replace(stream, ssrc=push.stream.ssrc, rtx_ssrc=rtx_ssrc),
                push.peer,
                push.order.best,
                continuing=push.stream.last,
            )
        except BaseException:
            self.release(session_id)
            raise
        made.append(push.view)

    def show(self, session_id: str, source_id: str, best: Layer) -> None:
        """Raises NotFoundError, InvalidError for a source whose codec was not agreed: that needs another offer."""
        push = self._pushes.get(session_id)
        if push is None or push.view is None:
            raise NotFoundError(f"push {session_id} is not answered yet")
        source = self._codec_of(source_id)
        if source is not None and not push.view.can_show(source.codec):
            raise InvalidError(f"this push was not agreed for {source.codec}: offer it again")
        push.order = replace(push.order, source_id=source_id, best=best)
        push.view.show(source_id, best)

    def release(self, session_id: str) -> None:
        """End a push; an unknown one is fine."""
        self._forget_offer(session_id)
        push = self._pushes.get(session_id)
        if push is not None:
            self._drop(push)

    async def close(self) -> None:
        for session_id in self.ids:
            self.release(session_id)
        if self._ending:
            await asyncio.wait(self._ending)

    # Life ----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Several times a second: who is reached, and who is gone."""
        for push in list(self._pushes.values()):
            if push.peer is None:
                continue
            if push.peer.has_failed:
                self._lose(push, "failed")
            elif push.peer.is_connected and not push.is_connected:
                push.is_connected = True
                self._tell(PushConnected(push.order.session_id))
        now = self._clock.monotonic()
        for session_id, push in list(self._offered.items()):
            if now - push.offered_at > _ANSWER_S:
                self._forget_offer(session_id)
                if session_id not in self._pushes:
                    self._tell(PushLost(session_id, "unanswered"))
        for session_id, stream in list(self._kept.items()):
            if now - stream.ended_at > _KEPT_S:
                del self._kept[session_id]

    def _vanished(self, peer: Peer) -> None:
        """Its port has given a far end up."""
        gone = next((one for one in self._pushes.values() if one.peer is peer), None)
        if gone is not None:
            self._lose(gone, "vanished")

    def _lose(self, push: _Push, reason: str) -> None:
        session_id = push.order.session_id
        log.info("push_lost", session=session_id, reason=reason)
        self._drop(push)
        # Whoever takes the next connection may end this one first: it is no loss while that is being agreed.
        if session_id not in self._offered:
            self._tell(PushLost(session_id, reason))

    def _drop(self, push: _Push) -> None:
        """End a connection; its stream is kept for the next."""
        session_id = push.order.session_id
        if self._pushes.get(session_id) is push:
            del self._pushes[session_id]
        if push.view is not None:
            push.view.close()
        self._kept[session_id] = replace(
            push.stream, last=push.view or push.stream.last, ended_at=self._clock.monotonic()
        )
        self._end(push.port)

    def _forget_offer(self, session_id: str) -> None:
        push = self._offered.pop(session_id, None)
        if push is not None:
            self._end(push.port)

    def _stream_of(self, session_id: str) -> _Stream:
        """The stream of the push as it is, was a moment ago, or a new one."""
        known = self._pushes.get(session_id)
        if known is not None:
            return known.stream
        return self._kept.get(session_id) or _Stream(_new_ssrc(), _new_ssrc())

    # Ports ---------------------------------------------------------------------------------------------------

    def _open_port(self) -> WebRtcPort:
        beside = self._beside
        if beside is None:
            raise UnavailableError("this worker has no WebRTC port")
        config = replace(beside.config, port=0)
        port = WebRtcPort(config, self._clock, self._vanished, batch=_BATCH, beside=beside)
        try:
            port.begin()
        except OSError as error:
            raise UnavailableError(f"no UDP port for a push: {error.strerror}") from error
        return port

    def _end(self, port: WebRtcPort) -> None:
        task = asyncio.create_task(port.end(), name="push-end")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _new_ssrc() -> int:
    return secrets.randbits(31) + 1
