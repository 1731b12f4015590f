"""By which IP version the voice of a far end goes: by that of its description, or of where it registered."""

import re

import pytest
from fakes.sip_lines import SECOND, Exchange, a_trunk, dial
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.ports.media import RtpAddress
from gateways.sip.message import Request
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


FOUR = Hop("192.0.2.10", 5062)


def invite_to(wire, hop):
    """The INVITE that went there."""
    pairs = zip(wire.answers(), wire.sent, strict=True)
    asked = (message for message, (_, to) in pairs if to == hop and isinstance(message, Request))
    return next((request for request in asked if request.method == "INVITE"), None)


def answer_from(wire, invite, hop, body, status=200):
    headers = [("Contact", f"<sip:1001@{hop}>"), ("Content-Type", "application/sdp")]
    wire.say(bytes(invite.response(status, to_tag="far", headers=headers, body=body.encode())), hop)


@pytest.fixture
async def both(six, phones):
    """An account with a phone of each version, which ring: (leg, INVITE by IPv6, INVITE by IPv4)."""
    await register(six, SIX)
    await register(six, FOUR)
    leg = await phones.call()
    await eventually(lambda: invite_to(six, SIX) and invite_to(six, FOUR))
    return leg, invite_to(six, SIX), invite_to(six, FOUR)


def place_in(body):
    host = re.search(rb"c=IN IP[46] (\S+)", body).group(1).decode()
    return RtpAddress(host, int(re.search(rb"m=audio (\d+)", body).group(1)))


async def test_phones_of_both_versions_on_one_account_are_each_offered_their_own(six, both):
    _, by_six, by_four = both
    assert place_in(by_six.body).host == "::1"
    assert b"o=commhub" in by_six.body
    assert b"IN IP6 ::1" in by_six.body
    assert place_in(by_four.body).host == "127.0.0.1"
    assert b"IP6" not in by_four.body


@pytest.mark.parametrize("version", ["six", "four"])
async def test_whichever_answers_is_received_where_it_was_offered(six, both, version):
    leg, by_six, by_four = both
    invite, hop, body = (by_six, SIX, SDP_SIX) if version == "six" else (by_four, FOUR, SDP)
    answer_from(six, invite, hop, body)
    await eventually(lambda: six.calls.told("connected", leg))
    media = six.gateway._core.media
    assert media.address_of(leg) == place_in(invite.body)
    assert media.connected[leg].address.host == place_in(body.encode()).host
    assert media.held() == [leg]
    # Nobody has to be told of another place.
    await six.silence("\r\n\r\n")
    assert len({request.get("Via") for request in invites(six)}) == 2


def invites(wire):
    asked = (message for message in wire.answers() if isinstance(message, Request))
    return [request for request in asked if request.method == "INVITE"]


async def test_a_place_that_somebody_took_meanwhile_is_told_by_a_reinvite(six, both):
    leg, by_six, _ = both
    media = six.gateway._core.media
    media.taken.add(place_in(by_six.body).port)
    answer_from(six, by_six, SIX, SDP_SIX)

    def inside():
        return next((one for one in invites(six) if one.recipient.tag == "far"), None)

    again = await eventually(inside)
    assert place_in(again.body) == media.address_of(leg) != place_in(by_six.body)


async def test_nobody_answers_and_both_places_are_given_back(six, both):
    leg, by_six, by_four = both
    answer_from(six, by_six, SIX, "", 486)
    answer_from(six, by_four, FOUR, "", 486)
    await eventually(lambda: six.calls.end_of(leg))
    assert six.gateway._core.media.held() == []


async def test_the_other_version_answers_after_a_restart_of_the_hub(six, both):
    leg, by_six, _ = both
    await six.restart(ipv6_media=True)
    answer_from(six, by_six, SIX, SDP_SIX)
    await eventually(lambda: six.calls.told("connected", leg))
    assert six.gateway._core.media.address_of(leg) == place_in(by_six.body)


async def test_the_other_version_is_heard_before_it_answers_only_where_it_can_be(six, both):
    """Early media of the second place is left out, and the call goes on."""
    leg, by_six, by_four = both
    answer_from(six, by_four, FOUR, "", 486)
    answer_from(six, by_six, SIX, SDP_SIX, 183)
    answer_from(six, by_six, SIX, SDP_SIX)
    await eventually(lambda: six.calls.told("connected", leg))
    assert six.calls.end_of(leg) is None


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
