"""SIPp as the phone: every message of a call is checked on both sides."""

import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.domain.people import Endpoint
from commhub.ports.telephony import LegOrder

SCENARIOS = Path(__file__).parent / "scenarios"
PASSWORD = "kept-between-us"


@asynccontextmanager
async def phone(edge, scenario, port=None, **more):
    port = port or free_port(socket.SOCK_DGRAM)
    path = SCENARIOS / f"{scenario}.xml"
    async with sipp(path, edge.port, port, password=PASSWORD, **more) as peer:
        yield peer


@asynccontextmanager
async def registered(edge, scenario):
    """A phone that is registered and then plays its scenario for the call it gets."""
    port = free_port(socket.SOCK_DGRAM)
    async with phone(edge, "register", port) as registering:
        await registering.finish()
    async with phone(edge, scenario, port) as peer:
        yield peer


# --- the hub calls -------------------------------------------------------------------------------------------


async def test_a_called_phone_rings_answers_and_is_hung_up_by_the_desk(edge):
    async with registered(edge, "answer") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        (row,) = await edge.rows()
        assert row.state["chapter"] == "talking"

        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()

    assert edge.calls.states(leg) == ["ringing", "connected"]
    assert edge.calls.told("connected", leg) == [("connected", leg, "PCMA")]
    assert edge.calls.told("ended", leg) == []
    assert edge.media.released == [leg]
    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


async def test_the_engine_is_told_the_phones_address_and_codec(edge):
    async with registered(edge, "answer") as peer:
        leg = await edge.call("1001")
        remote = await eventually(lambda: edge.media.connected.get(leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()

    assert remote.address.host == "127.0.0.1"
    assert (remote.audio.encoding, remote.audio.payload_type) == ("PCMA", 8)
    assert remote.audio.dtmf_payload_type == 101
    assert edge.media.reserved[leg].near_signalling


async def test_a_phone_hangs_up(edge):
    async with registered(edge, "answer_and_hang_up") as peer:
        leg = await edge.call("1001")
        await peer.finish()

    await eventually(lambda: edge.calls.end_of(leg))
    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)
    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


@pytest.mark.parametrize(
    ("scenario", "cause", "detail"),
    [("busy", Cause.BUSY, "486 Busy Here"), ("decline", Cause.DECLINED, "603 Decline")],
)
async def test_a_refusal_ends_the_leg_with_its_cause(edge, scenario, cause, detail):
    async with registered(edge, scenario) as peer:
        leg = await edge.call("1001")
        await peer.finish()
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (cause, detail)
    assert leg in edge.media.released


async def test_nobody_answers_and_the_phone_stops_ringing(edge):
    async with registered(edge, "ring_until_cancelled") as peer:
        leg = await edge.call("1001", ring_for_s=0.3)
        await peer.finish()

    assert edge.calls.end_of(leg) == (Cause.NO_ANSWER, "nobody answered in time")
    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


async def test_an_answer_that_crosses_our_cancel_is_acknowledged_and_hung_up(edge):
    async with registered(edge, "answer_crosses_cancel") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("ringing", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()

    assert edge.calls.states(leg) == ["ringing", "ended"]
    await eventually(lambda: edge.gateway.legs == 0)


async def test_an_account_without_a_phone_is_unreachable(edge):
    leg = await edge.call("1001")
    await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg)[0] is Cause.UNREACHABLE


async def test_an_unknown_account_is_not_found(edge):
    leg = await edge.call("7777")
    await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg)[0] is Cause.NOT_FOUND


async def test_the_same_order_twice_rings_once(edge):
    async with registered(edge, "busy") as peer:
        leg = await edge.call("1001")
        again = LegOrder(call_id="c", leg_id=leg, endpoint=Endpoint.parse("sip:1001"))
        await edge.gateway.place(again)
        await peer.finish()
        await eventually(lambda: edge.calls.end_of(leg))
        await edge.gateway.place(again)

    assert len(edge.calls.told("ended", leg)) == 1


# --- the hub is called ---------------------------------------------------------------------------------------


async def offered(edge):
    await eventually(lambda: edge.calls.offers)
    return edge.calls.offers[0]


async def test_a_phone_calls_is_answered_and_hangs_up(edge):
    async with phone(edge, "call", to="2000") as peer:
        call = await offered(edge)
        await edge.gateway.answer(call.leg_id)
        await peer.finish()

    assert (str(call.caller), call.called, call.display_name) == ("sip:1001", "2000", "Phone one")
    await eventually(lambda: edge.calls.end_of(call.leg_id))
    assert edge.calls.states(call.leg_id) == ["offered", "connected", "ended"]
    assert edge.calls.end_of(call.leg_id) == (Cause.HUNG_UP, None)
    assert edge.media.released == [call.leg_id]


