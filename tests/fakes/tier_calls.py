"""Hubs of one process that call each other: what SIP carries between them is joined in memory, everything else is as it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.calls import FakeDriver, RememberingMedia
from fakes.tiers import TierHub, a_hub, join
from fakes.waiting import eventually

from commhub.calls.service import CallRequest, CallService, CallState
from commhub.domain.account import Principal
from commhub.domain.call import Cause
from commhub.domain.device import Device, DeviceKind
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.tier import ShareRight, Tier
from commhub.kit.clock import SystemClock
from commhub.kit.ids import new_id
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingCall, IncomingRefused
from commhub.ports.media import RtpAddress
from commhub.ports.telephony import LegOrder
from commhub.tiers.answering import HubCallers
from commhub.tiers.calling import HubLegs
from commhub.tiers.commands import HubCommands
from commhub.tiers.directory import NewExport, SharedDirectoryService
from commhub.tiers.floors import HubFloors

WITHIN_S = 30


class MemoryTrunk:
    """`ports.telephony.HubTrunk` to the trunks of other hubs, by where they say they are («street-a:5060»)."""

    def __init__(self, network: dict[str, "MemoryTrunk"], place: str) -> None:
        network[place] = self
        self._network = network
        self.calls: CallService | None = None
        self.expected: dict[str, Endpoint] = {}
        self._ends: dict[str, tuple[MemoryTrunk, str]] = {}

    @property
    def _calls(self) -> CallService:
        assert self.calls is not None
        return self.calls

    def expect(self, user: str, caller: Endpoint, for_s: float) -> None:
        assert for_s > 0
        self.expected[user] = caller

    def forget(self, user: str) -> None:
        self.expected.pop(user, None)

    async def call(self, order: LegOrder, uri: str) -> None:
        user, _, place = uri.removeprefix("sip:").partition("@")
        other = self._network[place]
        caller = other.expected.pop(user, None)
        if caller is None:
            await self._calls.leg_ended(order.leg_id, Cause.NOT_ALLOWED, "407")
            return
        theirs = new_id()
        self._ends[order.leg_id] = (other, theirs)
        other._ends[theirs] = (self, order.leg_id)
        incoming = IncomingCall(leg_id=theirs, caller=caller, called=user)
        await self._calls.leg_ringing(order.leg_id)
        outcome = await other._calls.call_offered(incoming)
        if isinstance(outcome, IncomingRefused):
            await self._calls.leg_ended(order.leg_id, outcome.cause, None)

    async def place(self, order: LegOrder) -> None:
        raise AssertionError("a phone of this hub is none of another hub's")

    async def answer(self, leg_id: str) -> None:
        other, theirs = self._ends[leg_id]
        await self._calls.leg_connected(leg_id, "PCMU")
        await other._calls.leg_connected(theirs, "PCMU")

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        if leg_id in self._ends:
            other, theirs = self._ends.pop(leg_id)
            await other._calls.leg_ended(theirs, cause, None)

    async def probe(self, leg_id: str) -> None:
        del leg_id

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        del leg_id, address


class Devices:
    """`ports.inside.DeviceOrders` that remembers."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, str, dict[str, object], str]] = []

    async def order(self, device_id, op, args, by, expires_in) -> None:
        assert expires_in
        self.orders.append((device_id, op, dict(args), by))


