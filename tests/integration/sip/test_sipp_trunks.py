"""SIPp as the carrier and as the PBX: it checks our digests itself, and says so by what it answers."""

import re
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fakes.name_servers import name_server
from fakes.servers import free_port
from fakes.sip_lines import Exchange
from fakes.sipp_carriers import PASSWORD, dial, far_end, line, lines_of
from fakes.waiting import eventually

from commhub.domain.call import Cause, Direction
from commhub.ports.media import RtpAddress
from gateways.sip.message import parse


@pytest.fixture
def ports():
    return [free_port(socket.SOCK_DGRAM) for _ in range(2)]


async def test_a_carrier_takes_our_registration_and_its_refresh(edge, ports):
    async with far_end(edge, "trunk_registrar", ports[0]) as peer:
        lines = await lines_of(
            edge,
            line("first", ports[0], register=True, username="hub", password=PASSWORD),
        )
        await eventually(lambda: lines.find("first").registered, within_s=10)
        await peer.finish()


async def test_a_carrier_refuses_a_wrong_password_and_is_asked_no_second_time(edge, ports):
    async with far_end(edge, "trunk_registrar", ports[0]):
        lines = await lines_of(
            edge, line("first", ports[0], register=True, username="hub", password="wrong")
        )
        await eventually(lambda: lines.find("first").trouble, within_s=10)
    assert lines.find("first").trouble == "403 Forbidden"
    assert not lines.find("first").registered


async def test_a_call_over_a_carrier_proves_itself_is_answered_and_hung_up(edge, ports):
    async with far_end(edge, "trunk_answer", ports[0]) as peer:
        await lines_of(edge, line("first", ports[0], username="hub", password=PASSWORD))
        leg = await dial(edge)
        await eventually(lambda: edge.calls.told("connected", leg), within_s=10)
        assert not edge.media.reserved[leg].near_signalling
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()
        assert "INVITE sip:013800000000@pbx.test;user=phone" in peer.log()
    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.states(leg) == ["ringing", "connected"]
    await edge.until_forgotten()


async def test_a_carrier_that_asks_inside_the_call_is_shown_the_password_there(edge, ports):
    async with far_end(edge, "trunk_asks_inside", ports[0]) as peer:
        await lines_of(edge, line("first", ports[0], username="hub", password=PASSWORD))
        leg = await dial(edge)
        await eventually(lambda: edge.calls.told("connected", leg), within_s=10)
        await edge.gateway.readdress(leg, RtpAddress("127.0.0.1", 31_000))
        await eventually(lambda: len(edge.calls.told("connected", leg)) == 2, within_s=10)
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()
    await eventually(lambda: edge.gateway.legs == 0)


@pytest.mark.parametrize(
    ("status", "shows"), [("401", "Authorization"), ("407", "Proxy-Authorization")]
)
async def test_a_carrier_that_wants_a_prack_proved_is_shown_the_password_and_answers(
    edge, ports, status, shows
):
    keys = [("status", status)]
    async with far_end(edge, "trunk_asks_prack", ports[0], keys=keys) as peer:
        await lines_of(edge, line("first", ports[0], username="hub", password=PASSWORD))
        leg = await dial(edge, via=("first",))
        await eventually(lambda: edge.calls.told("connected", leg), within_s=30)
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()
        far = Exchange(None, realm="pbx.test", password=PASSWORD)
        for method in ("PRACK", "BYE"):
            *_, shown = heard(peer, method)
            assert far.is_right(shown, header=shows)
    await eventually(lambda: edge.gateway.legs == 0)


def heard(peer, method):
    """The requests of a method that a carrier noted."""
    heads = re.findall(rf"^{method} sip:.*?\n\n", peer.log(), re.MULTILINE | re.DOTALL)
    return [parse(head.encode()) for head in heads]


async def test_a_carrier_that_asks_for_a_foreign_realm_is_given_no_digest(edge, ports):
    await lines_of(edge, line("first", ports[0], username="hub", password=PASSWORD))
    async with far_end(edge, "trunk_foreign_realm", ports[0]) as peer:
        leg = await dial(edge, via=("first",))
        await peer.finish()

    await eventually(lambda: edge.calls.end_of(leg))
    assert "Authorization:" not in peer.log()


async def test_the_second_carrier_takes_the_call_when_the_first_cannot(edge, ports):
    async with (
        far_end(edge, "trunk_out_of_service", ports[0]) as first,
        far_end(edge, "answer", ports[1]) as second,
    ):
        lines = await lines_of(edge, line("first", ports[0]), line("second", ports[1]))
        leg = await dial(edge)
        await eventually(lambda: edge.calls.told("connected", leg), within_s=10)
        await first.finish()
        assert lines.find("second").calls == 1
        await edge.gateway.hang_up(leg, Cause.DESK)
        await second.finish()
    assert lines.find("first").reachable is False


