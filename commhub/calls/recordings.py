"""Use cases of recordings: switching and finding them. How long they are kept is `commhub.keeping`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from commhub.calls import moves
from commhub.calls.metrics import RECORDINGS_DELETED
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call
from commhub.domain.call_facts import RecordingDeleted, RecordingSwitched
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import Fact
from commhub.domain.recording import KEEP_DAYS, KeepDays, Recording, Retention
from commhub.keeping import KeptRecordings
from commhub.kit.clock import Clock
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """`folder` is where the workers store what `Recording.path` names."""

    folder: Path
    keep: KeepDays = field(default_factory=lambda: KEEP_DAYS)


class RecordingService(KeptRecordings[Recording]):
    """Recordings of calls, wherever they are found: by call, by incident, by age."""

    def __init__(
        self, store: Store, clock: Clock, media: MediaEngine, config: RecordingConfig
    ) -> None:
        super().__init__(
            store, clock, config.folder, config.keep, word="recording", deleted=RECORDINGS_DELETED
        )
        self._media = media

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

    # --- keeping -----------------------------------------------------------------------------------------

    async def _get(self, uow: UnitOfWork, recording_id: str) -> Recording:
        return await uow.recordings.get(recording_id)

    async def _update(self, uow: UnitOfWork, recording: Recording) -> None:
        await uow.recordings.update(recording)

    async def _expired(
        self, uow: UnitOfWork, stored_before: Mapping[Retention, datetime], limit: int
    ) -> Sequence[Recording]:
        return await uow.recordings.expired(stored_before, limit)

    def _owned(self, recording: Recording, owner_id: str) -> Recording:
        if recording.call_id != owner_id:
            raise NotFoundError("this call has no such recording")
        return recording

    def _deletion(self, recording: Recording, at: datetime) -> Fact:
        return RecordingDeleted(
            at=at,
            incident_id=recording.incident_id,
            call_id=recording.call_id,
            recording_id=recording.id,
            sha256=recording.sha256,
        )
