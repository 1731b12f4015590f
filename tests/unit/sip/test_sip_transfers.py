"""REFER with its NOTIFYs (RFC 3515) and Replaces (RFC 3891), as a phone sees them; what the core makes of it is in
`tests/unit/calls`."""

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause, LegState
from commhub.domain.people import Endpoint
from commhub.ports.telephony import LegOrder
from gateways.sip.errors import MalformedError
from gateways.sip.message import Request
from gateways.sip.referrals import WATCH, ReferTo
from gateways.sip.replaces import Replaces

TO_1003 = "Refer-To: <sip:1003@commhub.test>"


async def refer(wire, phones, invite, *headers, seq=1):
    return await wire.ask(phones.ask("REFER", invite, seq, headers=headers or [TO_1003]))


async def notified(phones, count):
    """The NOTIFY of that number, answered."""
    await phones.until("NOTIFY", count=count)
    notify = phones.got("NOTIFY")[count - 1]
    phones.answer(notify, 200)
    return notify


def rung(wire):
    """The leg that the core was asked to ring."""
    return next(iter(wire.transfers.states))


# --- blind ---------------------------------------------------------------------------------------------------


async def test_a_blind_transfer_rings_the_number_and_tells_how_it_goes(wire, phones, talking):
    leg, invite = talking
    answer = await refer(wire, phones, invite)
    assert answer.status == 202
    trying = await notified(phones, 1)
    assert trying.body == b"SIP/2.0 100 Trying\r\n"
    assert trying.get("Event") == "refer"
    assert trying.get("Content-Type") == "message/sipfrag;version=2.0"
    assert trying.get("Subscription-State") == "active;expires=120"
    await eventually(lambda: wire.transfers.asked == [("refer", leg, "1003")])

    wire.transfers.states[rung(wire)] = (LegState.RINGING, None)
    await wire.tick(leg, WATCH)
    assert (await notified(phones, 2)).body.startswith(b"SIP/2.0 180")
    wire.transfers.states[rung(wire)] = (LegState.CONNECTED, None)
    await wire.tick(leg, WATCH)
    last = await notified(phones, 3)
    assert last.body.startswith(b"SIP/2.0 200")
    assert last.get("Subscription-State") == "terminated;reason=noresource"

    assert not wire.calls.end_of(leg)
    assert (await wire.ask(phones.ask("BYE", invite, 2))).status == 200
    await eventually(lambda: wire.calls.end_of(leg) == (Cause.HUNG_UP, None))


@pytest.mark.parametrize(("cause", "line"), [(Cause.BUSY, b"486"), (Cause.NO_ANSWER, b"480")])
async def test_a_transfer_that_fails_leaves_the_call_as_it_was(wire, phones, talking, cause, line):
    leg, invite = talking
    await refer(wire, phones, invite)
    await notified(phones, 1)
    await eventually(lambda: wire.transfers.states)
    wire.transfers.states[rung(wire)] = (LegState.ENDED, cause)
    await wire.tick(leg, WATCH)

    last = await notified(phones, 2)
    assert last.body.startswith(b"SIP/2.0 " + line)
    assert last.get("Subscription-State").startswith("terminated")
    assert not wire.calls.end_of(leg)


async def test_a_transfer_the_core_refuses_is_told_so(wire, phones, talking):
    _, invite = talking
    wire.transfers.refuse_with = Cause.NOT_FOUND
    assert (await refer(wire, phones, invite)).status == 202

    await notified(phones, 1)
    assert (await notified(phones, 2)).body.startswith(b"SIP/2.0 404")


async def test_a_transfer_that_takes_too_long_is_told_408(wire, phones, talking, clock):
    leg, invite = talking
    await refer(wire, phones, invite)
    await notified(phones, 1)
    await eventually(lambda: wire.transfers.states)
    clock.advance(121)
    await wire.tick(leg, WATCH)

    assert (await notified(phones, 2)).body.startswith(b"SIP/2.0 408")


async def test_the_second_transfer_of_a_call_names_its_refer(wire, phones, talking):
    _, invite = talking
    await refer(wire, phones, invite)
    await notified(phones, 1)
    await refer(wire, phones, invite, seq=5)

    assert (await notified(phones, 2)).get("Event") == "refer;id=5"


async def test_a_phone_that_wants_no_notify_gets_none(wire, phones, talking):
    _, invite = talking
    answer = await refer(wire, phones, invite, TO_1003, "Refer-Sub: false")

    assert (answer.status, answer.get("Refer-Sub")) == (202, "false")
    await eventually(lambda: wire.transfers.asked)
    assert phones.got("NOTIFY") == []


async def test_a_phone_that_refuses_a_notify_gets_no_more_and_keeps_its_call(wire, phones, talking):
    leg, invite = talking
    await refer(wire, phones, invite)
    phones.answer(await phones.until("NOTIFY"), 481)
    await eventually(lambda: wire.transfers.states)
    wire.transfers.states[rung(wire)] = (LegState.CONNECTED, None)
    await wire.tick(leg, WATCH)

    assert len(phones.got("NOTIFY")) == 1
    assert not wire.calls.end_of(leg)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([TO_1003, TO_1003], 400),
        (["Refer-To: <sip:1003@commhub.test"], 400),
        (["Refer-To: <http://example.com>"], 416),
        (["Refer-To: <sip:1003@commhub.test;method=BYE>"], 403),
        (["Refer-To: <sip:1003@commhub.test?Replaces=onlyacallid>"], 400),
    ],
)
async def test_a_refer_that_means_nothing_is_refused(wire, phones, talking, headers, status):
    _, invite = talking
    answer = await wire.ask(phones.ask("REFER", invite, 1, headers=headers))

    assert answer.status == status
    assert wire.transfers.asked == []


