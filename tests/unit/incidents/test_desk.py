"""What people order at the desk, and what else follows from it."""

import pytest
from fakes.clock import ScriptedClock
from fakes.town import Town, responder
from fakes.web import someone

from commhub.db import SqlStore
from commhub.domain.errors import (
    ConflictError,
    IllegalMoveError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    RequirementError,
)
from commhub.domain.incident import INCIDENT_MOVES, Action, Incident, Stage
from commhub.domain.people import Role
from commhub.domain.timer import TimerState


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


async def armed(town: Town, incident: Incident) -> int:
    return sum(timer.state is TimerState.ARMED for timer in await town.timers(incident))


async def handled(town: Town, incident: Incident) -> Incident:
    await town.act(incident, Action.ACCEPT)
    return await town.act(incident, Action.HANDLE)


async def test_the_whole_life_from_dispatch_to_scoring(town: Town, incident: Incident) -> None:
    for action, stage in [
        (Action.ACCEPT, Stage.ACCEPTED),
        (Action.ARRIVE, Stage.ON_SCENE),
        (Action.HANDLE, Stage.HANDLED),
        (Action.VERIFY, Stage.VERIFIED),
        (Action.CLOSE, Stage.CLOSED),
        (Action.SCORE, Stage.SCORED),
    ]:
        assert (await town.act(incident, action)).stage is stage

    moves = [e for e in await town.timeline(incident) if e.kind == "stage_moved"]
    assert [e.data["after"] for e in moves] == [
        "accepted",
        "on_scene",
        "handled",
        "verified",
        "closed",
        "scored",
    ]
    assert {e.actor for e in moves} == {"user:li"}
    assert (await town.incident(incident)).closed_at == town.clock.now()
    assert await town.holders(incident) == [("wang", "handled")]
    assert await armed(town, incident) == 0


async def test_accepting_on_behalf_stops_the_clock_and_changes_the_card(
    town: Town, incident: Incident
) -> None:
    await town.act(incident, Action.ACCEPT, note="by phone")
    await town.send()

    assert await town.holders(incident) == [("wang", "accepted")]
    assert await armed(town, incident) == 0
    assert town.wecom.updates[-1].delivery.update == {
        "status": "已接单 16:00",
        "actions": ["finish"],
        "by": "li",
    }


async def test_dispatching_again_takes_it_from_the_one_who_had_it(
    town: Town, incident: Incident
) -> None:
    moved = await town.act(incident, Action.DISPATCH, responder_id="zhao")
    await town.send()

    assert (moved.stage, moved.responder_id, moved.unit_id) == (Stage.DISPATCHED, "zhao", "u1")
    assert await town.holders(incident) == [("wang", "cancelled"), ("zhao", "dispatched")]
    assert town.wecom.recipients == ["wecom:wang", "wecom:zhao"]
    assert town.wecom.statuses == ["已改派，现由zhao-name处理"]
    assert await armed(town, incident) == 1
    assert (await town.last(incident, "task_dispatched")).actor == "user:li"


async def test_a_responder_who_is_not_free_is_not_dispatched_and_nothing_changes(
    town: Town, incident: Incident
) -> None:
    await town.settle(responder("zhao", on_duty=False), responder("zhang", capacity=1))
    await town.report()  # goes to zhang

    for name in ("zhao", "zhang"):
        with pytest.raises(ConflictError):
            await town.act(incident, Action.DISPATCH, responder_id=name)

    assert await town.holders(incident) == [("wang", "dispatched")]
    assert await armed(town, incident) == 1


async def test_dispatching_to_the_same_full_responder_again_only_reminds_them(
    town: Town, incident: Incident
) -> None:
    await town.settle(responder("wang", capacity=1))

    await town.act(incident, Action.DISPATCH, responder_id="wang")

    assert await town.holders(incident) == [("wang", "cancelled"), ("wang", "dispatched")]


async def test_dispatching_to_nobody_known_is_refused(town: Town, incident: Incident) -> None:
    with pytest.raises(NotFoundError):
        await town.act(incident, Action.DISPATCH, responder_id="ghost")
    with pytest.raises(RequirementError):
        await town.act(incident, Action.DISPATCH)


async def test_an_action_out_of_its_stage_says_what_is_legal(
    town: Town, incident: Incident
) -> None:
    with pytest.raises(IllegalMoveError) as refusal:
        await town.act(incident, Action.CLOSE)

    assert Action.ACCEPT in refusal.value.details["legal"]


async def test_a_viewer_may_order_nothing(town: Town, incident: Incident) -> None:
    for action in INCIDENT_MOVES:
        with pytest.raises(NotAllowedError):
            await town.incidents.act(incident.id, action, someone(Role.VIEWER))


async def test_a_responders_account_acts_on_its_own_incident_only(
    town: Town, incident: Incident
) -> None:
    with pytest.raises(NotAllowedError):
        await town.incidents.act(incident.id, Action.ACCEPT, someone(Role.RESPONDER, name="zhao"))

    accepted = await town.incidents.act(
        incident.id, Action.ACCEPT, someone(Role.RESPONDER, name="wang")
    )
    assert accepted.stage is Stage.ACCEPTED


async def test_handling_waits_for_tasks_nobody_accepted(town: Town, incident: Incident) -> None:
    with pytest.raises(IllegalMoveError):
        await town.act(incident, Action.HANDLE)

    assert (await handled(town, incident)).stage is Stage.HANDLED
    assert await town.holders(incident) == [("wang", "handled")]


