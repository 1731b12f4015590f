"""Whole towns of several tiers in one process: incidents, reports and tiers of each hub as wiring joins them, over links that a test may
cut. No loops: a test says when a step is taken, but for what a link carries."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.clock import START, ScriptedClock
from fakes.tiers import TierHub, a_hub, join, pair
from fakes.town import Town
from fakes.waiting import eventually
from fakes.web import someone

from commhub.domain.facts import TimelineEntry
from commhub.domain.incident import Incident
from commhub.domain.people import Role, Unit
from commhub.domain.tier import (
    CheckIn,
    Export,
    Share,
    Shared,
    ShareRight,
    Supervision,
    Tier,
)
from commhub.incidents.config import IncidentConfig
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.tiers.common import Common
from commhub.tiers.incidents import TierIncidents

DESK = someone()
LEADER = someone(Role.DUTY_LEADER, name="chen")


class DayClock(ScriptedClock):
    """The time of day moves by hand; what a link measures in seconds is real, or it would take a leap for silence."""

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class TierTown:
    """One hub."""

    hub: TierHub
    town: Town
    tiers: TierIncidents

    @property
    def name(self) -> str:
        return self.hub.name

    def write(self) -> "_Writing":
        return _Writing(self)

    async def incident(self, incident_id: str) -> Incident:
        async with self.hub.store.read() as uow:
            return await uow.incidents.get(incident_id)

    async def share(self, incident_id: str, peer: "TierTown") -> Share | None:
        async with self.hub.store.read() as uow:
            return await uow.shares.find(incident_id, peer.name)

    async def check_ins(self, incident_id: str) -> Sequence[CheckIn]:
        async with self.hub.store.read() as uow:
            return await uow.shares.check_ins_of(incident_id)

    async def supervisions(self, incident_id: str) -> Sequence[Supervision]:
        async with self.hub.store.read() as uow:
            return await uow.shares.supervisions_of(incident_id)

    async def timeline(self, incident_id: str) -> Sequence[TimelineEntry]:
        async with self.hub.store.read() as uow:
            return await uow.timeline.of_incident(incident_id, 0, 10_000)

    async def merged(self, incident_id: str) -> list[tuple[str, int, str]]:
        """The lines that every hub of the incident has: who wrote each, its place there, and its kind, in one order for all."""
        lines = [e for e in await self.timeline(incident_id) if e.kind != "their_stage_moved"]
        named = [(e.at, e.hub, e.origin_seq or e.seq, e.kind) for e in lines]
        return [(hub, seq, kind) for _, hub, seq, kind in sorted(named)]

    async def written_by(self, incident_id: str, hub: str) -> list[int]:
        """The places of one hub's lines that all have, in the order in which they stand here."""
        lines = [e for e in await self.timeline(incident_id) if e.kind != "their_stage_moved"]
        return [e.origin_seq or e.seq for e in lines if e.hub == hub]

    async def tell(self) -> None:
        """Queue all that is new for neighbours."""
        while await self.tiers.telling.tell_behind():
            continue

    async def waiting(self) -> int:
        async with self.hub.store.read() as uow:
            peers = await uow.peerings.list()
            return sum([await uow.peerings.how_many_wait(one.peer) for one in peers])

    async def has_news(self) -> bool:
        async with self.hub.store.read() as uow:
            return bool(await uow.shares.behind(1))

    async def has_department(self, unit_id: str, name: str) -> None:
        async with self.hub.store.begin() as uow:
            await uow.directory.put_unit(Unit(id=unit_id, name=name, team="other"))

    async def shares_department(self, unit_id: str, name: str, with_: "TierTown") -> None:
        """As the directory in common would: an export here, and what it says there."""
        await self.has_department(unit_id, name)
        now, rights = self.town.clock.now(), frozenset({ShareRight.SEE})
        async with self.hub.store.begin() as uow:
            await uow.shared_directory.put_export(
                Export(
                    id=new_id(),
                    peer=with_.name,
                    subject=f"unit:{unit_id}",
                    label=name,
                    rights=rights,
                    created_at=now,
                    created_by="user:li",
                )
            )
        async with with_.hub.store.begin() as uow:
            await uow.shared_directory.put_shared(
                Shared(
                    peer=self.name,
                    subject=f"unit:{unit_id}",
                    label=name,
                    rights=rights,
                    updated_at=now,
                    unit=unit_id,
                )
            )


class _Writing:
    """A transaction of the desk, after which what it queued is said."""

    def __init__(self, town: TierTown) -> None:
        self._town = town
        self._begun = town.hub.store.begin()

    async def __aenter__(self) -> UnitOfWork:
        return await self._begun.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        await self._begun.__aexit__(*raised)
        self._town.tiers.wake()


@asynccontextmanager
async def a_tier_town(
    name: str, tier: Tier, folder: Path, clock: ScriptedClock
) -> AsyncIterator[TierTown]:
    async with a_hub(name, tier, folder, clock) as hub:
        town = Town(hub.store, clock, incident_config=IncidentConfig(origin=name))
        await town.settle()
        common = Common(
            us=name,
            store=hub.store,
            clock=clock,
            links=hub.links,
            words=hub.words,
            attention=town.incidents,
            tending=town.incidents,
            adoption=town.reports,
        )
        yield TierTown(hub, town, TierIncidents(common, hub.bus))


async def connected(
    lower: TierTown, upper: TierTown, passes: Callable[[str], bool] = lambda _: True
) -> None:
    """Carry one link until it ends."""
    await join(lower.hub, upper.hub, passes)


@asynccontextmanager
async def link(lower: TierTown, upper: TierTown) -> AsyncIterator[None]:
    """A link for as long as this lasts."""
    carried = asyncio.create_task(connected(lower, upper))
    try:
        await eventually(
            lambda: (
                lower.hub.links.state_of(upper.name).up and upper.hub.links.state_of(lower.name).up
            ),
            within_s=30,
        )
        yield
    finally:
        lower.hub.links.drop(upper.name, "the test cuts it")
        await carried


async def settle_all(*towns: TierTown, within_s: float = 60) -> None:
    """Tell until nobody has anything to say. Links must be there."""

    async def quiet() -> bool:
        for town in towns:
            await town.tell()
            town.hub.links.wake()
        if any([await town.waiting() for town in towns]):
            return False
        # What was taken meanwhile is news by now: so this is asked after that.
        return not any([await town.has_news() for town in towns])

    await eventually(quiet, within_s=within_s)


@asynccontextmanager
async def tier_towns(
    folder: Path, *tiers: tuple[str, Tier]
) -> AsyncIterator[tuple[ScriptedClock, list[TierTown]]]:
    """Towns from below to above, each paired with the next, on one clock."""
    clock = DayClock(START)
    async with AsyncExitStack() as stack:
        towns = [
            await stack.enter_async_context(a_tier_town(name, tier, folder, clock))
            for name, tier in tiers
        ]
        for lower, upper in itertools.pairwise(towns):
            await pair(lower.hub, upper.hub)
        yield clock, towns
