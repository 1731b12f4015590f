"""Calls over lines: how they are written, challenged, failed over, withdrawn; and what an emergency call may do."""

import asyncio

import pytest
from fakes.sip_lines import SDP, SECOND, Exchange, a_trunk, dial
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip.grammar import read_uri


@pytest.fixture
def trunks():
    return (
        a_trunk(
            username="hub",
            password="line-secret",
            trusted=True,
            out_prefixes={"+86": "0"},
            codecs=("PCMU",),
        ),
        a_trunk("second", SECOND, emergency=True, max_calls=1),
    )


@pytest.fixture
def alarm():
    alarms = []

    async def told(kind, text, call_id=None):
        alarms.append((kind, text))

    told.all = alarms
    return told


@pytest.fixture
def first(wire):
    return Exchange(wire)


@pytest.fixture
def second(wire):
    return Exchange(wire, SECOND)


def state_of(wire, name):
    return wire.gateway.lines.find(name)


async def test_a_number_is_written_as_its_line_writes_it_and_a_trusted_line_is_told_who_calls(
    wire, first
):
    await dial(wire)
    invite = await first.until("INVITE")
    assert invite.uri == "sip:013800000000@first.example;user=phone"
    assert read_uri(invite.sender.uri).user == "02112345678"
    assert invite.get("P-Asserted-Identity") == "<sip:02112345678@first.example>"
    assert b"PCMU" in invite.body
    assert b"PCMA" not in invite.body


async def test_a_line_that_is_not_trusted_is_asserted_nothing(wire, second):
    await dial(wire, via=("second",))
    invite = await second.until("INVITE")
    assert invite.uri == "sip:+8613800000000@second.example;user=phone"
    assert invite.get("P-Asserted-Identity") == ""


async def test_a_call_is_answered_talked_and_hung_up(wire, first):
    leg = await dial(wire)
    invite = await first.until("INVITE")
    first.answer(invite, 180)
    first.answer(invite, 200, body=SDP.replace("8\r\na=rtpmap:8 PCMA", "0\r\na=rtpmap:0 PCMU"))
    await eventually(lambda: wire.calls.told("connected", leg))
    assert state_of(wire, "first").calls == 1

    await wire.gateway.hang_up(leg, Cause.DESK)
    bye = await first.until("BYE")
    first.answer(bye, 200)
    await eventually(lambda: wire.gateway.legs == 0)
    assert wire.calls.states(leg) == ["ringing", "connected"]
    assert state_of(wire, "first").calls == 0
    await eventually(wire.no_rows)


# --- credentials ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "header"), [(407, "Proxy-Authorization"), (401, "Authorization")]
)
@pytest.mark.parametrize(
    "more", ['qop="auth"', 'qop="auth,auth-int", algorithm=SHA-256, opaque="x"', ""]
)
async def test_a_challenge_is_answered_with_the_next_cseq(wire, first, status, header, more):
    await dial(wire)
    asked = await first.until("INVITE")
    first.challenge(asked, status=status, more=more or "algorithm=MD5")
    again = await first.until("INVITE", 2)
    assert first.is_right(again, header=header)
    assert again.cseq.sequence == asked.cseq.sequence + 1
    assert (again.call_id, again.sender.tag) == (asked.call_id, asked.sender.tag)
    assert again.get("Via") != asked.get("Via")


async def test_credentials_never_go_to_a_foreign_realm(wire, first, second):
    leg = await dial(wire, via=("first",))
    first.challenge(await first.until("INVITE"), realm="evil.example")
    await eventually(lambda: wire.calls.end_of(leg))
    cause, detail = wire.calls.end_of(leg)
    assert cause is Cause.NOT_ALLOWED
    assert "another realm than first.example" in detail
    assert not any("Authorization" in bytes(m).decode() for m in first.got("INVITE"))


async def test_a_wrong_password_is_offered_once(wire, first):
    leg = await dial(wire, via=("first",))
    first.challenge(await first.until("INVITE"), nonce="n1")
    first.challenge(await first.until("INVITE", 2), nonce="n2")
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.NOT_ALLOWED
    assert len(first.different("INVITE")) == 2


async def test_an_old_nonce_is_no_wrong_password(wire, first):
    await dial(wire)
    first.challenge(await first.until("INVITE"), nonce="n1")
    first.challenge(await first.until("INVITE", 2), nonce="n2", more='qop="auth", stale=true')
    assert first.is_right(await first.until("INVITE", 3))


