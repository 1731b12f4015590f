"""Calls over hubs: what is shared is called from the other hub, who has a terminal is decided by weight, and floors are told and asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.objects import an_incident
from fakes.tier_calls import LI, CallingHub, MemoryTrunk, calling_hub
from fakes.tiers import join, pair
from fakes.waiting import eventually

from commhub.calls.control import LegWish
from commhub.domain.call import Cause
from commhub.domain.call_facts import FloorMoved
from commhub.domain.device import Device, DeviceKind
from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError, UnavailableError
from commhub.domain.facts import Fact
from commhub.domain.room import Room
from commhub.domain.tier import Share, ShareKind, ShareRight, ShareState, Tier
from commhub.kit.clock import SystemClock
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingCall, IncomingRefused
from commhub.ports.media import FloorAction
from commhub.ports.tiers import TierRefusedError
from commhub.tiers.commands import SharedCommand

CALL, SEE, COMMAND = ShareRight.CALL, ShareRight.SEE, ShareRight.COMMAND
WITHIN_S = 30
NOW = SystemClock().now()


@pytest.fixture
def network() -> dict[str, MemoryTrunk]:
    return {}


async def furnish(hub: CallingHub) -> None:
    """Phones, a radio and a camera."""
    async with hub.hub.store.begin() as uow:
        for name in ("1001", "1002"):
            await uow.sip.put_account(
                SipAccount(name=name, display_name=name, ha1_md5="x", ha1_sha256="x")
            )
        for name, kind in (("r12", DeviceKind.RADIO), ("b7", DeviceKind.BODYCAM)):
            groups = ("patrol",) if kind is DeviceKind.RADIO else ()
            await uow.fleet.put(Device(id=name, kind=kind, name=name, groups=groups, online=True))


@pytest.fixture
async def street(tmp_path: Path, network: dict[str, MemoryTrunk]) -> AsyncIterator[CallingHub]:
    async with calling_hub("street-a", Tier.STREET, tmp_path, network) as one:
        await furnish(one)
        yield one


@pytest.fixture
async def district(tmp_path: Path, network: dict[str, MemoryTrunk]) -> AsyncIterator[CallingHub]:
    async with calling_hub("district-1", Tier.DISTRICT, tmp_path, network) as one:
        await furnish(one)
        yield one


@asynccontextmanager
async def linked(street: CallingHub, district: CallingHub) -> AsyncIterator[None]:
    link = asyncio.create_task(join(street.hub, district.hub))

    def is_up() -> bool:
        return (
            street.hub.links.state_of("district-1").up
            and district.hub.links.state_of("street-a").up
        )

    try:
        await eventually(is_up, within_s=WITHIN_S)
        yield
    finally:
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        await eventually(lambda: not is_up(), within_s=WITHIN_S)


@pytest.fixture
async def joined(street: CallingHub, district: CallingHub) -> AsyncIterator[None]:
    await pair(street.hub, district.hub)
    async with linked(street, district):
        yield


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


# --- floors -------------------------------------------------------------------------------------------------


async def with_radio(street: CallingHub, district: CallingHub, **more: str) -> tuple[str, str]:
    """A call of the district's phone and the street's radio: its id at each hub."""
    await street.share("radio:r12", CALL, COMMAND)
    call_id = await district.place("sip:1002", "radio:r12@street-a", **more)
    await district.pick_up("sip:1002")
    await street.pick_up("radio:r12")
    await district.until(call_id, r12="connected")
    (own,) = await street.live()
    return call_id, own.call.id


class Floors:
    """What a hub's desk hears of floors."""

    def __init__(self, hub: CallingHub) -> None:
        self.heard: list[FloorMoved] = []
        self._hub = hub

    async def __aenter__(self) -> "Floors":
        self._subscription = self._hub.hub.bus.subscribe()
        facts = self._subscription.__enter__()

        async def listen() -> None:
            async for fact in facts:
                if isinstance(fact, FloorMoved):
                    self.heard.append(fact)

        self._task = asyncio.create_task(listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._subscription.__exit__(None, None, None)

    async def until(self, **wanted: object) -> FloorMoved:
        def found() -> FloorMoved | None:
            fits = (
                one
                for one in self.heard
                if all(getattr(one, name) == value for name, value in wanted.items())
            )
            return next(fits, None)

        return await eventually(found, within_s=WITHIN_S)


async def move_floor(hub: CallingHub, **change: object) -> None:
    fact: Fact = FloorMoved(at=NOW, group="patrol", **change)  # type: ignore[arg-type]  # named by the test
    async with hub.hub.store.begin() as uow:
        uow.record(fact)


@pytest.mark.usefixtures("joined")
async def test_events_of_the_streets_floor_reach_the_districts_desk_in_its_own_names(
    street: CallingHub, district: CallingHub
) -> None:
    call_id, own = await with_radio(street, district)
    async with Floors(district) as desk:
        await move_floor(street, event="taken", talker="radio:r12", call_id=own)
        taken = await desk.until(event="taken", talker="radio:r12@street-a")
        assert (taken.group, taken.call_id) == ("patrol@street-a", call_id)
        await move_floor(street, event="queue", queue=("radio:r12", f"call:{own}"))
        await desk.until(event="queue", queue=("radio:r12@street-a", f"call:{call_id}"))
        await move_floor(
            street, event="revoked", talker=f"call:{own}", call_id=own, cause="preempted"
        )
        await desk.until(event="revoked", talker=f"call:{call_id}", cause="preempted")
        await move_floor(street, event="idle", call_id="another call")
        await move_floor(street, event="idle", call_id=own)
        await desk.until(event="idle", talker=None)
        assert len([one for one in desk.heard if one.event == "idle"]) == 1


async def test_the_floor_as_it_is_is_told_anew_when_the_link_comes_up_and_held_keys_are_let_go(
    street: CallingHub, district: CallingHub
) -> None:
    await pair(street.hub, district.hub)
    async with linked(street, district):
        call_id, own = await with_radio(street, district)
        await move_floor(street, event="idle", call_id=own)
        legs = await district.until(call_id, r12="connected")
        wish = LegWish(key=True)
        await district.calls.control.change_leg(call_id, legs["r12"].id, wish, LI)
        assert street.media.orders[-1] == ("key", own, "patrol", True)
    await eventually(
        lambda: street.media.orders[-1] == ("key", own, "patrol", False), within_s=WITHIN_S
    )
    with pytest.raises(UnavailableError, match="link to street-a is down"):
        await district.calls.control.change_leg(call_id, legs["r12"].id, wish, LI)
    async with Floors(street) as told:
        await move_floor(street, event="taken", talker="radio:r12", call_id=own)
        await told.until(event="taken")
    async with Floors(district) as desk, linked(street, district):
        await desk.until(event="taken", talker="radio:r12@street-a")


@pytest.mark.usefixtures("joined")
async def test_an_upper_desk_commands_the_streets_floor_and_a_lower_one_never(
    street: CallingHub, district: CallingHub
) -> None:
    call_id, own = await with_radio(street, district)
    control = district.calls.control
    await control.command_floor("patrol@street-a", FloorAction.GRANT, "radio:r12@street-a", LI)
    assert street.media.orders[-1] == ("command_floor", "patrol", FloorAction.GRANT, "radio:r12")
    await control.command_floor("patrol@street-a", FloorAction.REVOKE, f"call:{call_id}", LI)
    assert street.media.orders[-1][3] == f"call:{own}"
    with pytest.raises(TierRefusedError, match="not in this call"):
        await control.command_floor("other@street-a", FloorAction.REVOKE, None, LI)

    await district.share("radio:r12", CALL)
    upward = await street.place("sip:1002", "radio:r12@district-1")
    await street.pick_up("sip:1002")
    await district.pick_up("radio:r12")
    legs = await street.until(upward, r12="connected")
    with pytest.raises(TierRefusedError, match="below"):
        await street.calls.control.command_floor("patrol@district-1", FloorAction.REVOKE, None, LI)
    await street.calls.control.change_leg(upward, legs["r12"].id, LegWish(key=True), LI)
    assert district.media.orders[-1][0] == "key"


@pytest.mark.usefixtures("joined")
async def test_floors_stand_on_the_timeline_once_also_where_both_have_the_incident(
    street: CallingHub, district: CallingHub
) -> None:
    async with district.hub.store.begin() as uow:
        await uow.incidents.add(an_incident(id="i"))
    _, own = await with_radio(street, district, incident_id="i")
    assert (await street.calls.get(own)).call.incident_id is None

    async def lines() -> int:
        async with district.hub.store.read() as uow:
            found = await uow.timeline.of_incident("i")
        return sum(one.kind == "floor_moved" for one in found)

    await move_floor(street, event="taken", talker="radio:r12", call_id=own)

    async def is_told() -> bool:
        return await lines() == 1

    await eventually(is_told, within_s=WITHIN_S)
    async with district.hub.store.begin() as uow:
        await uow.shares.put(a_share("street-a"))
    async with Floors(district) as desk:
        await move_floor(street, event="idle", call_id=own)
        await desk.until(event="idle")
    assert await lines() == 1


def a_share(peer: str) -> Share:
    return Share(
        incident_id="i",
        peer=peer,
        kind=ShareKind.REPORTED_UP,
        given=False,
        state=ShareState.HELD,
        created_at=NOW,
        updated_at=NOW,
        by="user:li",
    )


@pytest.mark.usefixtures("joined")
async def test_a_call_about_an_incident_both_have_is_on_both_timelines(
    street: CallingHub, district: CallingHub
) -> None:
    for hub, peer in ((street, "district-1"), (district, "street-a")):
        async with hub.hub.store.begin() as uow:
            await uow.incidents.add(an_incident(id="i"))
            await uow.shares.put(a_share(peer))
    _, own = await with_radio(street, district, incident_id="i")
    assert (await street.calls.get(own)).call.incident_id == "i"


# --- rooms and devices --------------------------------------------------------------------------------------


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


@pytest.mark.usefixtures("joined")
async def test_a_device_is_commanded_from_above_with_the_right_to_and_both_record_it(
    street: CallingHub, district: CallingHub
) -> None:
    for hub, peer in ((street, "district-1"), (district, "street-a")):
        async with hub.hub.store.begin() as uow:
            await uow.incidents.add(an_incident(id="i"))
            await uow.shares.put(a_share(peer))
    await street.share("cam:b7", SEE, COMMAND)
    await street.share("radio:r12", CALL)

    async def are_known() -> bool:
        return len(await district.directory.shared()) == 2

    district.directory.wake()
    street.directory.wake()
    await eventually(are_known, within_s=WITHIN_S)
    command = SharedCommand(
        address="cam:b7@street-a", op="live.start", args={"layer": 1}, incident_id="i"
    )
    await district.commands.order(command, LI)
    assert street.devices.orders == [("b7", "live.start", {"layer": 1}, "hub:district-1/li")]
    for hub in (street, district):
        async with hub.hub.store.read() as uow:
            kinds = [one.kind for one in await uow.timeline.of_incident("i")]
        assert kinds == ["shared_commanded"]
    for address, error in (
        ("radio:r12@street-a", NotAllowedError),
        ("cam:b8@street-a", NotFoundError),
    ):
        with pytest.raises(error):
            await district.commands.order(SharedCommand(address=address, op="text"), LI)
    body = {"device": "cam:b7", "op": "live.start", "expires_in_s": 60, "by": "user:wang"}
    await district.share("cam:b7", SEE)
    with pytest.raises(TierRefusedError, match="below"):
        await street.hub.links.ask("district-1", "device.command", body)
    assert len(street.devices.orders) == 1
    assert not district.devices.orders
