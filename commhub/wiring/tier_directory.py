"""What hubs share of their directories, and the calls that come of it, as a part of the control process."""

from dataclasses import dataclass

from fastapi import APIRouter

from commhub.tiers import directory_routes
from commhub.tiers.directory import SharedDirectoryService
from commhub.tiers.presence import Presence
from commhub.wiring.core import Core
from commhub.wiring.tiers import TierPart


@dataclass(frozen=True, slots=True)
class SharedPart:
    """`run` is a loop of the process."""

    directory: SharedDirectoryService
    presence: Presence
    router: APIRouter

    async def run(self) -> None:
        await self.presence.run()


def shared_part(core: Core, tiers: TierPart) -> SharedPart:
    """To be made before the links are entered."""
    directory = SharedDirectoryService(core.store, core.clock, tiers.links, tiers.words)
    presence = Presence(directory, core.store, core.bus, core.clock, tiers.links, tiers.words)
    return SharedPart(
        directory=directory,
        presence=presence,
        router=directory_routes.build_router(directory, presence, core.store),
    )
