"""Alarms against the real broker: nothing is acknowledged before the commit, nothing committed twice or lost."""

import asyncio
import time
from datetime import timedelta

import pytest
from fakes.clock import ScriptedClock
from fakes.field import FakePresence, FakeReports, Field, RawDevice, gateway_of, refused
from fakes.waiting import eventually

from commhub.domain.errors import ConflictError, InvalidError, UnavailableError
from commhub.domain.geo import Point
from commhub.domain.report import Source
from commhub.ports.inward import NewReport, ReportReceipt
from devices.connection import DeviceGateway


def sos(sos_id: str, **parts: object) -> dict[str, object]:
    return {"id": sos_id, "boot": "boot-1", "lat": 31.23, "lon": 121.47} | parts


async def test_an_sos_becomes_a_report_and_is_acknowledged(
    gateway: DeviceGateway, reports: FakeReports, camera: RawDevice, clock: ScriptedClock
) -> None:
    pressed = clock.now() - timedelta(seconds=3)
    await camera.up("sos", sos("7", text="help", ts=pressed.timestamp()))
    await eventually(lambda: camera.commands)

    (report,) = reports.committed.values()
    assert (report.source, report.category, report.level) == (Source.DEVICE, "sos", 1)
    assert report.idempotency_key == "b7:boot-1:7"
    assert (report.text, report.point, report.occurred_at) == (
        "help",
        Point(31.23, 121.47),
        pressed,
    )
    (command,) = camera.commands
    assert command["op"] == "sos.ack"
    assert command["args"] == {"sos": "7", "report": "report of b7:boot-1:7"}


async def test_an_sos_is_acknowledged_only_after_the_commit(
    gateway: DeviceGateway, reports: FakeReports, camera: RawDevice, site: Field
) -> None:
    reports.failures = [RuntimeError("disk full"), UnavailableError("no database")]
    reports.gate.clear()
    await camera.up("sos", sos("1"))
    # Two failures are behind it, and the third attempt waits for its commit.
    await eventually(lambda: len(reports.attempts) == 3)
    # Whoever else speaks is heard meanwhile.
    await camera.subscribe("d/b7/dn/floor")
    assert camera.commands == []

    reports.gate.set()
    await eventually(lambda: camera.commands)
    assert camera.commands[0]["op"] == "sos.ack"


async def test_what_was_not_committed_is_delivered_again_to_the_next_gateway(
    site: Field,
    reports: FakeReports,
    presence: FakePresence,
    camera: RawDevice,
    clock: ScriptedClock,
) -> None:
    reports.gate.clear()
    async with gateway_of(site, reports, presence, clock):
        await camera.up("sos", sos("1"))
        await eventually(lambda: reports.attempts)
    assert reports.committed == {}
    assert camera.commands == []

    survivor = FakeReports()
    async with gateway_of(site, survivor, presence, clock):
        await eventually(lambda: camera.commands)
        assert list(survivor.committed) == ["b7:boot-1:1"]
        # A device's messages are handled in order: with the answer to this one, the first is acknowledged.
        await camera.up("sos", sos("2"))
        await eventually(lambda: len(camera.commands) == 2)

    # So what was committed is not delivered once more.
    later = FakeReports()
    async with gateway_of(site, later, presence, clock):
        await camera.up("sos", sos("3"))
        await eventually(lambda: "b7:boot-1:3" in later.committed)
    assert "b7:boot-1:1" not in later.committed


async def test_an_alarm_raised_while_control_is_away_waits_at_the_broker(
    site: Field,
    reports: FakeReports,
    presence: FakePresence,
    camera: RawDevice,
    clock: ScriptedClock,
) -> None:
    async with gateway_of(site, reports, presence, clock):
        pass
    await camera.up("sos", sos("1"))
    async with gateway_of(site, reports, presence, clock):
        await eventually(lambda: camera.commands)
    assert list(reports.committed) == ["b7:boot-1:1"]


async def test_a_repeated_sos_is_one_report_and_acknowledged_every_time(
    gateway: DeviceGateway, reports: FakeReports, camera: RawDevice
) -> None:
    for _ in range(3):
        await camera.up("sos", sos("1"))
    await eventually(lambda: len(camera.commands) == 3)
    assert len(reports.committed) == 1
    assert {report.occurred_at for report in reports.attempts} == {None}


