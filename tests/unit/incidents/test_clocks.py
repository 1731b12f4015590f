"""Whoever does not accept in time loses the incident to the next, durably, until somebody has it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.clock import ScriptedClock
from fakes.decisions import ACCEPT
from fakes.town import Town, responder
from fakes.waiting import eventually

from commhub.db import SqlStore
from commhub.domain.errors import UnavailableError
from commhub.domain.incident import Stage
from commhub.domain.timer import TimerState
from commhub.incidents.config import IncidentConfig
from commhub.ports.decisions import EscalationStep

IN_TIME = ACCEPT.total_seconds()


@pytest.fixture
async def town(store: SqlStore, clock: ScriptedClock) -> Town:
    town = Town(store, clock)
    await town.settle()
    return town


async def test_nothing_fires_before_the_clock_has_run_out(town: Town) -> None:
    await town.report()

    assert await town.pass_time(IN_TIME - 1) == 0


async def test_an_unaccepted_task_goes_to_the_next_responder(town: Town) -> None:
    incident = await town.report()

    assert await town.pass_time(IN_TIME) == 1

    assert await town.holders(incident) == [("wang", "escalated"), ("zhang", "dispatched")]
    moved = await town.incident(incident)
    assert (moved.stage, moved.responder_id) == (Stage.DISPATCHED, "zhang")
    assert moved.accept_by == town.clock.now() + ACCEPT
    fired, armed = await town.timers(incident)
    assert (fired.step, fired.state) == (1, TimerState.FIRED)
    assert (armed.step, armed.state) == (2, TimerState.ARMED)


async def test_the_timeline_says_who_lost_it_to_whom_and_why(town: Town) -> None:
    incident = await town.report()
    count = len(await town.kinds(incident))

    await town.pass_time(IN_TIME)

    news = (await town.timeline(incident))[count:]
    kinds = [entry.kind for entry in news if entry.kind != "delivery_moved"]
    assert kinds == [
        "clock_expired",
        "responders_ranked",
        "task_escalated",
        "task_moved",
        "task_dispatched",
        "message_queued",
    ]
    escalated = await town.last(incident, "task_escalated")
    assert escalated.actor == "clock"
    assert escalated.data["from_responder"] == "wang-name"
    assert escalated.data["to_responder"] == "zhang-name"


async def test_the_old_card_says_who_has_it_now_and_the_next_gets_their_own(town: Town) -> None:
    await town.report()
    await town.send()

    await town.pass_time(IN_TIME)
    await town.send()

    assert town.wecom.recipients == ["wecom:wang", "wecom:zhang"]
    (update,) = town.wecom.updates
    assert update.delivery.recipient == "wecom:wang"
    assert update.delivery.update["status"] == "已转派，现由zhang-name处理"
    assert update.delivery.update["actions"] == []


async def test_a_card_that_has_not_left_when_its_task_is_over_is_never_sent(town: Town) -> None:
    await town.report()

    await town.pass_time(IN_TIME)
    await town.send()

    assert town.wecom.recipients == ["wecom:zhang"]
    assert town.wecom.updates == []


async def test_accepting_stops_the_clock(town: Town) -> None:
    incident = await town.report()
    await town.send()
    await town.tap("wang", "accept")

    assert await town.pass_time(10 * IN_TIME) == 0

    (timer,) = await town.timers(incident)
    assert timer.state is TimerState.CANCELLED


async def test_when_everybody_was_asked_the_duty_leader_is(town: Town) -> None:
    incident = await town.report()

    for _ in range(3):
        await town.pass_time(IN_TIME)

    assert [who for who, _ in await town.holders(incident)] == ["wang", "zhang", "zhao", "chief"]
    assert (await town.last(incident, "responder_shortfall")).data["fallback"] == "chief-name"


async def test_the_leader_is_asked_so_often_and_then_it_is_the_desks_turn(town: Town) -> None:
    incident = await town.report()
    for _ in range(6):
        await town.pass_time(IN_TIME)

    assert await town.holders(incident) == [
        ("wang", "escalated"),
        ("zhang", "escalated"),
        ("zhao", "escalated"),
        ("chief", "escalated"),
        ("chief", "escalated"),
        ("chief", "dispatched"),
    ]
    stuck = await town.incident(incident)
    assert stuck.needs_attention == "nobody_accepts: asked 6 times, nobody accepted"
    escalated = await town.last(incident, "task_escalated")
    assert escalated.data["to_responder"] is None
    assert await town.pass_time(100 * IN_TIME) == 0


async def test_a_very_late_accept_of_the_last_one_asked_still_counts(town: Town) -> None:
    incident = await town.report()
    for _ in range(6):
        await town.pass_time(IN_TIME)
    await town.send()

    await town.tap("chief", "accept")

    accepted = await town.incident(incident)
    assert (accepted.stage, accepted.needs_attention) == (Stage.ACCEPTED, None)


async def test_the_rules_say_how_often_when_and_how_the_leader_is_asked(town: Town) -> None:
    step = EscalationStep(
        clock="accept",
        after=1.0,
        act="ask",
        to="duty_leader",
        via=("wecom",),
        repeat=1,
        every=timedelta(seconds=30),
    )
    town.decisions.change(escalation=(step,))
    incident = await town.report()
    for _ in range(3):
        await town.pass_time(IN_TIME)
    asked = await town.incident(incident)
    assert asked.accept_by == town.clock.now() + timedelta(seconds=30)

    await town.pass_time(30)

    assert (await town.incident(incident)).needs_attention is not None
    assert len(await town.tasks(incident)) == 4


async def test_without_any_leader_people_are_looked_for_until_there_are_some(
    store: SqlStore, clock: ScriptedClock
) -> None:
    town = Town(store, clock)
    await town.settle(responder("wang"), leader=False)
    incident = await town.report()
    await town.pass_time(IN_TIME)
    stuck = await town.incident(incident)
    assert (stuck.needs_attention or "").startswith("nobody_accepts: ")
    before = await town.kinds(incident)

    await town.pass_time(61)
    assert await town.kinds(incident) == before

    await town.settle(responder("zhang"), leader=False)
    await town.pass_time(61)
    assert await town.holders(incident) == [("wang", "escalated"), ("zhang", "dispatched")]
    assert (await town.incident(incident)).needs_attention is None


async def test_the_default_length_holds_when_the_rules_name_no_accept_clock(
    store: SqlStore, clock: ScriptedClock
) -> None:
    town = Town(store, clock, incident_config=IncidentConfig(accept_within=timedelta(seconds=7)))
    await town.settle()
    town.decisions.change(clocks={})

    incident = await town.report()

    assert incident.accept_by == clock.now() + timedelta(seconds=7)


async def test_a_kill_between_firing_and_commit_escalates_once_after_the_restart(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = await town.report()

    class Killed(BaseException):
        pass

    async def die(*_):
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(town.outbox, "queue_card", die)
        with pytest.raises(Killed):
            await town.pass_time(IN_TIME)
    assert await town.holders(incident) == [("wang", "dispatched")]

    reborn = Town(town.store, town.clock)
    assert await reborn.incidents.fire_due() == 1
    assert await reborn.incidents.fire_due() == 0
    assert await reborn.holders(incident) == [("wang", "escalated"), ("zhang", "dispatched")]


async def test_two_processes_that_fire_the_same_timer_escalate_once(town: Town) -> None:
    incident = await town.report()
    town.clock.advance(IN_TIME)
    other = Town(town.store, town.clock)

    await asyncio.gather(town.incidents.fire_due(), other.incidents.fire_due())

    assert await town.holders(incident) == [("wang", "escalated"), ("zhang", "dispatched")]


async def test_a_bad_timer_is_set_aside_and_blocks_nobody(town: Town) -> None:
    bad = await town.report(text="bad")
    good = await town.report(text="good")
    async with town.store.begin() as uow:
        await uow.incidents.update(replace(bad, decision={"loop": "no such loop"}))

    for _ in range(3):
        await town.pass_time(IN_TIME)

    assert ("zhang", "escalated") in await town.holders(good)
    timer = (await town.timers(bad))[0]
    assert timer.state is TimerState.QUARANTINED
    assert "no such loop" in (timer.error or "")
    assert "clock_failed: " in ((await town.incident(bad)).needs_attention or "")


async def test_a_database_that_is_away_for_a_moment_quarantines_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = await town.report()

    async def away(*_):
        raise UnavailableError("deadlock")

    with monkeypatch.context() as broken:
        broken.setattr(town.outbox, "queue_card", away)
        for _ in range(10):
            assert await town.pass_time(IN_TIME) == 0

    assert await town.pass_time(IN_TIME) == 1
    assert await town.holders(incident) == [("wang", "escalated"), ("zhang", "dispatched")]


async def test_the_loop_fires_when_the_time_has_come(town: Town) -> None:
    incident = await town.report()
    town.clock.advance(IN_TIME)

    loop = asyncio.create_task(town.incidents.run())
    try:
        await eventually(lambda: _is_escalated(town, incident))
    finally:
        loop.cancel()


async def _is_escalated(town: Town, incident) -> bool:
    return len(await town.holders(incident)) == 2
