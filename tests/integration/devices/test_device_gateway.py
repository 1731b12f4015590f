"""Presence and commands against the real broker: in order, coalesced, and no bad message disturbs another."""

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.clock import ScriptedClock
from fakes.field import (
    FakePresence,
    FakeReports,
    Field,
    RawDevice,
    gateway_of,
    refused,
    running_field,
)
from fakes.waiting import eventually

from commhub.domain.errors import InvalidError, UnavailableError
from commhub.domain.geo import Point, distance_m
from commhub.ports.devices import CommandOrder
from devices.broker_files import CONTROL_USER
from devices.connection import DeviceGateway, GatewayConfig

BIRTH = {"boot": "boot-1", "model": "X1", "groups": ["north"], "gbId": "31010100001327000007"}


async def test_births_deaths_and_answers_reach_the_core_in_order(
    gateway: DeviceGateway, presence: FakePresence, camera: RawDevice
) -> None:
    await camera.up("birth", BIRTH, retain=True)
    await camera.up("rsp", {"id": "c1", "state": "failed", "detail": "no card"})
    await camera.up("death", {"boot": "boot-1"})
    await eventually(lambda: len(presence.order) == 3)
    assert [verb for verb, _ in presence.order] == ["birth", "answer", "death"]
    (birth,) = presence.births
    assert (birth.boot_id, birth.model, birth.groups) == ("boot-1", "X1", ("north",))
    assert birth.gb_id == BIRTH["gbId"]
    assert presence.answers == [("b7", "c1", "failed", "no card")]
    assert presence.deaths == [("b7", "boot-1")]


async def test_the_last_will_is_a_death(
    gateway: DeviceGateway, presence: FakePresence, site: Field
) -> None:
    async with site.device("b8", will={"boot": "boot-4"}) as device:
        await device.vanish()
        await eventually(lambda: presence.deaths == [("b8", "boot-4")])


async def test_a_retained_birth_does_not_wake_a_device_that_died(
    site: Field,
    reports: FakeReports,
    presence: FakePresence,
    camera: RawDevice,
    clock: ScriptedClock,
) -> None:
    await camera.up("death", {"boot": "boot-1"}, retain=True)
    await camera.up("birth", BIRTH, retain=True)
    async with site.device("b8") as other:
        await other.up("birth", {"boot": "boot-9"}, retain=True)
        async with gateway_of(site, reports, presence, clock):
            await eventually(lambda: len(presence.order) >= 2)
            # It is heard again as soon as it speaks itself.
            await camera.up("birth", BIRTH)
            await eventually(lambda: ("birth", "b7") in presence.order)
    told = [verb for verb, device in presence.order if device == "b7"]
    assert told[-2:] == ["death", "birth"]


async def test_telemetry_is_coalesced_to_the_newest(
    gateway: DeviceGateway, presence: FakePresence, camera: RawDevice, clock: ScriptedClock
) -> None:
    now = clock.now().timestamp()
    for second in range(50):
        told = {"lat": 31.0 + second / 1000, "lon": 121.0, "ts": now - 50 + second}
        await camera.up("tele", told, qos=0)
    await eventually(
        lambda: presence.telemetry and presence.telemetry[-1].point == Point(31.049, 121.0)
    )
    assert len(presence.telemetry) < 25


async def test_gcj02_positions_are_stored_as_wgs84(
    gateway: DeviceGateway, presence: FakePresence, camera: RawDevice
) -> None:
    await camera.up("tele", {"lat": 39.9087, "lon": 116.3975, "crs": "gcj02"}, qos=0)
    await eventually(lambda: presence.telemetry)
    point = presence.telemetry[0].point
    assert point is not None
    assert 400 < distance_m(point, Point(39.9087, 116.3975)) < 700


async def test_a_clock_from_the_future_does_not_make_later_positions_look_old(
    gateway: DeviceGateway, presence: FakePresence, camera: RawDevice, clock: ScriptedClock
) -> None:
    await camera.up("tele", {"lat": 31.0, "lon": 121.0, "ts": 4_070_908_800}, qos=0)
    await eventually(lambda: presence.telemetry)
    assert presence.telemetry[0].at == clock.now()


async def test_telemetry_never_overtakes_the_death_it_came_before(
    gateway: DeviceGateway, presence: FakePresence, camera: RawDevice
) -> None:
    await camera.up("tele", {"battery": 50}, qos=0)
    await camera.up("death", {"boot": "boot-1"})
    await eventually(lambda: len(presence.order) == 2)
    assert [verb for verb, _ in presence.order] == ["telemetry", "death"]


