"""Telephone legs end to end: the real edge, calls on SQLite and a real worker, against the stand-in."""

from dataclasses import replace

import pytest
from fakes.twilio import FAR, NUMBER, OURS, TONE, hub_at, running_places
from fakes.waiting import eventually

pytestmark = pytest.mark.audio


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    with running_places(tmp_path_factory.mktemp("telephone")) as places:
        yield places


@pytest.fixture
async def town(places, store):
    async with hub_at(places, store) as town:
        yield town


@pytest.fixture
async def hub(town):
    async with town[0].running() as hub:
        yield hub


@pytest.fixture
def twilio(town):
    return town[1]


async def assert_both_hear(hub, twilio):
    """At least 20 dB over the floor of the other's tone, both ways; nobody their own."""
    await twilio.do("talk", on=True)
    await hub.converse(seconds=1.6)
    phone = hub.phones.phone
    assert phone.levels(TONE)[0] >= 20
    assert phone.hears(TONE)
    assert phone.lacks(OURS)
    heard = (await twilio.call())["heard"]
    assert heard[f"{OURS:g}"] > -20, heard
    assert heard[f"{OURS:g}"] - heard["floor"] >= 20
    assert heard[f"{TONE:g}"] < -42


async def test_a_telephone_and_a_phone_hear_each_other_and_not_themselves(hub, twilio):
    call = await hub.place("sip:1001", f"tel:{FAR}")
    leg = await hub.until(call, "connected")
    assert leg.codec == "PCMU"
    await assert_both_hear(hub, twilio)


async def test_a_key_pressed_over_there_reaches_the_core(hub, twilio):
    call = await hub.place("sip:1001", f"tel:{FAR}")
    leg = await hub.until(call, "connected")
    for digit in "1#":
        await twilio.do("press", digit=digit)
    await eventually(lambda: len(hub.control.digits) == 2)
    assert hub.control.digits == [(leg.id, "1"), (leg.id, "#")]


async def test_the_desk_hangs_up_and_the_telephone_is_free(hub, twilio):
    call = await hub.place("sip:1001", f"tel:{FAR}")
    leg = await hub.until(call, "connected")
    await hub.hang_up(leg)
    await twilio.until(status="completed", streaming=False)
    await hub.until_forgotten()
    assert hub.phones.hung_up


async def test_the_telephone_hangs_up_and_the_call_is_over(hub, twilio):
    call = await hub.place("sip:1001", f"tel:{FAR}")
    await hub.until(call, "connected")
    await twilio.do("hangup")
    leg = await hub.until(call, "ended")
    assert leg.cause == "hung_up"
    await hub.until_forgotten()
    assert (await hub.calls.get(call)).call.ended_at is not None


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "not_found")],
)
async def test_a_call_that_does_not_come_about_says_why(hub, twilio, behaviour, cause):
    await twilio.do("behave", number=FAR, **{"as": behaviour})
    call = await hub.place("sip:1001", f"tel:{FAR}")
    assert (await hub.until(call, "ended")).cause == cause
    await hub.until_forgotten()


async def test_a_ringing_telephone_stops_ringing_when_the_desk_gives_up(hub, twilio):
    await twilio.do("behave", number=FAR, **{"as": "ring"})
    call = await hub.place("sip:1001", f"tel:{FAR}")
    leg = await hub.until(call, "ringing")
    await hub.hang_up(leg)
    await twilio.until(status="canceled")
    await hub.until_forgotten()


async def test_twilio_refuses_and_the_leg_says_so(hub, twilio):
    await twilio.do("fault", refuse=21215)
    call = await hub.place("sip:1001", f"tel:{FAR}")
    leg = await hub.until(call, "ended")
    assert leg.cause == "not_allowed"
    assert "21215" in leg.detail
    assert await twilio.call() is None
    await hub.until_forgotten()


async def test_lost_and_doubled_status_callbacks_change_nothing(hub, twilio):
    await twilio.do("fault", double_callbacks=True)
    call = await hub.place("sip:1001", f"tel:{FAR}")
    await hub.until(call, "connected")
    await twilio.do("fault", lose_callbacks=10)
    await twilio.do("hangup")
    # Nobody told us but the stream's stop; Twilio is asked.
    assert (await hub.until(call, "ended")).cause == "hung_up"
    await hub.until_forgotten()


async def test_a_broken_stream_comes_back_and_the_caller_stays(hub, twilio):
    call = await hub.place("sip:1001", f"tel:{FAR}")
    leg = await hub.until(call, "connected")
    await twilio.do("drop")
    await twilio.until(streaming=True, streams=2)
    assert (await hub.leg(call)).state == "connected"
    await assert_both_hear(hub, twilio)
    await hub.hang_up(leg)
    await twilio.until(status="completed")


