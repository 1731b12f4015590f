"""Rooms of several hubs as one meeting: joined and parted, with each other's pictures, over links that break."""

import math
from datetime import timedelta

import pytest
from fakes.cascade import STREET_DISTRICT_CITY, WITHIN_S, joined_hubs
from fakes.rooms import LI
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.domain.errors import UnavailableError
from commhub.domain.roll_call import Verdict
from commhub.domain.room import SourceState
from commhub.domain.tier import Export, ShareRight
from commhub.domain.tier_rooms import CascadeState
from commhub.kit.clock import SystemClock
from commhub.kit.ids import new_id
from commhub.ports.tiers import TierRefusedError
from commhub.ports.video import Layer
from commhub.rooms.cascade.joining import Joining
from commhub.rooms.cascade.said import Standing
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.roll_calls import NewRollCall

LINE = (("street", "district"), ("district", "city"))
JOINED = CascadeState.JOINED


@pytest.fixture
async def three(tmp_path):
    async with joined_hubs(tmp_path, *LINE, **STREET_DISTRICT_CITY) as (hubs, wire):
        yield hubs["street"], hubs["district"], hubs["city"], wire


async def met(street, district, city):
    """A meeting of the city with the district and the street; each hub's room."""
    above = await city.town.open(name="防汛会商")
    joined = await city.join(above, "district", ("street",))
    assert joined.state is JOINED
    between = await district.room_joined_with("city")
    below = await street.room_joined_with("district")
    return below, between, above


async def test_the_city_invites_the_district_and_through_it_the_street(three):
    street, district, city, _ = three
    below, between, above = await met(street, district, city)
    assert below.name == between.name == "防汛会商"
    assert (await city.joins(above))["district"].hubs == ("district", "street")
    assert (await district.joins(between)).keys() == {"city", "street"}
    assert await city.town.states(above) == {"li": "invited", "district": "joined"}


async def test_a_picture_below_is_known_above_and_flows_only_while_somebody_looks(three):
    street, district, city, _ = three
    below, between, above = await met(street, district, city)
    camera = await street.film(below)
    known = await city.knows(above, f"street/{camera}")
    assert known.via == ("street", "district", "city")
    passed = await district.knows(between, f"street/{camera}")
    assert await city.state(known.source_id) is SourceState.IDLE
    assert not street.pushes.going
    assert not district.pushes.going

    await city.look(above, known.source_id)
    assert await city.state(known.source_id) is SourceState.LIVE
    assert await district.state(passed.source_id) is SourceState.LIVE
    (hop,), (next_hop,) = street.pushes.going.values(), district.pushes.going.values()
    assert (hop.source_id, next_hop.source_id) == (camera, passed.source_id)

    await city.look_away()
    await eventually(
        lambda: not street.pushes.going and not district.pushes.going, within_s=WITHIN_S
    )
    await city.shows(known.source_id, SourceState.IDLE)
    assert await district.uplinks() == []


async def test_ten_who_look_are_one_stream_a_hop_of_the_best_layer_any_of_them_wants(three):
    street, district, city, _ = three
    below, _, above = await met(street, district, city)
    known = await city.knows(above, f"street/{await street.film(below)}")
    for n in range(10):
        await city.look(above, known.source_id, f"view-{n}", layer=Layer.SUB)
    await eventually(lambda: len(district.pushes.going) == 1, within_s=WITHIN_S)
    await city.look(above, known.source_id, "close", layer=Layer.MAIN)

    async def is_main():
        return [one.layer for one in await street.uplinks()] == [Layer.MAIN]

    await eventually(is_main, within_s=WITHIN_S)
    assert len(street.pushes.going) == len(district.pushes.going) == 1
    await city.look_away("close")

    async def is_sub():
        return [one.layer for one in await street.uplinks()] == [Layer.SUB]

    await eventually(is_sub, within_s=WITHIN_S)


