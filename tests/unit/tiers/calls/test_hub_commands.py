"""Calls over hubs: floors are told and asked for, and what is shared for it is commanded from above."""

import asyncio

import pytest
from fakes.objects import an_incident
from fakes.tier_calls import LI, CallingHub, linked
from fakes.tiers import pair
from fakes.waiting import eventually

from commhub.calls.control import LegWish
from commhub.domain.call_facts import FloorMoved
from commhub.domain.errors import NotAllowedError, NotFoundError, UnavailableError
from commhub.domain.facts import Fact
from commhub.domain.tier import Share, ShareKind, ShareRight, ShareState
from commhub.kit.clock import SystemClock
from commhub.ports.media import FloorAction
from commhub.ports.tiers import TierRefusedError
from commhub.tiers.commands import SharedCommand

CALL, SEE, COMMAND = ShareRight.CALL, ShareRight.SEE, ShareRight.COMMAND
WITHIN_S = 30
NOW = SystemClock().now()


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


# --- devices -----------------------------------------------------------------------------------------------


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
