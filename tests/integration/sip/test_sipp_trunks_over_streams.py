"""Lines over TCP and TLS: SIPp as the carrier that the hub connects to, and as the PBX that connects to the hub."""

from dataclasses import replace

import pytest
from fakes.sipp_carriers import PASSWORD, called_over, calling_over, dial, line, lines_of
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.ports.media import RtpAddress
from gateways.sip.tls import make_identity

each = pytest.mark.parametrize("over", ["tcp", "tls"])


@each
async def test_a_carrier_takes_our_registration_and_its_refresh(edge, over):
    async with called_over(edge, "trunk_registrar", over) as (peer, port):
        trunk = line(
            "first", port, transport=over.upper(), register=True, username="hub", password=PASSWORD
        )
        lines = await lines_of(edge, trunk)
        await eventually(lambda: lines.find("first").registered, within_s=30)
        await peer.finish()
        assert f"Via: SIP/2.0/{over.upper()} " in peer.log()


@each
async def test_a_call_proves_itself_is_answered_and_hung_up(edge, over):
    async with called_over(edge, "trunk_answer", over) as (peer, port):
        trunk = line("first", port, transport=over.upper(), username="hub", password=PASSWORD)
        await lines_of(edge, trunk)
        leg = await dial(edge, via=("first",))
        await eventually(lambda: edge.calls.told("connected", leg), within_s=30)
        (row,) = await edge.rows()
        assert row.state["dialog"]["transport"] == over.upper()
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()
        assert f"sip:013800000000@pbx.test;transport={over};user=phone" in peer.log()
    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.states(leg) == ["ringing", "connected"]


@each
@pytest.mark.parametrize("scenario", ["trunk_asks_inside", "trunk_asks_prack"])
async def test_a_carrier_that_asks_inside_the_call_is_shown_the_password_there(
    edge, over, scenario
):
    async with called_over(edge, scenario, over, keys=[("status", "407")]) as (peer, port):
        trunk = line("first", port, transport=over.upper(), username="hub", password=PASSWORD)
        await lines_of(edge, trunk)
        leg = await dial(edge, via=("first",))
        await eventually(lambda: edge.calls.told("connected", leg), within_s=30)
        if scenario == "trunk_asks_inside":
            await edge.gateway.readdress(leg, RtpAddress("127.0.0.1", 31_000))
            await eventually(lambda: len(edge.calls.told("connected", leg)) == 2, within_s=30)
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()
    await eventually(lambda: edge.gateway.legs == 0)


@each
async def test_a_pbx_known_by_its_address_calls_a_number_of_ours(edge, over):
    trunk = line(
        "first",
        5060,
        transport=over.upper(),
        trusted=True,
        inbound={"+862112345678": "1001"},
    )
    await lines_of(edge, trunk)
    async with calling_over(edge, "trunk_calls", over, to="02112345678") as peer:
        await eventually(lambda: edge.calls.offers, within_s=30)
        (call,) = edge.calls.offers
        await edge.gateway.answer(call.leg_id)
        await peer.finish()
    assert (str(call.caller), call.called) == ("tel:+862155556666", "1001")
    await eventually(lambda: edge.gateway.legs == 0)


async def test_a_carrier_whose_certificate_nobody_vouches_for_is_given_no_call(edge, tmp_path):
    """Neither the call nor a digest: it may be anybody."""
    others, _ = make_identity(tmp_path / "others", ["127.0.0.1"])
    async with called_over(edge, "trunk_answer", "tls") as (peer, port):
        edge.config = replace(edge.config, tls=replace(edge.config.tls, authorities=others))
        trunk = line("first", port, transport="TLS", username="hub", password=PASSWORD)
        await lines_of(edge, trunk)
        leg = await dial(edge, via=("first",))
        await eventually(lambda: edge.calls.end_of(leg), within_s=30)
        assert "INVITE" not in peer.log()
