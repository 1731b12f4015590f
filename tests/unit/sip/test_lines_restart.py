"""Calls over lines that ring when the process is killed: the next one goes on with them, an emergency above all."""

import pytest
from fakes.sip_lines import SDP, SECOND, Exchange, a_trunk, dial
from fakes.waiting import eventually

from commhub.domain.call import Cause, LegState
from gateways.sip.trunks.config import TrunkConfig


@pytest.fixture
def trunks():
    return (
        a_trunk(username="hub", password="line-secret"),
        a_trunk("second", SECOND, emergency=True),
        a_trunk("third", emergency=True),
    )


@pytest.fixture
def first(wire):
    return Exchange(wire)


@pytest.fixture
def second(wire):
    return Exchange(wire, SECOND)


async def ringing(wire, far, number="+8613800000000", via=("first", "second"), **more):
    """(leg id, INVITE) of a call that rings over a line."""
    leg = await dial(wire, number, via, **more)
    invite = await far.until("INVITE")
    far.answer(invite, 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    return leg, invite


async def test_it_rings_on_and_whoever_answers_is_there(wire, first):
    leg, invite = await ringing(wire, first)
    await wire.restart()
    first.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert wire.gateway.lines.find("first").calls == 1
    assert first.got("CANCEL") == []
    ack = await first.until("ACK")
    await wire.gateway.hang_up(leg, Cause.DESK)
    bye = await first.until("BYE")
    # Whatever the former process numbered before the answer, this is beyond it.
    assert bye.cseq.sequence > ack.cseq.sequence + 10
    first.answer(bye, 200)

    async def is_forgotten():
        return not await wire.rows()

    await eventually(is_forgotten)


async def test_the_line_is_asked_with_the_same_invite_and_no_new_call(wire, first):
    leg, invite = await ringing(wire, first)
    await wire.restart()
    await eventually(lambda: len(first.got("INVITE")) == 2)
    assert first.got("INVITE")[1].get("Via") == invite.get("Via")
    assert wire.calls.end_of(leg) is None


async def test_a_line_that_died_with_the_process_is_left_for_the_next(wire, first, second):
    leg, _ = await ringing(wire, first)
    await wire.restart()
    second.answer(await second.until("INVITE"), 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert wire.gateway.lines.find("second").calls == 1
    assert wire.gateway.lines.find("first").calls == 0


async def test_a_challenge_after_the_restart_is_answered(wire, first):
    leg = await dial(wire)
    invite = await first.until("INVITE")
    await wire.restart()
    first.challenge(invite)
    again = await first.until("INVITE", 2)
    assert first.is_right(again)
    first.answer(again, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))


async def test_an_emergency_rings_on_and_goes_over_the_lines_that_are_left(wire, first, second):
    leg, _ = await ringing(wire, second, "119", ("second", "third"), emergency=True)
    await wire.restart()
    second.answer(second.got("INVITE")[0], 503)
    invite = await first.until("INVITE")
    assert invite.uri == "sip:119@third.example;user=phone"
    first.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))


async def test_an_emergency_has_all_its_time_again(wire, second, clock):
    leg, invite = await ringing(wire, second, "119", ("second",), emergency=True)
    clock.advance(600)
    await wire.restart()
    second.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))


async def test_a_call_whose_time_is_over_is_withdrawn(wire, first, clock):
    leg, invite = await ringing(wire, first)
    clock.advance(600)
    await wire.restart()
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.NO_ANSWER
    first.answer(invite, 180)
    await first.until("CANCEL")


async def test_a_call_that_was_given_up_meanwhile_is_withdrawn(wire, first):
    leg, invite = await ringing(wire, first)
    wire.transfers.states[leg] = (LegState.ENDED, Cause.CANCELLED)
    await wire.restart()
    first.answer(invite, 180)
    await first.until("CANCEL")


async def test_who_comes_after_the_lines_takes_the_call_on_after_a_restart_too(wire, first):
    taken = []

    async def otherwise(order):
        taken.append((order.leg_id, str(order.endpoint)))

    leg = await dial(wire, via=("first",), otherwise=otherwise)
    invite = await first.until("INVITE")
    await wire.restart(heir=otherwise)
    first.answer(invite, 503)
    await eventually(lambda: taken)
    assert taken == [(leg, "tel:+8613800000000")]
    assert wire.calls.told("ended", leg) == []


async def test_a_call_over_a_line_the_settings_dropped_is_told_to_stop(wire, first):
    leg, invite = await ringing(wire, first)
    other = TrunkConfig(name="other", server=str(SECOND), probe_every_s=0.0)
    await wire.restart(trunks=(other,))
    await eventually(lambda: wire.calls.end_of(leg))
    await first.until("CANCEL")
    first.answer(invite, 487)
    await eventually(lambda: wire.gateway.legs == 0)


async def test_a_line_that_says_nothing_more_has_its_time_when_there_is_no_other(wire, first):
    leg, invite = await ringing(wire, first, via=("first",))
    await wire.restart()
    # Far beyond the line's patience of 0.3 s.
    await eventually(lambda: len(first.got("INVITE")) >= 5)
    assert wire.calls.end_of(leg) is None
    first.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