async def test_a_line_that_challenges_for_ever_is_given_up(wire, first, second):
    await dial(wire)
    for count in (1, 2, 3):
        first.challenge(
            await first.until("INVITE", count), nonce=f"n{count}", more='qop="auth", stale=true'
        )
    await second.until("INVITE")
    assert len(first.different("INVITE")) == 3


async def test_a_line_without_a_password_fails_over_when_it_is_asked_for_one(wire, first, second):
    leg = await dial(wire, via=("second", "first"))
    second.challenge(await second.until("INVITE"), realm="second.example")
    first.answer(await first.until("INVITE"), 486)
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.BUSY


async def test_the_bye_carries_credentials_before_it_is_asked(wire, first):
    leg = await dial(wire)
    first.challenge(await first.until("INVITE"))
    first.answer(
        await first.until("INVITE", 2),
        200,
        body=SDP.replace("8\r\na=rtpmap:8 PCMA", "0\r\na=rtpmap:0 PCMU"),
    )
    await eventually(lambda: wire.calls.told("connected", leg))
    await wire.gateway.hang_up(leg, Cause.DESK)
    bye = await first.until("BYE")
    assert first.is_right(bye)
    assert "nc=00000002" in bye.get("Proxy-Authorization")


async def test_a_bye_that_is_challenged_all_the_same_is_said_again(wire, first):
    leg = await dial(wire, via=("first",))
    first.answer(
        await first.until("INVITE"),
        200,
        body=SDP.replace("8\r\na=rtpmap:8 PCMA", "0\r\na=rtpmap:0 PCMU"),
    )
    await eventually(lambda: wire.calls.told("connected", leg))
    await wire.gateway.hang_up(leg, Cause.DESK)
    first.challenge(await first.until("BYE"))
    again = await first.until("BYE", 2)
    assert first.is_right(again)
    first.answer(again, 200)
    await eventually(lambda: wire.gateway.legs == 0)


