"""SIP far ends of the picture engine: what each sends is a source, what it gets is a view, both over one plain RTP line.

A far end that holds us gets nothing and keeps its place; one that sends nothing is no source. What it may get is said by its
description once (b=), so its view is told so again and again as by a REMB.
"""

import secrets
from dataclasses import dataclass, field

from bridges.transport.pairs import PICTURES, PortPool
from bridges.transport.peer import Outlet
from bridges.transport.sealing import MediaArena, RtpBatch
from bridges.transport.six import SixHosts
from bridges.video import feedback
from bridges.video.codecs import h264
from bridges.video.forwarder import Forwarder, SourceHandle, ViewHandle
from bridges.video.plain import PlainCounts, PlainLine, Takers
from bridges.video.reflow import Reflow
from bridges.video.streams import CodecTypes, LayerStream, SourceStreams, ViewStream
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.kit.clock import Clock
from commhub.ports.media import RtpAddress
from commhub.ports.video import Layer, PlainOrder, PlainRemote, VideoCodec, VideoFormat

_BATCH = 256
_BUFFER = 1 << 20
_LIMIT_AGAIN_S = 3.0
"""More often than a view forgets what a REMB said."""
_LOWEST_LEVEL_OF_MAIN = 31
"""H.264 level 3.1 is 720p30; who takes less gets the sub-stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainConfig:
    """`advertise_host` is what far ends are told, the `ipv6` ones likewise, None where none can be reached by IPv6; the ports
    may be shared with other workers."""

    bind_host: str = "127.0.0.1"
    advertise_host: str = "127.0.0.1"
    ipv6_bind_host: str | None = None
    ipv6_advertise_host: str | None = None
    port_min: int = 20_000
    port_max: int = 29_999


def _an_ssrc() -> int:
    return secrets.randbits(31) + 1


@dataclass(eq=False, slots=True)
class _Session:
    order: PlainOrder
    line: PlainLine
    ssrc: int = field(default_factory=_an_ssrc)
    source: SourceHandle | None = None
    view: ViewHandle | None = None
    reflow: Reflow | None = None
    limited_at: float = 0.0

    @property
    def outlet(self) -> Outlet | None:
        """The view's way: the line's, or by the detour that makes whole NAL units."""
        if self.reflow is None or self.line.outlet is None:
            return self.line.outlet
        return self.reflow.outlet

    def send(self, packet: bytes, *, is_rtcp: bool = False) -> None:
        self.line.send(packet, is_rtcp=is_rtcp)

    def drop(self) -> None:
        """End what goes on over the line."""
        for handle in (self.source, self.view, self.reflow):
            if handle is not None:
                handle.close()
        self.source = self.view = self.reflow = None
        # Its numbers begin anew, and under the same key the same number must not be another packet's.
        self.ssrc = _an_ssrc()


class PlainSessions:
    """All of a worker."""

    def __init__(self, forwarder: Forwarder, clock: Clock, config: PlainConfig) -> None:
        self.counts = PlainCounts()
        self._forwarder = forwarder
        self._clock = clock
        self._config = config
        self._pool = PortPool(
            config.bind_host,
            config.port_min,
            config.port_max,
            config.ipv6_bind_host,
            traffic=PICTURES,
            buffer_bytes=_BUFFER,
        )
        self._hosts = SixHosts()
        self._arena = MediaArena(_BATCH, self._hosts)
        self._sessions: dict[str, _Session] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._sessions)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._sessions

    # Orders --------------------------------------------------------------------------------------------------

    def reserve(self, order: PlainOrder) -> RtpAddress:
        """Raises UnavailableError when no port is left."""
        known = self._sessions.get(order.session_id)
        if known is not None and known.order.ipv6 != order.ipv6:
            self.release(order.session_id)
            known = None
        if known is None:
            pair = self._pool.open_pair(ipv6=order.ipv6)
            made: list[_Session] = []
            takers = Takers(
                rtp=lambda batch: self._take_rtp(made[0], batch),
                rtcp=lambda packet: self._take_rtcp(made[0], packet),
                drained=self._forwarder.flush,
            )
            line = PlainLine(pair, self._arena, self._hosts, self._clock, self.counts, takers)
            known = _Session(order, line)
            made.append(known)
            self._sessions[order.session_id] = known
        elif known.order != order:
            known.drop()
            known.order = order
            if known.line.remote is not None:
                self._begin(known, known.line.remote)
        return RtpAddress(self._host_of(order), known.line.port)

    def _host_of(self, order: PlainOrder) -> str:
        config = self._config
        six = config.ipv6_advertise_host or config.ipv6_bind_host
        return six if order.ipv6 and six is not None else config.advertise_host

    def connect(self, session_id: str, remote: PlainRemote) -> None:
        """Raises NotFoundError, InvalidError, ConflictError."""
        session = self._get(session_id)
        if not 0 <= remote.video.payload_type < 128:
            raise InvalidError("an RTP payload type is 0 to 127")
        before = session.line.remote
        session.line.connect(remote)
        if before is not None and (before.video, before.srtp) != (remote.video, remote.srtp):
            session.drop()
        self._begin(session, remote)

    def show(self, session_id: str, source_id: str, best: Layer) -> None:
        """Raises NotFoundError."""
        session = self._get(session_id)
        if session.view is None:
            raise NotFoundError(f"session {session_id} is not connected")
        session.view.show(source_id, best)

    def refresh(self, session_id: str) -> None:
        """Its far end says that it lost its picture. Raises NotFoundError."""
        session = self._get(session_id)
        if session.view is not None:
            wish = feedback.write_pli(session.ssrc, session.ssrc)
            session.view.take_rtcp(wish, self._clock.monotonic())

    def release(self, session_id: str) -> None:
        """Forget a session; an unknown one is fine."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.drop()
            session.line.close()

    def close(self) -> None:
        for session_id in self.ids:
            self.release(session_id)

    def tick(self) -> None:
        """What has its time: the limits of views."""
        now = self._clock.monotonic()
        for session in self._sessions.values():
            if session.view is not None and now - session.limited_at >= _LIMIT_AGAIN_S:
                self._limit(session, now)

    def _get(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFoundError("this worker has no such session")
        return session

    # Streams -------------------------------------------------------------------------------------------------

    def _begin(self, session: _Session, remote: PlainRemote) -> None:
        """Have the source and the view that were agreed."""
        order, video = session.order, remote.video
        if remote.sends and session.source is None:
            session.source = self._forwarder.add_source(
                order.session_id, order.source_id, order.room_id, _streams_of(video), session
            )
        elif not remote.sends and session.source is not None:
            session.source.close()
            session.source = None
        if session.view is None:
            if video.packetization_mode == 0:
                session.reflow = Reflow(session.line.send)
            stream = ViewStream(
                types={video.codec: CodecTypes(payload=video.payload_type)}, ssrc=session.ssrc
            )
            session.view = self._forwarder.add_view(
                order.session_id,
                order.shows,
                order.room_id,
                stream,
                session,
                _best_of(video),
                own=order.source_id,
            )
            # The first says what it has measured, the second that it does not rise.
            now = self._clock.monotonic()
            self._limit(session, now)
            self._limit(session, now)

    def _limit(self, session: _Session, now: float) -> None:
        remote = session.line.remote
        if session.view is None or remote is None:
            return
        session.limited_at = now
        limit = feedback.write_remb(session.ssrc, remote.video.max_kbps * 1000, [session.ssrc])
        session.view.take_rtcp(limit, now)

    # Packets -------------------------------------------------------------------------------------------------

    def _take_rtp(self, session: _Session, batch: RtpBatch) -> None:
        if session.source is not None:
            session.source.take_rtp(batch, self._clock.monotonic())

    def _take_rtcp(self, session: _Session, packet: bytes) -> None:
        now = self._clock.monotonic()
        if session.source is not None:
            session.source.take_rtcp(packet, now)
        if session.view is None:
            return
        if session.reflow is None:
            session.view.take_rtcp(packet, now)
            return
        # Its numbers are the detour's own, so of what it says only the wish for a key frame is the view's.
        told = feedback.read(packet)
        for nack in told.nacks:
            session.reflow.repair(nack.lost)
        if told.keyframes:
            session.view.take_rtcp(feedback.write_pli(session.ssrc, session.ssrc), now)


def _streams_of(video: VideoFormat) -> SourceStreams:
    return SourceStreams(
        codec=video.codec,
        types=CodecTypes(payload=video.payload_type),
        layers=(LayerStream(),),
        nack=video.nack,
        pli=video.pli,
        fir=video.fir,
        remb=False,
        parameter_sets=h264.parameter_sets(video.fmtp) if video.codec is VideoCodec.H264 else b"",
    )


def _best_of(video: VideoFormat) -> Layer:
    """By the level of its H.264 (RFC 6184 §8.1); one that says none has the lowest."""
    pairs = (one.strip().partition("=") for one in video.fmtp.lower().split(";"))
    named = {name: value for name, _, value in pairs}
    level = named.get("profile-level-id", "42000a")[4:6]
    try:
        return Layer.MAIN if int(level, 16) >= _LOWEST_LEVEL_OF_MAIN else Layer.SUB
    except ValueError:
        return Layer.SUB
