"""The other methods: UPDATE, PRACK, INFO, OPTIONS in a dialog; redirects, forks and early media."""

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.ports.media import RtpAddress
from gateways.sip.message import Response
from gateways.sip.transport import Hop

RELAY = "application/dtmf-relay"
HELD = SDP + "a=sendonly\r\n"


# --- UPDATE (RFC 3311) ---------------------------------------------------------------------------------------


async def test_an_update_holds_and_resumes(wire, phones, talking):
    leg, invite = talking
    held = await wire.ask(phones.ask("UPDATE", invite, 1, body=HELD))
    back = await wire.ask(phones.ask("UPDATE", invite, 2, body=SDP))

    assert (held.status, back.status) == (200, 200)
    assert b"a=recvonly" in held.body
    assert wire.calls.states(leg) == ["connected", "connected", "held", "connected"]


async def test_an_update_without_a_description_only_refreshes(wire, phones, talking):
    leg, invite = talking
    orders = len(wire.gateway._core.media.orders)
    headers = ["Supported: timer", "Session-Expires: 600;refresher=uac"]
    answer = await wire.ask(phones.ask("UPDATE", invite, 1, headers=headers))

    assert (answer.status, answer.body) == (200, b"")
    assert answer.get("Session-Expires") == "600;refresher=uac"
    assert len(wire.gateway._core.media.orders) == orders
    assert (await wire.rows())[leg].state["session"][:2] == [600, 0]


async def test_an_update_names_another_target(wire, phones, talking):
    leg, invite = talking
    moved = phones.ask("UPDATE", invite, 1).replace("192.0.2.10:5062>", "192.0.2.10:5099>")
    assert (await wire.ask(moved)).status == 200

    await wire.gateway.hang_up(leg, Cause.DESK)
    assert await phones.until("BYE", port=5099)


async def test_an_update_that_crosses_our_offer_is_told_491(wire, phones, talking):
    leg, invite = talking
    await wire.gateway.readdress(leg, RtpAddress("127.0.0.1", 31_000))
    await phones.until("INVITE", count=2)

    assert (await wire.ask(phones.ask("UPDATE", invite, 1, body=HELD))).status == 491
    assert (await wire.ask(phones.ask("UPDATE", invite, 2))).status == 200


async def test_an_update_while_our_offer_waits_for_its_ack_is_told_491(wire, phones, talking):
    _, invite = talking
    assert (await wire.ask(phones.ask("INVITE", invite, 1))).status == 200

    assert (await wire.ask(phones.ask("UPDATE", invite, 2, body=HELD))).status == 491


async def test_an_update_of_an_unanswered_call_crosses_our_offer(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 180)
    await eventually(lambda: wire.calls.told("ringing", leg))

    assert (await wire.ask(phones.ask("UPDATE", invite, 1, body=SDP))).status == 491
    assert (await wire.ask(phones.ask("UPDATE", invite, 2))).status == 200
    assert (await wire.ask(phones.ask("INFO", invite, 3))).status == 481


@pytest.mark.parametrize("method", ["UPDATE", "INFO", "PRACK", "NOTIFY"])
async def test_what_needs_a_dialog_is_481_without_one(wire, method):
    assert (await wire.ask(wire.request(method))).status == 481


# --- 100rel (RFC 3262) ---------------------------------------------------------------------------------------


def answers(wire, status):
    return [a for a in wire.answers() if isinstance(a, Response) and a.status == status]


async def ringing(wire, *more):
    """The 180 to an authenticated call with these headers."""
    headers = ["Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp", *more]
    challenge = await wire.ask(wire.request("INVITE", seq=1, headers=headers, body=SDP))
    signed = [*headers, wire.credentials(challenge, "INVITE")]
    wire.say(wire.request("INVITE", seq=2, headers=signed, body=SDP))
    return await eventually(lambda: next(iter(answers(wire, 180)), None))


def inside(wire, answer, method, *more, seq=3):
    """A caller's request in the dialog that our answer made."""
    text = wire.request(method, seq=seq, headers=more)
    return text.replace("To: <sip:1001@commhub.test>", f"To: {answer.get('To')}")


async def test_a_caller_that_requires_it_hears_ringing_until_its_prack(wire):
    first = await ringing(wire, "Require: 100rel")
    assert first.get("Require") == "100rel"
    await eventually(lambda: len(answers(wire, 180)) >= 3)
    assert {a.get("RSeq") for a in answers(wire, 180)} == {first.get("RSeq")}

    wrong = await wire.ask(inside(wire, first, "PRACK", "RAck: 1 2 INVITE"))
    right = await wire.ask(
        inside(wire, first, "PRACK", f"RAck: {first.get('RSeq')} 2 INVITE", seq=4)
    )
    assert (wrong.status, right.status) == (481, 200)
    (call,) = wire.calls.offers
    assert wire.gateway._legs[call.leg_id].reliable._resend.action is None