async def test_control_restarts_and_the_telephone_call_goes_on(town):
    hub, twilio = town
    async with hub.running():
        call = await hub.place("sip:1001", f"tel:{FAR}")
        await hub.until(call, "connected")
        await assert_both_hear(hub, twilio)
    async with hub.running():
        await twilio.until(streaming=True, streams=2)
        assert (await hub.leg(call)).state == "connected"
        await assert_both_hear(hub, twilio)
        await twilio.do("hangup")
        assert (await hub.until(call, "ended")).cause == "hung_up"
        await hub.until_forgotten()


async def test_a_telephone_that_hung_up_while_control_was_away_is_noticed(town):
    hub, twilio = town
    hub.config = replace(hub.config, resume_within_s=2.0)
    async with hub.running():
        call = await hub.place("sip:1001", f"tel:{FAR}")
        await hub.until(call, "connected")
    await twilio.do("fault", lose_callbacks=10)
    await twilio.do("hangup")
    async with hub.running():
        assert (await hub.until(call, "ended")).cause == "hung_up"
        await hub.until_forgotten()


async def test_somebody_calls_the_hub_and_is_put_through(hub, twilio):
    await hub.add_account("1001")
    await twilio.do("dial", **{"from": FAR})
    await twilio.until(streaming=True)
    [state] = await hub.calls.list(live_only=True, before=None, limit=5)
    await hub.until(state.call.id, "connected")
    state = await hub.calls.get(state.call.id)
    assert [(str(leg.endpoint), leg.state) for leg in state.legs] == [
        (f"tel:{FAR}", "connected"),
        ("sip:1001", "connected"),
    ]
    await assert_both_hear(hub, twilio)


async def test_a_caller_hears_ringing_until_somebody_answers(hub, twilio):
    """Two rounds of holding and asking again, before anything is picked up at Twilio."""
    await hub.add_account("1001")
    hub.phones.answering = False
    await twilio.do("dial", **{"from": FAR})

    async def asked_again():
        return (await twilio.state())["webhooks"][-1:] and [
            hook for hook in (await twilio.state())["webhooks"] if "resume" in hook["path"]
        ]

    await eventually(asked_again, within_s=10)
    assert (await twilio.call())["status"] == "ringing"
    [state] = await hub.calls.list(live_only=True, before=None, limit=5)
    outbound = state.legs[1]
    await hub.phones.pick_up(type("Order", (), {"leg_id": outbound.id, "call_id": state.call.id})())
    await twilio.until(status="in-progress", streaming=True)


async def test_a_caller_nobody_answers_may_hang_up(hub, twilio):
    await hub.add_account("1001")
    hub.phones.answering = False
    await twilio.do("dial", **{"from": FAR})

    async def offered():
        return await hub.calls.list(live_only=True, before=None, limit=5)

    [state] = await eventually(offered)
    await twilio.do("hangup")
    leg = await hub.until(state.call.id, "ended")
    assert leg.cause == "cancelled"
    await hub.until_forgotten()


async def test_a_number_that_means_nobody_is_not_picked_up(hub, twilio):
    await twilio.do("dial", **{"from": FAR, "to": NUMBER})
    await twilio.until(status="no-answer")
    await hub.until_forgotten()


async def test_a_socket_that_takes_nothing_loses_the_oldest_and_is_fresh_afterwards(hub, twilio):
    call = await hub.place("sip:1001", f"tel:{FAR}")
    await hub.until(call, "connected")
    await hub.converse(seconds=1.2)
    await twilio.do("stall", on=True)
    await hub.converse(seconds=2.0)
    await twilio.do("stall", on=False)
    # What piled up was cleared at Twilio, or never left: the next words are not late.
    await hub.converse(seconds=4.0)
    state = await twilio.until(streaming=True, streams=1)
    assert state["clears"] >= 1
    await assert_both_hear(hub, twilio)


async def test_nonsense_on_the_stream_disturbs_nobody(hub, twilio):
    call = await hub.place("sip:1001", f"tel:{FAR}")
    await hub.until(call, "connected")
    for text in ("{", "[]", '{"event":"media"}', '{"event":"media","media":{"payload":"%%"}}'):
        await twilio.do("raw", text=text)
    await assert_both_hear(hub, twilio)
    assert (await twilio.call())["streams"] == 1


async def test_a_number_that_is_not_allowed_never_reaches_twilio(hub, twilio):
    for number in ("+15550123456", "+86110", "110", "+8610119"):
        call = await hub.place("sip:1001", f"tel:{number}")
        leg = await hub.until(call, "ended")
        assert leg.cause == "not_allowed"
        assert leg.detail
    assert await twilio.call() is None
