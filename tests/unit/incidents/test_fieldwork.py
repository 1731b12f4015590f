"""What responders tap on their cards, and what it does."""

import asyncio

import pytest
from fakes.clock import ScriptedClock
from fakes.town import Town, responder

from commhub.db import SqlStore
from commhub.domain.incident import Incident, Stage
from commhub.domain.people import Endpoint
from commhub.domain.task import TaskStage


@pytest.fixture
async def town(store: SqlStore, clock: ScriptedClock) -> Town:
    town = Town(store, clock)
    await town.settle()
    return town


@pytest.fixture
async def incident(town: Town) -> Incident:
    """Dispatched to wang, whose card has gone out."""
    incident = await town.report()
    await town.send()
    return incident


async def effects(town: Town, incident: Incident) -> list[str]:
    return [e.data["effect"] for e in await town.timeline(incident) if e.kind == "ack_received"]


async def test_accept_moves_task_and_incident_and_changes_the_card(
    town: Town, incident: Incident
) -> None:
    town.clock.advance(30)
    await town.tap("wang", "accept")
    await town.send()

    (task,) = await town.tasks(incident)
    assert (task.stage, task.accepted_at) == (TaskStage.ACCEPTED, town.clock.now())
    assert (await town.incident(incident)).stage is Stage.ACCEPTED
    (update,) = town.wecom.updates
    assert update.delivery.update == {
        "status": "已接单 16:00",
        "actions": ["finish"],
        "by": "wang-name",
    }


async def test_the_timeline_has_the_tap_before_what_it_did(town: Town, incident: Incident) -> None:
    count = len(await town.kinds(incident))

    await town.tap("wang", "accept")

    news = (await town.timeline(incident))[count:]
    assert [(e.kind, e.actor) for e in news if e.kind != "delivery_moved"] == [
        ("ack_received", "responder:wang"),
        ("task_moved", "responder:wang"),
        ("stage_moved", "responder:wang"),
    ]


async def test_finish_hands_the_incident_to_verification(town: Town, incident: Incident) -> None:
    await town.tap("wang", "accept")
    await town.send()
    await town.tap("wang", "finish")
    await town.send()

    (task,) = await town.tasks(incident)
    assert task.stage is TaskStage.HANDLED
    assert (await town.incident(incident)).stage is Stage.HANDLED
    assert town.wecom.statuses == ["已接单 16:00", "已完成 16:00"]
    assert town.wecom.updates[-1].delivery.update["actions"] == []


async def test_giving_a_task_back_asks_the_next_responder_at_once(
    town: Town, incident: Incident
) -> None:
    await town.tap("wang", "return")
    await town.send()

    assert await town.holders(incident) == [("wang", "returned"), ("zhang", "dispatched")]
    assert (await town.incident(incident)).stage is Stage.DISPATCHED
    assert town.wecom.recipients[-1] == "wecom:zhang"
    assert town.wecom.statuses == ["已退单 16:00"]
    assert await town.pass_time(119) == 0
    assert await town.pass_time(1) == 1


async def test_given_back_by_everybody_it_waits_for_the_desk_and_for_new_people(
    town: Town, incident: Incident
) -> None:
    for name in ("wang", "zhang", "zhao", "chief"):
        await town.send()
        await town.tap(name, "return")

    returned = await town.incident(incident)
    assert returned.stage is Stage.RETURNED
    assert (returned.needs_attention or "").startswith("nobody_available: ")

    await town.settle(responder("fresh"))
    await town.pass_time(61)
    assert (await town.incident(incident)).responder_id == "fresh"


async def test_finish_before_accept_moves_nothing_and_shows_the_card_as_it_is(
    town: Town, incident: Incident
) -> None:
    await town.tap("wang", "finish")
    await town.send()

    assert await town.holders(incident) == [("wang", "dispatched")]
    assert await effects(town, incident) == ["illegal"]
    assert town.wecom.statuses == ["待接单"]


async def test_finishing_works_after_it_was_once_refused(town: Town, incident: Incident) -> None:
    for action in ("finish", "accept", "finish"):
        await town.tap("wang", action)

    assert await town.holders(incident) == [("wang", "handled")]
    assert await effects(town, incident) == ["illegal", "done", "done"]


async def test_a_late_accept_moves_nothing_and_its_card_says_who_has_it(
    town: Town, incident: Incident
) -> None:
    await town.pass_time(120)
    await town.send()
    town.wecom.updates.clear()

    await town.tap("wang", "accept")
    await town.send()

    assert await town.holders(incident) == [("wang", "escalated"), ("zhang", "dispatched")]
    assert await effects(town, incident) == ["late"]
    assert town.wecom.statuses == ["已转派，现由zhang-name处理"]


async def test_accept_and_expiry_at_the_same_moment_have_one_winner(
    town: Town, incident: Incident
) -> None:
    town.clock.advance(120)

    await asyncio.gather(town.tap("wang", "accept"), town.incidents.fire_due())

    stage = (await town.incident(incident)).stage
    holders = await town.holders(incident)
    assert (stage, holders) in [
        (Stage.ACCEPTED, [("wang", "accepted")]),
        (Stage.DISPATCHED, [("wang", "escalated"), ("zhang", "dispatched")]),
    ]


async def test_a_tap_by_somebody_else_is_refused(town: Town, incident: Incident) -> None:
    await town.tap("zhao", "accept", card_of="wang")

    assert await town.holders(incident) == [("wang", "dispatched")]
    assert await effects(town, incident) == ["not_yours"]
    assert (await town.last(incident, "ack_received")).actor == "responder:zhao"


async def test_a_tap_by_a_stranger_is_refused_and_named_by_the_channel(
    town: Town, incident: Incident
) -> None:
    await town.tap("nobody", "accept", card_of="wang")

    assert await effects(town, incident) == ["not_yours"]
    assert (await town.last(incident, "ack_received")).actor == "wecom:nobody"


async def test_wecom_user_ids_are_compared_without_case(
    store: SqlStore, clock: ScriptedClock
) -> None:
    town = Town(store, clock)
    await town.settle(responder("wang", endpoints=(Endpoint.parse("wecom:WangQing"),)))
    incident = await town.report()
    await town.send()

    await town.tap("wangqing", "accept", card_of="WangQing")
    await town.send()

    assert await town.holders(incident) == [("wang", "accepted")]
    assert town.wecom.statuses == ["已接单 16:00"]


async def test_accepting_twice_changes_nothing_the_second_time(
    town: Town, incident: Incident
) -> None:
    await town.tap("wang", "accept")
    before = [k for k in await town.kinds(incident) if k != "delivery_moved"]

    await town.tap("wang", "accept")

    assert [k for k in await town.kinds(incident) if k != "delivery_moved"] == before
