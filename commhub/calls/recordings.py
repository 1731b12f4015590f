"""Use cases of recordings: switching them, finding them, keeping them as long as they must be and no longer.

The file goes before its row says so: a crash in between leaves a row whose next sweep finds nothing to remove,
never a file nobody knows of.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from commhub.calls import moves
from commhub.calls.metrics import RECORDINGS_DELETED
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import SYSTEM, RecordingDeleted, RecordingSwitched
from commhub.domain.recording import KEEP_DAYS, KeepDays, Recording, expired_before
from commhub.kit.clock import Clock
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 6 * 3600.0
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """`folder` is where the workers store what `Recording.path` names."""

    folder: Path
    keep: KeepDays = field(default_factory=lambda: KEEP_DAYS)


class RecordingService:
    """Recordings of calls, wherever they are found: by call, by incident, by age."""

    def __init__(
        self, store: Store, clock: Clock, media: MediaEngine, config: RecordingConfig
    ) -> None:
        self._store = store
        self._clock = clock
        self._media = media
        self._config = config

    # --- the desk ----------------------------------------------------------------------------------------

    async def switch(self, call_id: str, principal: Principal, *, on: bool, per_leg: bool) -> Call:
        """Start or stop recording a call that goes on. Switched to what it is, nothing changes.

        Raises ConflictError for a call that has ended.
        """
        per_leg = on and per_leg
        now = self._clock.now()
        async with self._store.begin() as uow:
            before = await moves.live_call(uow, call_id)
            call = replace(before, recording=on, recording_legs=per_leg)
            talking = any(leg.state in TALKING for leg in await uow.calls.legs_of(call_id))
            if call != before:
                await uow.calls.update(call)
                uow.record(
                    RecordingSwitched(
                        at=now,
                        actor=principal.actor,
                        incident_id=call.incident_id,
                        call_id=call_id,
                        on=on,
                        per_leg=per_leg,
                    )
                )
                what = "off" if not on else "mixed and legs" if per_leg else "mixed"
                await uow.audit.append(now, principal.actor, "call.record", call_id, "ok", what)
        if talking:
            # Before anybody talks the first connection orders it (`moves`). Ordered twice is ordered once.
            await self._media.record(call_id, on, per_leg)
        return call

    async def hold(
        self, call_id: str, recording_id: str, principal: Principal, *, held: bool
    ) -> Recording:
        """Keep a recording whatever its age, or let its time run again."""
        async with self._store.begin() as uow:
            recording = _of_call(await uow.recordings.get(recording_id), call_id)
            if recording.held is not held:
                recording = replace(recording, held=held)
                await uow.recordings.update(recording)
                action = "recording.hold" if held else "recording.release"
                now = self._clock.now()
                await uow.audit.append(now, principal.actor, action, recording_id, "ok")
        return recording

    # --- finding -----------------------------------------------------------------------------------------

    async def of_call(self, call_id: str) -> Sequence[Recording]:
        """In the order they began. Raises NotFoundError for an unknown call."""
        async with self._store.read() as uow:
            await uow.calls.get(call_id)
            return await uow.recordings.of_call(call_id)

    async def of_incident(
        self, incident_id: str, before: str | None, limit: int
    ) -> Sequence[Recording]:
        """Newest first. Raises NotFoundError for an unknown incident."""
        async with self._store.read() as uow:
            await uow.incidents.get(incident_id)
            return await uow.recordings.of_incident(incident_id, before, limit)

    async def get(self, call_id: str, recording_id: str) -> Recording:
        async with self._store.read() as uow:
            return _of_call(await uow.recordings.get(recording_id), call_id)

    def file_of(self, recording: Recording) -> Path:
        """Raises NotFoundError with why there is no file."""
        if recording.deleted_at is not None:
            day = f"{recording.deleted_at:%Y-%m-%d}"
            raise NotFoundError(f"the file of this recording was deleted on {day}: its time was up")
        path = self._path(recording)
        if not path.is_file():
            raise NotFoundError("the file of this recording is not here")
        return path

    # --- keeping -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Remove what has expired, now and a few times a day."""
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> int:
        """Remove the files whose time is up; their rows stay. Returns how many. A file that cannot be removed is
        tried again by the next sweep."""
        deleted = 0
        failed: set[str] = set()
        while True:
            limit = expired_before(self._clock.now(), self._config.keep)
            async with self._store.begin() as uow:
                expired = await uow.recordings.expired(limit, _AT_ONCE + len(failed))
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
            log.info("recordings_expired", deleted=deleted, failed=len(failed))
        return deleted

    async def _delete(self, uow: UnitOfWork, found: Recording) -> bool:
        # Read again: held from here on, so that nobody puts a hold on it while its file goes.
        recording = await uow.recordings.get(found.id)
        if recording.held or recording.deleted_at is not None:
            return True
        try:
            await asyncio.to_thread(self._path(recording).unlink, missing_ok=True)
        except OSError as error:
            log.warning("recording_not_deleted", recording_id=recording.id, reason=str(error))
            return False
        now = self._clock.now()
        await uow.recordings.update(replace(recording, deleted_at=now))
        uow.record(
            RecordingDeleted(
                at=now,
                incident_id=recording.incident_id,
                call_id=recording.call_id,
                recording_id=recording.id,
                sha256=recording.sha256,
            )
        )
        await uow.audit.append(
            now, SYSTEM, "recording.delete", recording.id, "ok", f"{recording.retention} expired"
        )
        return True

    def _path(self, recording: Recording) -> Path:
        """Raises NotFoundError for a path that leads outside."""
        folder = self._config.folder.resolve()
        path = (folder / recording.path).resolve()
        if not path.is_relative_to(folder):
            raise NotFoundError("the file of this recording is not here")
        return path


def _of_call(recording: Recording, call_id: str) -> Recording:
    if recording.call_id != call_id:
        raise NotFoundError("this call has no such recording")
    return recording
