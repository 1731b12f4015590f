"""Every method that a phone can begin with, by SIPp, over UDP, TCP and TLS; what a phone is told about itself."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from fakes.desk import RecordingDigits, RecordingReports
from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.sipp_phones import PASSWORD, SCENARIOS, registered
from fakes.tls_relay import tls_relay
from fakes.waiting import eventually
from fakes.web import someone

from commhub.domain.call import Cause, LegState
from commhub.ports.media import RtpAddress
from gateways.sip.core import Inward

each = pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])


@pytest.fixture
def talks(edge, certificate):
    """A phone that plays a scenario over a transport."""
    return lambda scenario, transport, **more: _phone(
        edge, certificate, scenario, transport, **more
    )


@asynccontextmanager
async def _phone(edge, certificate, scenario, transport, **more):
    async with AsyncExitStack() as stack:
        port = edge.port
        if transport == "tls":
            port = await stack.enter_async_context(tls_relay(edge.gateway.tls_port, certificate))
        path = SCENARIOS / f"{scenario}.xml"
        options = {
            "password": PASSWORD,
            "to": "2000",
            "transport": "u1" if transport == "udp" else "t1",
            **more,
        }
        peer = sipp(path, port, free_port(), **options)
        yield await stack.enter_async_context(peer)


async def answered(edge):
    await eventually(lambda: edge.calls.offers)
    leg = edge.calls.offers[0].leg_id
    await edge.gateway.answer(leg)
    return leg


@each
async def test_it_registers_and_takes_it_back(edge, talks, transport):
    async with talks("register", transport, to="1001") as peer:
        await peer.finish()
    (binding,) = await edge.bindings("1001")
    assert binding.transport == transport.upper()

    async with talks("unregister", transport, to="1001") as peer:
        await peer.finish()
    assert await edge.bindings("1001") == []


@each
async def test_it_asks_what_the_hub_can_and_is_told_what_it_cannot(edge, talks, transport):
    async with talks("options", transport) as peer:
        await peer.finish()

    assert edge.gateway.errors_of("127.0.0.1") == 0


@each
@pytest.mark.parametrize("scenario", ["call", "call_update", "call_hold_resume"])
async def test_it_calls_and_hangs_up(edge, talks, scenario, transport):
    async with talks(scenario, transport) as peer:
        leg = await answered(edge)
        await peer.finish()
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)
    if scenario in {"call_update", "call_hold_resume"}:
        assert edge.calls.states(leg)[-3:] == ["held", "connected", "ended"]


def places(edge, leg):
    """Where the media engine was told to send the leg's sound, each place once."""
    addresses = [order[2].address for order in edge.media.orders if order[:2] == ("connect", leg)]
    return list(dict.fromkeys(addresses))


@each
@pytest.mark.parametrize("scenario", ["call_without_offer", "call_moves"])
async def test_it_goes_on_from_another_address(edge, talks, scenario, transport):
    """With a description in its INVITE, or with one in its ACK alone."""
    async with talks(scenario, transport) as peer:
        leg = await answered(edge)
        await peer.finish()
        await eventually(lambda: edge.calls.end_of(leg))

    assert places(edge, leg) == [RtpAddress("127.0.0.1", 30_000), RtpAddress("127.0.0.2", 30_004)]
    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


@each
async def test_it_gives_up_while_it_rings(edge, talks, transport):
    async with talks("call_and_cancel", transport) as peer:
        await peer.finish()
        await eventually(lambda: edge.calls.told("ended"))

    assert edge.calls.end_of(edge.calls.offers[0].leg_id)[0] is Cause.CANCELLED


@each
async def test_it_hears_ringing_reliably(edge, talks, transport):
    async with talks("call_prack", transport) as peer:
        await eventually(lambda: "PRACK sip:" in peer.log())
        await answered(edge)
        await peer.finish()


@each
async def test_it_presses_keys_and_asks_inside_a_call(edge, talks, transport):
    digits = RecordingDigits()
    edge.more = Inward(digits=digits)
    await edge.restart()
    async with talks("call_dtmf_info", transport) as peer:
        leg = await answered(edge)
        await peer.finish()

    assert digits.pressed == [(leg, "5"), (leg, "#")]


@each
async def test_it_writes(edge, talks, transport):
    reports = RecordingReports()
    edge.more = Inward(reports=reports)
    await edge.restart()
    async with talks("message", transport, keys=[("text", "water in the underpass")]) as peer:
        await peer.finish()

    assert [report.text for report in reports.submitted] == ["water in the underpass"]


@each
async def test_it_watches_a_lamp_over_its_own_connection(edge, talks, transport):
    await edge.add_account("1002")
    async with registered(edge, "answer", user="1001") as answering:
        async with talks("watch", transport, user="1002", to="1001") as watcher:
            await eventually(lambda: watcher.log().count("NOTIFY sip:") >= 1)
            leg = await edge.call("1001")
            await eventually(lambda: ">confirmed<" in watcher.log())
            await edge.gateway.hang_up(leg, Cause.DESK)
            await watcher.finish()
        await answering.finish()


# --- transfers by the one who called -------------------------------------------------------------------------


@each
async def test_it_hands_its_call_on(hub, transport):
    async with (
        registered(hub.edge, "answer", user="1002") as other,
        registered(hub.edge, "answer_slowly", user="1003") as third,
        _phone(
            hub.edge,
            hub.edge.config.tls.certificate,
            "call_refer",
            transport,
            to="1002",
            keys=[("target", "1003")],
        ) as peer,
    ):
        await peer.finish()
        await left_together(hub, "1002", "1003")
        await other.finish()
        await third.finish()


@each
async def test_it_hands_its_call_to_a_dialog_that_is_elsewhere(hub, transport):
    """The hub has no such dialog; whoever has it is told which one, and the legs are joined here."""
    keys = [("target", "1003"), ("replaces", "elsewhere%40pbx%3Bto-tag%3Da%3Bfrom-tag%3Db")]
    async with (
        registered(hub.edge, "answer", user="1002") as other,
        registered(hub.edge, "answer_replacing", user="1003") as third,
        _phone(
            hub.edge,
            hub.edge.config.tls.certificate,
            "call_refer_elsewhere",
            transport,
            to="1002",
            keys=keys,
        ) as peer,
    ):
        await peer.finish()
        await left_together(hub, "1002", "1003")
        await other.finish()
        await third.finish()


async def left_together(hub, *names):
    """Until these talk and 1001 has left; then their call ends."""

    async def are_joined():
        return list((await hub.live()).values()) == [set(names)]

    await eventually(are_joined, within_s=8)
    (call,) = await hub.live()
    assert (await hub.legs(call))["1001"] == (LegState.ENDED, Cause.HUNG_UP)
    await hub.calls.end(call, someone())
