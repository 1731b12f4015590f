"""Session timers (RFC 4028): what is agreed, who refreshes, and what becomes of a phone that vanished."""

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip import SipConfig
from gateways.sip.errors import MalformedError
from gateways.sip.message import Request, Response
from gateways.sip.refreshing import REFRESH, SESSION_OVER
from gateways.sip.sessions import Session, TooShortError, agree, agreed

CONFIG = SipConfig(session_s=1800, min_session_s=90)
UPDATES = ("Allow", "INVITE, ACK, CANCEL, BYE, UPDATE")


def message(kind, **headers):
    for name, value in headers.items():
        kind.headers.set(name.replace("_", "-"), value)
    return kind


def invite(**headers):
    return message(Request("INVITE", "sip:hub"), **headers)


def ok(**headers):
    return message(Response(200), **headers)


@pytest.mark.parametrize(
    ("headers", "interval", "ours"),
    [
        # Table 2 of §9: who does not know timers is refreshed by us.
        ({}, 1800, True),
        ({"Supported": "timer"}, 1800, False),
        ({"Supported": "timer", "Session_Expires": "600"}, 600, False),
        ({"Supported": "timer", "Session_Expires": "600;refresher=uas"}, 600, True),
        ({"Supported": "timer", "Session_Expires": "600;refresher=uac"}, 600, False),
        ({"Supported": "timer", "Session_Expires": "7200"}, 1800, False),
        ({"Supported": "timer", "Session_Expires": "7200", "Min_SE": "3600"}, 3600, False),
        ({"Require": "timer", "Session_Expires": "90"}, 90, False),
    ],
)
def test_the_timer_of_an_invite_is_agreed(headers, interval, ours):
    session = agree(invite(**headers), CONFIG)

    assert (session.interval_s, session.ours) == (interval, ours)


def test_a_refresh_keeps_the_refresher_unless_it_names_one():
    running = Session(interval_s=600, ours=True)
    same = invite(Supported="timer", Session_Expires="600")
    other = invite(Supported="timer", Session_Expires="600;refresher=uac")

    assert agree(same, CONFIG, running).ours
    assert not agree(other, CONFIG, running).ours


def test_an_interval_below_ours_is_too_short():
    with pytest.raises(TooShortError) as raised:
        agree(invite(Supported="timer", Session_Expires="30"), CONFIG)

    assert (raised.value.status, raised.value.min_s) == (422, 90)


@pytest.mark.parametrize("value", ["soon", "-1", "", "99999999999", '1800;refresher="', "90;;="])
def test_an_unreadable_interval_is_malformed_or_absent(value):
    request = invite(Supported="timer", Session_Expires=value)
    if not value:
        assert agree(request, CONFIG).interval_s == 1800
        return
    with pytest.raises(MalformedError):
        agree(request, CONFIG)


@pytest.mark.parametrize(
    ("headers", "interval", "ours"),
    [
        ({}, 1800, True),
        ({"Session_Expires": "600;refresher=uas"}, 600, False),
        ({"Session_Expires": "600;refresher=uac"}, 600, True),
        ({"Session_Expires": "600"}, 600, True),
        ({"Session_Expires": "5;refresher=uac"}, 90, True),
        ({"Session_Expires": "never"}, 1800, True),
    ],
)
def test_the_timer_of_a_200_is_agreed(headers, interval, ours):
    session = agreed(ok(**headers), CONFIG)

    assert (session.interval_s, session.ours) == (interval, ours)


def test_who_only_waits_hangs_up_a_little_before_the_end():
    assert Session(interval_s=1800, ours=False).ends_after_s == 1768
    assert Session(interval_s=90, ours=False).ends_after_s == 60
    assert Session(interval_s=90, ours=True).ends_after_s == 90


@pytest.mark.parametrize("state", [None, [], [1, 2], "1800", {"interval_s": 3}])
def test_a_row_without_a_timer_is_read(state):
    assert Session.from_json(state) is None


def test_a_timer_comes_back_from_its_row():
    session = Session(interval_s=600, ours=False, by_update=True, min_s=120)

    assert Session.from_json(session.to_json()) == session


# --- on the wire ---------------------------------------------------------------------------------------------


@pytest.fixture
async def updating(wire, phones):
    """(leg id, INVITE) of an established outbound leg whose phone takes UPDATE and has us refresh."""
    await phones.register(5062)
    leg = await phones.call()
    request = await phones.until("INVITE")
    timer = ("Session-Expires", "600;refresher=uac")
    phones.answer(request, 200, body=SDP, headers=[UPDATES, timer])
    await eventually(lambda: wire.calls.told("connected", leg))
    return leg, request


async def test_our_invite_asks_for_a_timer(wire, phones):
    await phones.register(5062)
    await phones.call()
    request = await phones.until("INVITE")

    assert request.get("Session-Expires") == "1800"
    assert request.get("Min-SE") == "90"
    assert "timer" in request.tokens("Supported")


