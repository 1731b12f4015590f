"""Incidents between tiers, all of it for one hub: what the routes, the loops and wiring see."""

import asyncio

from commhub.domain.facts import Fact
from commhub.http.tier_views import TierIncidentView, tier_view
from commhub.kit.bus import Bus
from commhub.tiers.clocks import TierClocks
from commhub.tiers.common import Common
from commhub.tiers.merging import Merging
from commhub.tiers.sharing import Sharing
from commhub.tiers.supervising import Supervising
from commhub.tiers.telling import Telling
from commhub.tiers.whistles import Whistles


class TierIncidents:
    """Registers with the words between hubs when it is made. `run` tells neighbours what is new, and keeps the clocks."""

    def __init__(self, common: Common, bus: Bus[Fact]) -> None:
        self._common = common
        self.sharing = Sharing(common)
        self.merging = Merging(common)
        self.whistles = Whistles(common, self.sharing)
        self.supervising = Supervising(common)
        self.clocks = TierClocks(common)
        self.telling = Telling(common, bus, self.clocks.wake)

    async def view(self, incident_id: str) -> TierIncidentView:
        """What the incident has in common with other hubs. Raises NotFoundError."""
        async with self._common.store.read() as uow:
            await uow.incidents.get(incident_id)
            return tier_view(
                incident_id,
                await uow.shares.of_incident(incident_id),
                await uow.shares.check_ins_of(incident_id),
                await uow.shares.supervisions_of(incident_id),
            )

    def wake(self) -> None:
        """Something was committed: it is to be said, and a deadline may be nearer."""
        self._common.links.wake()
        self.clocks.wake()

    async def run(self) -> None:
        """Tell, and fire, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.telling.run(), name="tiers-telling")
            tasks.create_task(self.clocks.run(), name="tiers-clocks")
