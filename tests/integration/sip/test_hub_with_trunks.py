"""A whole hub with lines in its settings file: the desk calls outside over one, and is told why it may not otherwise."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest
from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.waiting import eventually

from commhub.domain.people import Role
from commhub.wiring.demo.settle import Desk, add_people
from commhub.wiring.hub_process import HubProcess

SCENARIOS = Path(__file__).parent / "scenarios"
SETTINGS = """
[[sip.trunks]]
name = "carrier"
server = "127.0.0.1:{port}"
domain = "pbx.test"
username = "hub"
password = "between-carrier-and-us"
number = "+862112345678"
out_prefixes = {{ "+86" = "0" }}
probe_every_s = 0

[[sip.numbers]]
prefix = "+86"
via = ["carrier"]
"""
FOR_EMERGENCIES = (
    SETTINGS.replace("probe_every_s = 0", "probe_every_s = 0\nemergency = true")
    + """
[sip.emergency]
via = ["carrier"]
"""
)

CAPPED = (
    FOR_EMERGENCIES
    + """
[sip.calling]
calls_per_minute = 1
"""
)


@pytest.fixture
async def carrier_port():
    return free_port(socket.SOCK_DGRAM)


@pytest.fixture
async def hub(request, tmp_path, carrier_port):
    hub = HubProcess(tmp_path / "hub")
    hub.folder.mkdir()
    (hub.folder / "commhub.toml").write_text(
        getattr(request, "param", SETTINGS).format(port=carrier_port)
    )
    await asyncio.to_thread(hub.__enter__)
    try:
        yield hub
    finally:
        await asyncio.to_thread(hub.stop)


@pytest.fixture
async def desk(hub):
    passwords = await asyncio.to_thread(add_people, hub, {"li": [Role.DISPATCHER]})
    desk = await asyncio.to_thread(Desk, hub.url, "li", passwords["li"])
    yield desk
    desk.close()


async def leg_of(desk, call):
    return (await asyncio.to_thread(desk.get, f"/calls/{call['id']}"))["legs"][0]


async def place(desk, number):
    return await asyncio.to_thread(desk.post, "/calls", {"legs": [f"tel:{number}"]})


async def ended(desk, number):
    call = await place(desk, number)

    async def over():
        leg = await leg_of(desk, call)
        return leg if leg["state"] == "ended" else None

    return await eventually(over, within_s=10)


async def state_of_line(hub):
    """What `commhub status` shows of it."""
    answer = await asyncio.to_thread(httpx.get, f"{hub.url}/readyz")
    return answer.json()["parts"]["trunk-carrier"]


async def test_the_desk_calls_a_number_outside_over_its_line(hub, desk, carrier_port):
    assert await state_of_line(hub) == "degraded"
    async with sipp(
        SCENARIOS / "trunk_answer.xml",
        hub.port("sip"),
        carrier_port,
        user="hub",
        password="between-carrier-and-us",
    ) as carrier:
        call = await place(desk, "+8613800000000")

        async def connected():
            return (await leg_of(desk, call))["state"] == "connected"

        await eventually(connected, within_s=10)
        await asyncio.to_thread(desk.delete, f"/calls/{call['id']}")
        await carrier.finish()
    assert await state_of_line(hub) == "up"


@pytest.mark.parametrize("hub", [FOR_EMERGENCIES], indirect=True, ids=["emergency-line"])
@pytest.mark.parametrize("number", ["119", "+8613800000000"])
async def test_a_call_that_rang_when_control_was_killed_is_answered(
    hub, desk, carrier_port, number
):
    async def state_is(state):
        return (await leg_of(desk, call))["state"] == state

    async with sipp(SCENARIOS / "trunk_rings_long.xml", hub.port("sip"), carrier_port) as carrier:
        call = await place(desk, number)
        await eventually(lambda: state_is("ringing"), within_s=10)
        await asyncio.to_thread(hub.kill, "control")
        await asyncio.to_thread(hub.wait_ready)
        await eventually(lambda: state_is("connected"), within_s=15)
        await asyncio.to_thread(desk.delete, f"/calls/{call['id']}")
        # One call for the carrier: it would fail at a second one, or a CANCEL.
        await carrier.finish()


async def test_what_may_not_be_called_is_said_in_words(desk):
    foreign = await ended(desk, "+4930123456")
    assert (foreign["cause"], foreign["detail"]) == (
        "not_allowed",
        "no rule of sip.numbers allows this number",
    )
    emergency = await ended(desk, "110")
    assert emergency["cause"] == "not_allowed"
    assert "no line of this hub is set up for emergency calls" in emergency["detail"]


@pytest.mark.parametrize("hub", [CAPPED], indirect=True, ids=["capped"])
async def test_a_cap_stops_every_call_but_one_to_an_emergency_number(hub, desk, carrier_port):
    async def is_taken(number):
        answering = sipp(SCENARIOS / "answer.xml", hub.port("sip"), carrier_port)
        async with answering as carrier:
            call = await place(desk, number)

            async def connected():
                return (await leg_of(desk, call))["state"] == "connected"

            await eventually(connected, within_s=30)
            await asyncio.to_thread(desk.delete, f"/calls/{call['id']}")
            await carrier.finish()
            return f"INVITE sip:{number.replace('+86', '0')}@pbx.test" in carrier.log()

    assert await is_taken("+8613800000000")
    refused = await ended(desk, "+8613800000000")
    assert (refused["cause"], refused["detail"]) == (
        "not_allowed",
        "more than 1 calls within a minute",
    )
    assert await is_taken("119")
