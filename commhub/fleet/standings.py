"""What the media engine is told of the devices on the air: whose groups are whose, and whose SOS is open.

The floor arbiter runs in the media worker and must not believe a device about itself; the hub's own records decide.
An SOS is open from the commit of its report (before any rule has looked at it) until its incident is handled. Told
is only what changed, and everything to an engine that has just come.
"""

import asyncio

import structlog

from commhub.domain.errors import DomainError
from commhub.domain.facts import (
    DeviceSeen,
    Fact,
    IncidentMerged,
    IncidentRegistered,
    ReportQuarantined,
    ReportReceived,
    StageMoved,
    TaskMoved,
)
from commhub.domain.report import SOS_CATEGORY, Source
from commhub.kit.bus import Bus, Subscription
from commhub.kit.supervise import Doorbell, run_forever
from commhub.ports.media import MediaEngine, RadioStanding
from commhub.ports.store import Store

log = structlog.get_logger(__name__)

COMPARE_EVERY_S = 15.0
RETRY_S = 1.0
_FACTS = 4096
_DEVICE = "device:"
# By these an SOS opens, closes, or comes to belong to another incident.
_OF_AN_SOS = (IncidentRegistered, IncidentMerged, StageMoved, TaskMoved, ReportQuarantined)


class RadioStandings:
    """Follows the fleet and its alarms until cancelled. `engine_came` is told by whoever hears of an engine."""

    def __init__(
        self, store: Store, bus: Bus[Fact], *, compare_every_s: float = COMPARE_EVERY_S
    ) -> None:
        self._store = store
        self._bus = bus
        self._compare_every_s = compare_every_s
        self._engine: MediaEngine | None = None
        self._told: dict[str, RadioStanding] | None = None
        self._bell = Doorbell()

    def connect(self, media: MediaEngine) -> None:
        self._engine = media

    def engine_came(self) -> None:
        """An engine is there that may know nothing."""
        self._told = None
        self._bell.ring()

    async def run(self) -> None:
        await run_forever("radio-standings", self._follow)

    async def _follow(self) -> None:
        with self._bus.subscribe(_FACTS, _matters) as facts:
            self.engine_came()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(facts), name="standings-listen")
                tasks.create_task(self._tell_for_ever(), name="standings-tell")

    async def _listen(self, facts: Subscription[Fact]) -> None:
        async for _ in facts:
            self._bell.ring()

    async def _tell_for_ever(self) -> None:
        patience = self._compare_every_s
        while True:
            # The bus may lose a fact, and other processes have buses of their own: so compare now and then.
            await self._bell.wait(patience)
            patience = self._compare_every_s if await self._tell() else RETRY_S

    async def _tell(self) -> bool:
        """Tell the engine what it does not know; whether it knows all now."""
        if self._engine is None:
            return False
        standings = await self._read()
        told, self._told = self._told, standings
        if told is None:
            news, whole = list(standings.values()), True
        else:
            gone = [RadioStanding(device_id=one, groups=()) for one in told.keys() - standings]
            changed = [one for name, one in standings.items() if told.get(name) != one]
            news, whole = [*changed, *gone], False
        if not news and not whole:
            return True
        try:
            await self._engine.enroll(news, whole)
        except DomainError as error:
            log.warning("radio_standings_not_told", code=error.code, reason=str(error))
            self._told = None
            return False
        return True

    async def _read(self) -> dict[str, RadioStanding]:
        async with self._store.read() as uow:
            devices = await uow.fleet.list()
            alarms = await uow.reports.open_of(SOS_CATEGORY)
        in_danger = {
            report.reporter.removeprefix(_DEVICE)
            for report in alarms
            if report.source is Source.DEVICE and report.reporter is not None
        }
        return {
            device.id: RadioStanding(
                device_id=device.id, groups=device.groups, emergency=device.id in in_danger
            )
            for device in devices
            if device.groups and not device.revoked
        }


def _matters(fact: Fact) -> bool:
    match fact:
        case DeviceSeen(changed=changed):
            return changed != "telemetry"
        case ReportReceived(category=category):
            return category == SOS_CATEGORY
        case _:
            return isinstance(fact, _OF_AN_SOS)
