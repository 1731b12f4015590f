"""By which IP version the voice of a far end goes: by that of its description, or of where it registered."""

import pytest
from fakes.sip_lines import SECOND, Exchange, a_trunk, dial
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from gateways.sip.transport import Hop

SIX = Hop("2001:db8::10", 5062)
SDP_SIX = SDP.replace("IN IP4 192.0.2.10", "IN IP6 2001:db8::10")
LINE_SIX = Hop("2001:db8::1", 5060)


@pytest.fixture
def trunks():
    return (a_trunk(hop=LINE_SIX), a_trunk("second", SECOND))


@pytest.fixture
async def six(wire):
    """A hub whose media workers are reached by IPv6 too."""
    await wire.restart(ipv6_media=True)
    return wire


async def register(wire, source, port=5062):
    contact = f"Contact: <sip:1001@{source}>"
    answer = await wire.authorized("REGISTER", headers=[contact], call=f"r{source}", source=source)
    assert answer.status == 200


async def call_in(wire, body):
    """The 200 to a call with that description."""
    headers = ("Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp")
    wire.calls.offers.clear()
    request = {"to": "2000", "headers": headers, "body": body, "call": "in"}
    challenge = await wire.ask(wire.request("INVITE", **request))
    line = wire.credentials(challenge, "INVITE")
    wire.say(wire.request("INVITE", seq=2, **request | {"headers": (*headers, line)}))
    await eventually(lambda: wire.calls.offers)
    leg = wire.calls.offers[0].leg_id
    await wire.gateway.answer(leg)
    await eventually(lambda: any(b"SIP/2.0 200" in data[:12] for data, _ in wire.sent))
    return next(data for data, _ in reversed(wire.sent) if data.startswith(b"SIP/2.0 200"))


async def test_who_offers_ipv6_is_answered_with_it(six):
    assert b"c=IN IP6 ::1" in await call_in(six, SDP_SIX)


async def test_who_offers_ipv4_is_answered_with_it(six):
    assert b"c=IN IP4 127.0.0.1" in await call_in(six, SDP)


async def test_a_phone_that_registered_by_ipv6_is_offered_it(six, phones):
    await register(six, SIX)
    await phones.call()
    assert b"c=IN IP6 ::1" in (await phones.until("INVITE")).body


async def test_phones_of_both_versions_on_one_account_are_offered_what_both_may_have(six, phones):
    await register(six, SIX)
    await register(six, Hop("192.0.2.10", 5062))
    await phones.call()
    assert b"c=IN IP4 127.0.0.1" in (await phones.until("INVITE")).body


async def test_a_hub_whose_workers_have_no_ipv6_offers_what_there_is(wire, phones):
    await register(wire, SIX)
    await phones.call()
    assert b"c=IN IP4 127.0.0.1" in (await phones.until("INVITE")).body


async def test_each_line_is_offered_its_own_version(six):
    first, second = Exchange(six, LINE_SIX), Exchange(six, SECOND)
    await dial(six)
    invite = await first.until("INVITE")
    assert b"c=IN IP6 ::1" in invite.body
    first.answer(invite, 503)
    assert b"c=IN IP4 127.0.0.1" in (await second.until("INVITE")).body
