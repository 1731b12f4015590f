"""What hubs share of their directories, and the calls, floors and commands that come of it, as a part of the control process."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from fastapi import APIRouter

from commhub.ports.inside import DeviceOrders
from commhub.ports.telephony import HubTrunk
from commhub.settings import Settings
from commhub.tiers import directory_routes
from commhub.tiers.answering import HubCallers
from commhub.tiers.calling import HubLegs
from commhub.tiers.commands import HubCommands
from commhub.tiers.directory import SharedDirectoryService
from commhub.tiers.floors import HubFloors
from commhub.tiers.presence import Presence
from commhub.wiring.core import Core
from commhub.wiring.tiers import TierPart, us


@dataclass(frozen=True, slots=True)
class SharedPart:
    """`run` is a loop of the process."""

    directory: SharedDirectoryService
    presence: Presence
    floors: HubFloors
    router: APIRouter

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.presence.run(), name="tier-presence")
            tasks.create_task(self.floors.run(), name="tier-floors")


async def shared_part(
    settings: Settings,
    core: Core,
    tiers: TierPart,
    trunk: HubTrunk,
    devices: DeviceOrders,
    stack: AsyncExitStack,
) -> SharedPart:
    """Made, and connected to the calls, before the links are entered."""
    store, clock, links, words = core.store, core.clock, tiers.links, tiers.words
    directory = SharedDirectoryService(store, clock, links, words)
    presence = Presence(directory, store, core.bus, clock, links, words)
    callers = HubCallers(store, clock, directory, trunk, us(settings).sip, words)
    floors = HubFloors(store, core.bus, clock, links, directory, core.calls.neighbours, words)
    commands = HubCommands(store, clock, links, directory, devices, words)
    legs = await stack.enter_async_context(HubLegs(store, links, trunk, core.calls))
    core.calls.connect_hubs(legs, callers, floors)
    return SharedPart(
        directory=directory,
        presence=presence,
        floors=floors,
        router=directory_routes.build_router(directory, presence, commands, store),
    )