async def test_a_422_to_our_invite_is_answered_with_a_longer_one(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    first = await phones.until("INVITE")
    phones.answer(first, 422, headers=[("Min-SE", "3600")])
    second = await phones.until("INVITE", count=2)
    phones.answer(second, 200, body=SDP)

    await eventually(lambda: wire.calls.told("connected", leg))
    assert second.call_id == first.call_id
    assert second.cseq.sequence == first.cseq.sequence + 1
    assert (second.get("Session-Expires"), second.get("Min-SE")) == ("3600", "3600")
    assert (await wire.rows())[leg].state["session"][0] == 3600


async def test_a_422_that_asks_for_nothing_longer_ends_the_leg(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    phones.answer(await phones.until("INVITE"), 422)

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.FAILED


async def test_a_session_is_refreshed_by_update_where_the_phone_takes_it(wire, phones, updating):
    leg, request = updating
    await wire.tick(leg, REFRESH)
    update = await phones.until("UPDATE")

    assert update.body == b""
    assert update.get("Session-Expires") == "600;refresher=uac"
    assert update.cseq.sequence == request.cseq.sequence + 1
    phones.answer(update, 200, headers=[UPDATES, ("Session-Expires", "900;refresher=uas")])
    await eventually(lambda: _session(wire, leg, [900, 0, 1, 0]))
    assert not wire.calls.end_of(leg)


async def _session(wire, leg, expected):
    return (await wire.rows())[leg].state["session"] == expected


async def test_a_phone_without_update_is_refreshed_by_the_same_description(wire, phones, talking):
    leg, request = talking
    await wire.tick(leg, REFRESH)
    again = await phones.until("INVITE", count=2)

    assert again.body == request.body
    assert again.get("Session-Expires") == "1800;refresher=uac"
    phones.answer(again, 200, body=SDP)
    await phones.until("ACK", count=2)
    assert not wire.calls.end_of(leg)


async def test_a_phone_that_refuses_update_is_refreshed_by_invite(wire, phones, updating):
    leg, _ = updating
    await wire.tick(leg, REFRESH)
    phones.answer(await phones.until("UPDATE"), 501)
    again = await phones.until("INVITE", count=2)
    phones.answer(again, 200, body=SDP)

    await phones.until("ACK", count=2)
    assert not wire.calls.end_of(leg)


async def test_a_422_to_our_refresh_makes_the_timer_longer(wire, phones, updating):
    leg, _ = updating
    await wire.tick(leg, REFRESH)
    phones.answer(await phones.until("UPDATE"), 422, headers=[("Min-SE", "1200")])
    again = await phones.until("UPDATE", count=2)

    assert again.get("Session-Expires") == "1200;refresher=uac"
    assert again.get("Min-SE") == "1200"


@pytest.mark.parametrize("status", [408, 481])
async def test_a_phone_that_lost_the_call_is_torn_down(wire, phones, updating, status):
    leg, _ = updating
    await wire.tick(leg, REFRESH)
    phones.answer(await phones.until("UPDATE"), status)

    await phones.until("BYE")
    await eventually(lambda: wire.calls.end_of(leg))
    cause, detail = wire.calls.end_of(leg)
    assert cause is Cause.MEDIA_LOST
    assert str(status) in detail


async def test_a_phone_that_vanished_is_torn_down(wire, phones, updating):
    leg, _ = updating
    await wire.tick(leg, REFRESH)
    await phones.until("UPDATE")

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg) == (Cause.MEDIA_LOST, "the phone does not answer any more")
    assert leg in wire.gateway._core.media.released


@pytest.mark.parametrize("status", [500, 503])
async def test_a_phone_that_is_only_troubled_keeps_its_call(wire, phones, talking, status):
    leg, _ = talking
    await wire.tick(leg, REFRESH)
    phones.answer(await phones.until("INVITE", count=2), status)
    assert await wire.silence("\r\n") == []

    assert not wire.calls.end_of(leg)
    await wire.tick(leg, SESSION_OVER)
    await phones.until("BYE")
    assert wire.calls.end_of(leg)[0] is Cause.MEDIA_LOST


async def test_a_probe_asks_and_changes_nothing_while_the_phone_answers(wire, phones, talking):
    leg, _ = talking
    await wire.gateway.probe(leg)
    phones.answer(await phones.until("OPTIONS"), 200)
    await wire.gateway.probe(leg)
    phones.answer(await phones.until("OPTIONS", count=2), 405)
    assert await wire.silence("\r\n") == []
    assert not wire.calls.end_of(leg)

    await wire.gateway.probe(leg)
    phones.answer(await phones.until("OPTIONS", count=3), 481)
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.MEDIA_LOST


async def test_a_caller_with_too_short_a_timer_is_told_422(wire):
    headers = ["Contact: <sip:1001@192.0.2.10:5062>", "Supported: timer", "Session-Expires: 20"]
    answer = await wire.authorized("INVITE", headers=headers)

    assert (answer.status, answer.get("Min-SE")) == (422, "90")
    assert wire.calls.offers == []


async def test_a_caller_with_a_timer_refreshes_and_is_required_to(wire):
    headers = ["Contact: <sip:1001@192.0.2.10:5062>", "Supported: timer", "Session-Expires: 600"]
    await _ringing(wire, headers)
    (call,) = wire.calls.offers
    await wire.gateway.answer(call.leg_id)
    answer = await eventually(lambda: _answer(wire, 200))

    assert answer.get("Session-Expires") == "600;refresher=uac"
    assert answer.get("Require") == "timer"


async def _ringing(wire, headers):
    headers = [*headers, "Content-Type: application/sdp"]
    challenge = await wire.ask(wire.request("INVITE", seq=1, headers=headers, body=SDP))
    more = [*headers, wire.credentials(challenge, "INVITE")]
    wire.say(wire.request("INVITE", seq=2, headers=more, body=SDP))
    await eventually(lambda: _answer(wire, 180))


def _answer(wire, status):
    return next((a for a in wire.answers() if isinstance(a, Response) and a.status == status), None)


async def test_the_timer_goes_on_after_a_restart(wire, phones, updating):
    leg, _ = updating
    await wire.restart()
    await wire.tick(leg, REFRESH)
    update = await phones.until("UPDATE")

    assert update.get("Session-Expires") == "600;refresher=uac"
