"""A report becomes an incident that somebody has been asked to handle, in one transaction."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from fakes.channels import FakeChannel
from fakes.clock import ScriptedClock
from fakes.decisions import ACCEPT
from fakes.town import Town, responder, sos

from commhub.db import SqlStore
from commhub.domain.geo import Point
from commhub.domain.incident import Stage
from commhub.domain.message import CardAction, DeliveryState
from commhub.domain.people import Loop
from commhub.domain.task import TaskStage
from commhub.domain.timer import TimerState
from commhub.incidents.config import IncidentConfig
from commhub.incidents.kept import keep, recall


@pytest.fixture
async def town(store: SqlStore, clock: ScriptedClock) -> Town:
    town = Town(store, clock)
    await town.settle()
    return town


async def test_a_report_is_registered_dispatched_and_its_card_queued(town: Town) -> None:
    incident = await town.report(text="help at the gate\nquickly", point=Point(31.2, 121.4))

    assert incident.stage is Stage.DISPATCHED
    assert (incident.title, incident.level, incident.loop) == ("help at the gate", 2, Loop.STREET)
    assert (incident.unit_id, incident.responder_id) == ("u1", "wang")
    assert incident.accept_by == town.clock.now() + ACCEPT
    assert incident.needs_attention is None
    (task,) = await town.tasks(incident)
    assert (task.responder_id, task.stage, task.attempt) == ("wang", TaskStage.DISPATCHED, 1)
    (timer,) = await town.timers(incident)
    assert (timer.step, timer.task_id, timer.due_at) == (1, task.id, incident.accept_by)
    (delivery,) = await town.deliveries(incident)
    assert (delivery.channel, delivery.recipient) == ("wecom", "wecom:wang")
    assert delivery.state is DeliveryState.PENDING


async def test_its_timeline_tells_every_step_in_order(town: Town) -> None:
    incident = await town.report()

    timeline = await town.timeline(incident)
    assert [(entry.kind, entry.actor) for entry in timeline] == [
        ("report_received", "device:b7"),
        ("rules_decided", "rules"),
        ("incident_registered", "system"),
        ("responders_ranked", "rules"),
        ("task_dispatched", "system"),
        ("message_queued", "system"),
    ]
    assert timeline[1].data["trace"] == {"assign": {"row": 1}}
    assert timeline[3].data["ranked"][0] == {
        "responder": "wang",
        "name": "wang-name",
        "score": 0.0,
        "reasons": ["open_tasks=0"],
    }
    assert {"responder": "chief", "name": "chief-name", "reason": "leads"} in timeline[3].data[
        "excluded"
    ]


async def test_the_ranking_on_the_timeline_is_the_first_five(town: Town) -> None:
    await town.settle(*(responder(f"p{i}") for i in range(9)))

    incident = await town.report()

    assert len((await town.last(incident, "responders_ranked")).data["ranked"]) == 5


async def test_numbers_count_the_days_of_the_towns_own_calendar(
    store: SqlStore, clock: ScriptedClock
) -> None:
    config = IncidentConfig(time_zone=ZoneInfo("Asia/Shanghai"))
    late = Town(
        store, ScriptedClock(datetime(2026, 3, 2, 15, 59, tzinfo=UTC)), incident_config=config
    )
    numbers = [(await late.report()).number, (await late.report()).number]
    late.clock.advance(60)  # midnight in Shanghai
    numbers.append((await late.report()).number)

    assert numbers == ["20260302-0001", "20260302-0002", "20260303-0001"]


async def test_an_incident_without_text_is_named_by_category_and_place(town: Town) -> None:
    incident = await town.report(text=" \n", place="gate 3")

    assert incident.title == "sos gate 3"


async def test_the_card_says_what_to_do_where_and_until_when(
    store: SqlStore, clock: ScriptedClock
) -> None:
    config = IncidentConfig(link="https://hub.test/incidents/{incident_id}")
    town = Town(store, clock, incident_config=config)
    await town.settle()
    incident = await town.report(text="smoke", place="gate 3", drill=True)
    await town.send()

    (outgoing,) = town.wecom.sent
    message = outgoing.message
    assert message.title == "【演练】smoke"
    assert ("编号", incident.number) in message.fields
    assert ("地点", "gate 3") in message.fields
    assert ("请于", "16:02 前接单") in message.fields
    assert len(message.fields) <= 6
    assert message.actions == (CardAction.ACCEPT, CardAction.RETURN)
    assert message.link == f"https://hub.test/incidents/{incident.id}"


async def test_a_decision_is_kept_whole(town: Town) -> None:
    incident = await town.report()

    assert recall(incident.decision) == town.decisions.decision
    assert keep(recall(incident.decision)) == incident.decision


async def test_a_default_hit_is_flagged_for_a_person(town: Town) -> None:
    town.decisions.change(fell_to_default=True)

    incident = await town.report()

    assert (incident.needs_attention or "").startswith("default_rule: ")
    assert "attention_raised" in await town.kinds(incident)


async def test_one_batch_gives_nobody_more_than_they_can_hold(town: Town) -> None:
    await town.settle(responder("solo", capacity=2), leader=True)
    async with town.store.begin() as uow:
        for name in ("zhang", "wang", "zhao"):
            await uow.directory.put_responder(responder(name, on_duty=False))
    for i in range(4):
        await town.reports.submit(sos(text=str(i)))

    await town.reports.decide_waiting()

    holders = sorted(str(i.responder_id) for i in await town.all_incidents())
    assert holders == ["chief", "chief", "solo", "solo"]


async def test_capacity_holds_even_when_the_ranking_ignores_it(town: Town) -> None:
    await town.settle(responder("wang", capacity=1), responder("zhang", capacity=1))
    rank = town.decisions.rank

    def careless(decision, report, candidates, now):
        from dataclasses import replace

        return rank(decision, report, [replace(c, open_tasks=0) for c in candidates], now)

    town.decisions.rank = careless

    first, second = await town.report(), await town.report()

    assert (first.responder_id, second.responder_id) == ("wang", "zhang")


async def test_when_nobody_qualifies_the_duty_leader_is_asked_and_the_shortfall_told(
    town: Town,
) -> None:
    await town.settle(*(responder(name, on_duty=False) for name in ("zhang", "wang", "zhao")))

    incident = await town.report()

    assert incident.responder_id == "chief"
    shortfall = await town.last(incident, "responder_shortfall")
    assert shortfall.data == {"reasons": ["nobody_of_team=grid"], "fallback": "chief-name"}


async def test_a_ranking_that_breaks_asks_the_duty_leader(town: Town) -> None:
    def broken(report):
        raise RuntimeError("no map")

    town.decisions.on_rank = broken

    incident = await town.report()

    assert (incident.stage, incident.responder_id) == (Stage.DISPATCHED, "chief")


async def test_with_nobody_at_all_the_desk_is_told_and_the_clock_looks_again(
    store: SqlStore, clock: ScriptedClock
) -> None:
    town = Town(store, clock)
    incident = await town.report()

    assert (incident.stage, incident.responder_id) == (Stage.REGISTERED, None)
    assert (incident.needs_attention or "").startswith("nobody_available: ")
    assert (await town.last(incident, "responder_shortfall")).data["fallback"] is None
    before = await town.kinds(incident)

    for _ in range(5):
        assert await town.pass_time(61) == 1
    (timer,) = await town.timers(incident)
    assert timer.state is TimerState.ARMED
    assert await town.kinds(incident) == before  # nothing new, so nothing said

    await town.settle()
    await town.pass_time(61)
    incident = await town.incident(incident)
    assert (incident.stage, incident.responder_id) == (Stage.DISPATCHED, "wang")
    assert incident.needs_attention is None


async def test_somebody_without_any_address_is_asked_and_the_desk_told(town: Town) -> None:
    await town.settle(
        responder("wang", endpoints=()),
        *(responder(name, on_duty=False) for name in ("zhang", "zhao")),
    )

    incident = await town.report()

    assert incident.responder_id == "wang"
    assert "unreachable: wang-name has no address" in (incident.needs_attention or "")
    assert await town.deliveries(incident) == []


async def test_a_channel_the_rules_name_and_the_hub_lacks_does_not_stop_the_card(
    store: SqlStore, clock: ScriptedClock
) -> None:
    town = Town(store, clock, channels=(FakeChannel("wecom"),))
    await town.settle()
    town.decisions.change(channels=("ptt", "video"))

    incident = await town.report()

    assert [d.channel for d in await town.deliveries(incident)] == ["wecom"]