async def test_the_second_carrier_takes_the_call_when_nobody_is_at_the_first(edge, ports):
    async with far_end(edge, "answer", ports[1]) as second:
        await lines_of(edge, line("first", ports[0], patience_s=0.5), line("second", ports[1]))
        leg = await dial(edge)
        await eventually(lambda: edge.calls.told("connected", leg), within_s=10)
        await edge.gateway.hang_up(leg, Cause.DESK)
        await second.finish()


@asynccontextmanager
async def located(edge, ports, **changes):
    """A line by its name, of which SRV records say that it is at the first port, and else at the second."""
    records = f"""
_sip._udp 60 SRV 10 0 {ports[0]} sbc
_sip._udp 60 SRV 20 0 {ports[1]} sbc
sbc 60 A 127.0.0.1
"""
    async with name_server("carrier.test", records) as names:
        edge.config = replace(edge.config, nameservers=(names.address,))
        named = line("first", ports[0], server="carrier.test", domain="", **changes)
        yield await lines_of(edge, named)


async def test_a_line_by_its_name_is_called_where_its_srv_records_say(edge, ports):
    async with far_end(edge, "answer", ports[0]) as peer, located(edge, ports):
        leg = await dial(edge, via=("first",))
        await eventually(lambda: edge.calls.told("connected", leg), within_s=10)
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()
        assert "INVITE sip:013800000000@carrier.test;user=phone" in peer.log()


async def test_the_next_place_of_a_line_takes_the_call_when_the_first_is_out_of_service(
    edge, ports
):
    async with (
        far_end(edge, "trunk_out_of_service", ports[0]) as first,
        far_end(edge, "answer", ports[1]) as second,
        located(edge, ports) as lines,
    ):
        leg = await dial(edge, via=("first",))
        await eventually(lambda: edge.calls.told("connected", leg), within_s=10)
        await first.finish()
        # One of its places is there, so the line is.
        assert lines.find("first").reachable
        await edge.gateway.hang_up(leg, Cause.DESK)
        await second.finish()


async def test_a_place_that_said_nothing_is_tried_last_by_the_next_call(edge, ports):
    async with located(edge, ports, patience_s=0.5) as lines:
        for _ in range(2):
            async with far_end(edge, "answer", ports[1]) as second:
                leg = await dial(edge, via=("first",))
                await eventually(lambda leg=leg: edge.calls.told("connected", leg), within_s=10)
                await edge.gateway.hang_up(leg, Cause.DESK)
                await second.finish()
            places = await lines.places(lines.find("first"))
            assert [hop.port for hop in places] == [ports[1], ports[0]]


async def test_a_line_by_its_name_registers_at_the_place_that_is_there(edge, ports):
    async with (
        far_end(edge, "trunk_registrar", ports[1]) as peer,
        located(
            edge, ports, register=True, username="hub", password=PASSWORD, realm="pbx.test"
        ) as lines,
    ):
        await eventually(lambda: lines.find("first").registered, within_s=20)
        await peer.finish()


async def test_an_emergency_is_taken_by_the_line_made_for_it_though_it_is_full(edge, ports):
    async with far_end(edge, "answer", ports[1]) as able:
        lines = await lines_of(
            edge, line("first", ports[0]), line("second", ports[1], emergency=True, max_calls=1)
        )
        lines.find("second").enter("somebody else", Direction.OUTBOUND)
        leg = await dial(edge, "119", emergency=True)
        await eventually(lambda: edge.calls.told("connected", leg), within_s=10)
        await edge.gateway.hang_up(leg, Cause.DESK)
        await able.finish()
        assert "INVITE sip:119@pbx.test;user=phone" in able.log()


async def test_a_line_is_up_once_it_has_answered(edge, ports):
    async with far_end(edge, "trunk_options", ports[0]) as peer:
        lines = await lines_of(edge, line("first", ports[0], probe_every_s=30.0))
        assert not lines.find("first").is_up
        await eventually(lambda: lines.find("first").is_up, within_s=10)
        await peer.finish()


async def test_a_pbx_known_by_its_address_calls_a_number_of_ours(edge, ports):
    await lines_of(edge, line("first", ports[0], trusted=True, inbound={"+862112345678": "1001"}))
    async with far_end(edge, "trunk_calls", ports[0], to="02112345678") as peer:
        await eventually(lambda: edge.calls.offers, within_s=10)
        (call,) = edge.calls.offers
        await edge.gateway.answer(call.leg_id)
        await peer.finish()
    assert (str(call.caller), call.called) == ("tel:+862155556666", "1001")
    assert call.display_name == "Reception"
    await eventually(lambda: edge.gateway.legs == 0)


async def test_somebody_who_only_says_to_be_a_pbx_is_asked_for_a_password(edge, ports):
    await lines_of(edge, line("first", ports[0], inbound={"*": "1001"}))
    async with far_end(edge, "trunk_is_challenged", ports[1], to="02112345678") as peer:
        await peer.finish()
    assert edge.calls.offers == []
