"""SIPp watches a phone, and phones of one account ring together."""

import socket
from contextlib import AsyncExitStack
from pathlib import Path

from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.waiting import eventually

from commhub.domain.call import Cause

SCENARIOS = Path(__file__).parent / "scenarios"
PASSWORD = "kept-between-us"


def phone(edge, scenario, port=None, **more):
    path = SCENARIOS / f"{scenario}.xml"
    port = port or free_port(socket.SOCK_DGRAM)
    return sipp(path, edge.port, port, password=PASSWORD, **more)


async def register(edge, port):
    async with phone(edge, "register", port) as registering:
        await registering.finish()


async def test_a_lamp_goes_on_and_off_with_the_call(edge):
    await edge.add_account("1002")
    port = free_port(socket.SOCK_DGRAM)
    await register(edge, port)
    async with phone(edge, "watch", user="1002", to="1001") as watcher:
        await eventually(lambda: watcher.log().count("NOTIFY sip:") >= 1)
        async with phone(edge, "answer", port) as answering:
            leg = await edge.call("1001")
            await eventually(lambda: edge.calls.told("connected", leg))
            await eventually(lambda: ">confirmed<" in watcher.log())
            await edge.gateway.hang_up(leg, Cause.DESK)
            await answering.finish()
        await watcher.finish()

    await eventually(lambda: no_rows(edge))


async def no_rows(edge):
    async with edge.store.read() as uow:
        return not await uow.sip.subscriptions()


async def test_two_phones_of_one_account_ring_and_the_first_to_answer_wins(edge):
    quick, slow = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    for port in (quick, slow):
        await register(edge, port)
    async with AsyncExitStack() as stack:
        ringing = await stack.enter_async_context(phone(edge, "ring_until_cancelled", slow))
        answering = await stack.enter_async_context(phone(edge, "answer", quick))
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        await ringing.finish()
        await edge.gateway.hang_up(leg, Cause.DESK)
        await answering.finish()

    assert edge.calls.states(leg) == ["ringing", "connected"]


async def test_ten_wrong_passwords_shut_the_right_one_out_too(edge):
    for _ in range(10):
        async with sipp(
            SCENARIOS / "wrong_password.xml", edge.port, free_port(socket.SOCK_DGRAM), password="no"
        ) as guessing:
            await guessing.finish()

    async with phone(edge, "register_shut_out") as late:
        await late.finish()

    assert await edge.bindings("1001") == []
    async with edge.store.read() as uow:
        actions = [(row.action, row.actor) for row in await uow.audit.list(None, 10)]
    assert ("sip.lockout", "sip:127.0.0.1") in actions
