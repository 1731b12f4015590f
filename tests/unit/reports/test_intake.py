"""A report is committed before its sender hears so, once, whatever its neighbours are."""

import asyncio
from datetime import datetime

import pytest
from fakes.clock import ScriptedClock
from fakes.town import Town, sos

from commhub.db import SqlStore
from commhub.domain.errors import ConflictError, InvalidError, UnavailableError
from commhub.domain.facts import Fact, ReportReceived
from commhub.domain.report import ReportStage, Source
from commhub.kit.bus import Bus


@pytest.fixture
def town(store: SqlStore, clock: ScriptedClock) -> Town:
    return Town(store, clock)


async def test_a_submitted_report_is_stored_as_received(town: Town) -> None:
    receipt = await town.reports.submit(sos(text="fire in the hall", place="hall 3"))

    report = await town.reports.get(receipt.report_id)
    assert not receipt.repeated
    assert (report.text, report.place) == ("fire in the hall", "hall 3")
    assert report.stage is ReportStage.RECEIVED
    assert report.received_at == town.clock.now()


async def test_its_arrival_is_told_on_the_bus_after_the_commit(town: Town, bus: Bus[Fact]) -> None:
    with bus.subscribe() as heard:
        receipt = await town.reports.submit(sos())
        fact = await asyncio.wait_for(heard.get(), 1)

    assert isinstance(fact, ReportReceived)
    assert (fact.report_id, fact.actor) == (receipt.report_id, "device:b7")


async def test_the_same_report_again_is_the_same_report(town: Town) -> None:
    first = await town.reports.submit(sos("boot:1"))
    again = await town.reports.submit(sos("boot:1"))

    assert again.repeated
    assert again.report_id == first.report_id


async def test_a_repeat_after_the_decision_names_the_incident(town: Town) -> None:
    await town.settle()
    await town.reports.submit(sos("boot:1"))
    await town.reports.decide_waiting()

    again = await town.reports.submit(sos("boot:1"))

    (incident,) = await town.all_incidents()
    assert again.incident_id == incident.id


async def test_the_same_key_with_other_content_is_a_conflict(town: Town) -> None:
    await town.reports.submit(sos("boot:1", text="help"))

    with pytest.raises(ConflictError):
        await town.reports.submit(sos("boot:1", text="never mind"))


async def test_the_same_key_of_another_source_is_another_report(town: Town) -> None:
    first = await town.reports.submit(sos("1", source=Source.DEVICE))
    other = await town.reports.submit(sos("1", source=Source.SENSOR))

    assert first.report_id != other.report_id


async def test_reports_that_come_together_share_transactions(town: Town) -> None:
    begun = 0
    begin = town.store.begin

    def counting():
        nonlocal begun
        begun += 1
        return begin()

    town.store.begin = counting
    receipts = await asyncio.gather(*(town.reports.submit(sos(f"k{i}")) for i in range(50)))

    assert len({receipt.report_id for receipt in receipts}) == 50
    assert begun <= 2


async def test_the_same_report_twice_in_one_transaction_is_one(town: Town) -> None:
    receipts = await asyncio.gather(*(town.reports.submit(sos("k")) for _ in range(5)))

    assert len({receipt.report_id for receipt in receipts}) == 1
    assert sorted(receipt.repeated for receipt in receipts) == [False, True, True, True, True]


async def test_a_conflict_fails_for_its_sender_alone(town: Town) -> None:
    await town.reports.submit(sos("taken", text="one"))

    results = await asyncio.gather(
        *(town.reports.submit(sos(f"k{i}")) for i in range(5)),
        town.reports.submit(sos("taken", text="two")),
        return_exceptions=True,
    )

    assert isinstance(results[-1], ConflictError)
    assert not any(isinstance(result, Exception) for result in results[:-1])


async def test_a_report_the_database_refuses_fails_for_its_sender_alone(town: Town) -> None:
    no_moment = datetime(1, 1, 1)  # noqa: DTZ001 - naive on purpose: the store takes aware times only

    results = await asyncio.gather(
        *(town.reports.submit(sos(f"k{i}")) for i in range(3)),
        town.reports.submit(sos("bad", occurred_at=no_moment)),
        *(town.reports.submit(sos(f"l{i}")) for i in range(3)),
        return_exceptions=True,
    )

    assert [isinstance(result, Exception) for result in results] == [False] * 3 + [True] + [
        False
    ] * 3


async def test_a_database_that_is_away_fails_everybody_and_keeps_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away():
        raise UnavailableError("the database is not available just now")

    with monkeypatch.context() as broken:
        broken.setattr(town.store, "begin", away)
        results = await asyncio.gather(
            *(town.reports.submit(sos(f"k{i}")) for i in range(3)), return_exceptions=True
        )
    assert all(isinstance(result, UnavailableError) for result in results)

    assert not (await town.reports.submit(sos("k1"))).repeated


async def test_text_no_database_keeps_loses_a_character_and_not_the_alarm(town: Town) -> None:
    receipt = await town.reports.submit(
        sos(text="he\0lp \ud800 me", extra={"a\0": ["\udfff", {"b": "\0"}]})
    )

    report = await town.reports.get(receipt.report_id)
    assert report.text == "help ? me"
    assert report.extra == {"a": ["?", {"b": ""}]}


@pytest.mark.parametrize(
    "fault",
    [
        {"key": "k" * 600},
        {"extra": {"what": object()}},
        {"extra": {"nan": float("nan")}},
        {"casualties": 2**70},
    ],
)
async def test_a_report_that_cannot_be_kept_is_refused_with_a_reason(
    town: Town, fault: dict[str, object]
) -> None:
    with pytest.raises(InvalidError):
        await town.reports.submit(sos(**fault))