async def test_a_caller_that_does_not_ask_is_not_troubled(wire):
    answer = await ringing(wire, "Supported: 100rel")

    assert not answer.get("RSeq")
    assert (await wire.ask(inside(wire, answer, "PRACK", "RAck: 1 2 INVITE"))).status == 481


async def test_a_caller_that_never_says_prack_is_refused(wire):
    await ringing(wire, "Require: 100rel")
    (call,) = wire.calls.offers

    await eventually(lambda: answers(wire, 504))
    assert wire.calls.end_of(call.leg_id)[0] is Cause.FAILED


async def test_an_answer_ends_the_repeated_ringing_and_a_late_prack_is_fine(wire):
    first = await ringing(wire, "Require: 100rel")
    (call,) = wire.calls.offers
    await wire.gateway.answer(call.leg_id)
    await eventually(lambda: answers(wire, 200))

    late = await wire.ask(inside(wire, first, "PRACK", f"RAck: {first.get('RSeq')} 2 INVITE"))
    assert late.status == 200


async def test_a_phones_reliable_ringing_is_acknowledged_once_and_in_order(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    reliable = [("Require", "100rel"), ("RSeq", "7")]
    phones.answer(invite, 180, headers=reliable)
    prack = await phones.until("PRACK")
    assert prack.get("RAck") == f"7 {invite.cseq.sequence} INVITE"
    phones.answer(prack, 200)

    phones.answer(invite, 180, headers=reliable)
    phones.answer(invite, 183, headers=[("Require", "100rel"), ("RSeq", "9")])
    phones.answer(invite, 183, headers=[("Require", "100rel"), ("RSeq", "8")])
    second = await phones.until("PRACK", count=2)
    assert second.get("RAck") == f"8 {invite.cseq.sequence} INVITE"
    assert second.cseq.sequence == prack.cseq.sequence + 1

    phones.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    await wire.gateway.hang_up(leg, Cause.DESK)
    bye = await phones.until("BYE")
    assert bye.cseq.sequence == second.cseq.sequence + 1


async def test_a_200_need_not_repeat_the_answer_that_came_reliably(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 183, headers=[("Require", "100rel"), ("RSeq", "1")], body=SDP)
    await phones.until("PRACK")
    phones.answer(invite, 200)

    await eventually(lambda: wire.calls.told("connected", leg))
    assert wire.gateway._core.media.connected[leg].address.port == 4000


# --- early media ---------------------------------------------------------------------------------------------


async def test_what_a_single_phone_plays_before_it_answers_is_heard_and_nothing_is_sent(
    wire, phones
):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 183, body=SDP)
    connected = wire.gateway._core.media.connected
    early = await eventually(lambda: connected.get(leg))
    assert (early.sends, early.receives) == (True, False)
    assert wire.calls.states(leg) == ["ringing"]

    phones.answer(invite, 200, body=SDP.replace("4000", "4008"))
    await eventually(lambda: connected[leg].address.port == 4008)
    assert connected[leg].receives


async def test_of_several_phones_none_is_heard_before_one_answers(wire, phones):
    await phones.register(5062, 5064)
    leg = await phones.call()
    invite = await phones.until("INVITE", 5062)
    phones.answer(invite, 183, body=SDP)

    await eventually(lambda: wire.calls.told("ringing", leg))
    assert leg not in wire.gateway._core.media.connected


# --- forks behind a proxy ------------------------------------------------------------------------------------


async def test_a_second_fork_that_answers_the_same_invite_is_acknowledged_and_hung_up_once(
    wire, phones, talking
):
    leg, invite = talking
    acks = len(phones.got("ACK"))
    phones.answer(invite, 200, tag="other", body=SDP)
    phones.answer(invite, 200, tag="other", body=SDP)

    await phones.until("ACK", count=acks + 2)
    bye = await phones.until("BYE")
    assert bye.recipient.tag == "other5062"
    assert len(phones.got("BYE")) == 1
    assert not wire.calls.end_of(leg)


async def test_a_fork_that_lost_has_no_say_in_the_call(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 180, tag="lost")
    phones.answer(invite, 180, tag="far")
    phones.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))

    assert (await wire.ask(phones.ask("BYE", invite, 1, tag="lost"))).status == 481
    assert not wire.calls.end_of(leg)