async def test_returning_gives_the_desk_time_and_then_asks_the_next(
    town: Town, incident: Incident
) -> None:
    returned = await town.act(incident, Action.RETURN, note="wrong place")
    await town.send()

    assert returned.stage is Stage.RETURNED
    assert await town.holders(incident) == [("wang", "returned")]
    assert town.wecom.statuses == ["已退单 16:00"]
    assert await town.pass_time(119) == 0
    await town.pass_time(1)
    assert (await town.incident(incident)).responder_id == "zhang"


async def test_suspending_stops_the_clock_and_resuming_starts_it(
    town: Town, incident: Incident
) -> None:
    await town.act(incident, Action.RETURN, note="road closed")
    suspended = await town.act(incident, Action.SUSPEND, note="until morning")
    assert suspended.stage is Stage.SUSPENDED
    assert await armed(town, incident) == 0

    resumed = await town.act(incident, Action.RESUME)
    assert resumed.stage is Stage.REGISTERED
    assert await armed(town, incident) == 1


async def test_rejecting_needs_a_note_and_no_open_task(
    store: SqlStore, clock: ScriptedClock
) -> None:
    empty = Town(store, clock)
    incident = await empty.report()

    with pytest.raises(RequirementError):
        await empty.act(incident, Action.REJECT)
    rejected = await empty.act(incident, Action.REJECT, note="a test call")

    assert (rejected.stage, rejected.needs_attention) == (Stage.REJECTED, None)
    assert await armed(empty, incident) == 0


async def test_reopening_asks_people_anew_those_who_were_asked_before_too(
    town: Town, incident: Incident
) -> None:
    await town.pass_time(120)  # wang did not answer, zhang has it
    await handled(town, incident)
    await town.act(incident, Action.VERIFY)
    await town.act(incident, Action.CLOSE)

    reopened = await town.act(incident, Action.REOPEN, note="it burns again")
    assert (reopened.stage, reopened.closed_at) == (Stage.REOPENED, None)

    await town.pass_time(120)
    assert await town.holders(incident) == [
        ("wang", "escalated"),
        ("zhang", "handled"),
        ("wang", "dispatched"),
    ]


async def test_merging_ends_the_tasks_and_both_timelines_say_so(
    town: Town, incident: Incident
) -> None:
    other = await town.report(text="the same fire")
    await town.send()

    merged = await town.act(incident, Action.MERGE, target_id=other.id, note="same fire")
    await town.send()

    assert (merged.stage, merged.merged_into) == (Stage.MERGED, other.id)
    assert await town.holders(incident) == [("wang", "cancelled")]
    assert await armed(town, incident) == 0
    assert town.wecom.statuses == ["已取消"]
    assert (await town.last(incident, "incident_merged")).data["into"] == other.id
    absorbed = await town.last(other, "incident_absorbed")
    assert absorbed.data == {
        "absorbed": incident.id,
        "number": incident.number,
        "note": "same fire",
    }


async def test_merging_into_itself_or_into_an_ended_incident_is_refused(
    town: Town, incident: Incident
) -> None:
    other = await town.report()
    await town.act(other, Action.MERGE, target_id=incident.id)

    with pytest.raises(InvalidError):
        await town.act(incident, Action.MERGE, target_id=incident.id)
    with pytest.raises(IllegalMoveError):
        await town.act(incident, Action.MERGE, target_id=other.id)
    with pytest.raises(NotFoundError):
        await town.act(incident, Action.MERGE, target_id="ghost")


async def test_a_comment_stands_on_the_timeline_and_moves_nothing(
    town: Town, incident: Incident
) -> None:
    commented = await town.act(incident, Action.COMMENT, note="second caller says the same")

    assert commented.stage is Stage.DISPATCHED
    assert await armed(town, incident) == 1
    entry = await town.last(incident, "stage_moved")
    assert entry.data == {
        "action": "comment",
        "before": "dispatched",
        "after": "dispatched",
        "note": "second caller says the same",
    }


async def test_a_comment_leaves_what_needs_attention_and_an_action_settles_it(town: Town) -> None:
    town.decisions.change(fell_to_default=True)
    incident = await town.report()

    assert (await town.act(incident, Action.COMMENT, note="saw it")).needs_attention is not None
    assert (await town.act(incident, Action.ACCEPT)).needs_attention is None


async def test_candidates_are_ranked_as_they_are_now(town: Town, incident: Incident) -> None:
    await town.pass_time(120)

    ranking = await town.incidents.candidates(incident.id)

    assert [r.responder_id for r in ranking.ranked] == ["zhao", "zhang"]
    assert {(e.responder_id, e.reason) for e in ranking.excluded} == {
        ("wang", "tried"),
        ("chief", "leads"),
    }


async def test_attention_is_raised_once_a_reason_and_not_on_ended_incidents(
    town: Town, incident: Incident
) -> None:
    for text in ("no such user", "no such user", "again"):
        async with town.store.begin() as uow:
            await town.incidents.raise_attention(uow, incident.id, "delivery_failed", text)

    assert (await town.incident(incident)).needs_attention == "delivery_failed: no such user"
    assert (await town.kinds(incident)).count("attention_raised") == 1

    other = await town.report()
    ended = await town.act(incident, Action.MERGE, target_id=other.id)
    async with town.store.begin() as uow:
        await town.incidents.raise_attention(uow, ended.id, "delivery_failed", "too late")
    assert (await town.incident(ended)).needs_attention is None


async def test_a_drill_and_a_real_incident_are_never_merged(town: Town) -> None:
    real, drill = await town.report(text="smoke"), await town.report(text="smoke", drill=True)
    for one, other in ((real, drill), (drill, real)):
        with pytest.raises(InvalidError, match="drill"):
            await town.act(one, Action.MERGE, target_id=other.id, note="same")