async def test_a_loop_is_refused_with_a_reason_both_sides_read(tmp_path):
    pairs = (*LINE, ("street", "city"))
    async with joined_hubs(tmp_path, *pairs, **STREET_DISTRICT_CITY) as (hubs, _):
        street, district, city = hubs["street"], hubs["district"], hubs["city"]
        below, _, above = await met(street, district, city)
        with pytest.raises(TierRefusedError, match="already by another way"):
            await street.join(below, "city")
        joins = await street.joins(below)
        assert joins["city"].state is CascadeState.ENDED
        assert "a loop" in joins["city"].reason
        assert set(await city.joins(above)) == {"district"}


async def test_after_a_cut_both_sides_find_together_and_the_picture_comes_back(three):
    street, district, city, wire = three
    below, between, above = await met(street, district, city)
    known = await city.knows(above, f"street/{await street.film(below)}")
    await city.look(above, known.source_id)
    await wire.cut("street", "district")

    async def is_down():
        return (await district.joins(between))["street"].state is CascadeState.DOWN

    await eventually(is_down, within_s=WITHIN_S)
    # The connection of the picture is lost with it.
    (session,) = [
        one
        for one in district.town.video.sessions
        if one.startswith(next(iter(street.pushes.going)))
    ]
    await district.town.feature.events.session_lost(session, "vanished")
    (push,) = street.pushes.going
    await street.cascade.uplinks.push_lost(push, "vanished")
    begun = len(street.pushes.begun)
    await wire.connect("street", "district")
    await eventually(lambda: len(street.pushes.begun) > begun, within_s=WITHIN_S)
    assert street.pushes.begun[-1].session_id == push
    passed = await district.knows(between, known.origin)
    await district.shows(passed.source_id, SourceState.LIVE)
    assert (await street.joins(below))["district"].state is JOINED


async def test_a_room_that_ended_while_the_link_was_down_is_over_on_both_sides_when_it_is_back(
    three,
):
    street, district, city, wire = three
    below, between, above = await met(street, district, city)
    await wire.cut("district", "city")
    await city.town.feature.rooms.end(above.id, LI)

    async def has_ended():
        return (await city.joins(above))["district"].state is CascadeState.ENDED

    await eventually(has_ended, within_s=WITHIN_S)
    await wire.connect("district", "city")

    async def is_over():
        # Both halves were opened for this meeting, so they end with it.
        return not (await street.town.room(below)).is_open

    await eventually(is_over, within_s=WITHIN_S)
    assert not (await district.town.room(between)).is_open


async def test_the_lower_hub_dials_up_for_the_voices_once_and_again_when_the_leg_is_lost(three):
    street, district, city, _ = three
    below, between, above = await met(street, district, city)
    await eventually(lambda: street.dialled == [("district", between.id)], within_s=WITHIN_S)
    await eventually(lambda: district.dialled == [("city", above.id)], within_s=WITHIN_S)
    assert city.dialled == []

    async def leg_of_the_hub():
        await city.town.follow()
        return (await city.town.people(above))["district"].leg_id

    assert await eventually(leg_of_the_hub, within_s=WITHIN_S)
    (leg,) = [one for one in await street.town.legs(below) if one.is_live]
    await street.town.calls.leg_ended(leg.id, Cause.MEDIA_LOST, None)
    await eventually(lambda: len(street.dialled) == 2, within_s=WITHIN_S)


async def test_who_speaks_below_is_shown_everywhere_as_the_hub_on_top_decides(three):
    street, district, city, _ = three
    below, between, above = await met(street, district, city)
    camera = await street.film(below)
    known = await city.knows(above, f"street/{camera}")
    passed = await district.knows(between, f"street/{camera}")

    def told():
        # Said again each second as long as somebody speaks.
        street.cascade.speaking.heard(below.id, camera, -20.0)
        return (above.id, known.source_id, -20.0) in city.town.video.told("voice")

    await eventually(told, within_s=WITHIN_S)
    assert district.town.video.told("voice") == []

    await city.town.feature.events.speaker_moved(above.id, known.source_id)
    for hub, room, shown in ((district, between, passed.source_id), (street, below, camera)):
        await eventually(
            lambda hub=hub, room=room, shown=shown: (
                (room.id, shown) in hub.town.video.told("spotlight")
            ),
            within_s=WITHIN_S,
        )
        await hub.town.feature.events.speaker_moved(room.id, shown)


