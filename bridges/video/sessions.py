"""Far ends of the picture engine: from an offer to a peer whose pictures the forwarder has and whose sound is in a line.

A session is known by its id. Another offer under the same id restarts its ICE when it is the same far end (same SDP session, same
certificate: RFC 8839 §4.4.1.1.1, its keys go on), else it takes its place. A later session that publishes the same layer
of the same source takes the place of the earlier one: the page was reloaded, the camera restarted.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bridges.transport.peer import Peer
from bridges.transport.port import WebRtcPort
from bridges.transport.sdp import (
    LocalSide,
    OfferedCodec,
    PictureOffer,
    PublicationAnswer,
    ViewingAnswer,
    read_publication,
    read_viewing,
    write_answer,
)
from bridges.transport.sdp.picture import Extension
from bridges.transport.sealing import RtpBatch
from bridges.video import agreements, feedback
from bridges.video.agreements import Viewing
from bridges.video.events import SessionLost
from bridges.video.forwarder import Forwarder, SourceHandle, ViewHandle
from bridges.video.own_sound import OwnSounds
from bridges.video.sound import (
    SoundCounts,
    SoundLine,
    SoundLines,
    SoundPlug,
    level_of,
    mid_extension,
)
from commhub.domain.errors import InvalidError, NotFoundError, UnavailableError
from commhub.kit.clock import Clock
from commhub.ports.media import RtpAddress
from commhub.ports.video import SPEAKER, Answered, Layer, PublishOrder, SoundPlace, ViewOrder

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Session:
    """One far end. `layers` are those it publishes, empty for who views; `chosen` is the codec it sends, `viewing` what it
    can be sent. `sound_type` is its payload type for Opus, when sound was agreed; `level_id` the header extension
    that tells its loudness; `line` is where its sound goes, if anywhere."""

    id: str
    name: str
    fingerprints: frozenset[tuple[str, str]]
    peer: Peer
    order: PublishOrder | ViewOrder
    layers: tuple[Layer, ...] = ()
    chosen: OfferedCodec | None = None
    viewing: Viewing | None = None
    source: SourceHandle | None = None
    view: ViewHandle | None = None
    sound_type: int | None = None
    sound_mid: bytes = b""
    talks: bool = False
    hears: bool = False
    level_id: int = 0
    line: SoundLine | None = None


class Sessions:
    """All far ends of a worker. `tell` is told of those that go by themselves; `codec_elsewhere` knows what sources send that
    come by no session of ours."""

    def __init__(
        self,
        forwarder: Forwarder,
        clock: Clock,
        tell: Callable[[SessionLost], None],
        codec_elsewhere: Callable[[str], OfferedCodec | None] = lambda _: None,
    ) -> None:
        self._codec_elsewhere = codec_elsewhere
        self.sound_counts = SoundCounts()
        self._forwarder = forwarder
        self._clock = clock
        self._tell = tell
        self._lines = SoundLines(self.sound_counts)
        self._own_sounds = OwnSounds()
        self._sessions: dict[str, _Session] = {}
        self._port: WebRtcPort | None = None

    def use(self, port: WebRtcPort) -> None:
        """The port all far ends are reached by."""
        self._port = port

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._sessions)

    def numbers(self) -> dict[str, int]:
        """How many there are."""
        publishing = sum(bool(one.layers) for one in self._sessions.values())
        return {"publishing": publishing, "viewing": len(self._sessions) - publishing}

    # Orders --------------------------------------------------------------------------------------------------

    def publish(self, order: PublishOrder, text: str) -> Answered:
        """Raises InvalidError, ConflictError, UnavailableError."""
        offer = read_publication(text)
        session = self._restarted(order, offer) or self._publish_anew(order, offer)
        session.talks, session.hears = agreements.directions(
            offer, talks=order.talks or order.own_sound, hears=order.hears and not order.own_sound
        )
        self._plug(session, offer, order.sound)
        answer = PublicationAnswer(
            max_kbps=order.max_kbps,
            starts_high=session.layers[0] is Layer.MAIN,
        )
        return self._answered(session, offer, answer)

    def _publish_anew(self, order: PublishOrder, offer: PictureOffer) -> _Session:
        layers = agreements.layers_of(order, offer)
        # A reloaded page is quicker than our notice that the one before it is gone.
        for other in list(self._sessions.values()):
            same = isinstance(other.order, PublishOrder) and (
                other.order.source_id == order.source_id and set(other.layers) & set(layers)
            )
            if same and other.id != order.session_id:
                self._lose(other, "replaced")
        session = self._open(order, offer)
        session.layers, session.chosen = layers, offer.codecs[0]
        session.level_id = offer.sound_extensions.get(Extension.AUDIO_LEVEL, 0)
        try:
            session.source = self._forwarder.add_source(
                order.session_id,
                order.source_id,
                order.room_id,
                agreements.streams_of(order, offer, layers),
                session.peer,
            )
        except BaseException:
            self.release(session.id)
            raise
        return session

    def view(self, order: ViewOrder, text: str) -> Answered:
        """Raises InvalidError, ConflictError, UnavailableError."""
        offer = read_viewing(text)
        viewing = agreements.viewing_of(offer, self.codec_of(order.source_id))
        session = self._restarted(order, offer)
        if session is None:
            session = self._open(order, offer)
            session.viewing = viewing
            try:
                session.view = self._forwarder.add_view(
                    order.session_id,
                    order.source_id,
                    order.room_id,
                    viewing.stream,
                    session.peer,
                    order.best,
                )
            except BaseException:
                self.release(session.id)
                raise
        elif session.view is not None:
            session.view.show(order.source_id, order.best)
        session.talks, session.hears = agreements.directions(
            offer, talks=False, hears=order.hears or order.own_sound
        )
        self._plug(session, offer, order.sound)
        viewing = session.viewing or viewing
        answer = ViewingAnswer(
            codecs=viewing.codecs,
            ssrc=viewing.stream.ssrc,
            rtx_ssrc=viewing.stream.rtx_ssrc,
            extensions=viewing.extensions,
        )
        return self._answered(session, offer, answer)

    def show(self, session_id: str, source_id: str, best: Layer) -> None:
        """Raises NotFoundError, InvalidError for a source whose codec the far end did not offer."""
        session = self._get(session_id)
        if session.view is None or session.viewing is None:
            raise NotFoundError(f"session {session_id} views nothing")
        source = self.codec_of(source_id)
        if source is not None and source.codec not in session.viewing.stream.types:
            raise InvalidError(f"this viewer cannot show {source.codec}")
        session.view.show(source_id, best)
        self._own_sounds.turn(session_id, source_id)

    def place_sound(self, session_id: str, sound: SoundPlace | None) -> RtpAddress | None:
        """Raises NotFoundError, UnavailableError."""
        session = self._get(session_id)
        if session.sound_type is None or session.order.own_sound:
            return None
        if sound is None:
            self._lines.unplug(session_id)
            session.line = None
            return None
        return self._plug_in(session, sound).address

    def release(self, session_id: str) -> None:
        """Forget a session; an unknown one is fine."""
        session = self._sessions.get(session_id)
        if session is not None:
            self._drop(session)
            if self._port is not None:
                self._port.close(session.peer)

    # Life ----------------------------------------------------------------------------------------------------

    def vanished(self, peer: Peer) -> None:
        """The port has given a peer up."""
        gone = next((one for one in self._sessions.values() if one.peer is peer), None)
        if gone is not None:
            log.info("far_end_vanished", session=gone.id)
            self._drop(gone)
            self._tell(SessionLost(gone.id, "vanished"))

    def end_failed(self) -> None:
        """Let those go whose handshake failed, or who said goodbye by closing their DTLS association."""
        for session in [one for one in self._sessions.values() if one.peer.has_failed]:
            self._lose(session, "failed")

    def close(self) -> None:
        for session_id in list(self._sessions):
            self.release(session_id)
        self._lines.close()

    def _lose(self, session: _Session, reason: str) -> None:
        self.release(session.id)
        self._tell(SessionLost(session.id, reason))

    def _drop(self, session: _Session) -> None:
        self._sessions.pop(session.id, None)
        self._lines.unplug(session.id)
        self._own_sounds.forget(session.id)
        if session.source is not None:
            session.source.close()
        if session.view is not None:
            session.view.close()

    # Offers --------------------------------------------------------------------------------------------------

    def _restarted(self, order: PublishOrder | ViewOrder, offer: PictureOffer) -> _Session | None:
        """The session whose ICE this offer restarts."""
        known = self._sessions.get(order.session_id)
        if (
            known is None
            or known.peer.has_failed
            or type(known.order) is not type(order)
            or (known.name, known.fingerprints) != (offer.session, offer.fingerprints)
        ):
            return None
        if isinstance(order, PublishOrder) and (
            known.order.source_id != order.source_id
            or known.layers != agreements.layers_of(order, offer)
        ):
            return None
        self._require_port().restart(known.peer)
        known.order = order
        return known

    def _open(self, order: PublishOrder | ViewOrder, offer: PictureOffer) -> _Session:
        """A new session in place of one of its id."""
        port = self._require_port()
        # The peer needs whom to deliver to before the session can be made of it.
        made: list[_Session] = []
        publishes = isinstance(order, PublishOrder)
        peer = port.open(
            offer.dtls,
            is_server=offer.we_are_server,
            deliver_rtcp=lambda packet: self._take_rtcp(made[0], packet),
            deliver_batch=(lambda batch: self._take_rtp(made[0], batch)) if publishes else None,
        )
        made.append(_Session(order.session_id, offer.session, offer.fingerprints, peer, order))
        self.release(order.session_id)
        self._sessions[order.session_id] = made[0]
        return made[0]

    def _answered(
        self, session: _Session, offer: PictureOffer, how: PublicationAnswer | ViewingAnswer
    ) -> Answered:
        stays = session.order.own_sound and session.sound_type is not None
        has_sound = stays or session.line is not None
        local = LocalSide(
            credentials=session.peer.credentials,
            fingerprints=session.peer.fingerprints,
            address=self._require_port().address,
            is_server=session.peer.is_server,
            sends=session.hears and has_sound,
            receives=session.talks and has_sound,
        )
        line = session.line
        shown = session.chosen or self.codec_of(session.order.source_id)
        return Answered(
            sdp=write_answer(offer, local, how),
            audio=line.place.audio if line else None,
            audio_from=line.address if line else None,
            codec=shown.codec if shown else None,
        )

    def codec_of(self, source_id: str) -> OfferedCodec | None:
        """What a source is sent in; None for one that is not there, and for SPEAKER, who may be anybody."""
        if source_id == SPEAKER:
            return None
        return next(
            (
                one.chosen
                for one in self._sessions.values()
                if one.layers and one.order.source_id == source_id
            ),
            None,
        ) or self._codec_elsewhere(source_id)

    def _get(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFoundError("this worker has no such session")
        return session

    def _require_port(self) -> WebRtcPort:
        if self._port is None:
            raise UnavailableError("this worker has no WebRTC port")
        return self._port

    # Sound ---------------------------------------------------------------------------------------------------

    def _plug(self, session: _Session, offer: PictureOffer, sound: SoundPlace | None) -> None:
        own = session.order.own_sound
        wanted = (own or sound is not None) and (session.talks or session.hears)
        if not wanted or offer.sound is None:
            self._lines.unplug(session.id)
            self._own_sounds.forget(session.id)
            session.line = session.sound_type = None
            return
        session.sound_type = offer.sound.opus_type
        number = offer.sound_extensions.get(Extension.MID, 0)
        session.sound_mid = mid_extension(number, offer.sound.media.rtp.muxId)
        if own or sound is None:
            if session.hears:
                self._own_sounds.listen(session.id, session.order.source_id, _plug_of(session))
            return
        try:
            self._plug_in(session, sound)
        except UnavailableError:
            self.release(session.id)
            raise

    def _plug_in(self, session: _Session, sound: SoundPlace) -> SoundLine:
        try:
            session.line = self._lines.plug(session.id, sound, _plug_of(session))
        except OSError as error:
            raise UnavailableError(f"no way to the audio engine: {error.strerror}") from error
        return session.line

    # Packets -------------------------------------------------------------------------------------------------

    def _take_rtp(self, session: _Session, batch: RtpBatch) -> None:
        if session.sound_type is not None:
            voice = batch.payload_types == session.sound_type
            if voice.any():
                for packet in batch.where(voice).packets():
                    self._take_voice(session, packet)
        if session.source is not None:
            session.source.take_rtp(batch, self._clock.monotonic())

    def _take_voice(self, session: _Session, packet: bytes) -> None:
        if session.order.own_sound:
            if session.talks:
                now = self._clock.monotonic()
                heard = self._own_sounds.pass_on(session.order.source_id, packet, now)
                self.sound_counts.own += heard
            return
        if session.line is not None:
            session.line.speak(session.id, packet)
        level = level_of(packet, session.level_id)
        if level is not None and session.talks:
            self._forwarder.heard(session.order.source_id, level, self._clock.monotonic())

    def _take_rtcp(self, session: _Session, packet: bytes) -> None:
        now = self._clock.monotonic()
        if session.source is not None:
            session.source.take_rtcp(packet, now)
        if session.view is not None:
            session.view.take_rtcp(packet, now)
        if session.line is not None:
            told = feedback.read(packet)
            speaker = () if told.ssrc is None else (told.ssrc,)
            blocks = (block.ssrc for block in told.blocks)
            session.line.report(frozenset((*speaker, *blocks)), packet)


def _plug_of(session: _Session) -> SoundPlug:
    return SoundPlug(
        session.peer,
        session.sound_type or 0,
        talks=session.talks,
        hears=session.hears,
        mid=session.sound_mid,
    )
