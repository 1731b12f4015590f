"""Browsers as legs of a worker: their connections are here, on the event loop, their sound is in the engine.

Between the two go RTP packets in the clear: the browser's into the engine's inbox, the engine's (`PacketOut`) to
the browser. The engine decides nothing about connections, and a connection knows no call.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bridges.audio import rtcp
from bridges.audio.events import LegVanished
from bridges.audio.inbox import PacketInbox
from bridges.transport.peer import Peer
from bridges.transport.port import WebRtcPort
from bridges.transport.sdp import AudioOffer, LocalSide, read_audio_offer, write_audio_answer
from commhub.domain.errors import InvalidError
from commhub.ports.media import AudioFormat, WebRtcOrder

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserStream:
    """What was agreed with a browser, for the engine. `sends`/`receives` are the browser's direction."""

    audio: AudioFormat
    sends: bool
    receives: bool


Join = Callable[[WebRtcOrder, BrowserStream], Awaitable[None]]
Leave = Callable[[str], Awaitable[object]]


@dataclass(slots=True)
class _Connection:
    """A leg's peer and the session whose offer made it."""

    leg_id: str
    session: str
    fingerprints: frozenset[tuple[str, str]]
    peer: Peer


class BrowserLegs:
    """`join` makes (or changes) the leg in the engine, `leave` takes it out again."""

    def __init__(
        self,
        inbox: PacketInbox,
        join: Join,
        leave: Leave,
        tell: Callable[[LegVanished], None],
    ) -> None:
        self._inbox = inbox
        self._join = join
        self._leave = leave
        self._tell = tell
        self._port: WebRtcPort | None = None
        self._connections: dict[str, _Connection] = {}

    def use(self, port: WebRtcPort) -> None:
        """The port all browsers are reached by."""
        self._port = port

    def answer(self, order: WebRtcOrder, text: str) -> Awaitable[str]:
        """Take a browser's offer for the leg now, in its turn among the orders; the awaitable is our answer.

        Raises InvalidError, ConflictError, UnavailableError."""
        offer = read_audio_offer(text)
        stream = BrowserStream(
            audio=AudioFormat(
                encoding="opus",
                payload_type=offer.opus_type,
                clock_rate=48000,
                fmtp=offer.opus_fmtp,
                dtmf_payload_type=offer.dtmf_type,
            ),
            sends=order.talks and offer.sends,
            receives=offer.receives,
        )
        if not (stream.sends or stream.receives):
            raise InvalidError("by this offer no sound would flow either way")
        connection = self._connect(order.leg_id, offer)
        return self._finish(self._join(order, stream), connection, offer, stream)

    async def _finish(
        self,
        joining: Awaitable[None],
        connection: _Connection,
        offer: AudioOffer,
        stream: BrowserStream,
    ) -> str:
        try:
            await joining
        except BaseException:
            if self._connections.get(connection.leg_id) is connection:
                self.release(connection.leg_id)
            raise
        return self._describe(connection, offer, stream)

    def send(self, leg_id: str, packet: bytes) -> None:
        """A packet of the engine for the leg's browser: RTP, or RTCP beside it (RFC 5761)."""
        connection = self._connections.get(leg_id)
        if connection is not None:
            connection.peer.send(packet, is_rtcp=rtcp.is_rtcp(packet[1]))

    def release(self, leg_id: str) -> None:
        """Close the leg's connection, if it has one."""
        connection = self._connections.pop(leg_id, None)
        if connection is not None and self._port is not None:
            self._port.close(connection.peer)

    async def vanished(self, peer: Peer) -> None:
        """The port has given a peer up."""
        gone = next((one for one in self._connections.values() if one.peer is peer), None)
        if gone is None:
            return
        del self._connections[gone.leg_id]
        log.warning("browser_vanished", leg_id=gone.leg_id)
        await self._leave(gone.leg_id)
        self._tell(LegVanished(gone.leg_id))

    def _connect(self, leg_id: str, offer: AudioOffer) -> _Connection:
        """The connection of this offer: the one there is, with new credentials, when the same session restarts
        ICE (RFC 8839 §4.4.1.1.1: its keys go on); a new one in place of any other."""
        port = self._port
        if port is None:
            raise InvalidError("this worker has no WebRTC port")
        known = self._connections.get(leg_id)
        if known is not None and self._is_restart(known, offer):
            port.restart(known.peer)
            return known
        peer = port.open(
            offer.dtls,
            is_server=offer.we_are_server,
            deliver=lambda packet: self._inbox.put(leg_id, packet),
            deliver_rtcp=lambda packet: self._inbox.put(leg_id, packet),
        )
        self.release(leg_id)
        made = _Connection(leg_id, offer.session, offer.fingerprints, peer)
        self._connections[leg_id] = made
        return made

    def _is_restart(self, known: _Connection, offer: AudioOffer) -> bool:
        return (
            not known.peer.has_failed
            and known.session == offer.session
            and known.fingerprints == offer.fingerprints
        )

    def _describe(self, connection: _Connection, offer: AudioOffer, stream: BrowserStream) -> str:
        if self._port is None:
            raise InvalidError("this worker has no WebRTC port")
        return write_audio_answer(
            offer,
            LocalSide(
                credentials=connection.peer.credentials,
                fingerprints=connection.peer.fingerprints,
                address=self._port.address,
                is_server=connection.peer.is_server,
                sends=stream.receives,
                receives=stream.sends,
            ),
        )
