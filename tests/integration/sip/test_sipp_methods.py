"""SIPp as the phone: every method beside the plain call, checked on the hub's side and by the phone. What
`test_sipp_each_transport` does not play over TCP and TLS is played over them here."""

import pytest
from fakes.desk import RecordingDigits, RecordingReports
from fakes.sipp_phones import phone, registered
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.ports.media import RtpAddress
from gateways.sip.core import Inward

each = pytest.mark.parametrize("over", ["udp", "tcp", "tls"])


async def ended(edge, leg):
    await eventually(lambda: edge.calls.end_of(leg), within_s=10)
    await eventually(lambda: edge.gateway.legs == 0, within_s=10)
    await edge.until_forgotten()
    return edge.calls.end_of(leg)


async def answered(edge):
    """The leg of the one call that was offered, once it is answered."""
    await eventually(lambda: edge.calls.offers)
    leg = edge.calls.offers[0].leg_id
    await edge.gateway.answer(leg)
    return leg


# --- UPDATE, OPTIONS, INFO, MESSAGE --------------------------------------------------------------------------


async def test_a_phone_holds_and_resumes_by_update(edge):
    async with registered(edge, "answer_update_hold") as peer:
        leg = await edge.call("1001")
        await peer.finish()

    assert await ended(edge, leg) == (Cause.HUNG_UP, None)
    states = edge.calls.states(leg)
    assert states == ["ringing", "connected", "connected", "held", "connected", "ended"]


async def test_keys_and_questions_inside_a_call(edge):
    digits = RecordingDigits()
    edge.more = Inward(digits=digits)
    await edge.restart()
    async with phone(edge, "call_dtmf_info") as peer:
        leg = await answered(edge)
        await peer.finish()

    assert digits.pressed == [(leg, "5"), (leg, "#")]
    assert await ended(edge, leg) == (Cause.HUNG_UP, None)


async def test_a_text_is_a_report(edge):
    reports = RecordingReports()
    edge.more = Inward(reports=reports)
    await edge.restart()
    async with phone(edge, "message", keys=[("text", "water in the underpass")]) as peer:
        await peer.finish()

    (report,) = reports.submitted
    assert (report.text, report.reporter) == ("water in the underpass", "sip:1001")


async def test_a_silent_phone_is_asked_and_one_that_lost_the_call_is_hung_up(edge):
    async with registered(edge, "answer_probed") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.gateway.probe(leg)
        await eventually(lambda: peer.log().count("OPTIONS sip:") >= 1)
        await eventually(lambda: edge.gateway._legs[leg]._stage._refreshing._probe is None)
        assert not edge.calls.end_of(leg)
        await edge.gateway.probe(leg)
        await peer.finish()

    cause, detail = await ended(edge, leg)
    assert cause is Cause.MEDIA_LOST
    assert "481" in detail


# --- 100rel and early media ----------------------------------------------------------------------------------


@each
async def test_ringing_is_reliable_where_the_caller_requires_it(edge, over):
    async with phone(edge, over=over, scenario="call_prack") as peer:
        await eventually(lambda: "PRACK sip:" in peer.log())
        leg = await answered(edge)
        await peer.finish()

    assert await ended(edge, leg) == (Cause.HUNG_UP, None)


@each
async def test_an_answer_in_a_reliable_183_is_the_answer(edge, over):
    async with registered(edge, over=over, scenario="answer_prack") as peer:
        leg = await edge.call("1001")
        await peer.finish()

    assert await ended(edge, leg) == (Cause.HUNG_UP, None)
    assert edge.calls.states(leg) == ["ringing", "connected", "ended"]


@each
async def test_an_announcement_before_the_answer_is_heard(edge, over):
    async with registered(edge, over=over, scenario="answer_early_media") as peer:
        leg = await edge.call("1001")
        await peer.finish()

    assert await ended(edge, leg) == (Cause.HUNG_UP, None)
    directions = [o[2].receives for o in edge.media.orders if o[0] == "connect"]
    assert directions == [False, True]


# --- session timers ------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("how", ["update", "invite"])
async def test_we_refresh_the_session(timed, over, how):
    async with registered(timed, over=over, scenario=f"answer_refreshed_by_{how}") as peer:
        leg = await timed.call("1001")
        await peer.finish()

    assert await ended(timed, leg) == (Cause.HUNG_UP, None)


@each
async def test_a_phone_that_vanished_is_torn_down(timed, over):
    async with registered(timed, over=over, scenario="answer_and_vanish") as peer:
        leg = await timed.call("1001")
        await peer.finish()

    # Over a stream its connection is gone as well, and the refresh cannot even be sent.
    why = "nobody refreshed the session (RFC 4028)"
    cause, detail = await ended(timed, leg)
    assert cause is Cause.MEDIA_LOST
    assert detail == why or (over != "udp" and detail == "the phone does not answer any more")
    assert timed.media.released == [leg]


@each
async def test_an_interval_that_is_too_small_for_the_phone_is_made_longer(edge, over):
    async with registered(edge, over=over, scenario="answer_interval_422") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        (row,) = await edge.rows()
        assert row.state["session"][:2] == [3600, 1]
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.finish()


@each
async def test_a_caller_refreshes_its_session(timed, over):
    async with phone(timed, over=over, scenario="call_refreshes") as peer:
        leg = await answered(timed)
        await peer.finish()

    assert await ended(timed, leg) == (Cause.HUNG_UP, None)


@each
async def test_a_caller_that_does_not_refresh_is_hung_up(timed, over):
    async with phone(timed, over=over, scenario="call_and_never_refresh") as peer:
        leg = await answered(timed)
        await peer.finish()

    assert (await ended(timed, leg))[0] is Cause.MEDIA_LOST


@each
async def test_an_interval_that_is_too_small_for_us_is_refused(timed, over):
    async with phone(timed, over=over, scenario="call_interval_too_small") as peer:
        await peer.finish()

    assert timed.calls.offers == []


# --- 3xx, forks, glare ---------------------------------------------------------------------------------------


@each
async def test_calls_that_a_phone_sends_elsewhere_are_followed_there(edge, over):
    await edge.add_account("1002")
    async with (
        registered(edge, over=over, scenario="answer_and_hang_up", user="1002") as other,
        registered(edge, over=over, scenario="moved", keys=[("target", "1002")]) as peer,
    ):
        bindings = [*await edge.bindings("1001"), *await edge.bindings("1002")]
        leg = await edge.call("1001")
        await peer.finish()
        await other.finish()

    assert [binding.transport for binding in bindings] == [over.upper()] * 2
    assert await ended(edge, leg) == (Cause.HUNG_UP, None)
    assert edge.calls.states(leg) == ["ringing", "connected", "ended"]


@each
async def test_of_two_forks_that_answer_one_is_hung_up(edge, over):
    async with registered(edge, over=over, scenario="answer_twice") as peer:
        leg = await edge.call("1001")
        await peer.finish()

    assert await ended(edge, leg) == (Cause.HUNG_UP, None)
    assert edge.calls.states(leg) == ["ringing", "connected", "ended"]


@each
async def test_both_sides_ask_at_once(edge, over):
    async with registered(edge, over=over, scenario="answer_and_cross") as peer:
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.gateway.readdress(leg, RtpAddress("127.0.0.1", 31_000))
        await peer.finish()

    assert await ended(edge, leg) == (Cause.HUNG_UP, None)
