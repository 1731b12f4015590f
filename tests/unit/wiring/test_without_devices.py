"""A hub of an upper tier may have no radios and body cameras of its own, and then needs no broker."""

import asyncio

import pytest

from commhub.domain.errors import UnavailableError
from commhub.ports.devices import CommandOrder
from commhub.settings import Settings
from commhub.settings_parts import MqttSettings
from commhub.wiring.doctor import examine
from commhub.wiring.findings import Verdict
from commhub.wiring.hub import NoDevices
from commhub.wiring.up import specs


@pytest.fixture
def without(tmp_path):
    return Settings(data_dir=tmp_path, mqtt=MqttSettings(enabled=False))


def test_it_starts_no_broker(without):
    assert "broker" not in [spec.name for spec in specs(without)]


def test_the_doctor_misses_none(without):
    findings = {finding.check: finding for finding in asyncio.run(examine(without))}
    assert findings["mqtt"].verdict is Verdict.OK
    assert "switched off" in findings["mqtt"].found


async def test_an_order_to_a_device_is_refused_with_the_reason():
    order = CommandOrder(id="c-1", device_id="r12", op="locate", args={})
    with pytest.raises(UnavailableError, match=r"mqtt\.enabled"):
        await NoDevices().command(order)
