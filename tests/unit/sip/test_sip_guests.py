"""Calls between hubs at the gateway: who was told to call is let in once, and a user at another hub is rung."""

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.domain.errors import UnavailableError
from commhub.domain.people import Endpoint
from commhub.kit.ids import new_id
from commhub.ports.telephony import LegOrder
from gateways.sip.transport import Hop

USER = "kQ3x-one-call-only-9Zt4"
LI = Endpoint.parse("desk:li@district-1")
ABOVE = Hop("192.0.2.77", 5060)
DESCRIBED = ("Content-Type: application/sdp", "Contact: <sip:commhub@192.0.2.77:5060>")


def invite(wire, user=USER, call="between", **more):
    return wire.request(
        "INVITE",
        uri=f"sip:{user}@127.0.0.1",
        to=user,
        call=call,
        headers=DESCRIBED,
        body=SDP,
        **more,
    )


async def test_who_was_told_to_call_is_offered_as_who_was_agreed_and_never_challenged(wire):
    wire.gateway.expect(USER, LI, 30)
    wire.say(invite(wire), ABOVE)
    await eventually(lambda: wire.calls.offers)
    (offer,) = wire.calls.offers
    assert (offer.caller, offer.called, offer.display_name) == (LI, USER, None)
    await wire.gateway.answer(offer.leg_id)
    await eventually(lambda: wire.calls.told("connected", offer.leg_id))


async def test_a_user_is_good_for_one_call_and_a_repeated_invite_is_that_call(wire):
    wire.gateway.expect(USER, LI, 30)
    first = invite(wire)
    wire.say(first, ABOVE)
    await eventually(lambda: wire.calls.offers)
    await wire.silence(first, ABOVE)
    assert len(wire.calls.offers) == 1
    second = await wire.ask(invite(wire, call="another"), ABOVE)
    assert second.status == 407
    assert len(wire.calls.offers) == 1


@pytest.mark.parametrize("how", ["late", "withdrawn", "guessed"])
async def test_anybody_else_is_a_stranger(wire, how):
    wire.gateway.expect(USER, LI, 30)
    if how == "late":
        wire.clock.advance(31)
    elif how == "withdrawn":
        wire.gateway.forget(USER)
    user = "guessed" if how == "guessed" else USER
    assert (await wire.ask(invite(wire, user), ABOVE)).status == 407
    assert not wire.calls.offers


async def test_an_agreed_call_is_not_turned_away_when_the_hub_is_behind(wire):
    wire.is_behind = True
    wire.gateway.expect(USER, LI, 30)
    wire.say(invite(wire), ABOVE)
    await eventually(lambda: wire.calls.offers)
    assert (await wire.ask(invite(wire, "1001", call="stranger"), ABOVE)).status == 503


async def test_too_many_agreements_are_refused_and_old_ones_make_room(wire):
    for n in range(1_000):
        wire.gateway.expect(f"{USER}{n}", LI, 30)
    with pytest.raises(UnavailableError):
        wire.gateway.expect(USER, LI, 30)
    wire.clock.advance(31)
    wire.gateway.expect(USER, LI, 30)


async def reach(wire, uri=f"sip:{USER}@192.0.2.10:5062"):
    order = LegOrder(
        call_id=new_id(), leg_id=new_id(), endpoint=Endpoint.parse("radio:r12@street-a")
    )
    await wire.gateway.call(order, uri)
    return order.leg_id


async def test_a_user_at_another_hub_is_rung_answers_and_is_hung_up(wire, phones):
    leg = await reach(wire)
    request = await phones.until("INVITE")
    assert request.uri == f"sip:{USER}@192.0.2.10:5062"
    assert request.get("To") == f"<sip:{USER}@192.0.2.10:5062>"
    phones.answer(request, 180)
    phones.answer(request, 200, body=SDP)
    await phones.until("ACK")
    await eventually(lambda: wire.calls.told("connected", leg))
    assert wire.calls.states(leg) == ["ringing", "connected"]
    await wire.gateway.hang_up(leg, Cause.DESK)
    await phones.until("BYE")


@pytest.mark.parametrize(
    ("status", "cause"), [(486, Cause.BUSY), (603, Cause.DECLINED), (407, Cause.NOT_ALLOWED)]
)
async def test_why_the_other_hub_refuses_is_known(wire, phones, status, cause):
    leg = await reach(wire)
    phones.answer(await phones.until("INVITE"), status)
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is cause


@pytest.mark.parametrize("place", ["nowhere.invalid:5060", "192.0.2.1:5060;transport=carrier"])
async def test_a_hub_that_is_nowhere_cannot_be_reached(wire, place):
    leg = await reach(wire, f"sip:{USER}@{place}")
    await eventually(lambda: wire.calls.end_of(leg), within_s=30)
    assert wire.calls.end_of(leg)[0] is Cause.UNREACHABLE


async def test_a_hub_that_is_asked_once_is_rung_once(wire, phones):
    order = LegOrder(call_id=new_id(), leg_id=new_id(), endpoint=Endpoint.parse("sip:1@street-a"))
    for _ in range(2):
        await wire.gateway.call(order, f"sip:{USER}@192.0.2.10:5062")
    await phones.until("INVITE")
    assert len({one.call_id for one in phones.got("INVITE")}) == 1


async def test_a_restart_rings_on_at_the_other_hub_and_a_caller_from_there_waits_on(wire, phones):
    wire.gateway.expect(USER, LI, 30)
    wire.say(invite(wire), ABOVE)
    await eventually(lambda: wire.calls.offers)
    leg = await reach(wire)
    request = await phones.until("INVITE")
    phones.answer(request, 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    await wire.restart()
    phones.answer(request, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    offered = wire.calls.offers[0].leg_id
    await wire.gateway.answer(offered)
    await eventually(lambda: wire.calls.told("connected", offered))


async def test_a_phone_of_the_same_name_at_another_hub_lights_no_lamp_here(wire):
    wire.gateway.expect(USER, Endpoint.parse("sip:1001@district-1"), 30)
    wire.say(invite(wire), ABOVE)
    await eventually(lambda: wire.calls.offers)
    assert not wire.gateway._lamps.of("1001")


async def test_another_hub_takes_over_no_call_by_replaces(wire, phones, talking):
    wire.gateway.expect(USER, LI, 30)
    answered = phones.got("INVITE")[-1]
    replaces = f"Replaces: {answered.call_id};to-tag={answered.sender.tag};from-tag=far5062"
    more = wire.request(
        "INVITE",
        uri=f"sip:{USER}@127.0.0.1",
        to=USER,
        call="taker",
        headers=(*DESCRIBED, replaces),
        body=SDP,
    )
    wire.say(more, ABOVE)
    await eventually(lambda: wire.calls.offers)
    assert wire.calls.offers[0].called == USER
    assert not wire.transfers.asked
