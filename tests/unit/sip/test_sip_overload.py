"""What is turned away while the hub is behind its work, and the calls that nothing turns away."""

import asyncio
from dataclasses import replace

import pytest
from fakes.waiting import eventually

from gateways.sip import metrics
from gateways.sip.config import Rate, RateConfig
from gateways.sip.transport import Hop

CONTACT = "Contact: <sip:1001@192.0.2.10:5062>"
NEIGHBOUR = Hop("192.0.2.10", 5099)


def invite(wire, number="1002", call="c1", **more):
    headers = (CONTACT, *more.pop("headers", ()))
    uri = f"sip:{number}@commhub.test"
    return wire.request("INVITE", uri=uri, to=number, call=call, headers=headers, **more)


async def dials(wire, number, call, password="kept-between-us"):
    """A phone's call with credentials: the messages that answer its second INVITE."""
    return await wire.silence(await with_credentials(wire, number, call, password))


async def with_credentials(wire, number, call, password):
    challenge = await wire.ask(invite(wire, number, call))
    assert challenge.status == 407
    uri = f"sip:{number}@commhub.test"
    line = wire.credentials(challenge, "INVITE", password=password, uri=uri)
    return invite(wire, number, call, seq=2, headers=[line])


def of_call(call, sent):
    """What was sent in that call; final responses that nobody acknowledged come again at any time."""
    return [data for data, _ in sent if f"Call-ID: {call}\r\n".encode() in data]


async def offered(wire, call):
    await eventually(lambda: [i for i in wire.calls.offers if i.called == call])


# --- behind ---------------------------------------------------------------------------------------------------


async def test_a_new_call_is_told_when_to_come_again(wire):
    wire.is_behind = True
    shed = metrics.SHED._value.get()
    answer = await wire.ask(invite(wire))
    assert answer.status == 503
    assert 3 <= int(answer.get("Retry-After")) <= 10
    assert metrics.SHED._value.get() == shed + 1
    assert wire.gateway._core.layer._servers == {}


async def test_a_retransmission_is_told_the_same_when_the_hub_has_caught_up(wire):
    wire.is_behind = True
    asked = invite(wire)
    first = await wire.ask(asked)
    wire.is_behind = False
    again = await wire.ask(asked)
    assert bytes(again) == bytes(first)
    # A call of its own is another branch, and is welcome.
    assert (await wire.ask(invite(wire, call="c2"))).status == 407


async def test_what_is_remembered_of_a_call_turned_away_ends(wire, clock):
    wire.is_behind = True
    asked = invite(wire)
    await wire.ask(asked)
    wire.is_behind = False
    clock.advance(33)
    assert (await wire.ask(asked)).status == 407


async def test_the_ack_of_a_call_turned_away_belongs_to_nobody_and_is_no_stray(wire):
    wire.is_behind = True
    asked = invite(wire)
    answer = await wire.ask(asked)
    strays = metrics.STRAYS.labels("ack")._value.get()
    ack = asked.split("\r\n\r\n")[0].replace("INVITE sip", "ACK sip").replace("1 INVITE", "1 ACK")
    lines = [f"To: {answer.get('To')}" if o.startswith("To:") else o for o in ack.split("\r\n")]
    assert await wire.silence("\r\n".join(lines) + "\r\n\r\n") == []
    assert metrics.STRAYS.labels("ack")._value.get() == strays


async def test_a_call_that_was_just_challenged_has_begun(wire):
    challenge = await wire.ask(invite(wire))
    wire.is_behind = True
    line = wire.credentials(challenge, "INVITE", uri="sip:1002@commhub.test")
    await wire.silence(invite(wire, seq=2, headers=[line]))
    await offered(wire, "1002")


async def test_an_old_challenge_begins_nothing(wire, clock):
    challenge = await wire.ask(invite(wire))
    clock.advance(10)
    wire.is_behind = True
    line = wire.credentials(challenge, "INVITE", uri="sip:1002@commhub.test")
    assert (await wire.ask(invite(wire, seq=2, headers=[line]))).status == 503


async def test_who_talks_is_not_troubled(wire, phones, talking):
    leg, asked = talking
    wire.is_behind = True
    held = "v=0\r\nc=IN IP4 192.0.2.10\r\nm=audio 4000 RTP/AVP 8\r\na=sendonly\r\n"
    answer = await wire.ask(phones.ask("INVITE", asked, 1, body=held))
    assert answer.status == 200
    assert (await wire.ask(phones.ask("BYE", asked, 2))).status == 200
    assert wire.calls.end_of(leg)


async def test_registrations_go_on(wire):
    wire.is_behind = True
    assert (await wire.authorized("REGISTER", headers=[CONTACT])).status == 200


@pytest.mark.parametrize("number", ["110", "8000"])
async def test_emergencies_and_the_duty_line_are_never_turned_away(wire, number):
    wire.is_behind = True
    await dials(wire, number, "help")
    await offered(wire, number)


