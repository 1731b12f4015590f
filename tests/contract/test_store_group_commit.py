"""SQLite's shared commits: many crowded writers, one trip to the disk, and what happens when it fails."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.clock import ScriptedClock
from fakes.objects import a_call, an_incident
from fakes.stores import fresh_database
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from commhub.db import SqlStore, open_store
from commhub.db.prepared import driver_of
from commhub.db.sqlite import AT_ONCE, SqliteBackend
from commhub.domain.errors import ConflictError, NotFoundError, UnavailableError
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


async def leave_little_room(store: SqlStore) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 40}")
        connection.rollback()

    await backend_of(store).writer.run(fill)


async def all_told_are_stored_without_the_big_one(store: SqlStore, results: list[object]) -> None:
    """The big one is number 3 of 8; those after it went through, and whoever was told so is stored."""
    told = [number for number, result in enumerate(results) if result is None]
    assert 3 not in told
    assert told[-4:] == [4, 5, 6, 7]
    assert await stored(store) == [f"{number:03}" for number in told]


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
    await leave_little_room(store)
    results = await asyncio.gather(
        *(write(store, clock, n, "x" * 4_000_000 if n == 3 else "x") for n in range(8)),
        return_exceptions=True,
    )
    assert {type(result) for result in results if result is not None} == {UnavailableError}
    await all_told_are_stored_without_the_big_one(store, results)


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


async def test_one_that_fails_takes_none_of_its_neighbours_with_it(
    store: SqlStore, clock: ScriptedClock, bus: Bus[Fact]
) -> None:
    """It fails by itself, by a statement, or only when its last rows are sent; who came before and after is kept."""
    taken = an_incident(number="000")
    async with store.begin() as uow:
        await uow.incidents.add(taken)

    async def changes_its_mind() -> None:
        async with store.begin() as uow:
            await uow.incidents.add(an_incident(number="mind"))
            await uow.incidents.get(taken.id)
            raise TimeoutError

    async def meets_a_taken_key() -> None:
        async with store.begin() as uow:
            await uow.incidents.add(an_incident(number="statement"))
            await uow.incidents.add(taken)
            await uow.incidents.get(taken.id)

    async def meets_it_at_the_end() -> None:
        async with store.begin() as uow:
            await uow.incidents.add(an_incident(number="end"))
            await uow.incidents.add(taken)

    with bus.subscribe() as heard:
        results = await asyncio.gather(
            write(store, clock, 1),
            changes_its_mind(),
            write(store, clock, 2),
            meets_a_taken_key(),
            write(store, clock, 3),
            meets_it_at_the_end(),
            write(store, clock, 4),
            return_exceptions=True,
        )
        codes = [(await heard.get()).data["code"] for _ in range(4)]
    failures = [type(result) for result in results if result is not None]
    assert failures == [TimeoutError, ConflictError, ConflictError]
    assert codes == ["001", "002", "003", "004"]
    assert await stored(store) == ["000", *codes]


async def add_one(store: SqlStore, number: int, title: str = "x") -> None:
    """A unit that is one row and asks nothing."""
    async with store.begin() as uow:
        await uow.incidents.add(an_incident(number=f"{number:03}", title=title))


async def test_one_row_needs_no_savepoint_and_several_do(
    store: SqlStore, clock: ScriptedClock
) -> None:
    asked: list[str] = []
    await write(store, clock, 0)
    backend_of(store).writer.at_once(lambda on: driver_of(on).set_trace_callback(asked.append))
    await asyncio.gather(*(add_one(store, n) for n in range(1, 6)))
    assert asked.count("SAVEPOINT turn") == 0
    await asyncio.gather(*(write(store, clock, n) for n in range(6, 11)))
    assert asked.count("SAVEPOINT turn") == asked.count("RELEASE turn") > 0
    assert len(await stored(store)) == 11


async def test_one_row_that_fails_takes_none_of_its_neighbours_with_it(
    store: SqlStore, clock: ScriptedClock
) -> None:
    taken = an_incident(number="000")
    async with store.begin() as uow:
        await uow.incidents.add(taken)

    async def add_it_again() -> None:
        async with store.begin() as uow:
            await uow.incidents.add(taken)

    async def change_what_is_gone() -> None:
        async with store.begin() as uow:
            await uow.incidents.update(an_incident(number="gone"))

    results = await asyncio.gather(
        write(store, clock, 1),
        add_it_again(),
        add_one(store, 2),
        change_what_is_gone(),
        add_one(store, 3),
        return_exceptions=True,
    )
    failures = [type(result) for result in results if result is not None]
    assert failures == [ConflictError, NotFoundError]
    assert await stored(store) == ["000", "001", "002", "003"]


async def test_a_row_for_which_the_disk_has_no_room_is_refused_and_nobody_is_told_otherwise(
    store: SqlStore,
) -> None:
    await leave_little_room(store)
    results = await asyncio.gather(
        *(add_one(store, n, "x" * 4_000_000 if n == 3 else "x") for n in range(8)),
        return_exceptions=True,
    )
    await all_told_are_stored_without_the_big_one(store, results)


async def test_who_saw_what_is_not_on_the_disk_does_not_leave_before_it_is(store: SqlStore) -> None:
    call = a_call()
    commits: list[int] = []
    on_commit(store, lambda _: commits.append(1))

    async def hold_the_writer_until_both_wait() -> None:
        async with store.begin():
            while backend_of(store)._waiting < 2:  # noqa: ASYNC110 - the store has no event for it
                await asyncio.sleep(0)

    async def open_it() -> None:
        async with store.begin() as uow:
            await uow.calls.add(call)

    async def look_and_give_up() -> None:
        async with store.begin() as uow:
            assert await uow.calls.get(call.id) == call
            assert not commits
            raise TimeoutError

    results = await asyncio.gather(
        hold_the_writer_until_both_wait(),
        open_it(),
        look_and_give_up(),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), type(None), TimeoutError]
    assert commits == [1]


async def test_a_writer_who_gives_up_waiting_for_the_disk_is_committed_all_the_same(
    store: SqlStore, clock: ScriptedClock, bus: Bus[Fact]
) -> None:
    with bus.subscribe() as heard:
        writers = [asyncio.create_task(write(store, clock, n)) for n in range(6)]
        await asyncio.sleep(0)
        writers[2].cancel()
        results = await asyncio.gather(*writers, return_exceptions=True)
        kept = [n for n, result in enumerate(results) if result is None]
        codes = [(await heard.get()).data["code"] for _ in range(len(kept))]
    assert len(kept) >= 5
    assert set(kept) <= {int(code) for code in await stored(store)}
    assert set(codes) <= set(await stored(store))


async def test_while_another_process_has_the_lock_the_loop_goes_on(
    store: SqlStore, clock: ScriptedClock, tmp_path: Path
) -> None:
    await write(store, clock, 1)
    other = sqlite3.connect(tmp_path / "commhub.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer = asyncio.create_task(write(store, clock, 2))
    async with store.read() as uow:
        turns = [len(await uow.incidents.list(IncidentQuery())) for _ in range(20)]
    assert turns == [1] * 20
    assert not writer.done()
    other.execute("ROLLBACK")
    other.close()
    await writer
    assert await stored(store) == ["001", "002"]


async def test_a_long_unit_of_work_lets_others_go_on(store: SqlStore, clock: ScriptedClock) -> None:
    incident = an_incident(number="1")
    async with store.begin() as uow:
        await uow.incidents.add(incident)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    async with store.read() as uow:
        for _ in range(4 * AT_ONCE):
            await uow.incidents.get(incident.id)
        assert beats >= 4
    async with store.begin() as uow:
        before = beats
        for _ in range(4 * AT_ONCE):
            await uow.incidents.get(incident.id)
        assert beats >= before + 4
    beating.cancel()


WRITER = """
import asyncio, sys
from commhub.db import open_store
from commhub.domain.facts import AttentionRaised
from commhub.kit.bus import Bus
from commhub.kit.clock import SystemClock
from fakes.objects import a_call, an_incident

