"""Rooms of several hubs as one meeting: joined and parted, with each other's pictures, over links that break."""

import pytest
from fakes.cascade import STREET_DISTRICT_CITY, WITHIN_S, joined_hubs
from fakes.rooms import LI
from fakes.waiting import eventually

from commhub.domain.room import SourceState
from commhub.domain.tier import CascadeState
from commhub.ports.tiers import TierRefusedError
from commhub.ports.video import Layer

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
