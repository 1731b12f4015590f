"""Whole chains with real peers: a carrier calls the duty number, a dispatcher's desk phone answers it, and a phone that
is pulled out of the wall in the middle of its call.
"""

import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.baresip import baresip
from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.waiting import eventually
from fakes.whole_hub import signed_in, whole_hub

from simulators.tones import ToneMeter

SCENARIOS = Path(__file__).parent / "scenarios"
DUTY = "8000"
SETTINGS = """
[[sip.trunks]]
name = "carrier"
server = "127.0.0.1:{port}"
domain = "pbx.test"
number = "+862112345678"
in_prefixes = {{ "0" = "+86" }}
inbound = {{ "+862112345678" = "8000" }}
trusted = true
probe_every_s = 0

[[duty.lines]]
name = "12345"
numbers = ["8000"]
"""
TONES = {"4001": 440, "4002": 880}


@pytest.fixture
def carrier_port():
    return free_port(socket.SOCK_DGRAM)


@pytest.fixture
async def hub(tmp_path, carrier_port):
    async with whole_hub(tmp_path / "hub", settings=SETTINGS.format(port=carrier_port)) as hub:
        yield hub


@pytest.fixture
async def desk(hub):
    async with signed_in(hub) as desk:
        yield desk


@asynccontextmanager
async def phone(hub, desk, number):
    """A baresip of that number, registered, with a tone of its own."""
    body = {"name": number, "display_name": f"phone {number}"}
    made = await asyncio.to_thread(desk.post, "/fleet/phones", body)
    async with baresip(number, made["password"], hub.port("sip"), tone=TONES[number]) as made:
        await made.until_registered()
        yield made


async def waiting_call(desk):
    """The duty call that waits for somebody, as soon as there is one."""

    async def waiting():
        calls = (await asyncio.to_thread(desk.get, "/calls/duty"))["items"]
        return next((one for one in calls if one["state"] == "waiting"), None)

    return await eventually(waiting, within_s=10)


async def duty_call(desk, call):
    calls = (await asyncio.to_thread(desk.get, "/calls/duty"))["items"]
    return next(one for one in calls if one["id"] == call["id"])


async def answer_by_phone(desk, call, number):
    body = {"endpoint": f"sip:{number}"}
    await asyncio.to_thread(desk.post, f"/calls/duty/{call['id']}/answer", body)


async def legs_of(desk, call):
    return (await asyncio.to_thread(desk.get, f"/calls/{call}"))["legs"]


def hears(listener, other):
    meter = ToneMeter()
    meter.hear(listener.heard(1.0))
    levels = meter.levels(TONES.values())
    return levels[f"{TONES[other]:g}"] >= levels["floor"] + 20


async def test_a_call_to_the_duty_number_over_a_trunk_is_answered_by_a_desk_phone(
    hub, desk, carrier_port
):
    async with phone(hub, desk, "4001") as dispatcher:
        scenario = SCENARIOS / "trunk_calls.xml"
        async with sipp(scenario, hub.port("sip"), carrier_port, to="02112345678") as carrier:
            call = await waiting_call(desk)
            assert call["caller"] == "tel:+862155556666"
            await answer_by_phone(desk, call, "4001")
            await dispatcher.until("CALL_ESTABLISHED")
            # It heard 180 and then 200, and hangs up by itself.
            await carrier.finish()
        await dispatcher.until("CALL_CLOSED")
    assert (await duty_call(desk, call))["taken_by"] == "sip:4001"

    async def incident_of_it():
        return (await duty_call(desk, call))["incident_id"]

    incident = await eventually(incident_of_it, within_s=10)
    reports = (await asyncio.to_thread(desk.get, f"/incidents/{incident}"))["reports"]
    assert [(one["source"], one["reporter"]) for one in reports] == [("sip", "tel:+862155556666")]


@pytest.mark.audio
async def test_a_desk_phone_answers_a_duty_call_and_both_hear_each_other(hub, desk):
    async with phone(hub, desk, "4001") as dispatcher, phone(hub, desk, "4002") as caller:
        await caller.command("dial", f"sip:{DUTY}@127.0.0.1:{hub.port('sip')}")
        call = await waiting_call(desk)
        assert not caller.happened("CALL_ESTABLISHED")
        await answer_by_phone(desk, call, "4001")
        await caller.until("CALL_ESTABLISHED")
        await eventually(lambda: hears(dispatcher, "4002") and hears(caller, "4001"), within_s=15)
        await caller.command("hangup")
        await dispatcher.until("CALL_CLOSED")
    assert (await duty_call(desk, call))["taken_by"] == "sip:4001"


@pytest.mark.slow
async def test_a_phone_that_vanishes_is_noticed_by_its_silence_and_the_other_is_let_go(hub, desk):
    async with phone(hub, desk, "4001") as dispatcher, phone(hub, desk, "4002") as caller:
        await caller.command("dial", f"sip:{DUTY}@127.0.0.1:{hub.port('sip')}")
        call = (await waiting_call(desk))["id"]
        await answer_by_phone(desk, {"id": call}, "4001")
        await caller.until("CALL_ESTABLISHED")
        await caller.vanish()
        # Ten seconds of silence, then 32 s in which nobody answers OPTIONS.
        await eventually(lambda: dispatcher.happened("CALL_CLOSED"), within_s=60)
        gone = {leg["endpoint"]: leg for leg in await legs_of(desk, call)}
    assert {leg["state"] for leg in gone.values()} == {"ended"}
    lost = gone["sip:4002"]
    assert (lost["cause"], lost["detail"]) == (
        "media_lost",
        "the phone does not answer any more",
    )
    incident = (await duty_call(desk, {"id": call}))["incident_id"]
    timeline = (await asyncio.to_thread(desk.get, f"/incidents/{incident}/timeline"))["items"]
    assert [
        entry["data"]["cause"]
        for entry in timeline
        if entry["kind"] == "leg_moved" and entry["data"].get("leg_id") == lost["id"]
    ][-1:] == ["media_lost"]
