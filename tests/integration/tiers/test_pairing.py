"""Two whole hubs are paired by the command line, find each other again after every death, and part for good when revoked."""

import asyncio

import pytest
from fakes.tier_hubs import commhub, tier_hubs
from fakes.waiting import eventually
from fakes.whole_hub import signed_in

# Two hubs start within it, and the second is killed and comes back.
pytestmark = pytest.mark.timeout(300)

WITHIN_S = 60.0


@pytest.fixture
async def hubs(tmp_path):
    async with tier_hubs(tmp_path, {"street-a": "street", "district-1": "district"}) as running:
        yield running


async def peerings(desk):
    return await asyncio.to_thread(desk.get, "/tiers/peerings")


async def until_up(desk, up=True):
    async def is_so():
        (one,) = await peerings(desk)
        return one["up"] is up and one

    return await eventually(is_so, within_s=WITHIN_S)


async def test_paired_hubs_connect_come_back_after_a_kill_and_part_when_revoked(hubs):
    street, district = hubs["street-a"], hubs["district-1"]
    async with signed_in(street) as below, signed_in(district) as above:
        mine = await until_up(below)
        theirs = await until_up(above)
        assert (mine["peer"], mine["relation"]) == ("district-1", "upper")
        assert (theirs["peer"], theirs["relation"]) == ("street-a", "lower")
        assert abs(mine["skew_s"]) < 2

        district.kill("control")
        lost = await until_up(below, False)
        assert lost["reason"]
        await until_up(below)

        renewed = await asyncio.to_thread(commhub, street, "tier", "rotate")
        assert renewed.returncode == 0, renewed.stderr
        key = renewed.stderr.split("the new key is ")[1].split(";")[0].strip()

        async def is_known():
            (one,) = await peerings(above)
            return one["key"] == key and one["up"]

        await eventually(is_known, within_s=WITHIN_S)

        revoked = await asyncio.to_thread(commhub, district, "tier", "revoke", "street-a")
        assert revoked.returncode == 0, revoked.stderr

        async def is_told():
            (one,) = await peerings(below)
            return not one["up"] and "revoked" in (one["reason"] or "")

        await eventually(is_told, within_s=WITHIN_S)


async def test_a_ticket_is_good_once_and_for_one_name(hubs, tmp_path):
    street, district = hubs["street-a"], hubs["district-1"]
    made = await asyncio.to_thread(commhub, district, "tier", "invite", "street-b")
    wrong = await asyncio.to_thread(commhub, street, "tier", "pair", made.stdout.strip())
    assert wrong.returncode == 1
    assert "none of district-1 for street-a" in " ".join(wrong.stderr.split())
    junk = await asyncio.to_thread(commhub, street, "tier", "pair", "commhub-tier:nonsense")
    assert junk.returncode == 1
    assert "no ticket" in " ".join(junk.stderr.split())
    upward = await asyncio.to_thread(commhub, street, "tier", "invite", "district-1")
    loop = await asyncio.to_thread(commhub, district, "tier", "pair", upward.stdout.strip())
    assert loop.returncode == 1
    assert "the one above" in " ".join(loop.stderr.split())
