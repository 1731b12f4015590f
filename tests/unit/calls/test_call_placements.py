"""Which worker a call is on, on record, and legs whose audio moved to another address."""

import asyncio

import pytest
from fakes.calls import FakeDriver, RememberingMedia

from commhub.calls.media_events import MediaEvents
from commhub.calls.placements import CallPlacements
from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.call import Cause, LegState
from commhub.domain.people import Role, Scheme
from commhub.ports.media import EngineStatus, Placement, RtpAddress

DESK = Principal(id="u1", name="li", kind="user", roles=frozenset({Role.DISPATCHER}))
MOVED = RtpAddress("127.0.0.1", 30_002)


class PhoneDriver(FakeDriver):
    """Can tell its phones that our address has changed."""

    def __init__(self):
        super().__init__()
        self.readdressed = []

    async def readdress(self, leg_id, address):
        self.readdressed.append((leg_id, address))


@pytest.fixture
def phones():
    return PhoneDriver()


@pytest.fixture
def calls(store, clock, phones):
    service = CallService(store, clock, ring_for_s=30)
    service.connect(RememberingMedia(), {Scheme.SIP: phones, Scheme.RADIO: FakeDriver()})
    return service


@pytest.fixture
def placements(store):
    return CallPlacements(store)


async def placed(calls, *legs):
    state = await calls.place(CallRequest(legs=legs), DESK)
    return state.call.id, {str(leg.endpoint): leg.id for leg in state.legs}


async def test_the_worker_of_a_call_is_on_record(calls, placements):
    call, _ = await placed(calls, "sip:1001")
    assert await placements.find(call) == Placement(worker=None, with_radio=False)
    await placements.record(call, "w1")
    assert await placements.find(call) == Placement(worker="w1", with_radio=False)


async def test_a_call_with_a_radio_says_so_until_the_radio_has_left(calls, placements):
    call, legs = await placed(calls, "sip:1001", "sip:1002", "radio:r12")
    assert (await placements.find(call)).with_radio
    await calls.leg_ended(legs["radio:r12"], Cause.UNREACHABLE, None)
    assert not (await placements.find(call)).with_radio


async def test_calls_that_are_over_and_calls_nobody_knows_are_nowhere(calls, placements):
    call, legs = await placed(calls, "sip:1001", "sip:1002")
    await calls.leg_ended(legs["sip:1002"], Cause.BUSY, None)
    assert await placements.live_legs([*legs.values(), "nobody"]) == {legs["sip:1001"]}
    await calls.end(call, DESK)
    assert await placements.find(call) is None
    assert await placements.find("nobody") is None
    await placements.record("nobody", "w1")


async def test_a_phone_whose_audio_moved_is_told_by_its_driver(calls, store, clock, phones):
    await calls.resume()
    _, legs = await placed(calls, "sip:1001", "sip:1002")
    events = MediaEvents(calls, store, clock)
    await events.leg_readdressed(legs["sip:1001"], MOVED)
    await events.leg_readdressed("nobody", MOVED)
    assert phones.readdressed == [(legs["sip:1001"], MOVED)]


async def test_a_leg_whose_far_end_cannot_be_told_has_lost_its_audio(calls):
    await calls.resume()
    call, legs = await placed(calls, "sip:1001", "radio:r12")
    await calls.readdress(legs["radio:r12"], MOVED)
    ended = {str(leg.endpoint): leg for leg in (await calls.get(call)).legs}["radio:r12"]
    assert (ended.state, ended.cause) == (LegState.ENDED, Cause.MEDIA_LOST)


async def test_a_leg_that_connected_after_the_list_was_made_is_not_ended_by_it(calls, store, clock):
    call, legs = await placed(calls, "sip:1001", "sip:1002", "sip:1003")
    await calls.leg_connected(legs["sip:1001"], "PCMA")
    listed = EngineStatus(worker="all", boot_id="", legs=[])
    # It waits until the drivers know their legs; meanwhile two phones answer.
    judging = asyncio.create_task(MediaEvents(calls, store, clock).engine_status(listed))
    await asyncio.sleep(0)
    clock.advance(5)
    for phone in ("sip:1002", "sip:1003"):
        await calls.leg_connected(legs[phone], "PCMA")
    await calls.resume()
    await judging
    states = {str(leg.endpoint): leg.state for leg in (await calls.get(call)).legs}
    assert states == {
        "sip:1001": LegState.ENDED,
        "sip:1002": LegState.CONNECTED,
        "sip:1003": LegState.CONNECTED,
    }
