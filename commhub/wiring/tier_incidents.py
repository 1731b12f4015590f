"""Incidents between tiers, with what the features of the dispatch model do for them."""

from dataclasses import dataclass

from fastapi import APIRouter

from commhub.settings import Settings
from commhub.tiers.common import Common
from commhub.tiers.incident_routes import build_router
from commhub.tiers.incidents import TierIncidents
from commhub.wiring.core import Core
from commhub.wiring.tiers import TierPart


@dataclass(frozen=True, slots=True)
class TierIncidentsPart:
    """The feature with its routes; `run` is its loops."""

    feature: TierIncidents
    router: APIRouter

    async def run(self) -> None:
        """Tell neighbours what is new, and keep the clocks between hubs."""
        await self.feature.run()


def tier_incidents_part(settings: Settings, core: Core, tiers: TierPart) -> TierIncidentsPart:
    """Registered with the words between hubs: make it before the links are entered."""
    common = Common(
        us=settings.hub,
        store=core.store,
        clock=core.clock,
        links=tiers.links,
        words=tiers.words,
        attention=core.incidents,
        tending=core.incidents,
        adoption=core.reports,
    )
    feature = TierIncidents(common, core.bus)
    return TierIncidentsPart(feature=feature, router=build_router(feature, core.store))