async def test_a_picture_above_is_fetched_by_the_hubs_below_and_let_go_when_nobody_looks(three):
    street, district, city, _ = three
    below, between, above = await met(street, district, city)
    camera = await city.film(above)
    known = await street.knows(below, f"city/{camera}")
    assert known.via == ("city", "district", "street")

    await street.look(below, known.source_id, layer=Layer.SUB)
    passed = await district.knows(between, f"city/{camera}")
    assert list(street.watches.going.values()) == [("district", passed.source_id)]
    assert list(district.watches.going.values()) == [("city", camera)]
    assert not city.pushes.begun
    assert [one.layer for one in await city.uplinks()] == [Layer.SUB]

    await street.look(below, known.source_id, "close", layer=Layer.MAIN)

    async def is_main():
        shown = city.town.video.told("show")
        return shown and shown[-1][1:] == (camera, Layer.MAIN)

    await eventually(is_main, within_s=WITHIN_S)
    await street.look_away("close")
    await street.look_away()
    await eventually(
        lambda: not street.watches.going and not district.watches.going, within_s=WITHIN_S
    )
    await street.shows(known.source_id, SourceState.IDLE)
    assert await city.uplinks() == []


async def test_the_city_calls_the_roll_of_all_halves_in_one_click(three):
    street, district, city, _ = three
    below, between, above = await met(street, district, city)
    camera = await street.film(below)
    street.town.video.sees(below.id, camera, round_trip_ms=14.0)
    rolls = city.town.feature.roll_calls
    called = await rolls.start(above.id, NewRollCall(within=timedelta(seconds=20)), LI)
    assert {one.peer for one in called.items} == {None, "district"}

    async def is_found():
        for hub in (street, district, city):
            await hub.town.feature.roll_calls.look()
        items = (await rolls.get(above.id, called.roll_call.n)).items
        found = {one.origin: one for one in items if one.origin and one.height}
        hubs = {one.origin or one.peer: one.verdict for one in items if one.peer}
        return found and hubs.get("district") is Verdict.PRESENT and (found, hubs)

    found, hubs = await eventually(is_found, within_s=WITHIN_S)
    (person,) = found.values()
    assert person.origin.startswith("street/")
    assert (person.peer, person.height, person.round_trip_ms) == ("district", 1080, 14.0)
    assert sum(one.startswith("district/") for one in hubs) == 1
    # Each hub has the roll-call of its own half.
    for hub, room in ((street, below), (district, between)):
        assert len(await hub.town.feature.roll_calls.all(room.id)) == 1


async def test_a_hub_that_is_not_reached_is_absent_from_the_roll(three):
    street, district, city, wire = three
    _, _, above = await met(street, district, city)
    await wire.cut("district", "city")
    rolls = city.town.feature.roll_calls
    called = await rolls.start(above.id, NewRollCall(within=timedelta(seconds=1)), LI)

    async def is_done():
        await rolls.look()
        file = await rolls.get(above.id, called.roll_call.n)
        return file.roll_call.done_at and file

    done = await eventually(is_done, within_s=WITHIN_S)
    assert [one.verdict for one in done.items if one.peer] == [Verdict.ABSENT]


