"""Use cases of recordings of pictures: switching and finding them. How long they are kept is `commhub.keeping`.

The sound of a room is recorded as its call is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from commhub.domain.account import Principal
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import Fact
from commhub.domain.recording import Retention
from commhub.domain.room import Room, SourceState
from commhub.domain.room_facts import RoomRecordingSwitched, VideoRecordingDeleted
from commhub.domain.room_records import VideoRecording
from commhub.keeping import KeptRecordings
from commhub.kit.clock import Clock
from commhub.ports.store import Store, UnitOfWork
from commhub.rooms import moves
from commhub.rooms.config import RoomConfig
from commhub.rooms.metrics import RECORDINGS_DELETED
from commhub.rooms.orders import Orderly, Orders


class RoomRecordings(KeptRecordings[VideoRecording]):
    """Recordings of rooms, by room and by age."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly, config: RoomConfig) -> None:
        super().__init__(
            store,
            clock,
            config.folder,
            config.keep,
            word="room_recording",
            deleted=RECORDINGS_DELETED,
        )
        self._orderly = orderly

    async def switch(self, room_id: str, by: Principal, *, on: bool) -> Room:
        """Record every picture of the room from now on, or none. Raises ConflictError for one that has ended."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            for source in await uow.rooms.sources_of(room_id):
                if source.state is SourceState.LIVE:
                    orders.record.append((source.id, on))
            if room.recording is not on:
                room = replace(room, recording=on)
                await uow.rooms.update(room)
                uow.record(
                    RoomRecordingSwitched(
                        at=now,
                        actor=by.actor,
                        incident_id=room.incident_id,
                        room_id=room_id,
                        name=room.name,
                        on=on,
                    )
                )
                what = "on" if on else "off"
                await uow.audit.append(now, by.actor, "room.record", room_id, "ok", what)
        await self._orderly.carry_out(orders, by)
        return room

    async def of_room(self, room_id: str) -> Sequence[VideoRecording]:
        """In the order they began. Raises NotFoundError for an unknown room."""
        async with self._store.read() as uow:
            await uow.rooms.get(room_id)
            return await uow.room_records.recordings_of(room_id)

    async def fetch(
        self, room_id: str, recording_id: str, by: Principal, *, begins: bool = True
    ) -> tuple[VideoRecording, Path]:
        """A recording with its file; that somebody took it is on the audit (`begins` False: they jump in it). Raises
        NotFoundError with why there is none."""
        recording = await self.get(room_id, recording_id)
        path = await self.file_of(recording)
        if begins:
            async with self._store.begin() as uow:
                now = self._clock.now()
                await uow.audit.append(now, by.actor, "room_recording.read", recording_id, "ok")
        return recording, path

    # --- keeping -----------------------------------------------------------------------------------------

    async def _get(self, uow: UnitOfWork, recording_id: str) -> VideoRecording:
        return await uow.room_records.get_recording(recording_id)

    async def _update(self, uow: UnitOfWork, recording: VideoRecording) -> None:
        await uow.room_records.update_recording(recording)

    async def _expired(
        self, uow: UnitOfWork, stored_before: Mapping[Retention, datetime], limit: int
    ) -> Sequence[VideoRecording]:
        return await uow.room_records.expired_recordings(stored_before, limit)

    def _owned(self, recording: VideoRecording, owner_id: str) -> VideoRecording:
        if recording.room_id != owner_id:
            raise NotFoundError("this room has no such recording")
        return recording

    def _deletion(self, recording: VideoRecording, at: datetime) -> Fact:
        return VideoRecordingDeleted(
            at=at,
            incident_id=recording.incident_id,
            room_id=recording.room_id,
            recording_id=recording.id,
            sha256=recording.sha256,
        )