async def test_who_comes_when_too_many_hear_nothing_yet_is_turned_away(wire):
    gate, offered_to = asyncio.Event(), wire.calls.call_offered

    async def slowly(incoming, *, also):
        await gate.wait()
        return await offered_to(incoming, also=also)

    wire.calls.call_offered = slowly
    most = wire.gateway._config.max_opening
    challenges = [await wire.ask(invite(wire, call=f"c{n}")) for n in range(2 * most + 1)]
    for number, challenge in enumerate(challenges):
        line = wire.credentials(challenge, "INVITE", uri="sip:1002@commhub.test")
        sent = await wire.silence(invite(wire, call=f"c{number}", seq=2, headers=[line]))
        if number == most:
            assert (await wire.ask(invite(wire, call="late"))).status == 503
    # Those who were challenged before have come further, but not all of them either.
    assert b"503" in of_call(f"c{number}", sent)[-1].split(b"\r\n")[0]
    most *= 2
    gate.set()
    await eventually(lambda: len(wire.calls.offers) == most and not wire.gateway._core.opening)
    assert (await wire.ask(invite(wire, call="later"))).status == 407


# --- the limits of the edge -----------------------------------------------------------------------------------


@pytest.fixture
def quiet(wire):
    """A gateway on which a registered phone may hardly say anything."""
    rates = RateConfig(proved=Rate(per_s=0.0, burst=8.0))
    wire.gateway._gate._rates = rates
    return wire


async def test_a_registered_phone_that_floods_still_gets_help(quiet):
    wire = quiet
    await wire.authorized("REGISTER", headers=[CONTACT])
    for number in range(20):
        await wire.silence(invite(wire, call=f"flood{number}"))
    assert of_call("deaf", await wire.silence(invite(wire, call="deaf"))) == []

    await dials(wire, "110", "help")
    await offered(wire, "110")
    (leg,) = wire.gateway._legs
    await wire.gateway.answer(leg)

    def answered():
        return [a for a in wire.answers() if a.call_id == "help" and a.status == 200]

    await eventually(answered)
    # The rest of the call is read as well; that of any other is not.
    bye = wire.request("BYE", seq=3, call="help", to="110x")
    assert of_call("help", await wire.silence(bye)) != []
    bye = wire.request("BYE", seq=3, call="flood1")
    assert [one for one in of_call("flood1", await wire.silence(bye)) if b"BYE" in one] == []


async def test_a_flood_of_emergencies_has_its_limit(quiet):
    await quiet.authorized("REGISTER", headers=[CONTACT])
    for number in range(300):
        quiet.say(invite(quiet, "110", f"help{number}"))
    assert of_call("one-more", await quiet.silence(invite(quiet, "110", "one-more"))) == []


async def test_a_full_gateway_takes_an_emergency(wire):
    wire.gateway._config = replace(wire.gateway._config, max_legs=0)
    refused = of_call("c1", await dials(wire, "1002", "c1"))
    assert b"503" in refused[-1].split(b"\r\n")[0]
    await dials(wire, "110", "help")
    await offered(wire, "110")


async def test_a_gateway_with_too_many_transactions_takes_an_emergency(wire):
    wire.gateway._core.layer._limit = 0
    assert b"503" in of_call("c1", await dials(wire, "1002", "c1"))[-1].split(b"\r\n")[0]
    await dials(wire, "110", "help")
    await offered(wire, "110")


async def lock_out(wire, source=NEIGHBOUR):
    for number in range(10):
        await wire.authorized("REGISTER", password="guess", source=source, call=f"g{number}")
    status = (await wire.authorized("REGISTER", source=source, call="locked")).status
    assert status == 403


async def test_a_phone_is_not_locked_out_with_its_neighbour_even_after_a_restart(wire):
    await wire.authorized("REGISTER", headers=[CONTACT])
    await wire.restart()
    await lock_out(wire)
    await dials(wire, "1002", "c1")
    await offered(wire, "1002")


async def test_a_stranger_at_a_locked_source_gets_help_with_the_right_password(wire):
    await lock_out(wire)
    assert b"403" in of_call("c1", await dials(wire, "1002", "c1"))[-1].split(b"\r\n")[0]
    await dials(wire, "110", "help")
    await offered(wire, "110")


async def test_a_locked_source_cannot_guess_by_calling_for_help(wire, clock):
    await lock_out(wire)
    answers = []
    for number in range(20):
        guess = await with_credentials(wire, "110", f"guess{number}", "guess")
        answers.append((await wire.ask(guess)).status)
    assert answers.count(407) <= 4
    assert answers[-1] == 403
    assert not wire.calls.offers
    clock.advance(6)
    await dials(wire, "110", "help")
    await offered(wire, "110")


async def test_a_phone_that_fails_itself_gets_help_at_once(wire):
    """Its password was changed at the desk, say, and it tries the old one in a loop."""
    await wire.authorized("REGISTER", headers=[CONTACT])
    for number in range(10):
        await wire.authorized("REGISTER", password="old", call=f"o{number}")
    assert (await wire.authorized("REGISTER", call="locked")).status == 403
    for number in range(6):
        await dials(wire, "110", f"help{number}")
        await asyncio.sleep(0)
    await eventually(lambda: len(wire.calls.offers) == 6)
