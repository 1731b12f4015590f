"""Every report that waits becomes an incident, once, whatever happens on the way."""

import asyncio

import pytest
from fakes.clock import ScriptedClock
from fakes.town import Town, sos
from fakes.waiting import eventually

from commhub.db import SqlStore
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.domain.incident import Stage
from commhub.domain.report import Report, ReportStage


@pytest.fixture
async def town(store: SqlStore, clock: ScriptedClock) -> Town:
    town = Town(store, clock)
    await town.settle()
    return town


def on_text(text: str, error: Exception):
    """Raise for the report with that text."""

    def check(report: Report) -> None:
        if report.text == text:
            raise error

    return check


async def stages(town: Town) -> dict[str, ReportStage]:
    found = {}
    for incident in await town.all_incidents():
        async with town.store.read() as uow:
            for report in await uow.reports.of_incident(incident.id):
                found[report.text] = report.stage
    return found


async def test_a_batch_is_decided_in_one_transaction_with_one_incident_each(town: Town) -> None:
    for i in range(7):
        await town.reports.submit(sos(text=f"r{i}"))

    assert await town.reports.decide_waiting() == 7
    assert await town.reports.decide_waiting() == 0

    assert len(await town.all_incidents()) == 7
    assert set((await stages(town)).values()) == {ReportStage.ATTACHED}