async def test_at_most_four_transfers_of_a_leg_run_at_once(wire, phones, talking):
    _, invite = talking
    statuses = [(await refer(wire, phones, invite, seq=n)).status for n in range(1, 6)]

    assert statuses == [202] * 4 + [503]


async def test_who_has_no_call_transfers_nothing(wire):
    assert (await wire.ask(wire.request("REFER", headers=[TO_1003]))).status == 403


# --- attended ------------------------------------------------------------------------------------------------


@pytest.fixture
async def consulting(wire, phones, talking):
    """(leg id, INVITE) of a second established leg of the same phone."""
    leg = await phones.call()
    invite = await phones.until("INVITE", count=2)
    phones.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    return leg, invite


def replaces_of(invite, **more):
    """The dialog that our INVITE and the phone's 200 made, as the phone names it to us."""
    return Replaces(invite.call_id, invite.sender.tag, "far5062", **more)


async def test_an_attended_transfer_joins_both_calls(wire, phones, talking, consulting):
    (first, invite), (second, other) = talking, consulting
    quoted = str(replaces_of(other)).replace(";", "%3B").replace("=", "%3D").replace("@", "%40")
    answer = await refer(
        wire, phones, invite, f"Refer-To: <sip:1003@commhub.test?Replaces={quoted}>"
    )
    assert answer.status == 202

    assert (await notified(phones, 1)).body.startswith(b"SIP/2.0 100")
    assert (await notified(phones, 2)).body.startswith(b"SIP/2.0 200")
    assert wire.transfers.asked == [("join", first, second)]


async def test_a_dialog_that_is_not_ours_is_named_to_the_phone_that_is_rung(wire, phones, talking):
    _, invite = talking
    foreign = "elsewhere%3Bto-tag%3Da%3Bfrom-tag%3Db"
    await refer(wire, phones, invite, f"Refer-To: <sip:1001@commhub.test?Replaces={foreign}>")
    await eventually(lambda: wire.transfers.states)

    order = LegOrder(call_id="c", leg_id=rung(wire), endpoint=Endpoint.parse("sip:1001"))
    await wire.gateway.place(order)
    placed = await phones.until("INVITE", count=2)
    assert placed.get("Replaces") == "elsewhere;to-tag=a;from-tag=b"
    assert placed.get("Require") == "replaces"


# --- Replaces on an INVITE -----------------------------------------------------------------------------------


async def calls_with(wire, wish):
    """The final answer to an authenticated call with this Replaces."""
    headers = [
        "Contact: <sip:1001@192.0.2.10:5062>",
        "Content-Type: application/sdp",
        "Require: replaces",
        f"Replaces: {wish}",
    ]
    challenge = await wire.ask(wire.request("INVITE", headers=headers, body=SDP))
    assert challenge.status == 407
    signed = [*headers, wire.credentials(challenge, "INVITE")]
    return await wire.ask(wire.request("INVITE", seq=2, headers=signed, body=SDP))


async def test_a_caller_takes_the_place_of_a_leg(wire, phones, talking):
    leg, invite = talking
    answer = await calls_with(wire, replaces_of(invite))

    assert answer.status == 200
    assert wire.transfers.asked == [("replace", leg, "sip:1001")]
    assert wire.calls.offers == []
    bye = await phones.until("BYE")
    assert bye.call_id == invite.call_id
    await eventually(lambda: wire.calls.end_of(leg) == (Cause.TRANSFERRED, None))
    (new,) = {event[1] for event in wire.calls.events} - {leg}
    assert wire.calls.states(new) == ["connected"]


async def test_a_caller_picks_up_what_rings_at_another_phone(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    answer = await calls_with(wire, replaces_of(invite, early_only=True))

    assert answer.status == 200
    await phones.until("CANCEL")
    await eventually(lambda: wire.calls.end_of(leg) == (Cause.TRANSFERRED, None))


async def test_what_cannot_be_replaced_is_refused(wire, phones, talking):
    leg, invite = talking
    assert (await calls_with(wire, "nothing;to-tag=a;from-tag=b")).status == 481
    assert (await calls_with(wire, replaces_of(invite, early_only=True))).status == 486
    assert (await calls_with(wire, "nonsense")).status == 400

    wire.transfers.refuse_with = Cause.BUSY
    assert (await calls_with(wire, replaces_of(invite))).status == 486
    assert not wire.calls.end_of(leg)


async def test_a_leg_on_its_way_out_is_not_replaced(wire, phones, talking):
    leg, invite = talking
    await wire.gateway.hang_up(leg, Cause.DESK)
    await phones.until("BYE")

    assert (await calls_with(wire, replaces_of(invite))).status == 603


async def test_a_stranger_replaces_nobody(wire, phones, talking):
    _, invite = talking
    headers = ["Contact: <sip:x@192.0.2.10>", f"Replaces: {replaces_of(invite)}"]

    assert (await wire.ask(wire.request("INVITE", headers=headers))).status == 407
    assert wire.transfers.asked == []


# --- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", ";to-tag=1;from-tag=2", "a;to-tag=1", "a b;to-tag=1;from-tag=2", 'a;to-tag="1']
)
def test_a_replaces_that_names_no_dialog_is_malformed(text):
    with pytest.raises(MalformedError):
        Replaces.read(text)


def test_a_replaces_is_written_as_it_is_read():
    text = "98asjd8@x;to-tag=1;from-tag=2;early-only"

    assert str(Replaces.read(text)) == text


def test_a_refer_to_is_a_number_whatever_its_host():
    request = Request("REFER", "sip:hub")
    request.headers.set("Refer-To", '"Post 3" <sip:1003@elsewhere.example;method=INVITE>')

    assert ReferTo.of(request) == ReferTo("1003")
