"""A phone dials 119 and the only line for it is dead, or dies while it is tried: the desk hears of it at once, the phone is
told, and there is an incident that somebody has to follow up.
"""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.baresip import baresip
from fakes.desks import FakeDesk
from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.waiting import eventually
from fakes.whole_hub import signed_in, whole_hub
from websockets.asyncio.client import connect

SCENARIOS = Path(__file__).parent / "scenarios"
SETTINGS = """
[[sip.trunks]]
name = "carrier"
server = "127.0.0.1:{port}"
domain = "pbx.test"
number = "+862112345678"
emergency = true
probe_every_s = 0
patience_s = 1

[sip.emergency]
via = ["carrier"]
"""
NO_LINE = ""


@pytest.fixture
def carrier_port():
    return free_port(socket.SOCK_DGRAM)


@pytest.fixture
async def hub(request, tmp_path, carrier_port):
    settings = getattr(request, "param", SETTINGS).format(port=carrier_port)
    async with whole_hub(tmp_path / "hub", settings=settings) as hub:
        yield hub


@pytest.fixture
async def desk(hub):
    async with signed_in(hub) as desk:
        yield desk


@pytest.fixture
async def screen(hub, desk):
    """What the dispatcher's console shows."""
    shown = FakeDesk()
    cookies = "; ".join(f"{name}={value}" for name, value in desk.cookies.items())
    url = f"{hub.url.replace('http', 'ws')}/api/v1/live"
    async with connect(
        url, origin=hub.url, additional_headers={"Cookie": cookies}, max_size=None
    ) as live:

        async def follow():
            async for text in live:
                shown.take(text)

        following = asyncio.create_task(follow())
        await live.send(json.dumps({"op": "hello", "epoch": None, "seq": 0}))
        await eventually(lambda: shown.epoch, within_s=30)
        yield shown
        following.cancel()


@asynccontextmanager
async def phone(hub, desk):
    body = {"name": "4001", "display_name": "phone 4001"}
    made = await asyncio.to_thread(desk.post, "/fleet/phones", body)
    async with baresip("4001", made["password"], hub.port("sip")) as phone:
        await phone.until_registered()
        yield phone


def alarms(screen):
    return [one["value"]["alarm"] for one in screen.events if one["event"] == "alarm"]


async def is_lost(desk, screen, phone):
    """The phone is told, the desk is, and the timeline of an incident says so."""
    await eventually(lambda: "emergency_failed" in alarms(screen), within_s=30)
    await phone.until("CALL_CLOSED", within_s=30)
    assert not phone.happened("CALL_ESTABLISHED")
    (why,) = phone.closed_with()
    assert why[:1] in "45", why

    async def incident():
        found = (await asyncio.to_thread(desk.get, "/incidents"))["items"]
        return found[0]["id"] if found else None

    incident_id = await eventually(incident, within_s=30)
    (report,) = (await asyncio.to_thread(desk.get, f"/incidents/{incident_id}"))["reports"]
    assert report["reporter"] == "sip:4001"
    assert report["text"].startswith("紧急电话未能拨出")
    timeline = (await asyncio.to_thread(desk.get, f"/incidents/{incident_id}/timeline"))["items"]
    assert any(entry["kind"] == "report_received" for entry in timeline)


async def dial(hub, phone):
    await phone.command("dial", f"sip:119@127.0.0.1:{hub.port('sip')}")


async def test_nobody_is_at_the_line(hub, desk, screen):
    async with phone(hub, desk) as caller:
        await dial(hub, caller)
        await is_lost(desk, screen, caller)


async def test_the_line_dies_while_it_rings(hub, desk, screen, carrier_port):
    """It said 180 and was killed: the phone gives up, or is told when the time to ring is over. Whoever redials finds
    nobody there."""
    async with phone(hub, desk) as caller:
        scenario = SCENARIOS / "ring_until_cancelled.xml"
        async with sipp(scenario, hub.port("sip"), carrier_port) as carrier:
            await dial(hub, caller)
            await eventually(lambda: "180 Ringing" in carrier.log(), within_s=30)
            await carrier.stop()
        assert alarms(screen).count("emergency_failed") == 0
        await caller.command("hangup")
        await caller.until("CALL_CLOSED", within_s=30)
        caller.events.clear()
        await dial(hub, caller)
        await is_lost(desk, screen, caller)


@pytest.mark.parametrize("hub", [NO_LINE], indirect=True, ids=["no line at all"])
async def test_a_hub_without_any_line_says_so_too(hub, desk, screen):
    async with phone(hub, desk) as caller:
        await dial(hub, caller)
        await is_lost(desk, screen, caller)
