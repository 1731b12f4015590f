"""SIPp registers at the real gateway."""

import socket
from pathlib import Path

from fakes.servers import free_port
from fakes.sipp import sipp

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
