"""逐级上报, 派发, 退回: one incident at two and three hubs, each with its own row, and one timeline."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.tier_towns import DESK, DayClock, TierTown, link, settle_all, tier_towns
from fakes.waiting import eventually

from commhub.domain.errors import IllegalMoveError, NotAllowedError, NotFoundError, RequirementError
from commhub.domain.incident import Action, Stage
from commhub.domain.tier import MessageState, Relation, ShareKind, ShareState, Tier, TierMessage
from commhub.kit.ids import new_id
from commhub.tiers.bodies import LINES, SHARED


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[TierTown, TierTown]]:
    async with tier_towns(tmp_path, ("street-a", Tier.STREET), ("district-1", Tier.DISTRICT)) as (
        _,
        (street, district),
    ):
        yield street, district


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[tuple[TierTown, TierTown, TierTown]]:
    tiers = (
        ("street-a", Tier.STREET),
        ("district-1", Tier.DISTRICT),
        ("city", Tier.CITY),
    )
    async with tier_towns(tmp_path, *tiers) as (_, (street, district, city)):
        yield street, district, city


async def report_up(street: TierTown, note: str | None = None) -> str:
    incident = await street.town.report(text="化工厂冒烟", place="长江路 5 号", casualties=2)
    async with street.write() as uow:
        await street.tiers.sharing.report_up(uow, incident.id, DESK, note)
    return incident.id


async def test_a_report_up_is_the_same_incident_with_a_number_a_task_and_a_clock_of_its_own(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    for _ in range(3):
        # The district's numbers are its own.
        await district.town.report()
    incident_id = await report_up(street, "需要消防支援")
    async with link(street, district):
        await settle_all(street, district)

    ours, theirs = await street.incident(incident_id), await district.incident(incident_id)
    assert theirs.id == ours.id
    assert theirs.number != ours.number
    assert theirs.origin == "street-a"
    assert (theirs.title, theirs.place) == ("化工厂冒烟", "长江路 5 号")
    assert theirs.stage is Stage.DISPATCHED
    assert theirs.responder_id is not None
    assert theirs.accept_by is not None
    (report,) = (await district.town.incidents.file_of(incident_id)).reports
    assert (report.source.value, report.casualties) == ("upstream", 2)

    here, there = (
        await street.share(incident_id, district),
        await district.share(incident_id, street),
    )
    assert here is not None
    assert there is not None
    assert (here.state, here.given, here.kind) == (ShareState.HELD, True, ShareKind.REPORTED_UP)
    assert (there.state, there.given, there.note) == (ShareState.HELD, False, "需要消防支援")
    assert (here.their_number, here.their_stage) == (theirs.number, "dispatched")
    assert (here.their_unit, here.their_person) == ("Grid one", f"{theirs.responder_id}-name")
    assert here.their_clocks == {"accept": theirs.accept_by.isoformat()}
    assert there.their_number == ours.number


async def test_both_timelines_are_one_and_say_which_hub_wrote_what(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await report_up(street)
    async with link(street, district):
        await settle_all(street, district)
        await district.town.act(await district.incident(incident_id), Action.ACCEPT)
        await street.town.act(await street.incident(incident_id), Action.COMMENT, note="已疏散")
        await settle_all(street, district)
        merged = await street.merged(incident_id)
        assert merged == await district.merged(incident_id)
    wrote = {hub for hub, _, kind in merged if kind == "stage_moved"}
    assert wrote == {"street-a", "district-1"}
    here = await street.share(incident_id, district)
    assert here is not None
    assert here.their_stage == "accepted"
    assert here.their_clocks == {}
    moved = [e.data for e in await street.timeline(incident_id) if e.kind == "their_stage_moved"]
    assert [data["stage"] for data in moved] == ["dispatched", "accepted"]
    # Nothing is said any more: two hubs that only hear each other do not go on for ever.
    assert not await street.has_news()
    assert not await district.has_news()


async def test_what_the_street_does_reaches_the_city_by_the_district_under_its_own_name(
    three: tuple[TierTown, TierTown, TierTown],
) -> None:
    street, district, city = three
    async with link(street, district), link(district, city):
        incident_id = await report_up(street)
        await settle_all(street, district, city)
        async with district.write() as uow:
            await district.tiers.sharing.report_up(uow, incident_id, DESK)
        await settle_all(street, district, city)
        await street.town.act(await street.incident(incident_id), Action.COMMENT, note="火已灭")
        await city.town.act(await city.incident(incident_id), Action.COMMENT, note="收到")
        await settle_all(street, district, city)
    assert (await city.incident(incident_id)).origin == "street-a"
    merged = await street.merged(incident_id)
    assert merged == await district.merged(incident_id) == await city.merged(incident_id)
    assert {hub for hub, _, _ in merged} == {"street-a", "district-1", "city"}
    for town in three:
        for hub in three:
            assert await town.written_by(incident_id, hub.name) == sorted(
                await hub.written_by(incident_id, hub.name)
            )


async def test_an_incident_assigned_down_and_given_back_is_put_down_below_and_called_for_above(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident = await district.town.report(text="占道经营")
    async with link(street, district):
        async with district.write() as uow:
            await district.tiers.sharing.assign_down(uow, incident.id, DESK, "street-a", "请处置")
        await settle_all(street, district)
        assert (await street.incident(incident.id)).stage is Stage.DISPATCHED
        async with street.write() as uow:
            await street.tiers.sharing.give_back(uow, incident.id, DESK, "不属本街道")
        await settle_all(street, district)

        below = await street.incident(incident.id)
        assert below.stage is Stage.REJECTED
        assert [stage for _, stage in await street.town.holders(below)] == ["cancelled"]
        assert not [t for t in await street.town.timers(below) if t.state == "armed"]
        here, there = (
            await street.share(incident.id, district),
            await district.share(incident.id, street),
        )
        assert here is not None
        assert there is not None
        assert (here.state, there.state) == (ShareState.RETURNED, ShareState.RETURNED)
        assert there.note == "不属本街道"
        above = await district.incident(incident.id)
        assert "tier_returned: " in (above.needs_attention or "")
        assert above.is_open

        # Given again, it is reopened below: moved, not doubled.
        async with district.write() as uow:
            await district.tiers.sharing.assign_down(uow, incident.id, DESK, "street-a", "属地处置")
        await settle_all(street, district)
        below = await street.incident(incident.id)
        assert below.stage is Stage.REOPENED
        here = await street.share(incident.id, district)
        assert here is not None
        assert (here.state, here.note) == (ShareState.HELD, "属地处置")
        assert len(await street.town.all_incidents()) == 1
        assert await street.merged(incident.id) == await district.merged(incident.id)


async def test_a_share_ends_when_the_incident_is_over_at_both_and_lives_again_when_one_reopens_it(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    async with link(street, district):
        incident_id = await report_up(street)
        await settle_all(street, district)
        for town in (street, district):
            for action in (Action.ACCEPT, Action.HANDLE, Action.VERIFY, Action.CLOSE):
                await town.town.act(await town.incident(incident_id), action)
            await settle_all(street, district)
            if town is street:
                share = await street.share(incident_id, district)
                assert share is not None
                assert share.state is ShareState.HELD
        for town, other in ((street, district), (district, street)):
            share = await town.share(incident_id, other)
            assert share is not None
            assert (share.state, share.their_stage) == (ShareState.ENDED, "closed")
        await district.town.act(await district.incident(incident_id), Action.REOPEN, note="复燃")
        await settle_all(street, district)
        for town, other in ((street, district), (district, street)):
            share = await town.share(incident_id, other)
            assert share is not None
            assert share.state is ShareState.HELD
        assert await street.merged(incident_id) == await district.merged(incident_id)


async def test_when_what_we_gave_is_over_there_our_desk_is_called(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    async with link(street, district):
        incident_id = await report_up(street)
        await settle_all(street, district)
        for action in (Action.ACCEPT, Action.HANDLE, Action.VERIFY, Action.CLOSE):
            await district.town.act(await district.incident(incident_id), action)
        await settle_all(street, district)
    assert "tier_over_there: " in ((await street.incident(incident_id)).needs_attention or "")


async def test_when_both_give_it_to_each_other_at_once_the_upper_hubs_word_counts(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    async with link(street, district):
        incident_id = await report_up(street)
        await settle_all(street, district)
        async with district.write() as uow:
            await district.tiers.sharing.give_back(uow, incident_id, DESK, "先查明")
        await settle_all(street, district)
    # The district reopens it and assigns it down, the street reports it up again: nobody hears the other.
    await district.town.act(await district.incident(incident_id), Action.REOPEN, note="重查")
    async with district.write() as uow:
        await district.tiers.sharing.assign_down(uow, incident_id, DESK, "street-a")
    async with street.write() as uow:
        await street.tiers.sharing.report_up(uow, incident_id, DESK)
    async with link(street, district):
        await settle_all(street, district)
    below, above = (
        await street.share(incident_id, district),
        await district.share(incident_id, street),
    )
    assert below is not None
    assert above is not None
    assert below.kind is above.kind is ShareKind.ASSIGNED_DOWN
    assert (below.given, above.given) == (False, True)
    assert below.state is above.state is ShareState.HELD


async def test_a_drill_stays_a_drill_at_the_other_hub(two: tuple[TierTown, TierTown]) -> None:
    street, district = two
    incident = await street.town.report(drill=True)
    async with street.write() as uow:
        await street.tiers.sharing.report_up(uow, incident.id, DESK)
    async with link(street, district):
        await settle_all(street, district)
    assert (await district.incident(incident.id)).drill


# --- what is refused -----------------------------------------------------------------------------------------


async def test_a_lower_hub_never_commands_an_upper_one(two: tuple[TierTown, TierTown]) -> None:
    street, district = two
    incident = await street.town.report()
    async with street.hub.store.begin() as uow:
        with pytest.raises(NotAllowedError, match="is above us"):
            await street.tiers.sharing.assign_down(uow, incident.id, DESK, "district-1")
    async with district.hub.store.begin() as uow:
        with pytest.raises(NotFoundError, match="no hub above"):
            await district.tiers.sharing.report_up(uow, incident.id, DESK)
    # And one that does not keep to it is refused by the other end, with a reason that both keep.
    async with street.write() as uow:
        await street.tiers.sharing.report_up(uow, incident.id, DESK)
        queued = (await uow.peerings.waiting("district-1", 0, 9))[0]
        forged = TierMessage(
            id=new_id(),
            peer="district-1",
            kind=SHARED,
            body={**queued.body, "kind": "assigned_down"},
            created_at=queued.created_at,
            incident_id=new_id(),
        )
        await uow.peerings.queue(forged)
    async with link(street, district):
        await settle_all(street, district)
    async with street.hub.store.read() as uow:
        kept = await uow.peerings.find_message(forged.id)
    assert kept is not None
    assert (kept.state, kept.code) == (MessageState.REFUSED, "not-allowed")
    assert len(await district.town.all_incidents()) == 1


async def test_what_the_other_hub_cannot_take_is_refused_here_and_the_desk_is_told(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    district.town.incidents._registry.register = _raise  # type: ignore[method-assign] - a fault of the other hub's own
    incident_id = await report_up(street)
    async with link(street, district):
        await settle_all(street, district)
    share = await street.share(incident_id, district)
    assert share is not None
    assert share.state is ShareState.REFUSED
    assert "cannot be registered" in (share.note or "")
    assert "tier_refused: " in ((await street.incident(incident_id)).needs_attention or "")
    assert await district.town.all_incidents() == []
    # It may be tried again.
    del district.town.incidents._registry.register
    async with street.write() as uow:
        await street.tiers.sharing.report_up(uow, incident_id, DESK)
    async with link(street, district):
        await settle_all(street, district)
    assert (await district.incident(incident_id)).is_open


async def _raise(*_: object) -> None:
    raise RuntimeError("the directory is broken")


async def test_lines_of_an_incident_that_is_not_shared_or_in_our_own_name_are_refused(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await report_up(street)
    secret = await district.town.report(text="district only")
    async with link(street, district):
        await settle_all(street, district)
    before = await district.merged(incident_id)
    line = {
        "hub": "street-a",
        "seq": 9_000,
        "at": "2026-03-02T08:00:00+00:00",
        "actor": "user:x",
        "kind": "stage_moved",
        "data": {"note": "forged"},
    }
    standing = {"number": "1", "stage": "closed"}
    bodies = {
        "strange": (secret.id, {"lines": [line], "standing": standing}),
        "ours": (incident_id, {"lines": [{**line, "hub": "district-1"}], "standing": standing}),
        "broken": (incident_id, {"lines": [{**line, "seq": -1}], "standing": standing}),
    }
    ids = {name: new_id() for name in bodies}
    async with street.write() as uow:
        for name, (about, body) in bodies.items():
            await uow.peerings.queue(
                TierMessage(
                    id=ids[name],
                    peer="district-1",
                    kind=LINES,
                    body=body,
                    created_at=street.town.clock.now(),
                    incident_id=about,
                )
            )
    async with link(street, district):
        await settle_all(street, district)
        async with street.hub.store.read() as uow:
            answers = {n: await uow.peerings.find_message(i) for n, i in ids.items()}
        codes = {n: m.code for n, m in answers.items() if m is not None}
    assert codes == {"strange": "not-allowed", "ours": "not-allowed", "broken": "broken-message"}
    after = await district.merged(incident_id)
    assert [line for line in after if line[2] != "tier_refused"] == before
    assert (await district.timeline(secret.id))[-1].kind != "stage_moved"


async def test_what_makes_no_sense_is_refused_at_the_desk(two: tuple[TierTown, TierTown]) -> None:
    street, district = two
    incident_id = await report_up(street)
    sharing = street.tiers.sharing
    async with street.hub.store.begin() as uow:
        with pytest.raises(IllegalMoveError, match="already"):
            await sharing.report_up(uow, incident_id, DESK)
        with pytest.raises(IllegalMoveError, match="no other hub gave"):
            await sharing.give_back(uow, incident_id, DESK, "why")
        with pytest.raises(RequirementError):
            await sharing.give_back(uow, incident_id, DESK, "  ")
        with pytest.raises(NotFoundError):
            await sharing.report_up(uow, incident_id, DESK, peer="nobody")
    ended = await street.town.report()
    for action in (Action.ACCEPT, Action.HANDLE, Action.VERIFY, Action.CLOSE):
        await street.town.act(await street.incident(ended.id), action)
    async with street.hub.store.begin() as uow:
        with pytest.raises(IllegalMoveError, match="closed"):
            await sharing.report_up(uow, ended.id, DESK)
    assert await district.town.all_incidents() == []


async def test_the_same_incident_that_came_another_way_is_attached(
    three: tuple[TierTown, TierTown, TierTown],
) -> None:
    street, district, city = three
    # The street has a link of its own to the city.
    await street.hub.knows(city.hub, Relation.UPPER)
    await city.hub.knows(street.hub, Relation.LOWER)
    async with link(street, district), link(district, city), link(street, city):
        incident = await street.town.report()
        async with street.write() as uow:
            await street.tiers.sharing.report_up(uow, incident.id, DESK, peer="district-1")
        await settle_all(street, district, city)
        async with district.write() as uow:
            await district.tiers.sharing.report_up(uow, incident.id, DESK)
        await settle_all(street, district, city)
        async with street.write() as uow:
            await street.tiers.sharing.report_up(uow, incident.id, DESK, peer="city")
        await settle_all(street, district, city)
        # And the city assigns it to where it came from: the way is a circle, and nothing goes round in it.
        async with city.write() as uow:
            await city.tiers.sharing.assign_down(uow, incident.id, DESK, "street-a")
        await street.town.act(await street.incident(incident.id), Action.COMMENT, note="在办")
        await settle_all(street, district, city)
    assert len(await city.town.all_incidents()) == 1
    assert len((await city.town.incidents.file_of(incident.id)).reports) == 1
    merged = await street.merged(incident.id)
    assert merged == await district.merged(incident.id) == await city.merged(incident.id)


async def test_the_loop_tells_what_is_new_by_itself(
    two: tuple[TierTown, TierTown], tmp_path: Path
) -> None:
    street, district = two
    loops = [asyncio.create_task(town.tiers.run()) for town in two]
    try:
        incident_id = await report_up(street)
        async with link(street, district):

            async def is_told() -> bool:
                share = await street.share(incident_id, district)
                return share is not None and share.their_stage == "dispatched"

            await eventually(is_told, within_s=60)
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


def test_the_clock_of_these_tests_moves_by_hand() -> None:
    clock = DayClock()
    before = clock.now()
    clock.advance(60)
    assert (clock.now() - before).total_seconds() == 60