# --- 3xx -----------------------------------------------------------------------------------------------------


async def test_a_phone_sends_its_callers_to_another_account(wire, phones):
    await phones.register(5062)
    await second_phone(wire)
    leg = await phones.call()
    forwarded = [("Contact", "<sip:1002@commhub.test>")]
    phones.answer(await phones.until("INVITE"), 302, contact=False, headers=forwarded)
    other = await phones.until("INVITE", port=5072)
    phones.answer(other, 200, port=5072, body=SDP)

    await eventually(lambda: wire.calls.told("connected", leg))


async def second_phone(wire):
    """1002, registered at port 5072."""
    headers = ["Contact: <sip:1002@192.0.2.10:5072>"]
    source = Hop("192.0.2.10", 5072)
    challenge = await wire.ask(
        wire.request("REGISTER", headers=headers, to="1002", call="r2"), source
    )
    signed = [*headers, wire.credentials(challenge, "REGISTER", user="1002")]
    request = wire.request("REGISTER", headers=signed, to="1002", call="r2", seq=2)
    assert (await wire.ask(request, source)).status == 200


async def test_phones_that_send_callers_to_each_other_end_it(wire, phones):
    await phones.register(5062)
    await second_phone(wire)
    leg = await phones.call()
    to_second = [("Contact", "<sip:1002@commhub.test>")]
    to_first = [("Contact", "<sip:1001@commhub.test>")]
    phones.answer(await phones.until("INVITE"), 302, contact=False, headers=to_second)
    other = await phones.until("INVITE", port=5072)
    phones.answer(other, 302, port=5072, contact=False, headers=to_first)

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[1].startswith("302")
    assert len(phones.got("INVITE")) == 2


@pytest.mark.parametrize(
    "contact",
    [
        "<sip:900@premium.example>",
        "<sip:1001@203.0.113.9>",
        "<tel:+8690012345>",
        "nonsense",
        "<sip:x@[",
    ],
)
async def test_a_redirect_out_of_the_hub_is_not_followed(wire, phones, contact):
    await phones.register(5062)
    leg = await phones.call()
    redirect = [("Contact", contact)]
    phones.answer(await phones.until("INVITE"), 302, contact=False, headers=redirect)

    await eventually(lambda: wire.calls.end_of(leg))
    assert len(phones.got("INVITE")) == 1


async def test_a_redirect_on_the_same_host_is_followed_five_times_at_most(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    many = [("Contact", ", ".join(f"<sip:1001@192.0.2.10:{5100 + n}>" for n in range(20)))]
    phones.answer(await phones.until("INVITE"), 300, contact=False, headers=many)

    await eventually(lambda: len(phones.got("INVITE")) == 6)
    assert not wire.calls.end_of(leg)


# --- INFO ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        (RELAY, "Signal=5\r\nDuration=160\r\n", "5"),
        (RELAY, "Signal= *\nDuration= 250", "*"),
        (RELAY, "signal=11\r\n", "#"),
        (RELAY, "Signal=a\r\n", "A"),
        ("application/dtmf", "9", "9"),
    ],
)
async def test_a_key_that_comes_as_info_is_pressed(wire, phones, talking, kind, body, key):
    leg, invite = talking
    answer = await wire.ask(phones.ask("INFO", invite, 1, body=body, kind=kind))

    assert answer.status == 200
    assert wire.digits.pressed == [(leg, key)]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (RELAY, "Signal=77\r\n", 400),
        (RELAY, "Duration=160\r\n", 400),
        (RELAY, "Signal=" + "5" * 5000, 400),
        ("application/dtmf", "\x00\x01", 400),
        ("application/media_control+xml", "<x/>", 200),
        ("application/vnd.unknown+xml", "<x/>", 415),
        (RELAY, "", 200),
    ],
)
async def test_an_info_that_is_no_key_presses_none(wire, phones, talking, kind, body, status):
    _, invite = talking
    answer = await wire.ask(phones.ask("INFO", invite, 1, body=body, kind=kind))

    assert answer.status == status
    assert wire.digits.pressed == []


async def test_options_in_a_dialog_tells_what_we_can(wire, phones, talking):
    _, invite = talking
    answer = await wire.ask(phones.ask("OPTIONS", invite, 1))

    assert answer.status == 200
    assert "UPDATE" in answer.get("Allow")
    assert "replaces" in answer.get("Supported")