async def test_the_desk_hangs_up_a_caller(edge):
    async with phone(edge, "call_waits_for_bye") as peer:
        call = await offered(edge)
        await edge.gateway.answer(call.leg_id)
        await eventually(lambda: edge.calls.told("connected"))
        await edge.gateway.hang_up(call.leg_id, Cause.DESK)
        await peer.finish()

    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


async def test_our_answer_comes_again_until_it_is_acknowledged(edge):
    async with phone(edge, "call_acknowledged_late") as peer:
        call = await offered(edge)
        await edge.gateway.answer(call.leg_id)
        await peer.finish()
        assert peer.log().count("a=sendrecv") >= 3

    assert len(edge.calls.offers) == 1


async def test_a_caller_gives_up_while_it_rings(edge):
    async with phone(edge, "call_and_cancel") as peer:
        await peer.finish()
        call = await offered(edge)

    await eventually(lambda: edge.calls.end_of(call.leg_id))
    assert edge.calls.end_of(call.leg_id)[0] is Cause.CANCELLED
    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


async def test_a_call_nobody_here_takes_is_refused(edge):
    edge.calls.refuse_with = Cause.NOT_FOUND

    async with phone(edge, "call_refused") as peer:
        await peer.finish()

    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.told("ended") == []


async def test_a_caller_without_our_codecs_is_told_488_and_never_offered(edge):
    async with phone(edge, "call_without_common_codec") as peer:
        await peer.finish()

    assert edge.calls.offers == []


async def test_a_phone_holds_and_resumes(edge):
    async with phone(edge, "call_hold_resume") as peer:
        call = await offered(edge)
        await edge.gateway.answer(call.leg_id)
        await peer.finish()

    await eventually(lambda: edge.calls.end_of(call.leg_id))
    told = edge.calls.states(call.leg_id)
    assert told == ["offered", "connected", "connected", "held", "connected", "ended"]
    hold = [o[2] for o in edge.media.orders if o[0] == "connect"][1]
    assert (hold.sends, hold.receives) == (True, False)


# --- restarts ------------------------------------------------------------------------------------------------


async def test_after_a_restart_the_desk_still_hangs_up(edge):
    async with registered(edge, "answer") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        orders = len(edge.media.orders)

        await edge.restart()
        assert len(edge.media.orders) == orders
        assert not peer.is_over
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()

    assert edge.calls.told("ended", leg) == []
    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


async def test_after_a_restart_the_phone_still_hangs_up(edge):
    async with registered(edge, "answer_and_hang_up_later") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))

        await edge.restart()
        await peer.finish()

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


async def test_after_a_restart_a_phone_that_was_ringing_is_answered(edge):
    async with registered(edge, "answer_slowly") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("ringing", leg))

        await edge.restart()
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()

    assert edge.calls.states(leg) == ["ringing", "connected"]
    await edge.until_forgotten()


async def test_after_a_restart_a_caller_who_hears_ringing_is_answered(edge):
    async with phone(edge, "call_waits_for_bye") as peer:
        call = await offered(edge)
        await eventually(lambda: "SIP/2.0 180" in peer.log())
        await edge.restart()
        await eventually(lambda: len(edge.calls.offers) == 2)
        await edge.gateway.answer(call.leg_id)
        await eventually(lambda: edge.calls.told("connected", call.leg_id))
        await edge.gateway.hang_up(call.leg_id, Cause.DESK)
        await peer.finish()

    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


async def test_after_a_restart_a_caller_who_hears_ringing_gives_up(edge):
    async with phone(edge, "call_and_cancel") as peer:
        call = await offered(edge)
        await eventually(lambda: "SIP/2.0 180" in peer.log())
        await edge.restart()
        await peer.finish()

    await eventually(lambda: edge.calls.end_of(call.leg_id))
    assert edge.calls.end_of(call.leg_id)[0] is Cause.CANCELLED
    await edge.until_forgotten()


async def test_after_a_restart_a_phone_that_was_ringing_rings_until_the_desk_gives_up(edge):
    async with registered(edge, "ring_until_cancelled") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("ringing", leg))

        await edge.restart()
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()

    assert edge.calls.end_of(leg)[0] is Cause.DESK
    await eventually(lambda: edge.gateway.legs == 0)
    await edge.until_forgotten()


async def test_after_a_restart_an_answer_that_crosses_our_cancel_is_hung_up(edge):
    async with registered(edge, "answer_crosses_cancel") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("ringing", leg))

        await edge.restart()
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()

    assert edge.calls.states(leg) == ["ringing", "ended"]