@dataclass
class CallingHub:
    """A hub with its calls, what it shares, and drivers that ring nobody."""

    hub: TierHub
    calls: CallService
    directory: SharedDirectoryService
    commands: HubCommands
    floors: HubFloors
    trunk: MemoryTrunk
    driver: FakeDriver = field(default_factory=FakeDriver)
    media: RememberingMedia = field(default_factory=RememberingMedia)
    devices: Devices = field(default_factory=Devices)
    picked_up: set[str] = field(default_factory=set)

    async def share(self, subject: str, *rights: ShareRight) -> None:
        async with self.hub.store.begin() as uow:
            new = NewExport(peer="*", subject=subject, rights=frozenset(rights))
            await self.directory.share(uow, new, LI)

    async def place(self, *legs: str, by: Principal | None = None, **more: Any) -> str:
        state = await self.calls.place(CallRequest(legs=legs, **more), by or LI)
        return state.call.id

    async def live(self) -> list[CallState]:
        return list(await self.calls.list(live_only=True, before=None, limit=50))

    async def until(self, call_id: str, **states: str) -> dict[str, Any]:
        """Legs by their endpoint's name, in these states (`_1001="connected"`)."""

        async def are() -> dict[str, Any] | None:
            legs = {leg.endpoint.name: leg for leg in (await self.calls.get(call_id)).legs}
            fits = all(
                name.lstrip("_") in legs and legs[name.lstrip("_")].state == state
                for name, state in states.items()
            )
            return legs if fits else None

        return await eventually(are, within_s=WITHIN_S)

    async def pick_up(self, endpoint: str) -> str:
        """Whoever is rung at that address, and did not answer yet, answers; the leg's id."""

        def rung() -> str | None:
            legs = [one.leg_id for one in self.driver.placed if str(one.endpoint) == endpoint]
            return next((leg_id for leg_id in legs if leg_id not in self.picked_up), None)

        leg_id = await eventually(rung, within_s=WITHIN_S)
        self.picked_up.add(leg_id)
        await self.calls.leg_connected(leg_id, "PCMU")
        return leg_id


LI = Principal(id="li", name="li", kind="user", roles=frozenset())


@asynccontextmanager
async def calling_hub(
    name: str, tier: Tier, folder: Path, network: dict[str, MemoryTrunk]
) -> AsyncIterator[CallingHub]:
    clock, place = SystemClock(), f"{name}.test:5060"
    async with a_hub(name, tier, folder) as hub:
        calls, trunk = CallService(hub.store, clock), MemoryTrunk(network, place)
        trunk.calls = calls
        directory = SharedDirectoryService(hub.store, clock, hub.links, hub.words)
        callers = HubCallers(hub.store, clock, directory, trunk, place, hub.words)
        floors = HubFloors(
            hub.store, hub.bus, clock, hub.links, directory, calls.neighbours, hub.words
        )
        devices = Devices()
        commands = HubCommands(hub.store, clock, hub.links, directory, devices, hub.words)
        one = CallingHub(hub, calls, directory, commands, floors, trunk, devices=devices)
        drivers = dict.fromkeys((Scheme.SIP, Scheme.RADIO, Scheme.DESK, Scheme.ROOM), one.driver)
        calls.connect(one.media, drivers)
        async with HubLegs(hub.store, hub.links, trunk, calls) as legs:
            calls.connect_hubs(legs, callers, floors)
            running = asyncio.create_task(floors.run())
            try:
                yield one
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


async def furnish(hub: CallingHub) -> None:
    """Phones, a radio and a camera."""
    async with hub.hub.store.begin() as uow:
        for name in ("1001", "1002"):
            await uow.sip.put_account(
                SipAccount(name=name, display_name=name, ha1_md5="x", ha1_sha256="x")
            )
        for name, kind in (("r12", DeviceKind.RADIO), ("b7", DeviceKind.BODYCAM)):
            groups = ("patrol",) if kind is DeviceKind.RADIO else ()
            await uow.fleet.put(Device(id=name, kind=kind, name=name, groups=groups, online=True))


@asynccontextmanager
async def linked(street: CallingHub, district: CallingHub) -> AsyncIterator[None]:
    """Their link is up while entered."""
    link = asyncio.create_task(join(street.hub, district.hub))

    def is_up() -> bool:
        return (
            street.hub.links.state_of("district-1").up
            and district.hub.links.state_of("street-a").up
        )

    try:
        await eventually(is_up, within_s=WITHIN_S)
        yield
    finally:
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        await eventually(lambda: not is_up(), within_s=WITHIN_S)
