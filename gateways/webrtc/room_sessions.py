"""From an admission and an offer to a running session, and to its end; and what the picture engine tells of sessions.

Between two steps anything may end: whoever is answered and then turns out not to be there any more leaves nothing behind.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from commhub.domain.errors import DomainError, NotFoundError
from commhub.ports.rooms import Admission, RoomRight, RoomSession, RoomsIn
from commhub.ports.video import (
    Answered,
    Layer,
    PublishOrder,
    RecordedVideo,
    SoundPlace,
    VideoCodec,
    VideoEngine,
    VideoIn,
    VideoStatus,
    ViewOrder,
)
from gateways.webrtc.room_legs import RoomLegs

log = structlog.get_logger(__name__)


class RoomSessions:
    """What WHIP and WHEP do to rooms."""

    def __init__(self, rooms: RoomsIn, video: VideoEngine, legs: RoomLegs) -> None:
        self._rooms = rooms
        self._video = video
        self._legs = legs

    async def open(
        self, session_id: str, admission: Admission, right: RoomRight, offer: str
    ) -> str:
        """Answer an offer, the session's first or a later one; returns our answer.

        Raises InvalidError for a bad offer, ConflictError when the participant was removed meanwhile,
        UnavailableError without a worker.
        """
        place = await self._sound_of(admission, offer)
        try:
            answered = await self._answer(session_id, admission, right, offer, place)
        except BaseException:
            if place is not None:
                await self._legs.left(place.leg_id)
            raise
        leg_id = place.leg_id if place and answered.audio_from else None
        session = RoomSession(
            session_id=session_id,
            room_id=admission.room_id,
            participant_id=admission.participant_id,
            right=right,
            source_id=admission.source_id,
            layer=admission.layer,
            leg_id=leg_id,
        )
        try:
            await self._rooms.session_opened(session)
            if leg_id is not None and answered.audio_from is not None:
                await self._legs.carried(leg_id, answered.audio_from)
        except BaseException:
            await self._abandon(session)
            raise
        if place is not None and leg_id is None:
            # It was offered and not agreed on: the seat stays empty.
            await self._legs.left(place.leg_id)
        return answered.sdp

    async def show(self, session: RoomSession, admission: Admission) -> RoomSession:
        """Switch a view on its connection. Raises NotFoundError for one that the engine has lost, InvalidError for a codec the
        viewer lacks."""
        source_id, layer = admission.source_id, admission.layer
        await self._video.show(session.session_id, source_id, layer)
        after = replace(session, source_id=source_id, layer=layer)
        await self._rooms.session_opened(after)
        return after

    async def close(self, session: RoomSession) -> None:
        """The far end said goodbye. Raises UnavailableError."""
        await self._video.release(session.session_id)
        await self._rooms.session_closed(session.session_id, "left")
        if session.leg_id is not None:
            await self._legs.left(session.leg_id)

    async def _sound_of(self, admission: Admission, offer: str) -> SoundPlace | None:
        """A place for the participant's voice, when there is anything to hear or to say."""
        if not (admission.may_talk or admission.may_hear) or "\nm=audio " not in offer:
            return None
        seat = await self._rooms.seat(admission.room_id, admission.participant_id)
        return await self._legs.expect(seat)

    async def _answer(
        self,
        session_id: str,
        admission: Admission,
        right: RoomRight,
        offer: str,
        place: SoundPlace | None,
    ) -> Answered:
        if right is RoomRight.VIEW:
            view = ViewOrder(
                session_id=session_id,
                room_id=admission.room_id,
                source_id=admission.source_id,
                best=admission.layer,
                sound=place,
                hears=admission.may_hear,
                own_sound=admission.own_sound,
            )
            return await self._video.view(view, offer)
        publication = PublishOrder(
            session_id=session_id,
            room_id=admission.room_id,
            source_id=admission.source_id,
            layer=admission.layer,
            sound=place,
            talks=admission.may_talk,
            hears=admission.may_hear,
            own_sound=admission.own_sound,
            max_kbps=admission.max_kbps,
            is_screen=admission.is_screen,
        )
        return await self._video.publish(publication, offer)

    async def _abandon(self, session: RoomSession) -> None:
        """Nothing came of it."""
        try:
            await self.close(session)
        except DomainError as error:
            # What could not be said is found when rooms compare their rows with the engine.
            log.warning("room_session_not_ended", session=session.session_id, reason=str(error))


class RoomNews:
    """Implements `commhub.ports.video.VideoIn`: hands everything on to the rooms, and looks after the sound of sessions that
    were lost. `also` is told when the engine came."""

    def __init__(
        self,
        inward: VideoIn,
        rooms: RoomsIn,
        legs: RoomLegs,
        also: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._inward = inward
        self._rooms = rooms
        self._legs = legs
        self._also = also

    async def source_started(
        self, room_id: str, source_id: str, codec: VideoCodec, layers: tuple[Layer, ...]
    ) -> None:
        await self._inward.source_started(room_id, source_id, codec, layers)

    async def session_lost(self, session_id: str, reason: str) -> None:
        try:
            leg_id = (await self._rooms.find_session(session_id)).leg_id
        except NotFoundError:
            leg_id = None
        await self._inward.session_lost(session_id, reason)
        if leg_id is not None:
            await self._legs.lost(leg_id)

    async def speaker_moved(self, room_id: str, source_id: str | None) -> None:
        await self._inward.speaker_moved(room_id, source_id)

    async def measured(self, status: VideoStatus) -> None:
        await self._inward.measured(status)

    async def keyframe_wanted(self, session_id: str) -> None:
        await self._inward.keyframe_wanted(session_id)

    async def recording_stored(self, recorded: RecordedVideo) -> None:
        await self._inward.recording_stored(recorded)

    async def recording_failed(self, source_id: str, reason: str) -> None:
        await self._inward.recording_failed(source_id, reason)

    async def engine_came(self, boot_id: str) -> None:
        await self._inward.engine_came(boot_id)
        await self._legs.look_after()
        if self._also is not None:
            await self._also()
