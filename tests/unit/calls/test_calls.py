"""Bridged calls: who is rung, what one busy phone does to the others, and when a call is over."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia

from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.call import Cause, LegState
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Endpoint, Role, Scheme
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused
from commhub.ports.media import EngineStatus, RecordedFile

DESK = Principal(id="u1", name="li", kind="user", roles=frozenset({Role.DISPATCHER}))


@pytest.fixture
def driver():
    return FakeDriver()


@pytest.fixture
def media():
    return RememberingMedia()


@pytest.fixture
def calls(store, clock, driver, media):
    service = CallService(store, clock, ring_for_s=30)
    service.connect(media, {Scheme.SIP: driver, Scheme.RADIO: driver})
    return service


async def placed(calls, *legs, **more):
    state = await calls.place(CallRequest(legs=legs, **more), DESK)
    return state.call, {str(leg.endpoint): leg for leg in state.legs}


async def states(calls, call):
    return {str(leg.endpoint): leg.state for leg in (await calls.get(call.id)).legs}


async def add_account(store, name):
    async with store.begin() as uow:
        await uow.sip.put_account(
            SipAccount(name=name, display_name=name, ha1_md5="", ha1_sha256="")
        )


async def test_every_leg_is_committed_before_it_is_rung(calls, driver):
    call, legs = await placed(calls, "sip:1001", "radio:r12")
    assert {order.leg_id for order in driver.placed} == {leg.id for leg in legs.values()}
    assert await states(calls, call) == {
        "sip:1001": LegState.REQUESTED,
        "radio:r12": LegState.REQUESTED,
    }


@pytest.mark.parametrize(
    "legs",
    [(), ("1001",), ("fax:1",), ("wecom:li",), ("sip:1001", "sip:1001"), ("sip:7@other-hub",)],
)
async def test_what_cannot_be_called_is_refused_before_anything_is_written(calls, legs):
    with pytest.raises(InvalidError):
        await placed(calls, *legs)
    assert await calls.list(live_only=False, before=None, limit=10) == []


async def test_a_call_for_an_unknown_incident_is_refused(calls, driver):
    with pytest.raises(NotFoundError):
        await placed(calls, "sip:1001", incident_id="nobody-knows")
    assert driver.placed == []


async def test_one_busy_phone_does_not_end_the_call(calls):
    call, legs = await placed(calls, "sip:1001", "sip:1002", "sip:1003")
    await calls.leg_connected(legs["sip:1001"].id, "PCMA")
    await calls.leg_ended(legs["sip:1002"].id, Cause.BUSY, "486 Busy Here")
    state = await calls.get(call.id)
    assert state.call.is_live
    busy = next(leg for leg in state.legs if str(leg.endpoint) == "sip:1002")
    assert (busy.state, busy.cause, busy.detail) == (LegState.ENDED, Cause.BUSY, "486 Busy Here")


async def test_the_last_of_two_who_talked_is_let_go(calls, driver):
    call, legs = await placed(calls, "sip:1001", "sip:1002")
    for leg in legs.values():
        await calls.leg_connected(leg.id, "PCMA")
    await calls.leg_ended(legs["sip:1001"].id, Cause.HUNG_UP, None)
    assert not (await calls.get(call.id)).call.is_live
    assert driver.hung_up == [(legs["sip:1002"].id, Cause.CALL_ENDED)]


async def test_a_radio_group_alone_does_not_keep_a_call_alive(calls, driver):
    call, legs = await placed(calls, "sip:1001", "radio:r12")
    for leg in legs.values():
        await calls.leg_connected(leg.id, "PCMA")
    await calls.leg_ended(legs["sip:1001"].id, Cause.HUNG_UP, None)
    assert not (await calls.get(call.id)).call.is_live
    assert (legs["radio:r12"].id, Cause.CALL_ENDED) in driver.hung_up


async def test_news_that_comes_twice_or_too_late_changes_nothing(calls):
    call, legs = await placed(calls, "sip:1001", "sip:1002", "sip:1003")
    leg = legs["sip:1001"]
    await calls.leg_connected(leg.id, "PCMA")
    await calls.leg_ended(leg.id, Cause.HUNG_UP, None)
    await calls.leg_ended(leg.id, Cause.FAILED, "later")
    await calls.leg_ringing(leg.id)
    await calls.leg_connected("never-heard-of", "PCMA")
    ended = next(one for one in (await calls.get(call.id)).legs if one.id == leg.id)
    assert (ended.state, ended.cause) == (LegState.ENDED, Cause.HUNG_UP)


async def test_a_driver_that_is_down_fails_its_leg_with_the_reason(calls, driver):
    driver.unavailable = True
    call, _ = await placed(calls, "sip:1001")
    (leg,) = (await calls.get(call.id)).legs
    assert (leg.cause, leg.detail) == (Cause.FAILED, "the SIP edge is down")


async def test_the_desk_ends_all_legs_and_may_say_it_twice(calls, driver):
    call, legs = await placed(calls, "sip:1001", "sip:1002")
    await calls.end(call.id, DESK)
    await calls.end(call.id, DESK)
    assert sorted(driver.hung_up) == sorted((leg.id, Cause.DESK) for leg in legs.values())


async def test_a_recording_starts_with_the_first_voice_and_stops_with_the_call(calls, media):
    call, legs = await placed(calls, "sip:1001", "sip:1002", record=True)
    for leg in legs.values():
        await calls.leg_connected(leg.id, "PCMA")
    await calls.end(call.id, DESK)
    assert [order for order in media.orders if order[0] == "record"] == [
        ("record", call.id, True, False),
        ("record", call.id, False, False),
    ]


async def test_a_leg_already_in_the_call_is_not_rung_twice(calls):
    call, legs = await placed(calls, "sip:1001", "sip:1002")
    with pytest.raises(ConflictError):
        await calls.add_leg(call.id, "sip:1002", DESK)
    await calls.leg_connected(legs["sip:1001"].id, "PCMA")
    await calls.leg_ended(legs["sip:1002"].id, Cause.NO_ANSWER, None)
    again = await calls.add_leg(call.id, "sip:1002", DESK)
    assert again.state is LegState.REQUESTED


# --- somebody dials the hub ------------------------------------------------------------------------------


def dialling(called):
    return IncomingCall(leg_id="leg-in", caller=Endpoint(Scheme.SIP, "1001"), called=called)


async def test_a_phone_that_dials_another_is_answered_when_the_other_answers(calls, driver, store):
    await add_account(store, "1002")
    verdict = await calls.call_offered(dialling("1002"))
    assert isinstance(verdict, IncomingAccepted)
    (order,) = driver.placed
    assert str(order.endpoint) == "sip:1002"
    assert driver.answered == []
    await calls.leg_connected(order.leg_id, "PCMA")
    assert driver.answered == ["leg-in"]


async def test_a_caller_hears_that_the_other_is_busy(calls, driver, store):
    await add_account(store, "1002")
    verdict = await calls.call_offered(dialling("1002"))
    await calls.leg_ended(driver.placed[0].leg_id, Cause.BUSY, "486 Busy Here")
    assert driver.hung_up == [("leg-in", Cause.BUSY)]
    assert not (await calls.get(verdict.call_id)).call.is_live


async def test_when_the_caller_gives_up_the_other_phone_stops_ringing(calls, driver, store):
    await add_account(store, "1002")
    verdict = await calls.call_offered(dialling("1002"))
    await calls.leg_ringing(driver.placed[0].leg_id)
    await calls.leg_ended("leg-in", Cause.CANCELLED, None)
    assert [leg_id for leg_id, _ in driver.hung_up] == [driver.placed[0].leg_id]
    assert not (await calls.get(verdict.call_id)).call.is_live


async def test_an_unknown_number_is_refused(calls):
    assert await calls.call_offered(dialling("4711")) == IncomingRefused(cause=Cause.NOT_FOUND)


async def test_an_offer_that_is_repeated_is_the_same_call(calls, driver, store):
    await add_account(store, "1002")
    assert await calls.call_offered(dialling("1002")) == await calls.call_offered(dialling("1002"))
    assert len(driver.placed) == 1


# --- after a restart -------------------------------------------------------------------------------------


async def test_a_leg_committed_but_never_rung_is_rung_after_the_restart(calls, driver):
    driver.place = None  # the process dies between commit and order
    with pytest.raises(TypeError):
        await placed(calls, "sip:1001")
    del driver.place
    await calls.resume()
    assert [str(order.endpoint) for order in driver.placed] == ["sip:1001"]


async def test_a_leg_that_waited_longer_than_it_would_ring_is_given_up(calls, clock, driver):
    call, _ = await placed(calls, "sip:1001")
    driver.placed.clear()
    clock.advance(31)
    await calls.resume()
    (leg,) = (await calls.get(call.id)).legs
    assert (leg.cause, driver.placed) == (Cause.FAILED, [])


async def test_legs_whose_audio_was_lost_with_the_worker_end_with_that_cause(
    calls, store, clock, driver
):
    call, legs = await placed(calls, "sip:1001", "sip:1002")
    for leg in legs.values():
        await calls.leg_connected(leg.id, "PCMA")
    await calls.resume()
    events = MediaEvents(calls, store, clock)
    await events.engine_status(EngineStatus(worker="w", boot_id="new"))
    assert {leg.cause for leg in (await calls.get(call.id)).legs} <= {
        Cause.MEDIA_LOST,
        Cause.CALL_ENDED,
    }
    assert not (await calls.get(call.id)).call.is_live
    assert {leg_id for leg_id, _ in driver.hung_up} == {leg.id for leg in legs.values()}


async def test_a_recording_told_twice_is_stored_once(calls, store, clock):
    call, _ = await placed(calls, "sip:1001")
    events = MediaEvents(calls, store, clock)
    for _ in range(2):
        await events.recording_stored(RecordedFile(call.id, "2026/a.wav", 3.2, "ab" * 32))
    async with store.read() as uow:
        found = await uow.recordings.of_call(call.id)
    assert [one.path for one in found] == ["2026/a.wav"]
