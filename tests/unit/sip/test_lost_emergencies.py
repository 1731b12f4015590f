"""A phone dials an emergency number and the call comes to nothing: the desk hears of it at once, the phone by its answer."""

import asyncio

import pytest
from fakes.sip_lines import FIRST, SDP, Exchange, a_trunk, dial
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip.uac import RING_OVER


@pytest.fixture
def trunks():
    return (a_trunk(emergency=True),)


@pytest.fixture
def alarm():
    alarms = []

    async def told(kind, text, call_id=None):
        alarms.append((kind, text))

    told.all = alarms
    return told


@pytest.fixture
def far(wire):
    return Exchange(wire, FIRST)


def failures(alarm):
    return [text for kind, text in alarm.all if kind == "emergency_failed"]


async def dials(wire, number):
    """Phone 1001 dials; the final answer."""
    uri = f"sip:{number}@commhub.test"
    headers = ("Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp")
    asked = {"uri": uri, "to": number, "body": SDP}
    challenge = await wire.ask(wire.request("INVITE", headers=headers, **asked))
    signed = (*headers, wire.credentials(challenge, "INVITE", uri=uri))
    return await wire.ask(wire.request("INVITE", seq=2, headers=signed, **asked))


@pytest.mark.parametrize(("number", "count"), [("110", 1), ("2000", 0)])
async def test_a_call_that_the_core_could_not_take_is_answered_and_an_alarm(
    wire, alarm, number, count
):
    wire.calls.failures = 1
    answer = await dials(wire, number)
    assert answer.status == 500
    await eventually(lambda: len(failures(alarm)) == count)
    assert all("sip:1001 to 110" in text for text in failures(alarm))


async def test_a_caller_who_is_not_joined_to_the_help_that_answered_is_an_alarm(wire, alarm):
    pending = asyncio.ensure_future(dials(wire, "110"))
    await eventually(lambda: wire.calls.offers)
    wire.gateway._core.media.unavailable = True
    await wire.gateway.answer(wire.calls.offers[0].leg_id)
    assert (await pending).status == 500
    (text,) = failures(alarm)
    assert "no worker is there" in text


async def test_who_dials_for_help_is_given_a_place_however_busy_the_workers_are(wire):
    pending = asyncio.ensure_future(dials(wire, "110"))
    await eventually(lambda: wire.calls.offers)
    leg = wire.calls.offers[0].leg_id
    await wire.gateway.answer(leg)
    assert (await pending).status == 200
    assert wire.media.reserved[leg].urgent


async def test_without_a_media_worker_it_is_an_alarm_before_any_line_is_asked(wire, far, alarm):
    wire.gateway._core.media.unavailable = True
    leg = await dial(wire, "119", ("first",), emergency=True)
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.FAILED
    (text,) = failures(alarm)
    assert "no media worker" in text
    assert far.got("INVITE") == []


async def test_help_that_answered_and_could_not_be_heard_is_an_alarm(wire, far, alarm):
    await dial(wire, "119", ("first",), emergency=True)
    invite = await far.until("INVITE")
    wire.gateway._core.media.unavailable = True
    far.answer(invite, 200, body=SDP)
    await far.until("BYE")
    await eventually(lambda: len(failures(alarm)) == 1)


async def test_a_line_that_is_dead_is_an_alarm_when_patience_is_over(wire, far, alarm):
    leg = await dial(wire, "119", ("first",), emergency=True)
    await far.until("INVITE")
    await eventually(lambda: wire.calls.end_of(leg))
    assert len(failures(alarm)) == 1
    await dial(wire, "120", ("first",), emergency=True)
    await eventually(lambda: len(failures(alarm)) == 2)


@pytest.mark.parametrize("status", [486, 603])
async def test_a_centre_that_refuses_is_an_alarm(wire, far, alarm, status):
    leg = await dial(wire, "119", ("first",), emergency=True)
    far.answer(await far.until("INVITE"), status)
    await eventually(lambda: wire.calls.end_of(leg))
    (text,) = failures(alarm)
    assert "was not answered" in text


async def test_a_line_that_rings_and_is_never_answered_is_an_alarm(wire, far, alarm):
    leg = await dial(wire, "119", ("first",), emergency=True)
    far.answer(await far.until("INVITE"), 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    await wire.tick(leg, RING_OVER)
    await eventually(lambda: len(failures(alarm)) == 1)
    assert "nobody answered in time" in failures(alarm)[0]


async def test_who_hangs_up_before_help_answers_raises_no_alarm(wire, far, alarm):
    leg = await dial(wire, "119", ("first",), emergency=True)
    far.answer(await far.until("INVITE"), 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    await wire.gateway.hang_up(leg, Cause.HUNG_UP)
    await far.until("CANCEL")
    assert failures(alarm) == []
