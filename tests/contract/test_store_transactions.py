"""A unit of work is all or nothing, is seen by itself, and is announced only once it is committed."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest
from fakes.clock import ScriptedClock
from fakes.databases import emptied_postgresql, plain_url
from fakes.objects import a_message, a_report, a_responder, a_task, a_unit, an_incident
from fakes.stores import fresh_database
from sqlalchemy import make_url

from commhub.db import SqlStore, engine, open_store
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from commhub.domain.facts import DeviceSeen, Fact, StageMoved
from commhub.domain.incident import Stage
from commhub.domain.report import ReportStage, Source
from commhub.kit.bus import Bus, Subscription
from commhub.ports.store import IncidentQuery, Store, StoredResponse


class TroubleError(Exception):
    """Raised inside a unit of work."""


def moved(clock: ScriptedClock, incident_id: str | None, action: str) -> StageMoved:
    return StageMoved(at=clock.now(), incident_id=incident_id, action=action, before="a", after="b")


@dataclass
class Heard:
    """What the bus said so far."""

    subscription: Subscription[Fact]

    async def take(self, count: int) -> list[Fact]:
        async with asyncio.timeout(5):
            return [await self.subscription.get() for _ in range(count)]

    def silence(self) -> bool:
        return self.subscription._queue.empty()


@pytest.fixture
def heard(bus: Bus[Fact]) -> Iterator[Heard]:
    with bus.subscribe() as subscription:
        yield Heard(subscription)


async def endings_under_way() -> None:
    """Commits and rollbacks whose callers were cancelled go on by themselves."""
    endings = [task for task in asyncio.all_tasks() if task.get_name().endswith("-ending")]
    await asyncio.gather(*endings, return_exceptions=True)


async def numbers(store: Store) -> list[str]:
    async with store.read() as uow:
        return [incident.number for incident in await uow.incidents.list(IncidentQuery())]


async def test_a_store_keeps_the_port(sql_store: SqlStore) -> None:
    store: Store = sql_store
    assert await numbers(store) == []


async def test_rollback_leaves_nothing_and_publishes_nothing(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    incident = an_incident()

    async def attempt() -> None:
        async with sql_store.begin() as uow:
            await uow.incidents.add(incident)
            await uow.tasks.add(a_task(incident.id))
            await uow.messages.add(a_message(incident_id=incident.id), [])
            await uow.directory.put_unit(a_unit())
            await uow.audit.append(clock.now(), "user:li", "x", "y", "ok")
            assert await uow.incidents.next_number("20260302") == 1
            uow.record(moved(clock, incident.id, "register"))
            raise TroubleError

    with pytest.raises(TroubleError):
        await attempt()
    async with sql_store.read() as uow:
        assert await uow.incidents.list(IncidentQuery()) == []
        assert await uow.tasks.of_incident(incident.id) == []
        assert await uow.messages.list(None, None, 9) == []
        assert await uow.directory.units() == []
        assert await uow.audit.list(None, 9) == []
        assert await uow.timeline.of_incident(incident.id) == []
    assert heard.silence()
    async with sql_store.begin() as uow:
        assert await uow.incidents.next_number("20260302") == 1


async def test_facts_are_published_after_the_commit_in_order(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    incident = an_incident()
    facts = [moved(clock, incident.id, f"step {n}") for n in range(5)]
    facts.insert(2, moved(clock, None, "of no incident"))
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        for fact in facts:
            uow.record(fact)
        assert await uow.timeline.of_incident(incident.id)
        assert heard.silence()
    assert await heard.take(6) == facts
    async with sql_store.read() as uow:
        entries = await uow.timeline.of_incident(incident.id)
    assert [entry.data["action"] for entry in entries] == [f"step {n}" for n in range(5)]
    assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries})
    assert {(entry.hub, entry.kind) for entry in entries} == {("street-a", "stage_moved")}


async def test_whoever_hears_a_fact_finds_the_rows(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    async def listen() -> list[str]:
        found = []
        for fact in [await heard.take(1) for _ in range(20)]:
            async with sql_store.read() as uow:
                assert fact[0].incident_id is not None
                found.append((await uow.incidents.get(fact[0].incident_id)).id)
        return found

    async def write(number: int) -> str:
        incident = an_incident(number=str(number))
        async with sql_store.begin() as uow:
            await uow.incidents.add(incident)
            uow.record(moved(clock, incident.id, "register"))
        return incident.id

    listening = asyncio.create_task(listen())
    written = await asyncio.gather(*(write(n) for n in range(20)))
    assert sorted(await listening) == sorted(written)


async def test_facts_alone_need_no_row(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    fact = DeviceSeen(at=clock.now(), device_id="b7", online=True)
    async with sql_store.begin() as uow:
        uow.record(fact)
    assert await heard.take(1) == [fact]


async def test_a_unit_of_work_reads_what_it_wrote(sql_store: SqlStore) -> None:
    report, incident = a_report(), an_incident()
    async with sql_store.begin() as uow:
        await uow.reports.add(report, "hash")
        assert await uow.reports.find_by_key(report.source, report.idempotency_key) == (
            report,
            "hash",
        )
        await uow.incidents.add(incident)
        await uow.incidents.update(replace(incident, stage=Stage.DISPATCHED))
        assert (await uow.incidents.get(incident.id)).stage is Stage.DISPATCHED
        attached = replace(report, stage=ReportStage.ATTACHED, incident_id=incident.id)
        await uow.reports.update(attached)
        await uow.reports.update(replace(attached, grid="g1"))
        assert await uow.reports.waiting(9) == []
        assert await uow.reports.of_incident(incident.id) == [replace(attached, grid="g1")]
        task = a_task(incident.id)
        await uow.tasks.add(task)
        assert await uow.tasks.open_counts() == {task.responder_id: 1}
        await uow.directory.put_unit(a_unit())
        responder = a_responder()
        await uow.directory.put_responder(responder)
        assert await uow.directory.get_responder(responder.id) == responder


async def test_the_last_update_counts(sql_store: SqlStore) -> None:
    incident = an_incident()
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
    async with sql_store.begin() as uow:
        await uow.incidents.update(replace(incident, team="first"))
        await uow.incidents.update(replace(incident, team="second", level=1))
    async with sql_store.read() as uow:
        assert await uow.incidents.get(incident.id) == replace(incident, team="second", level=1)


async def test_updating_what_is_not_there_is_not_found(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    there = an_incident()
    async with sql_store.begin() as uow:
        await uow.incidents.add(there)

    async def attempt() -> None:
        async with sql_store.begin() as uow:
            uow.record(moved(clock, None, "lost"))
            await uow.incidents.update(replace(there, team="changed"))
            await uow.incidents.update(an_incident())

    with pytest.raises(NotFoundError):
        await attempt()
    async with sql_store.read() as uow:
        assert (await uow.incidents.get(there.id)).team == ""
    assert heard.silence()


async def test_get_names_what_is_missing(sql_store: SqlStore) -> None:
    async with sql_store.read() as uow:
        with pytest.raises(NotFoundError, match="incident «nope»"):
            await uow.incidents.get("nope")
        with pytest.raises(NotFoundError, match="report «nope»"):
            await uow.reports.get("nope")


async def test_a_snapshot_cannot_write(sql_store: SqlStore, clock: ScriptedClock) -> None:
    async with sql_store.read() as uow:
        with pytest.raises(RuntimeError, match="cannot write"):
            await uow.incidents.add(an_incident())
        with pytest.raises(RuntimeError, match="cannot write"):
            await uow.directory.put_unit(a_unit())
        with pytest.raises(RuntimeError, match="cannot write"):
            uow.record(moved(clock, None, "x"))
        with pytest.raises(RuntimeError, match="cannot write"):
            await uow.audit.append(clock.now(), "a", "b", "c", "d")
    assert await numbers(sql_store) == []


async def test_a_snapshot_stays_as_it_was(sql_store: SqlStore) -> None:
    async with sql_store.begin() as uow:
        await uow.incidents.add(an_incident(number="1"))
    async with sql_store.read() as before:
        assert len(await before.incidents.list(IncidentQuery())) == 1
        async with sql_store.begin() as uow:
            await uow.incidents.add(an_incident(number="2"))
        assert len(await before.incidents.list(IncidentQuery())) == 1
        assert await numbers(sql_store) == ["2", "1"]


async def test_nobody_reads_what_is_not_committed(sql_store: SqlStore) -> None:
    async with sql_store.begin() as uow:
        await uow.incidents.add(an_incident(number="1"))
        assert len(await uow.incidents.list(IncidentQuery())) == 1
        assert await numbers(sql_store) == []
    assert await numbers(sql_store) == ["1"]


async def test_a_key_taken_is_a_conflict_and_undoes_all(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    first = a_report(source=Source.API, idempotency_key="k")
    async with sql_store.begin() as uow:
        await uow.reports.add(first, "h")

    async def attempt() -> None:
        async with sql_store.begin() as uow:
            await uow.incidents.add(an_incident())
            uow.record(moved(clock, None, "x"))
            await uow.reports.add(a_report(source=Source.API, idempotency_key="k"), "h")

    with pytest.raises(ConflictError) as raised:
        await attempt()
    assert raised.value.__cause__ is not None
    assert await numbers(sql_store) == []
    assert heard.silence()


async def test_a_reference_to_nothing_is_invalid(sql_store: SqlStore) -> None:
    with pytest.raises(InvalidError, match="not there"):
        async with sql_store.begin() as uow:
            await uow.tasks.add(a_task("no such incident"))
    with pytest.raises(InvalidError, match="not there"):
        async with sql_store.begin() as uow:
            await uow.directory.put_responder(a_responder(unit_id="no such unit"))


async def test_documents_hold_any_text(sql_store: SqlStore) -> None:
    report = a_report(
        extra={"odd": "nul \0, half a pair \ud83d, 中文", "order": {"z": 1, "a": [2.5]}}
    )
    async with sql_store.begin() as uow:
        await uow.reports.add(report, "h")
    async with sql_store.read() as uow:
        found = (await uow.reports.get(report.id)).extra
    assert found == report.extra
    assert list(found) == ["odd", "order"]


async def test_a_document_json_cannot_say_is_invalid(sql_store: SqlStore) -> None:
    for value in (float("nan"), object()):
        with pytest.raises(InvalidError, match="JSON"):
            async with sql_store.begin() as uow:
                await uow.reports.add(a_report(extra={"value": value}), "h")


@pytest.mark.parametrize("text", ["nul \0 inside", "half a pair \ud83d"])
async def test_text_no_database_can_hold_is_invalid(sql_store: SqlStore, text: str) -> None:
    with pytest.raises(InvalidError, match="text must"):
        async with sql_store.begin() as uow:
            await uow.incidents.add(an_incident(title=text))
    assert await numbers(sql_store) == []


async def test_a_time_without_zone_is_invalid(sql_store: SqlStore, clock: ScriptedClock) -> None:
    with pytest.raises(InvalidError, match="zone"):
        async with sql_store.begin() as uow:
            await uow.incidents.add(an_incident(opened_at=clock.now().replace(tzinfo=None)))


async def test_a_failure_swallowed_inside_still_undoes_all(sql_store: SqlStore) -> None:
    async def attempt() -> None:
        async with sql_store.begin() as uow:
            await uow.incidents.add(an_incident())
            await uow.tasks.add(a_task("no such incident"))
            with pytest.raises(InvalidError):
                await uow.tasks.open_counts()
            with pytest.raises(InvalidError):
                await uow.incidents.list(IncidentQuery())

    with pytest.raises(InvalidError):
        await attempt()
    assert await numbers(sql_store) == []


async def test_a_cancelled_unit_of_work_leaves_nothing(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with sql_store.begin() as uow:
            await uow.incidents.add(an_incident())
            await uow.incidents.list(IncidentQuery())
            uow.record(moved(clock, None, "x"))
            inside.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await inside.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    async with sql_store.begin() as uow:
        assert await uow.incidents.list(IncidentQuery()) == []
    assert heard.silence()


async def test_writers_cancelled_anywhere_are_whole_or_absent(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    """Cancel each of many crowded writers after a different number of loop turns: queueing, in the middle
    of a statement, while the commit is under way. Rows, timeline and bus must agree about each."""

    async def work(number: int) -> None:
        incident = an_incident(number=f"{number:03}")
        async with sql_store.begin() as uow:
            await uow.incidents.add(incident)
            await uow.incidents.get(incident.id)
            uow.record(moved(clock, incident.id, incident.number))

    tasks = []
    for number in range(60):
        tasks.append(asyncio.create_task(work(number)))
        if number % 2:
            asyncio.get_running_loop().call_later(number * 0.0005, tasks[-1].cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results)
    await endings_under_way()
    async with sql_store.begin() as uow:
        incidents = await uow.incidents.list(IncidentQuery(limit=100))
        lines = [len(await uow.timeline.of_incident(incident.id)) for incident in incidents]
    there = {incident.number for incident in incidents}
    assert there >= {f"{n:03}" for n, result in enumerate(results) if result is None}
    assert set(lines) <= {1}
    assert {fact.action for fact in await heard.take(len(there))} == there
    assert heard.silence()


async def test_crowded_writers_fail_alone(
    sql_store: SqlStore, clock: ScriptedClock, heard: Heard
) -> None:
    async def work(number: int) -> None:
        async with sql_store.begin() as uow:
            incident = an_incident(number=f"{number:03}")
            await uow.incidents.add(incident)
            await uow.incidents.get(incident.id)
            uow.record(moved(clock, incident.id, incident.number))
            match number % 4:
                case 1:
                    raise TroubleError
                case 2:
                    await uow.tasks.add(a_task("no such incident"))
                case 3:
                    await uow.tasks.add(a_task("no such incident"))
                    await uow.tasks.open_counts()

    results = await asyncio.gather(*(work(n) for n in range(40)), return_exceptions=True)
    assert [type(result) for result in results] == [
        [type(None), TroubleError, InvalidError, InvalidError][n % 4] for n in range(40)
    ]
    whole = [f"{n:03}" for n in range(0, 40, 4)]
    assert sorted(await numbers(sql_store)) == whole
    assert sorted(fact.action for fact in await heard.take(10)) == whole
    assert heard.silence()


async def test_idempotency_keeps_the_first_answer(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    first = StoredResponse(body_hash="a", status=201, body='{"id":1}')
    async with sql_store.begin() as uow:
        assert await uow.idempotency.find("reports", "k") is None
        await uow.idempotency.put("reports", "k", first, clock.now())
    async with sql_store.begin() as uow:
        assert await uow.idempotency.find("reports", "k") == first
        assert await uow.idempotency.find("calls", "k") is None
        with pytest.raises(ConflictError):
            await uow.idempotency.put("reports", "k", replace(first, body="x"), clock.now())
        # The refusal is an answer, not a failure: the rest of the unit of work stands.
        await uow.incidents.add(an_incident(number="kept"))
    assert await numbers(sql_store) == ["kept"]


async def test_tenants_do_not_see_one_another(open_here, clock: ScriptedClock) -> None:
    ours, theirs = await open_here(tenant="a"), await open_here(tenant="b")
    incident, report = an_incident(), a_report(source=Source.API, idempotency_key="k")
    async with ours.begin() as uow:
        await uow.incidents.add(incident)
        await uow.reports.add(report, "h")
        await uow.directory.put_unit(a_unit(name="ours"))
        await uow.audit.append(clock.now(), "a", "b", "c", "d")
        uow.record(moved(clock, incident.id, "x"))
        assert await uow.incidents.next_number("d") == 1
    async with theirs.begin() as uow:
        with pytest.raises(NotFoundError):
            await uow.incidents.get(incident.id)
        assert await uow.reports.find_by_key(Source.API, "k") is None
        assert await uow.timeline.of_incident(incident.id) == []
        assert await uow.audit.list(None, 9) == []
        assert await uow.incidents.next_number("d") == 1
        await uow.directory.put_unit(a_unit(name="theirs"))
    with pytest.raises(InvalidError):
        async with theirs.begin() as uow:
            await uow.tasks.add(a_task(incident.id))
    async with ours.read() as uow:
        assert [unit.name for unit in await uow.directory.units()] == ["ours"]


# --- databases that are locked or lost -------------------------------------------------------------------


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process that writes to the SQLite file and does not finish."""
    other = sqlite3.connect(make_url(url).database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def test_a_locked_file_is_unavailable_and_works_again(
    tmp_path: Path, bus: Bus[Fact], clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.05)
    url = fresh_database(tmp_path)
    async with open_store(url, bus=bus, clock=clock) as store:
        with locked(url), pytest.raises(UnavailableError) as raised:
            async with store.begin() as uow:
                await uow.incidents.add(an_incident())
        assert "locked" in str(raised.value.__cause__)
        async with store.begin() as uow:
            await uow.incidents.add(an_incident(number="after"))
        assert await numbers(store) == ["after"]


async def test_a_lost_server_connection_is_unavailable_and_works_again(
    postgresql_server: str, bus: Bus[Fact], clock: ScriptedClock
) -> None:
    url = await emptied_postgresql(postgresql_server)
    async with open_store(url, bus=bus, clock=clock) as store:
        killer = await asyncpg.connect(plain_url(url))

        async def attempt() -> None:
            async with store.begin() as uow:
                await uow.incidents.add(an_incident())
                await uow.incidents.list(IncidentQuery())
                await killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await uow.incidents.list(IncidentQuery())

        with pytest.raises(UnavailableError) as raised:
            await attempt()
        assert raised.value.__cause__ is not None
        await killer.close()
        async with store.begin() as uow:
            await uow.incidents.add(an_incident(number="after"))
        assert await numbers(store) == ["after"]
