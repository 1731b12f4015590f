"""Who may enter the broker, say what and hear what: proven by what is delivered, as a SUBACK proves nothing."""

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.field import Field, broker_config, running_field
from fakes.waiting import eventually

from devices.broker import Broker, read_pid
from devices.credentials import BrokerCredentials, reload_broker
from devices.errors import BrokerError
from devices.link import MqttAddress

NOT_AUTHORIZED = 0x87


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Field]:
    async with running_field(tmp_path) as running:
        await running.admit({"b7": ["north"], "b8": ["north"], "b9": ["south"]})
        yield running


async def test_only_a_known_name_with_its_secret_enters(site: Field) -> None:
    nobody = MqttAddress(host=site.config.host, port=site.config.port, user="ghost", secret="x")
    async with (
        site.device("b7") as good,
        site.device("b8", secret="guessed") as wrong,
        type(good)(nobody) as ghost,
    ):
        assert good.refusal is None
        assert wrong.refusal == ghost.refusal == "Not authorized"


async def test_the_files_are_for_the_owner_alone(site: Field) -> None:
    for path in (site.config.password_file, site.config.acl_file, site.config.conf_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "b7-secret" not in site.config.password_file.read_text()
    assert "control-secret" not in site.config.password_file.read_text()


async def test_a_spoofed_topic_reaches_nobody(site: Field) -> None:
    control = site.device("hub-control")
    async with control, site.device("b7") as thief, site.device("b8") as victim:
        await control.subscribe("d/+/up/#")
        assert await thief.say("d/b8/up/sos", {"id": "1"}) == NOT_AUTHORIZED
        assert await thief.say("d/b8/dn/cmd", {"op": "x"}) == NOT_AUTHORIZED
        assert await thief.say("g/north/ptt", b"noise") == NOT_AUTHORIZED
        assert await thief.say("g/north/floor", {"state": "idle"}) == NOT_AUTHORIZED
        await victim.up("sos", {"id": "2"})
        await eventually(lambda: control.heard)
    assert [topic for topic, _ in control.heard] == ["d/b8/up/sos"]


async def test_another_devices_orders_are_not_delivered_though_the_subscription_is_granted(
    site: Field,
) -> None:
    control = site.device("hub-control")
    async with control, site.device("b7") as thief, site.device("b8") as owner:
        await thief.subscribe("#", "d/b8/dn/cmd", "d/+/up/#", "s/+/up/#")
        await owner.subscribe("d/b8/dn/cmd")
        await control.say("d/b8/dn/cmd", {"op": "text"})
        await owner.up("sos", {"id": "1"})
        await control.say("d/b7/dn/cmd", {"op": "last"})
        await eventually(lambda: owner.commands and thief.heard)
    assert thief.heard == [("d/b7/dn/cmd", b'{"op": "last"}')]


async def test_only_members_hear_and_speak_in_a_group(site: Field) -> None:
    voice = site.device("hub-voice")
    async with voice, site.device("b8") as member, site.device("b9") as stranger:
        await voice.subscribe("d/+/up/ptt/+")
        for device in (member, stranger):
            await device.subscribe("g/+/ptt", "g/+/floor")
        assert await stranger.say("d/b9/up/ptt/north", b"noise") == NOT_AUTHORIZED
        assert await member.say("d/b8/up/ptt/north", b"voice") != NOT_AUTHORIZED
        await voice.say("g/north/ptt", b"speech")
        await voice.say("g/north/floor", {"state": "idle"})
        await voice.say("g/south/ptt", b"last")
        await eventually(lambda: len(member.heard) == 2 and stranger.heard)
    assert stranger.heard == [("g/south/ptt", b"last")]
    assert voice.heard == [("d/b8/up/ptt/north", b"voice")]


async def test_a_revoked_device_is_cut_off_within_five_seconds(site: Field) -> None:
    voice = site.device("hub-voice")
    async with voice, site.device("b7") as revoked, site.device("b8") as other:
        for device in (revoked, other):
            await device.subscribe("g/north/ptt")
        await voice.say("g/north/ptt", b"before")
        await eventually(lambda: revoked.heard and other.heard)

        await site.admit({"b8": ["north"]})
        await eventually(lambda: not revoked.is_connected, within_s=5)
        await voice.say("g/north/ptt", b"after")
        await eventually(lambda: len(other.heard) == 2)

        assert revoked.heard == [("g/north/ptt", b"before")]
        assert other.is_connected
    async with site.device("b7") as again:
        assert again.refusal == "Not authorized"


async def test_a_new_secret_cuts_off_whoever_entered_with_the_old_one(site: Field) -> None:
    async with site.device("b7") as old:
        site.hashes["b7"] = site.credentials.hash_secret("new-secret")
        await site.admit({"b7": ["north"]})
        await eventually(lambda: not old.is_connected, within_s=5)
    async with site.device("b7", secret="new-secret") as new:
        assert new.refusal is None


async def test_a_device_taken_out_of_a_group_hears_no_more_of_it(site: Field) -> None:
    voice = site.device("hub-voice")
    async with voice, site.device("b7") as device, site.device("b8") as other:
        for one in (device, other):
            await one.subscribe("g/north/ptt")
        await site.admit({"b7": ["south"], "b8": ["north"]})
        # The broker reloads in its own time: it is done when the new group is there.
        await device.subscribe("g/south/ptt")

        async def hears_south() -> bool:
            await voice.say("g/south/ptt", b"new")
            return bool(device.heard)

        await eventually(hears_south)
        await voice.say("g/north/ptt", b"old")
        await eventually(lambda: other.heard)
        assert {topic for topic, _ in device.heard} == {"g/south/ptt"}
        assert device.is_connected


async def test_nobody_is_thrown_out_by_another_with_its_client_id(site: Field) -> None:
    control = site.device("hub-control")
    async with control, site.device("b7", client_id="hub-control") as thief:
        assert thief.refusal is None
        await control.subscribe("d/+/up/sos")
        await thief.up("sos", {"id": "1"})
        await eventually(lambda: control.heard)
        assert control.is_connected


async def test_an_oversized_message_costs_only_its_sender(site: Field) -> None:
    control = site.device("hub-control")
    async with control, site.device("b8") as other:
        await control.subscribe("d/+/up/sos")
        async with site.device("b7") as sender:
            await sender.say("d/b7/up/sos", b"x" * 200_000, qos=0)
            await eventually(lambda: not sender.is_connected)
        await other.up("sos", {"id": "1"})
        await eventually(lambda: control.heard)
    assert [topic for topic, _ in control.heard] == ["d/b8/up/sos"]


async def test_the_broker_comes_back_and_knows_its_devices(site: Field) -> None:
    pid = site.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(
        lambda: site.broker.pid not in (None, pid) and read_pid(site.config) == site.broker.pid
    )

    async def enters() -> bool:
        try:
            async with site.device("b7") as device:
                return device.refusal is None
        except OSError:
            return False

    await eventually(enters)


async def test_reloading_at_once_after_the_start_does_not_kill_the_broker(tmp_path: Path) -> None:
    config = broker_config(tmp_path)
    credentials = BrokerCredentials(config)
    async with Broker(config) as broker:
        pid = broker.pid
        await asyncio.gather(*(reload_broker(config) for _ in range(20)))
        await credentials.publish([])
        assert broker.pid == pid


async def test_credentials_wait_for_a_broker_that_is_not_running(tmp_path: Path) -> None:
    config = broker_config(tmp_path)
    site = Field(config, Broker(config), BrokerCredentials(config))
    await site.admit({"b7": []})
    assert await reload_broker(config) is False
    async with site.broker, site.device("b7") as device:
        assert device.refusal is None


async def test_a_pid_file_that_names_a_stranger_is_no_broker(tmp_path: Path) -> None:
    config = broker_config(tmp_path)
    config.data_dir.mkdir()
    config.pid_file.write_text(str(os.getpid()))
    assert read_pid(config) is None


async def test_a_port_that_is_taken_is_a_clear_error(site: Field, tmp_path: Path) -> None:
    taken = broker_config(tmp_path / "second")
    taken = type(taken)(
        data_dir=taken.data_dir,
        tenant=taken.tenant,
        control_secret="a",
        voice_secret="b",
        port=site.config.port,
    )
    with pytest.raises(BrokerError, match="in use"):
        async with Broker(taken):
            pass
