"""Whatever both desks do, in whatever order, and wherever the link breaks meanwhile: in the end both hubs tell the same story."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.tier_towns import (
    DESK,
    LEADER,
    TierTown,
    connected,
    link,
    settle_all,
    tier_towns,
)

from commhub.domain.errors import DomainError
from commhub.domain.incident import Action
from commhub.domain.tier import Tier

NOTE = "备注"


async def do_something(dice: random.Random, town: TierTown, incident_id: str) -> None:
    """One thing that a desk may do; what is not legal just now is refused, as at any desk."""
    tiers, moves = town.tiers, list(Action)
    with suppress(DomainError):
        match dice.randrange(8):
            case 0 | 1 | 2 | 3:
                incident = await town.incident(incident_id)
                action = dice.choice([one for one in moves if one is not Action.MERGE])
                await town.town.incidents.act(incident.id, action, DESK, NOTE, "zhang")
            case 4:
                async with town.write() as uow:
                    await tiers.sharing.give_back(uow, incident_id, DESK, NOTE)
            case 5:
                async with town.write() as uow:
                    if town.name == "street-a":
                        await tiers.sharing.report_up(uow, incident_id, DESK, NOTE)
                    else:
                        await tiers.sharing.assign_down(uow, incident_id, DESK, "street-a", NOTE)
            case 6:
                await check_in_or_answer(dice, town, incident_id)
            case _:
                town.town.clock.advance(dice.randrange(1, 90))
                await tiers.clocks.fire_due()


async def check_in_or_answer(dice: random.Random, town: TierTown, incident_id: str) -> None:
    tiers, within = town.tiers, timedelta(seconds=dice.randrange(30, 300))
    check_ins = await town.check_ins(incident_id)
    orders = await town.supervisions(incident_id)
    async with town.write() as uow:
        if town.name == "street-a":
            if orders and dice.random() < 0.5:
                one = dice.choice(orders)
                await tiers.supervising.answer(uow, incident_id, one.id, DESK, NOTE)
            elif check_ins and dice.random() < 0.3:
                missed = dice.choice(check_ins)
                await tiers.whistles.withdraw(uow, incident_id, missed.id, DESK)
            else:
                await tiers.whistles.whistle(uow, incident_id, DESK, ["cg"], within)
        elif check_ins and dice.random() < 0.5:
            called = dice.choice(check_ins)
            await tiers.whistles.check_in(uow, incident_id, called.id, DESK)
        elif orders and dice.random() < 0.3:
            await tiers.supervising.lift(uow, incident_id, dice.choice(orders).id, LEADER)
        else:
            await tiers.supervising.supervise(uow, incident_id, LEADER, "street-a", NOTE, within)


async def a_link_that_breaks(dice: random.Random, street: TierTown, district: TierTown) -> None:
    left = dice.randrange(3, 60)

    def passes(text: str) -> bool:
        nonlocal left
        left -= 1
        return left > 0

    async def tells() -> None:
        for _ in range(20):
            for town in (street, district):
                await town.tell()
                town.hub.links.wake()
            await asyncio.sleep(0.005)
        # It did not break by itself.
        street.hub.links.drop("district-1", "the test cuts it")

    telling = asyncio.create_task(tells())
    await connected(street, district, passes)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)


async def deadlines(town: TierTown, incident_id: str) -> dict[str, str]:
    """What became of each of them; who was called for and has still time is waited for at both."""
    await town.tiers.clocks.fire_due()
    rows = [*await town.check_ins(incident_id), *await town.supervisions(incident_id)]
    return {row.id: row.state.value for row in rows}


@pytest.mark.parametrize("seed", range(5))
async def test_both_hubs_come_to_the_same_story(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    tiers = (("street-a", Tier.STREET), ("district-1", Tier.DISTRICT))
    async with tier_towns(tmp_path, *tiers) as (_, towns):
        street, district = towns
        await district.shares_department("cg", "区城管局", street)
        incident = await street.town.report()
        async with street.write() as uow:
            await street.tiers.sharing.report_up(uow, incident.id, DESK)
        async with link(street, district):
            await settle_all(*towns)
        for _ in range(6):
            for _ in range(dice.randrange(1, 8)):
                await do_something(dice, dice.choice(towns), incident.id)
            await a_link_that_breaks(dice, street, district)
        async with link(street, district):
            await settle_all(*towns)

        here, there = await street.merged(incident.id), await district.merged(incident.id)
        assert here == there
        assert len(set(here)) == len(here)
        for writer in towns:
            for reader in towns:
                places = await reader.written_by(incident.id, writer.name)
                assert places == sorted(set(places))
                assert places == await writer.written_by(incident.id, writer.name)
        below, above = (
            await street.share(incident.id, district),
            await district.share(incident.id, street),
        )
        assert below is not None
        assert above is not None
        assert (below.kind, below.state) == (above.kind, above.state)
        assert below.given is not above.given
        assert below.their_stage == (await district.incident(incident.id)).stage
        assert above.their_stage == (await street.incident(incident.id)).stage
        assert await deadlines(street, incident.id) == await deadlines(district, incident.id)
