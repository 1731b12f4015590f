"""What the media engine tells of calls: floors, recordings, legs it lost. Implements `ports.inward.MediaIn`."""

from collections.abc import Sequence

import structlog

from commhub.calls.service import CallService
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import FloorMoved, RecordingStored
from commhub.domain.recording import Recording
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.media import EngineStatus
from commhub.ports.store import Store

log = structlog.get_logger(__name__)


class MediaEvents:
    """Turns the engine's events into rows and facts. Losing one is harmless; the next status says all again."""

    def __init__(self, calls: CallService, store: Store, clock: Clock) -> None:
        self._calls = calls
        self._store = store
        self._clock = clock

    async def engine_status(self, status: EngineStatus) -> None:
        await self._calls.end_missing(frozenset(meter.leg_id for meter in status.legs))

    async def dtmf_received(self, leg_id: str, digit: str) -> None:
        """Digits have no meaning in a bridged call yet; the log shows that they arrive (never which)."""
        del digit
        log.info("dtmf_received", leg_id=leg_id)

    async def leg_silent(self, leg_id: str, seconds: float) -> None:
        log.warning("leg_silent", leg_id=leg_id, seconds=round(seconds, 1))

    async def floor_moved(
        self, group: str, event: str, talker: str | None, calls: Sequence[str]
    ) -> None:
        """One fact per call the group is in, or one without a call for the live desk."""
        now = self._clock.now()
        async with self._store.begin() as uow:
            if not calls:
                uow.record(FloorMoved(at=now, group=group, event=event, talker=talker))
            for call_id in sorted(calls):
                try:
                    call = await uow.calls.get(call_id)
                except NotFoundError:
                    continue
                uow.record(
                    FloorMoved(
                        at=now,
                        actor=talker or f"group:{group}",
                        incident_id=call.incident_id,
                        group=group,
                        event=event,
                        talker=talker,
                        call_id=call_id,
                    )
                )

    async def recording_stored(self, call_id: str, path: str, seconds: float, sha256: str) -> None:
        now = self._clock.now()
        async with self._store.begin() as uow:
            call = await uow.calls.get(call_id)
            if any(known.path == path for known in await uow.recordings.of_call(call_id)):
                return
            recording = Recording(
                id=new_id(),
                call_id=call_id,
                path=path,
                seconds=seconds,
                sha256=sha256,
                stored_at=now,
                started_at=now,
            )
            await uow.recordings.add(recording)
            uow.record(
                RecordingStored(
                    at=now,
                    incident_id=call.incident_id,
                    call_id=call_id,
                    recording_id=recording.id,
                    seconds=round(seconds, 1),
                    sha256=sha256,
                )
            )
