"""Phones over TCP and TLS at the real gateway: baresip, SIPp, and bare sockets that misbehave."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.baresip import baresip
from fakes.servers import free_port, is_bound
from fakes.sipp import sipp
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip.message import parse

SCENARIOS = Path(__file__).parent / "scenarios"
PASSWORD = "kept-between-us"


@asynccontextmanager
async def phone(edge, transport, certificate, **more):
    """A baresip that has registered over TCP or TLS."""
    port = edge.port if transport == "tcp" else edge.gateway.tls_port
    options = {"transport": transport, "authority": certificate, **more}
    async with baresip("1001", PASSWORD, port, **options) as peer:
        await peer.until_registered()
        yield peer


both = pytest.mark.parametrize("transport", ["tcp", "tls"])


# --- baresip -------------------------------------------------------------------------------------------------


@both
async def test_it_registers_is_called_and_hung_up(edge, certificate, transport):
    async with phone(edge, transport, certificate) as peer:
        (binding,) = await edge.bindings("1001")
        leg = await edge.call("1001")
        await peer.until("CALL_ESTABLISHED")
        await eventually(lambda: edge.calls.told("connected", leg))
        (row,) = await edge.rows()
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until("CALL_CLOSED")

    assert binding.transport == transport.upper()
    assert row.state["dialog"]["transport"] == transport.upper()
    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.told("ended", leg) == []


@both
async def test_it_dials_holds_resumes_and_hangs_up(edge, certificate, transport):
    async with phone(edge, transport, certificate) as peer:
        port = edge.port if transport == "tcp" else edge.gateway.tls_port
        await peer.command("dial", f"sip:2000@127.0.0.1:{port};transport={transport}")
        await eventually(lambda: edge.calls.offers)
        leg = edge.calls.offers[0].leg_id
        await edge.gateway.answer(leg)
        await peer.until("CALL_ESTABLISHED")
        await peer.command("hold")
        await eventually(lambda: edge.calls.told("held", leg))
        await peer.command("resume")
        await eventually(lambda: edge.calls.states(leg)[-1] == "connected")
        await peer.command("hangup")
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


@both
async def test_after_a_restart_the_desk_hangs_up_over_a_new_connection(
    edge, certificate, transport
):
    """Over TCP the hub connects to where the phone registered that it listens; over TLS nobody vouches for a phone,
    so it is reached once it has come again."""
    async with phone(edge, transport, certificate) as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.restart()
        if transport == "tls":
            await peer.command("hold")
            await eventually(lambda: edge.calls.told("held", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until("CALL_CLOSED")

    assert edge.calls.told("ended", leg) == []
    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


@both
async def test_after_a_restart_the_phone_resumes_and_hangs_up_over_a_new_connection(
    edge, certificate, transport
):
    async with phone(edge, transport, certificate) as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        await peer.command("hold")
        await eventually(lambda: edge.calls.told("held", leg))
        await edge.restart()
        await peer.command("resume")
        await eventually(lambda: edge.calls.states(leg)[-1] == "connected")
        await peer.command("hangup")
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


@both
async def test_it_keeps_a_flow_and_is_called_over_it(edge, certificate, transport):
    """RFC 5626: its REGISTER numbers the flow, so the flow is what a call goes by, although nothing listens at its
    contact for a hub that would connect."""
    port = edge.port if transport == "tcp" else edge.gateway.tls_port
    flow = f"sip:127.0.0.1:{port};transport={transport}"
    async with phone(edge, transport, certificate, outbound=True, proxy=flow) as peer:
        (binding,) = await edge.bindings("1001")
        leg = await edge.call("1001")
        await peer.until("CALL_ESTABLISHED")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until("CALL_CLOSED")

    assert binding.reg_id == 1
    assert binding.instance.startswith("urn:uuid:")


# --- SIPp over TCP -------------------------------------------------------------------------------------------


@asynccontextmanager
async def playing(edge, scenario, port=None, **more):
    path = SCENARIOS / f"{scenario}.xml"
    options = {"password": PASSWORD, "transport": "t1", **more}
    async with sipp(path, edge.port, port or free_port(), **options) as peer:
        yield peer


async def test_sipp_registers_over_tcp(edge):
    async with playing(edge, "register") as peer:
        await peer.finish()

    (binding,) = await edge.bindings("1001")
    assert binding.transport == "TCP"


async def test_sipp_calls_over_tcp_and_hangs_up(edge):
    async with playing(edge, "call", to="2000") as peer:
        await eventually(lambda: edge.calls.offers)
        leg = edge.calls.offers[0].leg_id
        await edge.gateway.answer(leg)
        await peer.finish()

    await eventually(lambda: edge.calls.end_of(leg))
    assert edge.calls.states(leg) == ["offered", "connected", "ended"]


@pytest.mark.parametrize(("scenario", "cause"), [("busy", Cause.BUSY), ("decline", Cause.DECLINED)])
async def test_a_refusal_over_tcp_is_acknowledged(edge, scenario, cause):
    """SIPp is gone and back, so its connection is a new one that we open to where its Contact says."""
    port = free_port()
    async with playing(edge, "register", port) as registering:
        await registering.finish()
    async with playing(edge, scenario, port) as peer:
        await eventually(lambda: is_bound(port))
        leg = await edge.call("1001")
        await peer.finish()
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg)[0] is cause


async def test_a_phone_whose_connection_is_gone_and_that_does_not_listen_is_unreachable_at_once(
    edge,
):
    async with playing(edge, "register") as peer:
        await peer.finish()
    leg = await edge.call("1001")
    await eventually(lambda: edge.calls.end_of(leg), within_s=1.0)

    cause, detail = edge.calls.end_of(leg)
    assert cause is Cause.UNREACHABLE
    assert detail.startswith("503 no connection")


# --- bare sockets --------------------------------------------------------------------------------------------


def options(number=1, length="Content-Length: 0", via="TCP"):
    lines = [
        "OPTIONS sip:hub@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/{via} 127.0.0.1:1;branch=z9hG4bK{number}",
        "From: <sip:a@x>;tag=1",
        "To: <sip:hub@x>",
        f"Call-ID: stream-{number}",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        *([length] if length else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def connected(port, **tls):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **tls)
    try:
        yield reader, writer
    finally:
        writer.close()


async def read_message(reader):
    async with asyncio.timeout(3):
        return parse(await reader.readuntil(b"\r\n\r\n"))


async def test_glued_requests_are_answered_one_by_one_over_their_connection(edge):
    async with connected(edge.port) as (reader, writer):
        writer.write(options(1) + options(2) + b"\r\n\r\n" + options(3)[:40])
        answers = [await read_message(reader) for _ in range(2)]
        async with asyncio.timeout(3):
            assert await reader.readexactly(2) == b"\r\n"
        writer.write(options(3)[40:])
        answers.append(await read_message(reader))

    assert [a.status for a in answers] == [200, 200, 200]
    assert [a.call_id for a in answers] == ["stream-1", "stream-2", "stream-3"]
    assert f"<sip:commhub@127.0.0.1:{edge.port};transport=tcp>" in answers[0].get("Contact")


async def test_over_tls_the_contact_says_so(edge, certificate):
    context = ssl.create_default_context(cafile=str(certificate))
    port = edge.gateway.tls_port
    async with connected(port, ssl=context) as (reader, writer):
        writer.write(options(via="TLS"))
        answer = await read_message(reader)

    assert f"<sip:commhub@127.0.0.1:{port};transport=tls>" in answer.get("Contact")


@pytest.mark.parametrize(
    "length",
    ["", "Content-Length: nonsense", "Content-Length: -5", "Content-Length: 99999999"],
    ids=["none", "nonsense", "negative", "absurd"],
)
async def test_a_request_that_cannot_be_framed_is_told_400_and_its_connection_ends(edge, length):
    async with connected(edge.port) as (reader, writer):
        writer.write(options(length=length) + options(2))
        answer = await read_message(reader)
        async with asyncio.timeout(3):
            assert await reader.read() == b""

    assert answer.status == 400
    assert answer.call_id == "stream-1"
    assert edge.gateway.errors_of("127.0.0.1") == 1


async def test_a_browser_that_comes_to_the_wrong_port_is_let_go_without_an_answer(edge):
    async with connected(edge.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
        async with asyncio.timeout(3):
            assert await reader.read() == b""


async def test_the_ports_are_one_for_udp_and_tcp_and_free_again_after_a_restart(edge):
    before = edge.port
    async with connected(edge.port) as (reader, writer):
        writer.write(options())
        assert (await read_message(reader)).status == 200
        await edge.restart()
        async with asyncio.timeout(3):
            assert await reader.read() == b""
    assert edge.port == before
    async with connected(edge.port) as (reader, writer):
        writer.write(options())
        assert (await read_message(reader)).status == 200
