"""What the picture engine tells of rooms. Implements `ports.video.VideoIn`.

Meters are news of the moment: the latest is kept in memory and written nowhere. Everything else is a row, so that a
control process that comes later, or an engine that has forgotten everything, is brought in line by `engine_came`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from commhub.domain.errors import NotFoundError, UnavailableError
from commhub.domain.facts import Fact
from commhub.domain.recording import retention_of
from commhub.domain.room import Pull, Room, SessionRight, Source, SourceKind, SourceState
from commhub.domain.room_facts import SpeakerMoved, VideoRecordingFailed, VideoRecordingStored
from commhub.domain.room_records import VideoRecording
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.rooms import RoomsIn
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.video import (
    Layer,
    RecordedVideo,
    SourceMeter,
    VideoCodec,
    VideoStatus,
)
from commhub.rooms import moves, presence
from commhub.rooms.metrics import RECORDINGS_FAILED
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.pulling import carry_pulls, sealed_pulls

log = structlog.get_logger(__name__)

LAYER_NAMES = {Layer.MAIN: "main", Layer.SUB: "sub", Layer.LOW: "low"}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whoever speaks: their picture, if they have one, and who they are."""

    source_id: str | None
    participant_id: str | None


NOBODY = Speaker(None, None)


class VideoEvents:
    """Turns the engine's events into rows and facts. `wants_keyframe` asks the far end of a plain (SIP) session for a whole
    picture by its own signalling."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        bus: Bus[Fact],
        orderly: Orderly,
        doors: RoomsIn,
        *,
        wants_keyframe: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self._orderly = orderly
        self._doors = doors
        self._wants_keyframe = wants_keyframe
        self._status: VideoStatus | None = None
        self._speakers: dict[str, Speaker] = {}
        self.recordings_work = True
        """Not since the last one failed, until one is stored again."""

    # --- news of the moment ------------------------------------------------------------------------------

    def meters_of(self, room_id: str) -> list[SourceMeter]:
        """The last meters of the room's sources."""
        sources = self._status.sources if self._status is not None else ()
        return [meter for meter in sources if meter.room_id == room_id]

    def meter_of(self, source_id: str) -> SourceMeter | None:
        """The last meter of a source; None for one the engine has not seen."""
        sources = self._status.sources if self._status is not None else ()
        return next((meter for meter in sources if meter.source_id == source_id), None)

    def speaker_of(self, room_id: str) -> Speaker:
        """Whoever speaks now."""
        return self._speakers.get(room_id, NOBODY)

    async def measured(self, status: VideoStatus) -> None:
        """See `ports.video.VideoIn`."""
        self._status = status

    async def speaker_moved(self, room_id: str, source_id: str | None) -> None:
        """See `ports.video.VideoIn`. Told to the desks, and kept nowhere: people speak too often for a record."""
        speaker = NOBODY if source_id is None else await self._speaker(source_id)
        if self.speaker_of(room_id) == speaker:
            return
        self._speakers[room_id] = speaker
        self._bus.publish(
            SpeakerMoved(
                at=self._clock.now(),
                room_id=room_id,
                source_id=speaker.source_id,
                participant_id=speaker.participant_id,
            )
        )

    async def _speaker(self, name: str) -> Speaker:
        """Whose source it is; without one of that name it is a participant's own (`voices`)."""
        async with self._store.read() as uow:
            source = await uow.rooms.find_source(name)
            if source is not None:
                return Speaker(source.id, source.participant_id)
            one = await uow.rooms.find_participant(name)
        return Speaker(None, None if one is None else one.id)

    async def keyframe_wanted(self, session_id: str) -> None:
        """See `ports.video.VideoIn`."""
        await self._wants_keyframe(session_id)

    # --- sources and sessions ----------------------------------------------------------------------------

    async def source_started(
        self, room_id: str, source_id: str, codec: VideoCodec, layers: tuple[Layer, ...]
    ) -> None:
        """See `ports.video.VideoIn`. Told again (another layer came), only its layers change."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(room_id)
            source = await moves.source_of(uow, room_id, source_id)
            await _begin(uow, room, source, codec, layers, now, orders)
            if room.is_open:
                _remind(room, source, orders)
        await self._orderly.carry_out(orders)

    async def session_lost(self, session_id: str, reason: str) -> None:
        """See `ports.video.VideoIn`."""
        await self._doors.session_closed(session_id, reason)
        async with self._store.read() as uow:
            known = await uow.rooms.find_pull(session_id)
        if known is not None:
            await self._not_had(known, reason)

    async def _not_had(self, pull: Pull, reason: str) -> None:
        """A pulled camera that never came: whoever waits for it should know why."""
        async with self._store.begin() as uow:
            room = await uow.rooms.get(pull.room_id)
            source = await moves.source_of(uow, room.id, pull.source_id)
            if source.state is SourceState.STARTING:
                await moves.shift(
                    uow, room, source, SourceState.IDLE, self._clock.now(), "system", reason
                )

    async def engine_came(self, boot_id: str) -> None:
        """See `ports.video.VideoIn`. What it does not have any more is over; what it has is told how it is to be."""
        # The rows first: a session is answered by the engine before it is a row.
        async with self._store.read() as uow:
            sessions = await uow.rooms.live_sessions()
            rooms = await uow.rooms.open_here()
        try:
            status = await self._orderly.video.status()
        except UnavailableError as error:
            log.warning("video_status_not_read", boot_id=boot_id, reason=str(error))
            return
        self._status = status
        there = frozenset(status.sessions)
        for session in sessions:
            if session.id not in there:
                await self._doors.session_closed(session.id, "lost")
        seen = {meter.source_id: meter for meter in status.sources}
        for room in rooms:
            await self._compare(room.id, seen, there)

    async def _compare(
        self, room_id: str, seen: Mapping[str, SourceMeter], there: frozenset[str]
    ) -> None:
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(room_id)
            published = {
                session.source_id
                for session in await uow.rooms.sessions_of(room_id)
                if session.right is SessionRight.PUBLISH
            }
            for source in await uow.rooms.sources_of(room_id):
                meter = seen.get(source.id)
                if source.state is SourceState.STARTING and meter is not None and meter.started:
                    # It came while nobody was there to hear of it, and is not told again.
                    layers = tuple(one.layer for one in meter.layers)
                    await _begin(uow, room, source, meter.codec, layers, now, orders)
                elif source.state is not SourceState.LIVE:
                    continue
                if meter is not None:
                    _remind(room, source, orders)
                elif source.id not in published:
                    after = SourceState.IDLE if source.comes_back else SourceState.ENDED
                    await moves.shift(uow, room, source, after, now, "system", "lost")
            pulls = await sealed_pulls(uow, room_id, self._orderly.seal)
            orders.pull += [pull for pull in pulls if pull.id not in there]
            await presence.settle(uow, room, now, orders)
        await self._orderly.carry_out(orders)

    # --- recordings --------------------------------------------------------------------------------------

    async def recording_stored(self, recorded: RecordedVideo) -> None:
        """See `ports.video.VideoIn`: a row and a fact, once. Raises NotFoundError for a room that is not on record."""
        self.recordings_work = True
        now = self._clock.now()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(recorded.room_id)
            source = await uow.rooms.find_source(recorded.source_id)
            incident = None
            if room.incident_id is not None:
                incident = await uow.incidents.get(room.incident_id)
            recording = VideoRecording(
                id=new_id(),
                room_id=room.id,
                source_id=recorded.source_id,
                label=source.label if source else recorded.source_id,
                path=recorded.path,
                seconds=recorded.seconds,
                sha256=recorded.sha256,
                size=recorded.size,
                started_at=datetime.fromtimestamp(recorded.started_at, UTC),
                stored_at=now,
                width=recorded.width,
                height=recorded.height,
                incident_id=room.incident_id,
                retention=retention_of(incident),
            )
            if not await uow.room_records.add_recording(recording):
                return
            uow.record(
                VideoRecordingStored(
                    at=now,
                    incident_id=room.incident_id,
                    room_id=room.id,
                    recording_id=recording.id,
                    source_id=recording.source_id,
                    label=recording.label,
                    seconds=round(recording.seconds, 1),
                    sha256=recording.sha256,
                )
            )

    async def recording_failed(self, source_id: str, reason: str) -> None:
        """See `ports.video.VideoIn`. The desk must know at once: a picture that should be recorded is not."""
        self.recordings_work = False
        RECORDINGS_FAILED.inc()
        log.error("video_recording_failed", source_id=source_id, reason=reason)
        async with self._store.begin() as uow:
            room, source = await _room_of(uow, source_id)
            uow.record(
                VideoRecordingFailed(
                    at=self._clock.now(),
                    incident_id=room.incident_id,
                    room_id=room.id,
                    source_id=source_id,
                    label=source.label,
                    reason=reason,
                )
            )


async def _begin(
    uow: UnitOfWork,
    room: Room,
    source: Source,
    codec: VideoCodec,
    layers: tuple[Layer, ...],
    at: datetime,
    orders: Orders,
) -> None:
    """The engine has a source's picture in these layers."""
    names = tuple(LAYER_NAMES[layer] for layer in sorted(layers))
    await moves.go_live(uow, room, source, codec.value, names, at)
    if source.kind is SourceKind.RTSP:
        await carry_pulls(uow, room, source, layers, at, orders)


async def _room_of(uow: UnitOfWork, source_id: str) -> tuple[Room, Source]:
    source = await uow.rooms.find_source(source_id)
    if source is None:
        raise NotFoundError("there is no such source", id=source_id)
    return await uow.rooms.get(source.room_id), source


def _remind(room: Room, source: Source, orders: Orders) -> None:
    """Whatever was decided of a source before the engine had it."""
    if source.muted:
        orders.mute.append((source.id, True))
    if room.recording:
        orders.record.append((source.id, True))
    if room.spotlight == source.id:
        orders.spotlight.append((room.id, source.id))
