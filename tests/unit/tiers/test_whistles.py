"""吹哨报到 and 督办: deadlines that two hubs keep, each with a clock of its own, whatever becomes of the link."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.tier_towns import DESK, LEADER, TierTown, link, settle_all, tier_towns

from commhub.domain.errors import (
    IllegalMoveError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
)
from commhub.domain.incident import Action
from commhub.domain.tier import (
    CheckIn,
    CheckInState,
    ShareKind,
    Supervision,
    SupervisionState,
    Tier,
)

TEN = timedelta(minutes=10)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[TierTown, TierTown]]:
    async with tier_towns(tmp_path, ("street-a", Tier.STREET), ("district-1", Tier.DISTRICT)) as (
        _,
        (street, district),
    ):
        await district.shares_department("cg", "区城管局", street)
        await district.shares_department("hb", "区生态环境局", street)
        yield street, district


async def whistle(street: TierTown, *units: str) -> str:
    incident = await street.town.report(text="倾倒渣土")
    async with street.write() as uow:
        await street.tiers.whistles.whistle(uow, incident.id, DESK, units, TEN, "请到场会商")
    return incident.id


async def states(town: TierTown, incident_id: str) -> dict[str, CheckInState]:
    return {one.unit: one.state for one in await town.check_ins(incident_id)}


async def called(town: TierTown, incident_id: str, unit: str) -> CheckIn:
    (found,) = [one for one in await town.check_ins(incident_id) if one.unit == unit]
    return found


async def come(district: TierTown, incident_id: str, unit: str, who: str = "王科长") -> None:
    one = await called(district, incident_id, unit)
    async with district.write() as uow:
        await district.tiers.whistles.check_in(uow, incident_id, one.id, DESK, who)


async def kinds(town: TierTown, incident_id: str, kind: str) -> list[tuple[str, object]]:
    """Which hub wrote a line of that kind, and the state it tells."""
    lines = [e for e in await town.timeline(incident_id) if e.kind == kind]
    return [(e.hub, e.data.get("state")) for e in lines]


async def test_who_is_whistled_checks_in_and_who_does_not_is_missed_at_both_hubs(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await whistle(street, "cg", "hb")
    async with link(street, district):
        await settle_all(street, district)
        assert await states(district, incident_id) == {
            "区城管局": CheckInState.CALLED,
            "区生态环境局": CheckInState.CALLED,
        }
        assert "tier_whistled: " in ((await district.incident(incident_id)).needs_attention or "")
        share = await district.share(incident_id, street)
        assert share is not None
        assert share.kind is ShareKind.WHISTLED

        street.town.clock.advance(300)
        await come(district, incident_id, "区城管局")
        await settle_all(street, district)
        here = await called(street, incident_id, "区城管局")
        assert (here.state, here.by) == (CheckInState.CHECKED_IN, "王科长")

    street.town.clock.advance(301)
    # The link is down, and each of them knows.
    for town in two:
        assert await town.tiers.clocks.fire_due() == 1
        assert await town.tiers.clocks.fire_due() == 0
        assert (await states(town, incident_id))["区生态环境局"] is CheckInState.NO_SHOW
        assert "tier_no_show: " in ((await town.incident(incident_id)).needs_attention or "")

    await come(district, incident_id, "区生态环境局")
    async with link(street, district):
        await settle_all(street, district)
    for town in two:
        assert await states(town, incident_id) == {
            "区城管局": CheckInState.CHECKED_IN,
            "区生态环境局": CheckInState.LATE,
        }
        assert await kinds(town, incident_id, "unit_whistled") == [("street-a", None)] * 2
        moved = await kinds(town, incident_id, "check_in_moved")
        assert sorted(moved, key=str) == [
            ("district-1", "checked_in"),
            ("district-1", "late"),
            ("district-1", "no_show"),
            ("street-a", "no_show"),
        ]
    assert await street.merged(incident_id) == await district.merged(incident_id)


async def test_who_came_in_time_came_in_time_however_late_the_street_hears_of_it(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await whistle(street, "cg")
    async with link(street, district):
        await settle_all(street, district)
    await come(district, incident_id, "区城管局")
    street.town.clock.advance(3600)
    assert await street.tiers.clocks.fire_due() == 1
    assert await district.tiers.clocks.fire_due() == 0
    assert await states(street, incident_id) == {"区城管局": CheckInState.NO_SHOW}
    async with link(street, district):
        await settle_all(street, district)
    assert await states(street, incident_id) == {"区城管局": CheckInState.CHECKED_IN}


async def test_a_whistle_that_arrives_after_its_time_is_missed_at_once(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await whistle(street, "cg")
    street.town.clock.advance(3600)
    async with link(street, district):
        await settle_all(street, district)
    assert await district.tiers.clocks.fire_due() == 1
    assert await states(district, incident_id) == {"区城管局": CheckInState.NO_SHOW}


async def test_departments_that_are_not_shared_are_not_called(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident = await street.town.report()
    async with street.hub.store.begin() as uow:
        with pytest.raises(NotFoundError, match="no department"):
            await street.tiers.whistles.whistle(uow, incident.id, DESK, ["police"], TEN)
        with pytest.raises(InvalidError):
            await street.tiers.whistles.whistle(uow, incident.id, DESK, ["cg"], timedelta())
    async with district.hub.store.begin() as uow:
        with pytest.raises(NotFoundError, match="no hub above"):
            await district.tiers.whistles.whistle(uow, incident.id, DESK, ["cg"], TEN)
    # The district takes its department back while the street still believes in it.
    async with district.hub.store.begin() as uow:
        for export in await uow.shared_directory.exports("street-a"):
            await uow.shared_directory.delete_export(export.id)
    incident_id = await whistle(street, "cg")
    async with link(street, district):
        await settle_all(street, district)
    (refused,) = await street.check_ins(incident_id)
    assert refused.state is CheckInState.WITHDRAWN
    assert "not shared with street-a" in (refused.note or "")
    assert "tier_refused: " in ((await street.incident(incident_id)).needs_attention or "")
    assert await district.town.all_incidents() == []


async def test_a_department_is_called_once_and_only_its_own_hub_says_that_it_came(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await whistle(street, "cg")
    whistles = street.tiers.whistles
    async with street.write() as uow:
        with pytest.raises(IllegalMoveError, match="waited for already"):
            await whistles.whistle(uow, incident_id, DESK, ["cg"], TEN)
        (more,) = await whistles.whistle(uow, incident_id, DESK, ["cg", "hb"], TEN)
        assert more.unit_id == "hb"
        with pytest.raises(NotAllowedError, match="district-1 says"):
            await whistles.check_in(uow, incident_id, more.id, DESK, "me")
    async with link(street, district):
        await settle_all(street, district)
        async with district.hub.store.begin() as uow:
            with pytest.raises(NotAllowedError, match="who whistled"):
                await district.tiers.whistles.withdraw(uow, incident_id, more.id, DESK)
        async with street.write() as uow:
            await whistles.withdraw(uow, incident_id, more.id, DESK, "已处置")
        await settle_all(street, district)
        assert (await called(district, incident_id, "区生态环境局")).state is CheckInState.WITHDRAWN
        await come(district, incident_id, "区城管局")
        one = await called(district, incident_id, "区城管局")
        async with district.hub.store.begin() as uow:
            with pytest.raises(IllegalMoveError):
                await district.tiers.whistles.check_in(uow, incident_id, one.id, DESK)
        await settle_all(street, district)


async def test_who_came_while_the_whistle_was_taken_back_has_come_at_both(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await whistle(street, "cg")
    async with link(street, district):
        await settle_all(street, district)
    one = await called(street, incident_id, "区城管局")
    async with street.write() as uow:
        await street.tiers.whistles.withdraw(uow, incident_id, one.id, DESK)
    await come(district, incident_id, "区城管局")
    async with link(street, district):
        await settle_all(street, district)
    for town in two:
        assert await states(town, incident_id) == {"区城管局": CheckInState.CHECKED_IN}


# --- 督办 ------------------------------------------------------------------------------------------------


async def shared_incident(street: TierTown, district: TierTown) -> str:
    incident = await district.town.report(text="积水")
    async with district.write() as uow:
        await district.tiers.sharing.assign_down(uow, incident.id, DESK, "street-a")
    return incident.id


async def supervise(district: TierTown, incident_id: str) -> Supervision:
    async with district.write() as uow:
        return await district.tiers.supervising.supervise(
            uow, incident_id, LEADER, "street-a", "30 分钟内反馈排水进展", timedelta(minutes=30)
        )


async def order_at(town: TierTown, incident_id: str) -> Supervision:
    (found,) = await town.supervisions(incident_id)
    return found


async def test_a_supervision_is_seen_below_overdue_at_both_and_its_answer_travels_up(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await shared_incident(street, district)
    async with link(street, district):
        await settle_all(street, district)
        ordered = await supervise(district, incident_id)
        await settle_all(street, district)
        below = await order_at(street, incident_id)
        assert (below.id, below.given, below.due_at) == (ordered.id, False, ordered.due_at)
        assert "tier_supervised: " in ((await street.incident(incident_id)).needs_attention or "")
    street.town.clock.advance(1801)
    for town in two:
        assert await town.tiers.clocks.fire_due() == 1
        assert (await order_at(town, incident_id)).state is SupervisionState.OVERDUE
        assert "tier_overdue: " in ((await town.incident(incident_id)).needs_attention or "")
    async with street.write() as uow:
        await street.tiers.supervising.answer(uow, incident_id, ordered.id, DESK, "水已排净")
    async with link(street, district):
        await settle_all(street, district)
    above = await order_at(district, incident_id)
    assert (above.state, above.answer) == (SupervisionState.ANSWERED, "水已排净")
    assert (above.answered_by or "").startswith("hub:street-a")
    assert await street.merged(incident_id) == await district.merged(incident_id)


async def test_a_supervision_is_lifted_above_and_an_answer_that_crosses_it_stands(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await shared_incident(street, district)
    async with link(street, district):
        await settle_all(street, district)
        first = await supervise(district, incident_id)
        await settle_all(street, district)
        async with district.write() as uow:
            await district.tiers.supervising.lift(uow, incident_id, first.id, LEADER)
        await settle_all(street, district)
        assert (await order_at(street, incident_id)).state is SupervisionState.LIFTED
        second = await supervise(district, incident_id)
        await settle_all(street, district)
    async with district.write() as uow:
        await district.tiers.supervising.lift(uow, incident_id, second.id, LEADER)
    async with street.write() as uow:
        await street.tiers.supervising.answer(uow, incident_id, second.id, DESK, "已办")
    async with link(street, district):
        await settle_all(street, district)
    for town in two:
        (found,) = [o for o in await town.supervisions(incident_id) if o.id == second.id]
        assert (found.state, found.answer) == (SupervisionState.ANSWERED, "已办")


async def test_only_leaders_supervise_only_downward_and_only_what_is_there(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident = await district.town.report()
    supervising = district.tiers.supervising
    async with district.hub.store.begin() as uow:
        with pytest.raises(NotAllowedError, match="duty leaders"):
            await supervising.supervise(uow, incident.id, DESK, "street-a", "x", TEN)
        with pytest.raises(IllegalMoveError, match="assign it first"):
            await supervising.supervise(uow, incident.id, LEADER, "street-a", "x", TEN)
    ours = await street.town.report()
    async with street.hub.store.begin() as uow:
        with pytest.raises(NotAllowedError, match="above us"):
            await street.tiers.supervising.supervise(uow, ours.id, LEADER, "district-1", "x", TEN)


async def test_a_deadline_of_an_incident_that_is_over_disturbs_nobody(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident_id = await shared_incident(street, district)
    async with link(street, district):
        await settle_all(street, district)
        await supervise(district, incident_id)
        for action in (Action.ACCEPT, Action.HANDLE, Action.VERIFY, Action.CLOSE):
            await district.town.act(await district.incident(incident_id), action)
        await settle_all(street, district)
    street.town.clock.advance(1801)
    assert await district.tiers.clocks.fire_due() == 1
    assert (await order_at(district, incident_id)).state is SupervisionState.OVERDUE
    assert (await district.incident(incident_id)).needs_attention is None
