"""What devices say of themselves, on a real store."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.clock import ScriptedClock

from commhub.db import SqlStore
from commhub.domain.device import Device, DeviceCommand, DeviceKind
from commhub.domain.facts import DeviceCommanded, DeviceSeen, Fact, PhoneSeen
from commhub.domain.geo import Point
from commhub.domain.people import Responder, Unit
from commhub.fleet.presence import FleetPresence
from commhub.kit.bus import Bus, Subscription
from commhub.ports.inward import DeviceBirth, DeviceTelemetry

HERE = Point(31.23, 121.47)
THERE = Point(31.24, 121.48)


@pytest.fixture
def presence(store: SqlStore, clock: ScriptedClock) -> FleetPresence:
    return FleetPresence(store, clock)


@pytest.fixture
async def radio(store: SqlStore) -> Device:
    device = Device(id="r12", kind=DeviceKind.RADIO, name="Radio 12", groups=("north", "south"))
    async with store.begin() as uow:
        await uow.fleet.put(device)
    return device


async def stored(store: SqlStore, device_id: str = "r12") -> Device:
    async with store.read() as uow:
        return await uow.fleet.get(device_id)


def taken(subscription: Subscription[Fact]) -> list[Fact]:
    """What was published so far."""
    facts = []
    while not subscription._queue.empty():
        facts.append(subscription._queue.get_nowait())
    return facts


def birth(clock: ScriptedClock, boot: str = "boot-1", **changes: object) -> DeviceBirth:
    born = DeviceBirth(device_id="r12", boot_id=boot, at=clock.now())
    return replace(born, **changes)


def telemetry(clock: ScriptedClock, **changes: object) -> DeviceTelemetry:
    told = DeviceTelemetry(device_id="r12", at=clock.now(), point=HERE, battery=80)
    return replace(told, **changes)


async def test_a_birth_makes_the_device_online_and_tells_the_desk(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, bus: Bus[Fact], radio: Device
) -> None:
    with bus.subscribe() as heard:
        await presence.device_born(birth(clock, model="X1", capabilities=("ptt",)))
        facts = taken(heard)

    device = await stored(store)
    assert (device.online, device.boot_id, device.model) == (True, "boot-1", "X1")
    assert [f.changed for f in facts if isinstance(f, DeviceSeen)] == ["birth"]


async def test_the_same_birth_again_writes_and_says_nothing(
    presence: FleetPresence, clock: ScriptedClock, bus: Bus[Fact], radio: Device
) -> None:
    await presence.device_born(birth(clock))
    clock.advance(60)
    with bus.subscribe() as heard:
        await presence.device_born(birth(clock))
        assert taken(heard) == []


async def test_a_birth_selects_among_its_groups_but_adds_none(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, radio: Device
) -> None:
    await presence.device_born(birth(clock, groups=("command-post", "south")))
    assert (await stored(store)).groups == ("south", "north")


async def test_a_death_of_another_boot_is_stale(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, radio: Device
) -> None:
    await presence.device_born(birth(clock, "boot-2"))
    await presence.device_died("r12", "boot-1", clock.now())
    assert (await stored(store)).online

    await presence.device_died("r12", "boot-2", clock.now())
    assert not (await stored(store)).online


async def test_older_telemetry_than_known_is_ignored(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, radio: Device
) -> None:
    await presence.device_reported(telemetry(clock))
    earlier = clock.now() - timedelta(seconds=5)
    await presence.device_reported(telemetry(clock, at=earlier, point=THERE, battery=10))

    device = await stored(store)
    assert device.position is not None
    assert (device.position.point, device.battery, device.online) == (HERE, 80, True)


async def test_a_responder_is_where_their_device_is(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, radio: Device
) -> None:
    async with store.begin() as uow:
        await uow.directory.put_unit(Unit(id="u1", name="Patrol", team="patrol"))
        await uow.directory.put_responder(Responder(id="zhang", name="Zhang", unit_id="u1"))
        await uow.fleet.put(replace(radio, responder_id="zhang"))

    await presence.device_reported(telemetry(clock))

    async with store.read() as uow:
        responder = await uow.directory.get_responder("zhang")
    assert responder.position is not None
    assert responder.position.point == HERE


async def test_a_device_whose_responder_is_gone_still_reports(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, radio: Device
) -> None:
    async with store.begin() as uow:
        await uow.fleet.put(replace(radio, responder_id="nobody"))
    await presence.device_reported(telemetry(clock))
    assert (await stored(store)).position is not None


async def test_strangers_and_revoked_devices_change_nothing(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, bus: Bus[Fact], radio: Device
) -> None:
    async with store.begin() as uow:
        await uow.fleet.put(replace(radio, revoked=True))
    with bus.subscribe() as heard:
        await presence.device_born(birth(clock))
        await presence.device_born(birth(clock, device_id="ghost"))
        await presence.device_reported(telemetry(clock))
        await presence.device_died("ghost", "boot-1", clock.now())
        assert taken(heard) == []
    assert not (await stored(store)).online


async def test_answers_move_a_command_forward_only(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, bus: Bus[Fact], radio: Device
) -> None:
    command = DeviceCommand(id="c1", device_id="r12", op="text", at=clock.now())
    async with store.begin() as uow:
        await uow.fleet.add_command(command)

    with bus.subscribe() as heard:
        for state in ("delivered", "read", "delivered", "done", "read"):
            await presence.command_answered("r12", "c1", state, None, clock.now())
        states = [f.state for f in taken(heard) if isinstance(f, DeviceCommanded)]

    assert states == ["delivered", "read", "done"]
    async with store.read() as uow:
        stored_command = await uow.fleet.find_command("c1")
    assert stored_command is not None
    assert stored_command.state == "done"


async def test_a_device_cannot_answer_another_devices_command(
    presence: FleetPresence, store: SqlStore, clock: ScriptedClock, radio: Device
) -> None:
    async with store.begin() as uow:
        await uow.fleet.add_command(
            DeviceCommand(id="c1", device_id="r12", op="text", at=clock.now())
        )
    await presence.command_answered("r13", "c1", "done", None, clock.now())
    await presence.command_answered("r12", "no-such", "done", None, clock.now())
    async with store.read() as uow:
        command = await uow.fleet.find_command("c1")
    assert command is not None
    assert command.state == "sent"


async def test_a_phone_that_registers_is_a_fact(presence: FleetPresence, bus: Bus[Fact]) -> None:
    with bus.subscribe() as heard:
        await presence.phone_seen("1001", True, "Acme 1.0")
        (fact,) = taken(heard)
    assert isinstance(fact, PhoneSeen)
    assert (fact.account, fact.online, fact.agent) == ("1001", True, "Acme 1.0")
