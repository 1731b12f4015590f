"""What the media engine tells of calls: floors, recordings, legs it lost. Implements `ports.inward.MediaIn`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from commhub.calls import duty_moves
from commhub.calls.alerts import AlertService
from commhub.calls.metrics import RECORDINGS_FAILED
from commhub.calls.orders import Orders
from commhub.calls.quality import measured
from commhub.calls.service import CallService
from commhub.domain.call import Call
from commhub.domain.call_facts import FloorMoved, RecordingFailed, RecordingStored
from commhub.domain.errors import NotFoundError
from commhub.domain.recording import Recording, RecordingKind, retention_of
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.media import EngineStatus, LegMeter, RecordedFile, RtpAddress
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)


class MediaEvents:
    """Turns the engine's events into rows and facts. Losing one is harmless; the next status says all again."""

    def __init__(
        self,
        calls: CallService,
        store: Store,
        clock: Clock,
        *,
        engine_came: Callable[[], None] | None = None,
        alerts: AlertService | None = None,
    ) -> None:
        self._calls = calls
        self._store = store
        self._clock = clock
        self._engine_came = engine_came
        self._alerts = alerts
        self.recordings_work = True
        """Not since the last one failed, until one is stored again."""

    async def engine_status(self, status: EngineStatus) -> None:
        if self._engine_came is not None:
            # Who may ask for which floor is the fleet's to say.
            self._engine_came()
        self._calls.rooms.engine_came()
        await self._calls.end_missing(frozenset(meter.leg_id for meter in status.legs))
        await self._calls.control.reconcile(status)

    async def dtmf_received(self, leg_id: str, digit: str) -> None:
        """Keys are the buttons of a card that is told by telephone; in a bridged call they mean nothing. The log shows
        that they arrive, never which."""
        log.info("dtmf_received", leg_id=leg_id)
        if self._alerts is not None:
            await self._alerts.dtmf_received(leg_id, digit)

    async def leg_silent(self, leg_id: str, seconds: float) -> None:
        """A phone may have its microphone off; one that has vanished does not answer when asked."""
        log.warning("leg_silent", leg_id=leg_id, seconds=round(seconds, 1))
        await self._calls.probe(leg_id)

    async def leg_vanished(self, leg_id: str) -> None:
        await self._calls.lose_leg(leg_id, "its far end went without a word")

    async def leg_measured(self, meter: LegMeter) -> None:
        """A line on the leg's quality, unless nothing was ever heard of it."""
        if not meter.received:
            return
        async with self._store.begin() as uow:
            known = await uow.calls.find_leg(meter.leg_id)
            if known is None:
                return
            # The call first: whoever moves a leg holds it, and the leg may have changed meanwhile.
            call = await uow.calls.get(known.call_id)
            leg = await uow.calls.find_leg(meter.leg_id) or known
            fact = measured(leg, call, meter, at=self._clock.now())
            await uow.calls.update_leg(replace(leg, score=fact.score))
            uow.record(fact)

    async def voice_heard(self, leg_id: str, level_dbov: float | None) -> None:
        """Of no account to a call: the desk sees its meters."""
        await self._calls.rooms.voice_heard(leg_id, level_dbov)

    async def leg_readdressed(self, leg_id: str, address: RtpAddress) -> None:
        await self._calls.readdress(leg_id, address)

    async def floor_moved(
        self,
        group: str,
        event: str,
        talker: str | None,
        calls: Sequence[str],
        cause: str | None = None,
        queue: Sequence[str] = (),
    ) -> None:
        """One fact per call the group is in, or one without a call for the live desk. Who waits is the desk's
        affair for the moment, and no line of an incident's record."""
        now = self._clock.now()
        moved = FloorMoved(
            at=now, group=group, event=event, talker=talker, cause=cause, queue=tuple(queue)
        )
        orders = Orders()
        async with self._store.begin() as uow:
            if not calls or event == "queue":
                uow.record(moved)
                return
            for call_id in sorted(calls):
                try:
                    call = await uow.calls.get(call_id)
                except NotFoundError:
                    continue
                actor = talker or f"group:{group}"
                uow.record(
                    replace(moved, actor=actor, incident_id=call.incident_id, call_id=call_id)
                )
                if call.line is not None and event == "taken" and _is_radio(talker):
                    await duty_moves.take(uow, call, str(talker), now, orders)
        await self._calls.carry_out(orders)

    async def recording_stored(self, file: RecordedFile) -> None:
        """A row and a fact, once. Raises NotFoundError for a call that is not on record."""
        self.recordings_work = True
        now = self._clock.now()
        async with self._store.begin() as uow:
            call = await uow.calls.get(file.call_id)
            if any(known.path == file.path for known in await uow.recordings.of_call(call.id)):
                return
            recording = await _recording_of(uow, call, file, now)
            await uow.recordings.add(recording)
            uow.record(
                RecordingStored(
                    at=now,
                    incident_id=call.incident_id,
                    call_id=call.id,
                    recording_id=recording.id,
                    seconds=round(file.seconds, 1),
                    sha256=file.sha256,
                    leg_id=file.leg_id,
                )
            )

    async def recording_failed(self, call_id: str, leg_id: str | None, reason: str) -> None:
        """The desk must know at once: a call that should be recorded is not."""
        self.recordings_work = False
        RECORDINGS_FAILED.inc()
        log.error("recording_failed", call_id=call_id, leg_id=leg_id, reason=reason)
        async with self._store.begin() as uow:
            call = await uow.calls.get(call_id)
            uow.record(
                RecordingFailed(
                    at=self._clock.now(),
                    incident_id=call.incident_id,
                    call_id=call_id,
                    leg_id=leg_id,
                    reason=reason,
                )
            )

    async def playback_ended(self, playback_id: str, call_id: str, reason: str) -> None:
        log.info("playback_ended", playback_id=playback_id, call_id=call_id, reason=reason)
        if self._alerts is not None:
            await self._alerts.playback_ended(playback_id, call_id)


def _is_radio(talker: str | None) -> bool:
    return talker is not None and talker.startswith("radio:")


async def _recording_of(
    uow: UnitOfWork, call: Call, file: RecordedFile, now: datetime
) -> Recording:
    incident = None if call.incident_id is None else await uow.incidents.get(call.incident_id)
    return Recording(
        id=new_id(),
        call_id=call.id,
        path=file.path,
        seconds=file.seconds,
        sha256=file.sha256,
        stored_at=now,
        started_at=datetime.fromtimestamp(file.started_at, UTC) if file.started_at else now,
        kind=RecordingKind.MIXED if file.leg_id is None else RecordingKind.LEG,
        leg_id=file.leg_id,
        incident_id=call.incident_id,
        retention=retention_of(incident),
        rate=file.rate,
        size=file.size,
    )
