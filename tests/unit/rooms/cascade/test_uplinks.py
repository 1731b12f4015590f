"""What goes out of a room: within the budget of the way, over no more hubs than it may, to hubs and to platforms."""

import asyncio
from dataclasses import replace

import pytest
from fakes.cascade import WITHIN_S, Ingest, joined_hubs
from fakes.rooms import LI
from fakes.waiting import eventually

from commhub.domain.errors import ConflictError, NotAllowedError, NotFoundError
from commhub.domain.room import SourceState
from commhub.domain.tier import PeeringState, Tier
from commhub.domain.tier_facts import TierRefused
from commhub.domain.tier_rooms import CascadeState
from commhub.ports.pushes import PushTarget
from commhub.ports.tiers import TierRefusedError
from commhub.ports.video import SPEAKER, Layer
from commhub.rooms.cascade import said
from commhub.rooms.cascade.platforms import Platform

TWO = {"street": Tier.STREET, "district": Tier.DISTRICT}


@pytest.fixture
def ingest():
    return Ingest()


@pytest.fixture
async def two(tmp_path, ingest):
    target = PushTarget(url="https://vendor.example/whip/1", token="secret")
    platforms = {
        "vendor": Platform(name="vendor", out=ingest, target=target),
        "mcu": Platform(name="mcu", dial="sip:1001"),
    }
    async with joined_hubs(tmp_path, ("street", "district"), platforms=platforms, **TWO) as (
        hubs,
        _,
    ):
        street, district = hubs["street"], hubs["district"]
        above = await district.town.open(name="会商")
        await district.join(above, "street")
        yield street, district, await street.room_joined_with("district"), above


async def limit(hub, peer, kbps):
    async with hub.town.store.begin() as uow:
        peering = await uow.peerings.get(peer)
        await uow.peerings.put(replace(peering, uplink_kbps=kbps))


async def test_a_picture_the_way_has_no_room_for_is_refused_with_the_reason_to_who_looks(two):
    street, district, below, above = two
    await limit(street, "district", 1000)
    known = await district.knows(above, f"street/{await street.film(below)}")
    (source,) = [await street.town.source(known.their_source)]
    async with street.town.store.begin() as uow:
        await uow.rooms.update_source(replace(source, layers=("main",)))
    district.cascade.wait_for(known.source_id, Layer.MAIN)

    async def refusal():
        return (await district.remote(above))[known.origin].refused

    assert "1000 kbit/s" in await eventually(refusal, within_s=WITHIN_S)
    assert await district.state(known.source_id) is SourceState.IDLE
    assert await street.uplinks() == []
    assert not street.pushes.begun

    await limit(street, "district", 0)
    await district.look(above, known.source_id)
    assert (await district.remote(above))[known.origin].refused is None


async def test_a_picture_that_came_in_a_circle_or_too_far_is_refused_and_both_sides_know(two):
    street, district, _, above = two
    circle = {"source": "s1", "origin": "street/s1", "via": ["street", "district", "street"]}
    far = {"source": "s2", "origin": "a/s2", "via": ["a", "b", "c", "street"]}
    heard = {"district": [], "street": []}
    with district.tier.bus.subscribe() as here, street.tier.bus.subscribe() as there:
        sources = [{**one, "label": "远"} for one in (circle, far)]
        body = {"room": above.id, "hubs": ["street"], "sources": sources}
        street.tier.links.tell("district", said.SOURCES, body)
        for name, facts in (("district", here), ("street", there)):
            async with asyncio.timeout(WITHIN_S):
                while len(heard[name]) < 2:
                    fact = await facts.get()
                    if isinstance(fact, TierRefused):
                        heard[name].append(fact)
    assert [one.ours for one in heard["district"]] == [False, False]
    assert [one.ours for one in heard["street"]] == [True, True]
    for told in heard.values():
        assert "a loop" in told[0].reason
        assert "passed 4 hubs" in told[1].reason
    assert await district.remote(above) == {}


async def test_a_hub_is_shown_nothing_of_rooms_that_are_not_joined_with_it(two):
    street, district, _, _ = two
    private = await street.town.open(name="内部")
    camera = await street.film(private)
    body = {"room": private.id, "source": camera, "layer": 0}
    with pytest.raises(TierRefusedError, match="not joined"):
        await district.tier.links.ask(
            "street", said.START, {**body, "whip": "/whip/a?source=b", "token": "t"}
        )
    # What is published there needs a picture that is wanted.
    assert await street.uplinks() == []


async def test_nobody_publishes_into_a_picture_that_nobody_here_looks_at(two):
    street, district, below, above = two
    known = await district.knows(above, f"street/{await street.film(below)}")
    token = district.cascade.fetching._token(await district.town.source(known.source_id), "street")
    with pytest.raises(ConflictError, match="nobody here looks"):
        await district.receive(above.id, known.source_id, token, "uninvited")


async def test_a_platform_gets_the_picture_it_is_sent_until_it_is_ended(two, ingest):
    street, _, below, _ = two
    camera = await street.film(below)
    platforms = street.cascade.platforms
    uplink = await platforms.begin(below.id, "vendor", camera, Layer.MAIN, LI)
    await eventually(lambda: uplink.id in ingest.going, within_s=WITHIN_S)
    order, target = ingest.going[uplink.id]
    assert (order.source_id, target.token) == (camera, "secret")
    assert (await platforms.begin(below.id, "vendor", camera, Layer.MAIN, LI)).id == uplink.id

    speaker = await platforms.begin(below.id, "vendor", SPEAKER, Layer.SUB, LI)
    await eventually(lambda: speaker.id in ingest.going, within_s=WITHIN_S)

    for one in (uplink, speaker):
        await platforms.end(below.id, one.id, LI)
    await platforms.end(below.id, uplink.id, LI)
    await eventually(lambda: not ingest.going, within_s=WITHIN_S)


async def test_an_mcu_is_rung_into_the_room_and_unknown_platforms_are_not_found(two):
    street, _, below, _ = two
    one = await street.cascade.platforms.begin(below.id, "mcu", SPEAKER, Layer.MAIN, LI)
    assert str(one.endpoint) == "sip:1001"
    assert street.town.driver.placed
    with pytest.raises(NotFoundError):
        await street.cascade.platforms.begin(below.id, "nobody", SPEAKER, Layer.MAIN, LI)


async def test_a_revoked_neighbour_is_parted_from_and_joins_nothing_any_more(two):
    _, district, _, above = two
    async with district.town.store.begin() as uow:
        peering = await uow.peerings.get("street")
        await uow.peerings.put(replace(peering, state=PeeringState.REVOKED))

    async def is_parted():
        return (await district.joins(above))["street"].state is CascadeState.ENDED

    await eventually(is_parted, within_s=WITHIN_S)
    with pytest.raises(NotAllowedError):
        await district.join(await district.town.open(name="又一会"), "street")
