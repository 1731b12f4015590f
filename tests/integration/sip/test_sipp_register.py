"""SIPp registers at the real gateway."""

import socket
from pathlib import Path

from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.waiting import eventually

from commhub.domain.call import Cause

SCENARIOS = Path(__file__).parent / "scenarios"
PASSWORD = "kept-between-us"


def udp_port():
    return free_port(socket.SOCK_DGRAM)


async def test_a_phone_registers_with_digest_and_is_seen_online(edge):
    port = udp_port()

    async with sipp(SCENARIOS / "register.xml", edge.port, port, password=PASSWORD) as phone:
        await phone.finish()

    (binding,) = await edge.bindings("1001")
    assert binding.contact == f"sip:1001@127.0.0.1:{port}"
    assert binding.received == f"127.0.0.1:{port}"
    assert edge.presence.seen == [("1001", True, "SIPp")]


async def test_a_wrong_password_is_challenged_again_and_registers_nothing(edge):
    async with sipp(
        SCENARIOS / "wrong_password.xml", edge.port, udp_port(), password="no"
    ) as phone:
        await phone.finish()

    assert await edge.bindings("1001") == []
    assert edge.presence.seen == []


async def test_an_unknown_account_looks_like_a_wrong_password(edge):
    scenario = SCENARIOS / "wrong_password.xml"
    async with sipp(scenario, edge.port, udp_port(), user="9999", password=PASSWORD) as phone:
        await phone.finish()

    assert await edge.bindings("9999") == []


async def test_a_phone_of_lower_preference_rings_when_the_first_refuses(edge):
    """Two contacts of one account, each with its q (RFC 3261 §16.6, §20.10)."""
    ports = {"0.9": udp_port(), "0.2": udp_port()}
    for q, port in ports.items():
        async with playing(edge, "register_preference", port, keys=[("q", q)]) as registering:
            await registering.finish()
    assert sorted(binding.q for binding in await edge.bindings("1001")) == [0.2, 0.9]

    async with (
        playing(edge, "answer_and_hang_up", ports["0.2"]) as second,
        playing(edge, "busy", ports["0.9"]) as first,
    ):
        leg = await edge.call("1001")
        await first.finish()
        await second.finish()

    await eventually(lambda: edge.calls.end_of(leg))
    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


async def test_a_phone_takes_all_its_contacts_back(edge):
    for _ in range(2):
        async with playing(edge, "register", udp_port()) as registering:
            await registering.finish()
    assert len(await edge.bindings("1001")) == 2

    async with playing(edge, "unregister", udp_port()) as leaving:
        await leaving.finish()
    assert await edge.bindings("1001") == []
    assert edge.presence.seen[-1][:2] == ("1001", False)


def playing(edge, scenario, port, **more):
    return sipp(SCENARIOS / f"{scenario}.xml", edge.port, port, password=PASSWORD, **more)