async def test_a_kill_before_the_commit_leaves_the_report_waiting_and_nothing_else(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = await town.reports.submit(sos())

    class Killed(BaseException):
        pass

    async def die(*_):
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(town.incidents, "wake", lambda: None)
        killing.setattr(town.outbox, "queue_card", die)
        with pytest.raises(Killed):
            await town.reports.decide_waiting()
    assert await town.all_incidents() == []

    reborn = Town(town.store, town.clock)
    assert await reborn.reports.decide_waiting() == 1
    (incident,) = await reborn.all_incidents()
    assert (await reborn.reports.get(receipt.report_id)).incident_id == incident.id
    assert len(await reborn.deliveries(incident)) == 1


async def test_facts_that_do_not_fit_the_rules_still_become_an_incident_for_a_person(
    town: Town,
) -> None:
    town.decisions.on_decide = on_text("odd", InvalidError("grid must be text"))
    await town.reports.submit(sos(text="odd", level=1))
    await town.reports.submit(sos(text="even"))

    assert await town.reports.decide_waiting() == 2

    odd = next(i for i in await town.all_incidents() if i.title == "odd")
    assert odd.needs_attention is not None
    assert "not_decidable: the rules could not decide: grid must be text" in odd.needs_attention
    assert odd.level == 1
    assert (odd.stage, odd.responder_id) == (Stage.DISPATCHED, "chief")
    assert (await stages(town)) == {"odd": ReportStage.ATTACHED, "even": ReportStage.ATTACHED}


async def test_a_rule_engine_that_breaks_is_no_reason_to_lose_the_report(town: Town) -> None:
    town.decisions.on_decide = on_text("boom", RuntimeError("engine"))

    incident = await town.report(text="boom")

    assert "not_decidable: the rules could not decide: engine" in (incident.needs_attention or "")


async def test_what_passes_by_itself_is_tried_again_and_never_quarantined(town: Town) -> None:
    town.decisions.on_decide = on_text("wait", UnavailableError("rules are being read"))
    receipt = await town.reports.submit(sos(text="wait"))

    for _ in range(10):
        await town.reports.decide_waiting()
        town.clock.advance(200)
    assert (await town.reports.get(receipt.report_id)).stage is ReportStage.RECEIVED

    town.decisions.on_decide = lambda report: None
    assert await town.reports.decide_waiting() == 1


async def test_a_report_that_has_to_wait_does_not_hold_up_the_others(town: Town) -> None:
    town.deciding_config = town.deciding_config.__class__(batch=2)
    town.__post_init__()
    town.decisions.on_decide = lambda report: (
        on_text(report.text, UnavailableError("not yet"))(report)
        if report.text.startswith("wait")
        else None
    )
    for text in ("wait1", "wait2", "wait3", "go1", "go2", "go3"):
        await town.reports.submit(sos(text=text))

    for _ in range(8):
        await town.reports.decide_waiting()

    assert {i.title for i in await town.all_incidents()} == {"go1", "go2", "go3"}


async def test_a_report_that_fails_for_itself_is_set_aside_before_a_persons_eyes(
    town: Town,
) -> None:
    register = town.incidents.register

    async def choosy(uow, registrations):
        if any(r.report.text == "bad" for r in registrations):
            raise InvalidError("cannot be registered")
        return await register(uow, registrations)

    town.incidents.register = choosy
    bad = await town.reports.submit(sos(text="bad"))
    for text in ("one", "two"):
        await town.reports.submit(sos(text=text))

    assert await town.reports.decide_waiting() == 3

    assert await stages(town) == {
        "bad": ReportStage.QUARANTINED,
        "one": ReportStage.ATTACHED,
        "two": ReportStage.ATTACHED,
    }
    report = await town.reports.get(bad.report_id)
    assert "cannot be registered" in (report.error or "")
    incident = await town.incidents.get(await town.reports.wait_for_incident(bad.report_id, 1))
    assert (incident.stage, incident.responder_id) == (Stage.REGISTERED, None)
    assert (incident.needs_attention or "").startswith("not_registrable: ")
    assert await town.kinds(incident) == [
        "attention_raised",
        "report_received",
        "incident_registered",
        "report_quarantined",
    ]


async def test_a_bare_incident_can_be_dispatched_by_the_desk(town: Town) -> None:
    town.incidents.register = None  # every registration raises
    receipt = await town.reports.submit(sos())
    for _ in range(3):
        await town.reports.decide_waiting()
        town.clock.advance(60)
    incident_id = await town.reports.wait_for_incident(receipt.report_id, 1)
    incident = await town.incidents.get(incident_id)

    from commhub.domain.incident import Action

    dispatched = await town.act(incident, Action.DISPATCH, responder_id="wang")

    assert (dispatched.stage, dispatched.needs_attention) == (Stage.DISPATCHED, None)


async def test_an_unknown_error_is_met_thrice_before_the_report_is_set_aside(town: Town) -> None:
    town.incidents.register = None  # calling it is a TypeError, which says nothing about the report
    receipt = await town.reports.submit(sos())

    for expected in (ReportStage.RECEIVED, ReportStage.RECEIVED, ReportStage.QUARANTINED):
        await town.reports.decide_waiting()
        assert (await town.reports.get(receipt.report_id)).stage is expected
        town.clock.advance(60)


async def test_even_without_a_bare_incident_the_report_is_set_aside_and_kept(town: Town) -> None:
    async def refuse(*_):
        raise InvalidError("no")

    town.incidents.register = town.incidents.register_bare = refuse
    receipt = await town.reports.submit(sos())

    await town.reports.decide_waiting()

    report = await town.reports.get(receipt.report_id)
    assert (report.stage, report.incident_id) == (ReportStage.QUARANTINED, None)
    with pytest.raises(InvalidError):
        await town.reports.wait_for_incident(receipt.report_id, 1)


async def test_the_loop_decides_as_soon_as_a_report_is_committed(town: Town) -> None:
    loop = asyncio.create_task(town.reports.run())
    try:
        receipt = await town.reports.submit(sos())
        incident_id = await town.reports.wait_for_incident(receipt.report_id, 5)
    finally:
        loop.cancel()

    assert (await town.incidents.get(incident_id)).stage is Stage.DISPATCHED


async def test_the_loop_finds_what_a_dead_process_left(town: Town) -> None:
    await town.reports.submit(sos())
    reborn = Town(town.store, town.clock)

    loop = asyncio.create_task(reborn.reports.run())
    try:
        await eventually(reborn.all_incidents)
    finally:
        loop.cancel()


async def test_waiting_too_long_for_an_incident_says_that_the_report_is_safe(town: Town) -> None:
    receipt = await town.reports.submit(sos())

    with pytest.raises(UnavailableError) as refusal:
        await town.reports.wait_for_incident(receipt.report_id, 0.05)

    assert refusal.value.details["report_id"] == receipt.report_id
