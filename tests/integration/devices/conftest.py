"""A broker with three devices welcome, the core's ears, and a gateway between them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.clock import ScriptedClock
from fakes.field import FakePresence, FakeReports, Field, RawDevice, gateway_of, running_field

from devices.connection import DeviceGateway


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Field]:
    async with running_field(tmp_path) as running:
        await running.admit({"b7": ["north"], "b8": [], "smoke-3": []})
        yield running


@pytest.fixture
def reports() -> FakeReports:
    return FakeReports()


@pytest.fixture
def presence() -> FakePresence:
    return FakePresence()


@pytest.fixture
async def gateway(
    site: Field, reports: FakeReports, presence: FakePresence, clock: ScriptedClock
) -> AsyncIterator[DeviceGateway]:
    async with gateway_of(site, reports, presence, clock) as opened:
        yield opened


@pytest.fixture
async def camera(site: Field) -> AsyncIterator[RawDevice]:
    async with site.device("b7") as device:
        await device.subscribe("d/b7/dn/cmd")
        yield device