async def test_two_boots_with_the_same_count_are_two_alarms(
    gateway: DeviceGateway, reports: FakeReports, camera: RawDevice
) -> None:
    await camera.up("sos", sos("1"))
    await camera.up("sos", sos("1", boot="boot-2"))
    await eventually(lambda: len(camera.commands) == 2)
    assert sorted(reports.committed) == ["b7:boot-1:1", "b7:boot-2:1"]


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ({"lat": 123.0}, "the position is not on earth"),
        ({"lat": "31"}, "a position is two numbers, lat and lon"),
        ({"lon": None}, "a position is two numbers, lat and lon"),
        ({"crs": "bd09"}, "crs is wgs84 or gcj02"),
    ],
)
async def test_an_sos_with_a_senseless_position_is_still_an_alarm(
    gateway: DeviceGateway,
    reports: FakeReports,
    camera: RawDevice,
    place: dict[str, object],
    fault: str,
) -> None:
    await camera.up("sos", sos("1", **place))
    await eventually(lambda: camera.commands)
    (report,) = reports.committed.values()
    assert report.point is None
    assert report.extra["position_fault"] == fault


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ConflictError("other content"), "this id was used for another alarm"),
        (InvalidError("the text is empty"), "the text is empty"),
    ],
)
async def test_whoever_holds_the_device_hears_that_an_alarm_is_refused(
    gateway: DeviceGateway,
    reports: FakeReports,
    camera: RawDevice,
    failure: Exception,
    reason: str,
) -> None:
    reports.failures = [failure]
    await camera.up("sos", sos("1"))
    await eventually(lambda: camera.commands)
    assert camera.commands[0]["op"] == "sos.nack"
    assert camera.commands[0]["args"] == {"sos": "1", "reason": reason}
    assert len(reports.attempts) == 1


@pytest.mark.parametrize(
    ("payload", "reason", "named"),
    [
        (b"help!", "not_json", None),
        (b"[1]", "fields", None),
        ({"text": "no id"}, "fields", None),
        ({"id": "", "boot": "b"}, "id", None),
        ({"id": "1"}, "boot", "1"),
        ({"id": "1", "boot": "b", "device": "b8"}, "other_id", "1"),
        ({"id": "1", "boot": "b", "text": "x" * 20_000}, "too_large", None),
    ],
)
async def test_an_unreadable_sos_is_refused_to_the_device(
    gateway: DeviceGateway,
    reports: FakeReports,
    camera: RawDevice,
    payload: object,
    reason: str,
    named: str | None,
) -> None:
    before = refused("sos", reason)
    await camera.up("sos", payload)
    await eventually(lambda: camera.commands)
    assert camera.commands[0]["op"] == "sos.nack"
    assert camera.commands[0]["args"]["sos"] == named
    await eventually(lambda: refused("sos", reason) == before + 1)
    assert reports.attempts == []


async def test_the_birth_lends_its_boot_to_an_sos_without_one(
    gateway: DeviceGateway, reports: FakeReports, camera: RawDevice
) -> None:
    await camera.up("birth", {"boot": "boot-1"})
    await camera.up("sos", {"id": 9})
    await eventually(lambda: camera.commands)
    assert list(reports.committed) == ["b7:boot-1:9"]


async def test_a_sensors_alarm_becomes_a_report(
    gateway: DeviceGateway, reports: FakeReports, site: Field
) -> None:
    alarm = {"id": "a1", "category": "smoke", "text": "room 3", "level": 2, "place": "East 1"}
    async with site.device("smoke-3") as sensor:
        await sensor.say("s/smoke-3/up/alarm", alarm)
        await sensor.say("s/smoke-3/up/alarm", {"id": "a2", "level": 9})
        await sensor.say("s/smoke-3/up/alarm", {"id": "a3"})
        await eventually(lambda: len(reports.committed) == 2)
    first = reports.committed["smoke-3:a1"]
    assert (first.source, first.category, first.level) == (Source.SENSOR, "smoke", 2)
    assert "smoke-3:a3" in reports.committed


async def test_a_flood_of_one_device_holds_up_no_other(
    gateway: DeviceGateway,
    reports: FakeReports,
    presence: FakePresence,
    camera: RawDevice,
    site: Field,
) -> None:
    reports.gate.clear()
    for count in range(200):
        await camera.up("sos", sos(str(count)))
    async with site.device("b8") as other:
        await other.up("birth", {"boot": "boot-9"})
        await eventually(lambda: presence.births)
    assert len(reports.attempts) == 1


class SlowReports(FakeReports):
    """Takes a scripted moment to commit."""

    async def submit(self, report: NewReport) -> ReportReceipt:
        await asyncio.sleep(0)
        return await super().submit(report)


async def test_a_thousand_alarms_of_many_devices_are_all_committed(
    site: Field, presence: FakePresence, clock: ScriptedClock
) -> None:
    names = {f"d{n}": () for n in range(20)}
    await site.admit(names)
    reports = SlowReports()
    async with gateway_of(site, reports, presence, clock):
        started = time.monotonic()

        async def raise_many(name: str) -> None:
            async with site.device(name) as device:
                for count in range(50):
                    await device.up("sos", sos(str(count)))

        await asyncio.gather(*map(raise_many, names))
        await eventually(lambda: len(reports.committed) == 1000, within_s=30)
        assert time.monotonic() - started < 30