async def test_a_camera_of_another_hub_is_asked_into_the_meeting_if_that_hub_lets_it_be_seen(three):
    street, district, _, _ = three
    meeting = await district.town.open(name="看现场")
    invite = NewInvitation(to="cam:b7@street")
    with pytest.raises(TierRefusedError, match="not shared"):
        await district.town.feature.invitations.invite(meeting.id, invite, LI)
    async with street.town.store.begin() as uow:
        await uow.shared_directory.put_export(
            Export(
                id=new_id(),
                peer="*",
                subject="cam:b7",
                label="执法仪7",
                rights=frozenset({ShareRight.SEE}),
                created_at=SystemClock().now(),
                created_by="user:li",
            )
        )
    invited = await district.town.feature.invitations.invite(meeting.id, invite, LI)
    assert invited.participant.account == "hub:street"

    async def lent():
        return next(iter((await district.remote(meeting)).values()), None)

    known = await eventually(lent, within_s=WITHIN_S)
    assert (await district.town.source(known.source_id)).label == "执法仪7"
    # It is asked to send as soon as, and not before, somebody looks.
    assert street.town.commands("live.start") == []
    with pytest.raises(UnavailableError):
        await district.town.view(meeting, known.source_id)
    await eventually(lambda: street.town.commands("live.start"), within_s=WITHIN_S)


async def restarted(hub):
    """As after a restart of control: who joins knows nothing but the rows."""
    hub.cascade.joining = Joining(hub.cascade._ground)


async def test_whom_a_meeting_is_to_bring_in_is_remembered_over_a_restart_of_the_hub_that_asks(
    three,
):
    street, district, city, wire = three
    await wire.cut("district", "city")
    above = await city.town.open(name="防汛会商")
    assert (await city.join(above, "district", ("street",))).state is CascadeState.ASKED
    await restarted(city)
    await wire.connect("district", "city")
    between = await district.room_joined_with("city")
    await street.room_joined_with("district")

    async def all_are_told():
        joins = await city.joins(above)
        return joins["district"].beyond == () and "street" in joins["district"].hubs

    await eventually(all_are_told, within_s=WITHIN_S)
    assert (await district.joins(between)).keys() == {"city", "street"}


async def test_what_was_said_before_our_answer_came_ends_no_join(three):
    _, district, city, _ = three
    above = await city.town.open(name="防汛会商")
    await city.join(above, "district")
    between = await district.room_joined_with("city")
    joining = district.cascade.joining
    # As when it is noticed only behind the join, and behind one that is asked twice, that the link is up.
    joining._up_at["city"] = math.inf
    async with district.tier.store.read() as uow:
        peering = await uow.peerings.get("city")

    asks = Standing(room=above.id, theirs=None).body()
    await joining.heard_joins(peering, {"joins": [asks], "reply": True})
    assert (await district.joins(between))["city"].state is JOINED
    await joining.heard_joins(peering, {"joins": [], "reply": True})
    assert (await district.joins(between))["city"].state is CascadeState.ENDED


async def test_the_hub_in_between_invites_whom_it_was_to_after_it_was_restarted(three):
    street, district, city, wire = three
    await wire.cut("street", "district")
    above = await city.town.open(name="防汛会商")
    joined = await city.join(above, "district", ("street",))
    assert joined.state is JOINED
    assert "the link to it is down" in joined.reason
    await restarted(district)
    await wire.connect("street", "district")
    await street.room_joined_with("district")

    async def is_known_above():
        return "street" in (await city.joins(above))["district"].hubs

    await eventually(is_known_above, within_s=WITHIN_S)


async def test_a_room_parted_from_the_last_one_is_left_with_nothing_of_the_others_and_looked_at_no_more(
    three,
):
    street, district, _, _ = three
    above = await district.town.open(name="会商")
    await district.join(above, "street")
    below = await street.room_joined_with("district")
    camera = await street.film(below)
    known = await district.knows(above, f"street/{camera}")
    await district.town.feature.events.speaker_moved(above.id, known.source_id)
    await eventually(
        lambda: (below.id, camera) in street.town.video.told("spotlight"), within_s=WITHIN_S
    )

    await street.cascade.joining.leave(below.id, "district", LI)
    await eventually(
        lambda: street.town.video.told("spotlight")[-1] == (below.id, None), within_s=WITHIN_S
    )
    async with street.town.store.read() as uow:
        assert await uow.cascades.going() == []
