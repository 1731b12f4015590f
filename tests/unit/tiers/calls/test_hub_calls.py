"""Calls over hubs: what is shared is called from the other hub, and who has a terminal is decided by weight."""

import pytest
from fakes.objects import an_incident
from fakes.tier_calls import LI, CallingHub, linked
from fakes.tiers import pair
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError
from commhub.domain.room import Room
from commhub.domain.tier import ShareRight
from commhub.kit.clock import SystemClock
from commhub.ports.inward import IncomingCall, IncomingRefused

CALL, SEE = ShareRight.CALL, ShareRight.SEE
WITHIN_S = 30
NOW = SystemClock().now()


async def until_live(hub: CallingHub, count: int = 1) -> None:
    async def is_so() -> bool:
        return len(await hub.live()) == count

    await eventually(is_so, within_s=WITHIN_S)


async def talk(street: CallingHub, district: CallingHub, shared: str = "sip:1001") -> str:
    """A call of the district's phone 1002 with what the street shares."""
    call_id = await district.place("sip:1002", f"{shared}@street-a")
    await district.pick_up("sip:1002")
    await street.pick_up(shared)
    await district.until(call_id, _1002="connected", **{f"_{shared[4:]}": "connected"})
    return call_id


@pytest.mark.usefixtures("joined")
async def test_both_hubs_have_the_call_and_a_hang_up_of_either_ends_both(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("sip:1001", CALL)
    for ends_above in (True, False):
        call_id = await talk(street, district)
        (own,) = await street.live()
        assert {str(leg.endpoint) for leg in own.legs} == {"desk:li@district-1", "sip:1001"}
        assert own.call.created_by == "hub:district-1"
        if ends_above:
            await district.calls.end(call_id, LI)
        else:
            await street.calls.end(own.call.id, LI)
        await until_live(district, 0)
        await until_live(street, 0)


@pytest.mark.usefixtures("joined")
async def test_a_lower_hub_calls_what_an_upper_one_shares(
    street: CallingHub, district: CallingHub
) -> None:
    await district.share("sip:1001", CALL)
    call_id = await street.place("sip:1002", "sip:1001@district-1")
    await street.pick_up("sip:1002")
    await district.pick_up("sip:1001")
    await street.until(call_id, _1001="connected", _1002="connected")


@pytest.mark.usefixtures("joined")
async def test_a_hub_that_is_no_neighbour_is_refused_before_anybody_rings(
    district: CallingHub,
) -> None:
    await eventually(lambda: not district.hub.links.knows("street-z"), within_s=WITHIN_S)
    with pytest.raises(InvalidError, match="no neighbour"):
        await district.place("sip:1002", "sip:1001@street-z")
    assert await district.live() == []


@pytest.mark.usefixtures("joined")
@pytest.mark.parametrize(
    ("address", "cause", "says"),
    [
        ("sip:1002@street-a", Cause.NOT_FOUND, "not shared"),
        ("radio:r12@street-a", Cause.NOT_ALLOWED, "not to call"),
        ("room:nobody@street-a", Cause.NOT_FOUND, "not shared"),
    ],
)
async def test_what_may_not_be_called_says_why_and_rings_nobody(
    street: CallingHub, district: CallingHub, address: str, cause: Cause, says: str
) -> None:
    await street.share("radio:r12", SEE)
    name = address.partition(":")[2].partition("@")[0]
    call_id = await district.place("sip:1002", address)
    legs = await district.until(call_id, **{f"_{name}": "ended"})
    assert legs[name].cause is cause
    assert says in legs[name].detail
    assert not street.driver.placed
    assert not await street.live()


@pytest.mark.usefixtures("joined")
@pytest.mark.parametrize("cause", [Cause.BUSY, Cause.DECLINED, Cause.NO_ANSWER])
async def test_why_the_far_terminal_did_not_answer_is_known_above(
    street: CallingHub, district: CallingHub, cause: Cause
) -> None:
    await street.share("sip:1001", CALL)
    call_id = await district.place("sip:1002", "sip:1001@street-a")
    rung = await eventually(lambda: street.driver.placed, within_s=WITHIN_S)
    await street.calls.leg_ended(rung[0].leg_id, cause, None)
    legs = await district.until(call_id, _1001="ended")
    assert legs["1001"].cause is cause
    assert not await street.live()


async def test_without_a_link_a_call_says_so_and_one_that_goes_on_goes_on(
    street: CallingHub, district: CallingHub
) -> None:
    await pair(street.hub, district.hub)
    async with linked(street, district):
        await street.share("sip:1001", CALL)
        talking = await talk(street, district)
    await district.until(talking, _1001="connected", _1002="connected")
    await eventually(lambda: district.hub.links.knows("street-a"), within_s=WITHIN_S)
    call_id = await district.place("sip:1001", "sip:1002@street-a")
    legs = await district.until(call_id, _1002="ended")
    assert legs["1002"].cause is Cause.UNREACHABLE
    assert "link to street-a is down" in legs["1002"].detail


@pytest.mark.usefixtures("joined")
async def test_a_call_nobody_agreed_on_is_refused_whatever_it_calls_itself(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("sip:1001", CALL)
    (answered,) = [
        await district.hub.links.ask(
            "street-a",
            "call.ring",
            {
                "leg": "L",
                "call": "C",
                "endpoint": "sip:1001",
                "caller": "desk:li",
                "weight": "ordinary",
            },
        )
    ]
    visitor = street.trunk.expected[str(answered["user"])]

    async def offer(leg_id: str, called: str, hub: str = "district-1") -> object:
        caller = type(visitor)(visitor.scheme, visitor.name, hub)
        return await street.calls.call_offered(
            IncomingCall(leg_id=leg_id, caller=caller, called=called)
        )

    user = str(answered["user"])
    assert isinstance(await offer("x", "guessed"), IncomingRefused)
    assert isinstance(await offer("x", user, "district-2"), IncomingRefused)
    taken = await offer("a", user)
    assert not isinstance(taken, IncomingRefused)
    assert await offer("a", user) == taken
    assert isinstance(await offer("b", user), IncomingRefused)


@pytest.mark.usefixtures("joined")
async def test_another_hub_hands_on_no_calls_by_its_phones_keys(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("sip:1001", CALL)
    await talk(street, district)
    (own,) = await street.live()
    visitor = next(leg for leg in own.legs if leg.endpoint.hub == "district-1")
    assert await street.calls.transfers.refer(visitor.id, "new", "1002") is Cause.NOT_ALLOWED
    other = next(leg for leg in own.legs if leg.id != visitor.id)
    assert await street.calls.transfers.join(visitor.id, other.id) is Cause.NOT_ALLOWED


# --- 双接入 -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("joined")
async def test_a_dispatcher_above_takes_a_terminal_from_the_streets_call_which_goes_on(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("sip:1001", CALL)
    own = await street.place("sip:1001", "sip:1002", "desk:li")
    for name in ("sip:1001", "sip:1002", "desk:li"):
        await street.pick_up(name)
    await talk(street, district)
    legs = await street.until(own, _1001="ended", _1002="connected", li="connected")
    assert legs["1001"].cause is Cause.PREEMPTED
    assert "district-1" in legs["1001"].detail
    assert len(await street.live()) == 2
    # Hung up first, or the phone would be busy with what it is taken from.
    assert (legs["1001"].id, Cause.PREEMPTED) in street.driver.hung_up


@pytest.mark.usefixtures("joined")
async def test_one_who_is_left_behind_alone_stays_for_the_desk(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("sip:1001", CALL)
    own = await street.place("sip:1001", "desk:li")
    await street.pick_up("sip:1001")
    await street.pick_up("desk:li")
    await talk(street, district)
    await street.until(own, _1001="ended", li="connected")
    assert (await street.calls.get(own)).call.is_live


@pytest.mark.usefixtures("joined")
async def test_an_emergency_of_the_street_and_a_lower_hub_take_nothing_away(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("sip:1001", CALL)
    await district.share("sip:1001", CALL)
    async with street.hub.store.begin() as uow:
        await uow.incidents.add(an_incident(id="i", level=1))
    own = await street.place("sip:1001", "sip:1002", incident_id="i")
    await street.pick_up("sip:1001")
    await street.pick_up("sip:1002")
    call_id = await district.place("sip:1002", "sip:1001@street-a")
    legs = await district.until(call_id, _1001="ended")
    assert legs["1001"].cause is Cause.BUSY
    assert "in a call of this hub (user:li)" in legs["1001"].detail
    await street.until(own, _1001="connected", _1002="connected")

    above = await district.place("sip:1001", "desk:li")
    await district.pick_up("sip:1001")
    await district.pick_up("desk:li")
    asked = await street.place("desk:li", "sip:1001@district-1", incident_id="i")
    legs = await street.until(asked, _1001="ended")
    assert legs["1001"].cause is Cause.BUSY
    await district.until(above, _1001="connected")


@pytest.mark.usefixtures("joined")
async def test_the_street_is_told_who_has_its_terminal_and_takes_it_back_in_an_emergency(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("sip:1001", CALL)
    theirs = await talk(street, district)
    own = await street.place("sip:1001", "sip:1002")
    legs = await street.until(own, _1001="ended")
    assert (legs["1001"].cause, legs["1001"].detail) == (Cause.BUSY, "in a call of district-1")
    await district.until(theirs, _1001="connected")

    async with street.hub.store.begin() as uow:
        await uow.incidents.add(an_incident(id="i", level=1))
    await street.calls.resume()
    urgent = await street.place("desk:li", "sip:1001", incident_id="i")
    await street.pick_up("desk:li")
    await street.pick_up("sip:1001")
    await street.until(urgent, _1001="connected", li="connected")
    await district.until(theirs, _1001="ended")


@pytest.mark.usefixtures("joined")
async def test_a_talk_group_takes_part_in_the_calls_of_both(
    street: CallingHub, district: CallingHub
) -> None:
    await street.share("radio:r12", CALL)
    own = await street.place("sip:1001", "radio:r12")
    await street.pick_up("sip:1001")
    await street.pick_up("radio:r12")
    call_id = await district.place("sip:1002", "radio:r12@street-a")
    await district.pick_up("sip:1002")
    await eventually(lambda: len(street.driver.placed) == 3, within_s=WITHIN_S)
    await street.pick_up("radio:r12")
    await district.until(call_id, r12="connected")
    await street.until(own, r12="connected")


# --- rooms -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("joined")
async def test_a_shared_room_is_dialled_into_and_answers_at_once(
    street: CallingHub, district: CallingHub
) -> None:
    room = Room(id="m", number="88", name="会商", created_at=NOW, created_by="user:li")
    async with street.hub.store.begin() as uow:
        call = await street.calls.rooms.open(uow, room, "user:li")
        await uow.rooms.add(
            Room(
                id="m",
                number="88",
                name="会商",
                created_at=NOW,
                created_by="user:li",
                call_id=call.id,
            )
        )
    await street.share("room:m", CALL)
    own = await district.place("desk:li", "sip:1001")
    leg = await district.calls.neighbours.connect_room("street-a", own, "m", LI)
    again = await district.calls.neighbours.connect_room("street-a", own, "m", LI)
    assert again.id == leg.id
    await district.until(own, m="connected")
    assert [str(one.endpoint) for one in (await street.calls.get(call.id)).legs] == [
        "desk:li@district-1"
    ]
