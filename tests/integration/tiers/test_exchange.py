"""Three hundred incidents both ways over a link that is cut fifty times: none lost, none doubled, and each told in order. The same with ten
thousand over whole hubs and a TCP proxy is `python -m benchmarks cascade --exchange 10000`."""

import asyncio
import random
from pathlib import Path

import pytest
from fakes.tier_towns import (
    DESK,
    TierTown,
    connected,
    link,
    settle_all,
    tier_towns,
)
from fakes.town import sos

from commhub.domain.incident import Action
from commhub.domain.tier import ShareState, Tier

# Fifty links and six hundred halves, beside whatever else the machine does.
pytestmark = pytest.mark.timeout(420)

INCIDENTS = 300
CUTS = 50


async def hand_over(town: TierTown, count: int) -> list[str]:
    """Open that many incidents, and report up or assign down each of them, with a word after it."""
    for _ in range(count):
        await town.town.reports.submit(sos(text="演练"))
    while await town.town.reports.decide_waiting():
        continue
    opened = [one.id for one in await town.town.all_incidents() if one.origin == town.name]
    for incident_id in opened:
        async with town.write() as uow:
            if town.name == "street-a":
                await town.tiers.sharing.report_up(uow, incident_id, DESK)
            else:
                await town.tiers.sharing.assign_down(uow, incident_id, DESK, "street-a")
        await town.town.act(await town.incident(incident_id), Action.COMMENT, note="补充")
    return opened


async def tell_on(town: TierTown) -> None:
    while True:
        if not await town.tiers.telling.tell_behind():
            await asyncio.sleep(0.05)


async def story(town: TierTown, incident_id: str) -> dict[str, list[int]]:
    """By the hub that wrote them: the places of the lines that all have, in the order in which they stand here."""
    places: dict[str, list[int]] = {}
    for line in await town.timeline(incident_id):
        if line.kind != "their_stage_moved":
            places.setdefault(line.hub, []).append(line.origin_seq or line.seq)
    return places


async def cut_now_and_then(street: TierTown, district: TierTown) -> None:
    """When both have said all there is, no frame cuts the link. One that is not up yet cannot be cut, so that is tried again."""
    while True:
        await asyncio.sleep(1.0)
        street.hub.links.drop(district.name, "cut")


async def test_three_hundred_incidents_both_ways_over_a_link_that_is_cut_fifty_times(
    tmp_path: Path,
) -> None:
    dice = random.Random(11)
    tiers = (("street-a", Tier.STREET), ("district-1", Tier.DISTRICT))
    async with tier_towns(tmp_path, *tiers) as (_, towns):
        street, district = towns
        work = [asyncio.create_task(hand_over(town, INCIDENTS // 2)) for town in towns]
        telling = [asyncio.create_task(tell_on(town)) for town in towns]
        for _ in range(CUTS):
            left = dice.randrange(20, 120)

            def passes(text: str) -> bool:
                nonlocal left
                left -= 1
                return left > 0

            quiet = asyncio.create_task(cut_now_and_then(street, district))
            await connected(street, district, passes)
            quiet.cancel()
        up, down = await asyncio.gather(*work)
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)
        async with link(street, district):
            await settle_all(*towns, within_s=240)

        handed_over = {*up, *down}
        assert len(handed_over) == INCIDENTS
        for town in towns:
            assert {one.id for one in await town.town.all_incidents()} == handed_over
        for incident_id in handed_over:
            here, there = await story(street, incident_id), await story(district, incident_id)
            assert here == there
            for places in here.values():
                assert places == sorted(set(places))
        for town in towns:
            async with town.hub.store.read() as uow:
                shares, _, _ = await uow.shares.current()
            assert {share.incident_id for share in shares} == handed_over
            assert {share.state for share in shares} == {ShareState.HELD}