@pytest.mark.parametrize(
    ("verb", "payload", "reason"),
    [
        ("birth", b"\xff\xfe", "not_json"),
        ("birth", {"boot": "../x"}, "fields"),
        ("birth", {"boot": "b", "groups": ["a/#"]}, "fields"),
        ("birth", {"boot": "b", "gbId": "123"}, "fields"),
        ("death", {}, "fields"),
        ("tele", {"lat": 91, "lon": 0}, "position"),
        ("tele", {"lat": True, "lon": False}, "fields"),
        ("tele", b'{"lat": NaN, "lon": 0}', "fields"),
        ("tele", {"battery": 101}, "fields"),
        ("rsp", {"id": "c1", "state": "exploded"}, "fields"),
        ("rsp", {"id": "c1", "state": "done", "device": "b8"}, "other_id"),
        ("rsp", b"[" * 10_000, "not_json"),
    ],
)
async def test_bad_payloads_are_counted_and_disturb_nobody(
    gateway: DeviceGateway,
    presence: FakePresence,
    camera: RawDevice,
    site: Field,
    verb: str,
    payload: object,
    reason: str,
) -> None:
    before = refused(verb, reason)
    await camera.up(verb, payload)
    async with site.device("b8") as other:
        await other.up("birth", {"boot": "boot-9"})
        await eventually(lambda: presence.births and refused(verb, reason) == before + 1)
    assert [birth.device_id for birth in presence.births] == ["b8"]
    assert presence.telemetry == []
    assert presence.answers == []


async def test_a_birth_that_cannot_be_stored_is_tried_again(
    gateway: DeviceGateway, presence: FakePresence, camera: RawDevice
) -> None:
    presence.failures = [RuntimeError("locked"), RuntimeError("locked")]
    await camera.up("birth", BIRTH)
    await eventually(lambda: presence.births)


async def test_a_command_reaches_the_device_and_waits_for_one_that_is_away(
    gateway: DeviceGateway, site: Field, clock: ScriptedClock
) -> None:
    expires = clock.now() + timedelta(minutes=5)
    async with site.device("b8", session_s=600) as device:
        await device.subscribe("d/b8/dn/cmd")
    order = CommandOrder(
        id="c1", device_id="b8", op="text", args={"text": "回来"}, expires_at=expires
    )
    await gateway.command(order)
    async with site.device("b8", session_s=600) as device:
        await eventually(lambda: device.commands)
    assert device.commands == [
        {"id": "c1", "op": "text", "args": {"text": "回来"}, "exp": int(expires.timestamp())}
    ]


async def test_a_command_nobody_would_get_is_refused_at_once(
    gateway: DeviceGateway, clock: ScriptedClock
) -> None:
    with pytest.raises(UnavailableError, match="away"):
        await gateway.command(CommandOrder(id="c1", device_id="b8", op="text", args={}))
    late = CommandOrder(id="c2", device_id="b8", op="text", args={}, expires_at=clock.now())
    with pytest.raises(InvalidError, match="expired"):
        await gateway.command(late)
    with pytest.raises(InvalidError):
        await gateway.command(CommandOrder(id="c3", device_id="b8/#", op="text", args={}))
    big = CommandOrder(id="c4", device_id="b8", op="text", args={"text": "x" * 100_000})
    with pytest.raises(InvalidError, match="bytes"):
        await gateway.command(big)


async def test_without_a_broker_commands_are_unavailable_and_the_gateway_still_opens(
    tmp_path: Path, reports: FakeReports, presence: FakePresence, clock: ScriptedClock
) -> None:
    async with running_field(tmp_path) as site:
        address = site.address(CONTROL_USER)
    config = GatewayConfig(address=address, tenant="test")
    async with DeviceGateway(config, reports, presence, clock) as gateway:
        assert not gateway.is_up
        with pytest.raises(UnavailableError):
            await gateway.command(CommandOrder(id="c1", device_id="b7", op="text", args={}))


async def test_the_gateway_comes_back_after_the_broker(
    site: Field, reports: FakeReports, presence: FakePresence, clock: ScriptedClock
) -> None:
    seen: list[bool] = []
    config = GatewayConfig(address=site.address(CONTROL_USER), tenant="test")
    async with DeviceGateway(config, reports, presence, clock, on_status=seen.append) as gateway:
        await gateway.wait_up()
        pid = site.broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: seen == [True, False, True], within_s=10)
        async with site.device("b7") as camera:
            await camera.subscribe("d/b7/dn/cmd")
            await camera.up("sos", {"id": "1", "boot": "boot-1"})
            await eventually(lambda: camera.commands)
