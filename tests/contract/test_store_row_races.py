"""What is read to be changed is held until it is changed: two at the same moment lose nothing, on each database."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.clock import ScriptedClock

from commhub.calls.service import CallRequest, CallService
from commhub.db import SqlStore
from commhub.domain.account import Principal
from commhub.domain.call import Cause
from commhub.domain.device import Device, DeviceKind
from commhub.domain.geo import Point
from commhub.domain.people import Loop, Responder, Role, Scheme, Unit
from commhub.fleet.presence import FleetPresence
from commhub.ports.inward import DeviceTelemetry

DESK = Principal(id="u1", name="chen", kind="user", roles=frozenset({Role.DISPATCHER}))
TIMES = 10


@pytest.fixture
async def stores(open_here: Callable[..., Awaitable[SqlStore]]) -> list[SqlStore]:
    """Two processes' doors to one database."""
    return [await open_here(), await open_here()]


async def test_a_call_whose_two_legs_end_at_once_is_over(
    stores: list[SqlStore], clock: ScriptedClock
) -> None:
    services = [CallService(store, clock) for store in stores]
    for service in services:
        service.connect(RememberingMedia(), {Scheme.SIP: FakeDriver()})
    for _ in range(TIMES):
        state = await services[0].place(CallRequest(legs=("sip:1001", "sip:1002")), DESK)
        for leg in state.legs:
            await services[0].leg_connected(leg.id, "PCMA")
        await asyncio.gather(
            *(
                service.leg_ended(leg.id, Cause.HUNG_UP, None)
                for service, leg in zip(services, state.legs, strict=True)
            )
        )
        ended = await services[0].get(state.call.id)
        assert ended.call.ended_at is not None
        assert not any(leg.is_live for leg in ended.legs)


async def test_an_answer_and_the_end_of_the_call_at_once_leave_no_leg_behind(
    stores: list[SqlStore], clock: ScriptedClock
) -> None:
    services = [CallService(store, clock) for store in stores]
    for service in services:
        service.connect(RememberingMedia(), {Scheme.SIP: FakeDriver()})
    for _ in range(TIMES):
        state = await services[0].place(CallRequest(legs=("sip:1001", "sip:1002")), DESK)
        await asyncio.gather(
            services[0].end(state.call.id, DESK),
            *(services[1].leg_connected(leg.id, "PCMA") for leg in state.legs),
        )
        ended = await services[0].get(state.call.id)
        assert not ended.call.is_live
        assert not any(leg.is_live for leg in ended.legs)


async def test_a_position_does_not_undo_what_the_desk_says_of_its_responder(
    stores: list[SqlStore], clock: ScriptedClock
) -> None:
    async with stores[0].begin() as uow:
        await uow.directory.put_unit(Unit(id="u", name="u", team="patrol", loop=Loop.STREET))
        await uow.directory.put_responder(Responder(id="zhang", name="zhang", unit_id="u"))
        await uow.fleet.put(
            Device(id="b7", kind=DeviceKind.BODYCAM, name="b7", responder_id="zhang")
        )
    presence = FleetPresence(stores[0], clock)

    async def relieve(on_duty: bool) -> None:
        async with stores[1].begin() as uow:
            known = await uow.directory.get_responder("zhang")
            await uow.directory.put_responder(replace(known, on_duty=on_duty))

    async def rename(name: str) -> None:
        async with stores[1].begin() as uow:
            device = await uow.fleet.get("b7")
            await uow.fleet.put(replace(device, name=name))

    for turn in range(TIMES):
        clock.advance(1)
        point = Point(31.0 + turn / 100, 121.0)
        await asyncio.gather(
            presence.device_reported(DeviceTelemetry(device_id="b7", at=clock.now(), point=point)),
            relieve(turn % 2 == 1),
            rename(f"camera {turn}"),
        )
        async with stores[0].read() as uow:
            responder = await uow.directory.get_responder("zhang")
            device = await uow.fleet.get("b7")
        assert (responder.on_duty, device.name) == (turn % 2 == 1, f"camera {turn}")
        assert responder.position is not None
        assert device.position is not None
        assert responder.position.point == device.position.point == point