async def write(store, clock, number):
    incident = an_incident(number=f"{number:06}")
    async with store.begin() as uow:
        await uow.incidents.add(incident)
        uow.record(AttentionRaised(at=clock.now(), incident_id=incident.id, code=f"{number:06}", text=""))
    print(f"{number:06}", flush=True)

async def main(url):
    clock = SystemClock()
    async with open_store(url, bus=Bus(), clock=clock) as store:
        for start in range(0, 100_000, 25):
            await asyncio.gather(*(write(store, clock, start + n) for n in range(25)))

asyncio.run(main(sys.argv[1]))
"""


async def test_what_was_told_before_a_kill_is_there_in_the_order_told(
    tmp_path: Path, clock: ScriptedClock, bus: Bus[Fact]
) -> None:
    """kill -9 in the middle of shared commits: whoever's `begin` block ended is on the disk, whole."""
    folder = tmp_path / "killed"
    folder.mkdir()
    url = fresh_database(folder)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRITER,
        url,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    told = [(await process.stdout.readline()).decode().strip() for _ in range(330)]
    process.send_signal(signal.SIGKILL)
    told += (await process.stdout.read()).decode().split("\n")[:-1]
    await process.wait()
    async with open_store(url, bus=bus, clock=clock) as store, store.read() as uow:
        incidents = {
            one.number: one.id for one in await uow.incidents.list(IncidentQuery(limit=100_000))
        }
        lines = [
            entry
            for incident_id in incidents.values()
            for entry in await uow.timeline.of_incident(incident_id)
        ]
    lines.sort(key=lambda entry: entry.seq)
    assert set(told) <= incidents.keys()
    # Whole units only, and in the order they were told: a row has its line, a line its row.
    assert [str(line.data["code"]) for line in lines] == sorted(incidents)
    assert told == sorted(told)
