"""Use cases of recordings of pictures: switching them, finding them, keeping them as long as they must be and no longer.

The sound of a room is recorded as its call is. The file goes before its row says so: a crash in between leaves a row
whose next sweep finds nothing to remove, never a file nobody knows of.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from commhub.domain.account import Principal
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import SYSTEM
from commhub.domain.recording import expired_before
from commhub.domain.room import Room, SourceState
from commhub.domain.room_facts import RoomRecordingSwitched, VideoRecordingDeleted
from commhub.domain.room_records import VideoRecording
from commhub.kit.clock import Clock
from commhub.ports.store import Store, UnitOfWork
from commhub.rooms import moves
from commhub.rooms.config import RoomConfig
from commhub.rooms.metrics import RECORDINGS_DELETED
from commhub.rooms.orders import Orderly, Orders

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 6 * 3600.0
_AT_ONCE = 50


class RoomRecordings:
    """Recordings of rooms, by room and by age."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly, config: RoomConfig) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly
        self._config = config

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
        async with self._store.read() as uow:
            recording = _of_room(await uow.room_records.get_recording(recording_id), room_id)
        if recording.deleted_at is not None:
            day = f"{recording.deleted_at:%Y-%m-%d}"
            raise NotFoundError(f"the file of this recording was deleted on {day}: its time was up")
        path = self._path(recording)
        if not await asyncio.to_thread(path.is_file):
            raise NotFoundError("the file of this recording is not here")
        if begins:
            async with self._store.begin() as uow:
                now = self._clock.now()
                await uow.audit.append(now, by.actor, "room_recording.read", recording_id, "ok")
        return recording, path

    async def hold(
        self, room_id: str, recording_id: str, by: Principal, *, held: bool
    ) -> VideoRecording:
        """Keep a recording whatever its age, or let its time run again."""
        async with self._store.begin() as uow:
            recording = _of_room(await uow.room_records.get_recording(recording_id), room_id)
            if recording.held is not held:
                recording = replace(recording, held=held)
                await uow.room_records.update_recording(recording)
                action = "room_recording.hold" if held else "room_recording.release"
                await uow.audit.append(self._clock.now(), by.actor, action, recording_id, "ok")
        return recording

    # --- keeping -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Remove what has expired, now and a few times a day."""
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> int:
        """Remove the files whose time is up; their rows stay. Returns how many. One that cannot be removed is tried again by the
        next sweep."""
        deleted = 0
        failed: set[str] = set()
        while True:
            limit = expired_before(self._clock.now(), self._config.keep)
            async with self._store.begin() as uow:
                expired = await uow.room_records.expired_recordings(limit, _AT_ONCE + len(failed))
                todo = [one for one in expired if one.id not in failed]
                for recording in todo:
                    if await self._delete(uow, recording):
                        deleted += 1
                    else:
                        failed.add(recording.id)
            if not todo:
                break
        if deleted:
            RECORDINGS_DELETED.inc(deleted)
            log.info("room_recordings_expired", deleted=deleted, failed=len(failed))
        return deleted

    async def _delete(self, uow: UnitOfWork, found: VideoRecording) -> bool:
        # Read again: held from here on, so that nobody puts a hold on it while its file goes.
        recording = await uow.room_records.get_recording(found.id)
        if recording.held or recording.deleted_at is not None:
            return True
        try:
            await asyncio.to_thread(self._path(recording).unlink, missing_ok=True)
        except OSError as error:
            log.warning("room_recording_not_deleted", recording_id=recording.id, reason=str(error))
            return False
        now = self._clock.now()
        await uow.room_records.update_recording(replace(recording, deleted_at=now))
        uow.record(
            VideoRecordingDeleted(
                at=now,
                incident_id=recording.incident_id,
                room_id=recording.room_id,
                recording_id=recording.id,
                sha256=recording.sha256,
            )
        )
        detail = f"{recording.retention} expired"
        await uow.audit.append(now, SYSTEM, "room_recording.delete", recording.id, "ok", detail)
        return True

    def _path(self, recording: VideoRecording) -> Path:
        """Raises NotFoundError for a path that leads outside."""
        folder = self._config.folder.resolve()
        path = (folder / recording.path).resolve()
        if not path.is_relative_to(folder):
            raise NotFoundError("the file of this recording is not here")
        return path


def _of_room(recording: VideoRecording, room_id: str) -> VideoRecording:
    if recording.room_id != room_id:
        raise NotFoundError("this room has no such recording")
    return recording
