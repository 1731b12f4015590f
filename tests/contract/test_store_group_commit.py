"""SQLite's shared commits: many crowded writers, one trip to the disk, and what happens when it fails."""

import asyncio
from collections.abc import Callable

import pytest
from fakes.clock import ScriptedClock
from fakes.objects import an_incident
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from commhub.db import SqlStore
from commhub.db.sqlite import SqliteBackend
from commhub.domain.errors import UnavailableError
from commhub.domain.facts import AttentionRaised, Fact
from commhub.kit.bus import Bus
from commhub.ports.store import IncidentQuery


def backend_of(store: SqlStore) -> SqliteBackend:
    assert isinstance(store._backend, SqliteBackend)
    return store._backend


def on_commit(store: SqlStore, listener: Callable[[Connection], None]) -> None:
    event.listen(backend_of(store).writer._engine, "commit", listener)


async def write(store: SqlStore, clock: ScriptedClock, number: int, title: str = "x") -> None:
    incident = an_incident(number=f"{number:03}", title=title)
    async with store.begin() as uow:
        await uow.incidents.add(incident)
        uow.record(
            AttentionRaised(at=clock.now(), incident_id=incident.id, code=f"{number:03}", text="")
        )
        # A question, so that each turn is more than its commit.
        await uow.incidents.get(incident.id)


async def stored(store: SqlStore) -> list[str]:
    async with store.read() as uow:
        incidents = await uow.incidents.list(IncidentQuery(limit=200))
    return sorted(incident.number for incident in incidents)


async def test_crowded_writers_share_commits_and_publish_in_order(
    store: SqlStore, clock: ScriptedClock, bus: Bus[Fact]
) -> None:
    commits: list[int] = []
    on_commit(store, lambda _: commits.append(1))
    with bus.subscribe() as heard:
        await asyncio.gather(*(write(store, clock, n) for n in range(50)))
        codes = [(await heard.get()).data["code"] for _ in range(50)]
    assert codes == [f"{n:03}" for n in range(50)]
    assert await stored(store) == codes
    assert len(commits) < 10


async def test_a_lone_writer_commits_by_itself(store: SqlStore, clock: ScriptedClock) -> None:
    commits: list[int] = []
    on_commit(store, lambda _: commits.append(1))
    for number in range(3):
        await write(store, clock, number)
    assert len(commits) == 3


async def test_a_commit_that_fails_fails_all_who_shared_it_and_nobody_else(
    store: SqlStore, clock: ScriptedClock, bus: Bus[Fact]
) -> None:
    failures = iter([True])

    def fail_once(_: Connection) -> None:
        if next(failures, False):
            raise OperationalError("COMMIT", None, OSError("disk I/O error"))

    on_commit(store, fail_once)
    with bus.subscribe() as heard:
        results = await asyncio.gather(
            *(write(store, clock, n) for n in range(10)), return_exceptions=True
        )
        assert [type(result) for result in results] == [UnavailableError] * 10
        assert await stored(store) == []
        await write(store, clock, 99)
        assert (await heard.get()).data["code"] == "099"
    assert await stored(store) == ["099"]


async def test_a_full_disk_refuses_the_big_one_and_nobody_is_told_otherwise(
    store: SqlStore, clock: ScriptedClock
) -> None:
    """SQLite answers a full disk by rolling back everything, savepoints included: whoever shared the
    transaction hears that it failed, and whoever comes after begins anew."""

    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 40}")
        connection.rollback()

    await backend_of(store).writer.run(fill)
    results = await asyncio.gather(
        *(write(store, clock, n, "x" * 4_000_000 if n == 3 else "x") for n in range(8)),
        return_exceptions=True,
    )
    told = [number for number, result in enumerate(results) if result is None]
    assert {type(result) for result in results if result is not None} == {UnavailableError}
    assert 3 not in told
    assert told[-4:] == [4, 5, 6, 7]
    assert await stored(store) == [f"{number:03}" for number in told]


async def test_an_untouched_turn_needs_no_commit(store: SqlStore) -> None:
    commits: list[int] = []
    on_commit(store, lambda _: commits.append(1))

    async def nothing() -> None:
        async with store.begin():
            pass

    async def give_up() -> None:
        async with store.begin():
            raise TimeoutError

    await asyncio.gather(*(nothing() for _ in range(5)))
    with pytest.raises(TimeoutError):
        await give_up()
    assert commits == []