# --- failover ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 403, 302, 408, 501])
async def test_what_a_line_says_of_itself_sends_the_call_to_the_next(wire, first, second, status):
    leg = await dial(wire)
    headers = [("Contact", "<sip:premium@evil.example>")] if status == 302 else []
    first.answer(await first.until("INVITE"), status, headers=headers, contact=not headers)
    second.answer(await second.until("INVITE"), 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert state_of(wire, "first").calls == 0
    assert state_of(wire, "second").calls == 1
    assert not any(
        "evil" in str(hop) or b"evil" in data.split(b"\r\n")[0] for data, hop in wire.sent
    )


@pytest.mark.parametrize(
    ("status", "cause"),
    [(486, Cause.BUSY), (404, Cause.NOT_FOUND), (603, Cause.DECLINED), (480, Cause.UNREACHABLE)],
)
async def test_what_a_line_says_of_the_person_is_the_answer(wire, first, second, status, cause):
    leg = await dial(wire)
    first.answer(await first.until("INVITE"), status)
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is cause
    assert second.got("INVITE") == []


async def test_a_silent_line_is_left_within_its_patience_and_is_down(wire, first, second, alarm):
    leg = await dial(wire)
    await first.until("INVITE")
    second.answer(await second.until("INVITE"), 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert state_of(wire, "first").reachable is False
    assert [kind for kind, _ in alarm.all] == ["line_down"]
    # The next call does not wait for it again.
    await dial(wire)
    await asyncio.sleep(0)
    assert len(first.different("INVITE")) == 1


async def test_a_silent_line_that_answers_late_is_told_to_stop(wire, first, second):
    leg = await dial(wire)
    late = await first.until("INVITE")
    second.answer(await second.until("INVITE"), 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    first.answer(late, 200, body=SDP)
    await first.until("ACK")
    await first.until("BYE")
    assert wire.calls.told("ended", leg) == []


async def test_a_line_that_says_trying_has_all_the_time_it_wants(wire, first, second):
    await dial(wire)
    first.answer(await first.until("INVITE"), 100, contact=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await second.until("INVITE")


async def test_a_full_line_is_passed_over(wire, first, second):
    await dial(wire, via=("second",))
    await second.until("INVITE")
    leg = await dial(wire, via=("second",))
    await eventually(lambda: wire.calls.end_of(leg))
    cause, detail = wire.calls.end_of(leg)
    assert (cause, detail) == (Cause.UNREACHABLE, "no line is free: second is full")


async def test_when_no_line_could_whoever_comes_after_them_takes_the_call(wire, first, second):
    taken = []

    async def otherwise(order):
        taken.append(order.leg_id)

    leg = await dial(wire, otherwise=otherwise)
    first.answer(await first.until("INVITE"), 503)
    second.answer(await second.until("INVITE"), 503)
    await eventually(lambda: taken)
    assert taken == [leg]
    assert wire.calls.told("ended", leg) == []
    assert await wire.rows() == {}
    assert wire.gateway.legs == 0


async def test_a_call_that_is_given_up_is_cancelled_on_its_line(wire, first):
    leg = await dial(wire)
    invite = await first.until("INVITE")
    first.answer(invite, 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    await wire.gateway.hang_up(leg, Cause.DESK)
    first.answer(await first.until("CANCEL"), 200)
    first.answer(invite, 487)
    await eventually(lambda: wire.gateway.legs == 0)
    assert wire.calls.end_of(leg) == (Cause.DESK, None)
    assert state_of(wire, "first").calls == 0


async def test_a_call_is_hung_up_when_it_has_lasted_as_long_as_its_rule_allows(wire, first):
    leg = await dial(wire, longest_s=0.3)
    first.answer(
        await first.until("INVITE"),
        200,
        body=SDP.replace("8\r\na=rtpmap:8 PCMA", "0\r\na=rtpmap:0 PCMU"),
    )
    await eventually(lambda: wire.calls.told("connected", leg))
    first.answer(await first.until("BYE"), 200)
    await eventually(lambda: wire.gateway.legs == 0)


async def test_a_restart_knows_which_line_a_call_is_on(wire, second):
    leg = await dial(wire, via=("second",))
    second.answer(await second.until("INVITE"), 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    await eventually(lambda: second.got("ACK"))
    await wire.restart()
    assert state_of(wire, "second").calls == 1
    await wire.gateway.hang_up(leg, Cause.DESK)
    second.answer(await second.until("BYE"), 200)
    await eventually(lambda: wire.gateway.legs == 0)
    assert state_of(wire, "second").calls == 0


# --- emergencies ---------------------------------------------------------------------------------------------


async def emergency(wire, via):
    return await dial(wire, "110", via, emergency=True)


async def test_an_emergency_never_goes_over_a_line_that_is_not_made_for_it(wire, first, second):
    await emergency(wire, ("first", "second"))
    invite = await second.until("INVITE")
    assert invite.uri == "sip:110@second.example;user=phone"
    assert first.got("INVITE") == []


async def test_an_emergency_goes_over_a_line_that_is_full_or_down(wire, second):
    await dial(wire, via=("second",))
    await second.until("INVITE")
    state_of(wire, "second").is_missed("test")
    leg = await emergency(wire, ("second",))
    second.answer(await second.until("INVITE", 2), 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))


async def test_a_gateway_that_is_full_takes_an_emergency(wire, second, monkeypatch):
    monkeypatch.setattr(wire.gateway, "_config", wire.gateway._config.__class__(max_legs=0))
    leg = await emergency(wire, ("second",))
    await second.until("INVITE")
    other = await dial(wire, via=("second",))
    await eventually(lambda: wire.calls.end_of(other))
    assert not wire.calls.end_of(leg)


async def test_the_audio_engine_is_told_which_call_is_an_emergency(wire, first, second):
    leg = await emergency(wire, ("second",))
    await second.until("INVITE")
    other = await dial(wire, via=("first",))
    await first.until("INVITE")
    asked = wire.media.reserved
    assert (asked[leg].urgent, asked[other].urgent) == (True, False)


async def test_an_emergency_that_no_line_carries_is_said_to_the_desk(wire, second, alarm):
    leg = await emergency(wire, ("second",))
    second.answer(await second.until("INVITE"), 404)
    await eventually(lambda: wire.calls.end_of(leg))
    assert ("emergency_failed", alarm.all[-1][1]) in alarm.all
    assert "use another telephone now" in alarm.all[-1][1]


async def test_an_emergency_call_has_no_longest_time(wire, second):
    leg = await dial(wire, "110", ("second",), emergency=True, longest_s=0.01)
    second.answer(await second.until("INVITE"), 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    rows = await wire.rows()
    assert rows[leg].state["seat"]["until"] is None
