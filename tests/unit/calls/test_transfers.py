"""Calls that phones hand on: which legs there are afterwards, what the engine is told, what is on record."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.web import someone

from commhub.calls.service import CallRequest, CallService
from commhub.domain.call import Cause, Entry, LegState
from commhub.domain.call_facts import LegMoved, LegTransferred
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.ids import new_id
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused

DESK = someone()


@pytest.fixture
def driver():
    return FakeDriver()


@pytest.fixture
def media():
    return RememberingMedia()


@pytest.fixture
async def calls(store, clock, driver, media):
    service = CallService(store, clock)
    service.connect(media, {Scheme.SIP: driver, Scheme.RADIO: driver})
    async with store.begin() as uow:
        for name in ("1001", "1002", "1003", "1004"):
            await uow.sip.put_account(
                SipAccount(name=name, display_name=name, ha1_md5="", ha1_sha256="")
            )
    return service


async def talking(calls, *names, **more):
    """A call whose legs all talk; its legs by name."""
    state = await calls.place(CallRequest(legs=[f"sip:{name}" for name in names]), DESK, **more)
    for leg in state.legs:
        await calls.leg_connected(leg.id, "PCMA")
    return state.call, {leg.endpoint.name: leg for leg in state.legs}


async def states(calls, call):
    return {leg.endpoint.name: leg.state for leg in (await calls.get(call.id)).legs}


async def actions(store):
    async with store.read() as uow:
        rows = await uow.audit.list(None, 100)
    return [(row.actor, row.action) for row in rows]


@pytest.fixture
def recorded(bus):
    with bus.subscribe(1000) as told:

        def of(kind):
            found = []
            while not told._queue.empty():
                found.append(told._queue.get_nowait())
            return [fact for fact in found if isinstance(fact, kind)]

        yield of


def caller(name):
    return IncomingCall(leg_id=new_id(), caller=Endpoint(Scheme.SIP, name), called="x")


# --- blind ---------------------------------------------------------------------------------------------------


async def test_a_number_is_rung_into_the_call_and_the_phone_may_leave(calls, driver, store):
    call, legs = await talking(calls, "1001", "1002")
    new = new_id()
    assert await calls.transfers.refer(legs["1001"].id, new, "1003") is None
    assert [order.leg_id for order in driver.placed][-1] == new
    await calls.leg_connected(new, "PCMA")
    assert await calls.transfers.state_of(new) == (LegState.CONNECTED, None)

    await calls.leg_ended(legs["1001"].id, Cause.HUNG_UP, None)
    assert await states(calls, call) == {
        "1001": LegState.ENDED,
        "1002": LegState.CONNECTED,
        "1003": LegState.CONNECTED,
    }
    assert ("phone:1001", "call.transfer") in await actions(store)


async def test_the_same_transfer_twice_rings_once(calls, driver):
    _, legs = await talking(calls, "1001", "1002")
    new = new_id()
    for _ in range(2):
        assert await calls.transfers.refer(legs["1001"].id, new, "1003") is None

    assert [order.leg_id for order in driver.placed].count(new) == 1


async def test_a_phone_that_leaves_while_it_rings_leaves_the_other_waiting(calls):
    call, legs = await talking(calls, "1001", "1002")
    new = new_id()
    await calls.transfers.refer(legs["1001"].id, new, "1003")
    await calls.leg_ended(legs["1001"].id, Cause.HUNG_UP, None)
    assert (await calls.get(call.id)).call.is_live

    await calls.leg_ended(new, Cause.BUSY, "486")
    assert not (await calls.get(call.id)).call.is_live
    assert await calls.transfers.state_of(new) == (LegState.ENDED, Cause.BUSY)


@pytest.mark.parametrize(("number", "cause"), [("7777", Cause.NOT_FOUND), ("1002", Cause.BUSY)])
async def test_who_cannot_be_rung_is_not(calls, driver, number, cause):
    _, legs = await talking(calls, "1001", "1002")
    placed = len(driver.placed)

    assert await calls.transfers.refer(legs["1001"].id, new_id(), number) is cause
    assert len(driver.placed) == placed


async def test_a_phone_that_may_only_listen_hands_nothing_on(calls):
    call, _ = await talking(calls, "1001", "1002")
    leg = await calls.add_leg(call.id, "sip:1003", DESK, entry=Entry.LISTEN)
    await calls.leg_connected(leg.id, "PCMA")

    assert await calls.transfers.refer(leg.id, new_id(), "1004") is Cause.NOT_ALLOWED
    _, other = await talking(calls, "1001", "1004")
    assert await calls.transfers.join(leg.id, other["1001"].id) is Cause.NOT_ALLOWED


async def test_a_number_that_cannot_be_placed_is_a_leg_that_failed(calls, driver):
    _, legs = await talking(calls, "1001", "1002")
    driver.unavailable = True
    new = new_id()

    assert await calls.transfers.refer(legs["1001"].id, new, "1003") is None
    assert await calls.transfers.state_of(new) == (LegState.ENDED, Cause.FAILED)


async def test_an_unknown_leg_has_no_state(calls):
    assert await calls.transfers.state_of(new_id()) is None
    assert await calls.transfers.refer(new_id(), new_id(), "1003") is Cause.NOT_ALLOWED


# --- attended ------------------------------------------------------------------------------------------------


async def test_those_behind_two_legs_of_a_phone_talk_with_one_another(
    calls, driver, media, recorded
):
    first, here = await talking(calls, "1001", "1002")
    second, there = await talking(calls, "1001", "1003")
    recorded(object)
    assert await calls.transfers.join(here["1001"].id, there["1001"].id) is None

    assert ("move", here["1002"].id, second.id) in media.orders
    assert not (await calls.get(first.id)).call.is_live
    assert await states(calls, second) == {
        "1001": LegState.ENDED,
        "1002": LegState.CONNECTED,
        "1003": LegState.CONNECTED,
    }
    ended = {(here["1001"].id, Cause.TRANSFERRED), (there["1001"].id, Cause.TRANSFERRED)}
    assert set(driver.hung_up) == ended


async def test_an_attended_transfer_is_on_both_timelines(calls, recorded, store):
    first, here = await talking(calls, "1001", "1002")
    second, there = await talking(calls, "1001", "1003")
    recorded(object)
    await calls.transfers.join(here["1001"].id, there["1001"].id)

    facts = recorded(object)
    moved = [fact for fact in facts if isinstance(fact, LegTransferred)]
    assert {(fact.call_id, fact.endpoint) for fact in moved} == {
        (first.id, "sip:1002"),
        (second.id, "sip:1002"),
    }
    ends = [fact.cause for fact in facts if isinstance(fact, LegMoved) and fact.state == "ended"]
    assert ends == [Cause.TRANSFERRED, Cause.TRANSFERRED]
    assert ("phone:1001", "call.move_leg") in await actions(store)


async def test_a_call_that_still_rings_is_handed_on_ringing(calls):
    _, here = await talking(calls, "1001", "1002")
    inbound = caller("1001")
    offered = await calls.call_offered(
        IncomingCall(leg_id=inbound.leg_id, caller=inbound.caller, called="1003")
    )
    assert await calls.transfers.join(here["1001"].id, inbound.leg_id) is None

    legs = (await calls.get(offered.call_id)).legs
    assert {leg.endpoint.name for leg in legs if leg.is_live} == {"1002", "1003"}


async def test_two_legs_of_one_call_are_not_joined(calls, driver):
    _, legs = await talking(calls, "1001", "1002")

    assert await calls.transfers.join(legs["1001"].id, legs["1002"].id) is Cause.NOT_ALLOWED
    assert driver.hung_up == []


# --- Replaces ------------------------------------------------------------------------------------------------


async def test_a_caller_takes_a_legs_place_with_its_part(calls, store):
    call, legs = await talking(calls, "1001", "1002")
    incoming = caller("1003")
    assert await calls.transfers.replace(legs["1001"].id, incoming) == IncomingAccepted(
        call_id=call.id
    )
    assert await calls.transfers.replace(legs["1001"].id, incoming) == IncomingAccepted(
        call_id=call.id
    )
    await calls.leg_connected(incoming.leg_id, "PCMA")
    await calls.leg_ended(legs["1001"].id, Cause.TRANSFERRED, None)

    assert await states(calls, call) == {
        "1001": LegState.ENDED,
        "1002": LegState.CONNECTED,
        "1003": LegState.CONNECTED,
    }
    assert ("phone:1003", "call.replace_leg") in await actions(store)


async def test_who_only_listened_is_replaced_by_who_only_listens(calls):
    call, _ = await talking(calls, "1001", "1002")
    listener = await calls.add_leg(call.id, "sip:1003", DESK, entry=Entry.LISTEN)
    incoming = caller("1004")
    await calls.transfers.replace(listener.id, incoming)

    (leg,) = [leg for leg in (await calls.get(call.id)).legs if leg.id == incoming.leg_id]
    assert leg.listen_only


async def test_what_is_over_or_shared_is_not_replaced(calls):
    call, legs = await talking(calls, "1001", "1002")
    assert await calls.transfers.replace(legs["1001"].id, caller("1002")) == IncomingRefused(
        cause=Cause.BUSY
    )
    await calls.end(call.id, DESK)

    assert await calls.transfers.replace(legs["1001"].id, caller("1003")) == IncomingRefused(
        cause=Cause.DECLINED
    )
