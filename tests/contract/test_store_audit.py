"""The audit's chain: unbroken under concurrent writers, and every way to change it shows."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fakes.clock import ScriptedClock
from sqlalchemy import Connection, text

from commhub.db import SqlStore
from commhub.db.engine import in_transaction, parse_url
from commhub.db.repositories.audit import ChainHead

OpenStore = Callable[..., Awaitable[SqlStore]]


async def write(store: SqlStore, clock: ScriptedClock, *actions: str) -> None:
    async with store.begin() as uow:
        for action in actions:
            await uow.audit.append(clock.now(), "user:li", action, "incident:1", "ok", "详情")


async def tamper(url: str, *statements: str) -> None:
    """What somebody with the database's password could do."""

    def change(connection: Connection) -> None:
        for statement in statements:
            assert connection.execute(text(statement)).rowcount == 1

    await in_transaction(parse_url(url), change)


async def test_an_empty_chain_is_whole(sql_store: SqlStore) -> None:
    verdict = await sql_store.verify_audit()
    assert (verdict.problem, verdict.entries, verdict.head) == (None, 0, ChainHead())


async def test_entries_are_numbered_and_listed_newest_first(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    await write(sql_store, clock, "a", "b")
    await write(sql_store, clock, "c", "d")
    async with sql_store.begin() as uow:
        await uow.audit.append(clock.now(), "key:x", "e", "s", "refused")
        page = await uow.audit.list(None, 3)
        assert [(entry.seq, entry.action) for entry in page] == [(5, "e"), (4, "d"), (3, "c")]
        assert [entry.seq for entry in await uow.audit.list(3, 9)] == [2, 1]
    assert (await sql_store.verify_audit()).problem is None
    assert len({entry.digest for entry in page}) == 3


async def test_concurrent_writers_never_fork_the_chain(
    open_here: OpenStore, clock: ScriptedClock
) -> None:
    one, other = await open_here(), await open_here()
    await asyncio.gather(*(write(store, clock, "a", "b") for store in [one, other] * 10))
    verdict = await one.verify_audit()
    assert (verdict.problem, verdict.entries, verdict.head.seq) == (None, 40, 40)


@pytest.mark.parametrize("column", ["actor", "action", "subject", "outcome", "detail"])
async def test_an_edit_shows(
    sql_store: SqlStore, database_url: str, clock: ScriptedClock, column: str
) -> None:
    await write(sql_store, clock, "a", "b", "c")
    await tamper(database_url, f"UPDATE audit_entries SET {column} = 'other' WHERE seq = 2")
    verdict = await sql_store.verify_audit()
    assert verdict.problem == "entry 2 was changed"
    assert verdict.entries == 1


async def test_another_time_shows(
    sql_store: SqlStore, database_url: str, clock: ScriptedClock
) -> None:
    await write(sql_store, clock, "a")
    await tamper(database_url, "UPDATE audit_entries SET at = '2020-01-01 00:00:00.000000'")
    assert (await sql_store.verify_audit()).problem == "entry 1 was changed"


@pytest.mark.parametrize("seq", [1, 2])
async def test_a_deletion_shows(
    sql_store: SqlStore, database_url: str, clock: ScriptedClock, seq: int
) -> None:
    await write(sql_store, clock, "a", "b", "c")
    await tamper(database_url, f"DELETE FROM audit_entries WHERE seq = {seq}")
    assert (await sql_store.verify_audit()).problem == f"entry {seq} is missing"


async def test_a_tail_cut_off_shows(
    sql_store: SqlStore, database_url: str, clock: ScriptedClock
) -> None:
    await write(sql_store, clock, "a", "b", "c")
    await tamper(database_url, "DELETE FROM audit_entries WHERE seq = 3")
    assert (await sql_store.verify_audit()).problem == "the chain ends at 2, its head says 3"


async def test_a_tail_cut_off_together_with_its_head_shows_against_an_anchor(
    sql_store: SqlStore, database_url: str, clock: ScriptedClock
) -> None:
    await write(sql_store, clock, "a", "b", "c")
    anchor = (await sql_store.verify_audit()).head
    await tamper(
        database_url,
        "DELETE FROM audit_entries WHERE seq = 3",
        "UPDATE audit_heads SET seq = 2, digest = (SELECT digest FROM audit_entries WHERE seq = 2)",
    )
    assert (await sql_store.verify_audit()).problem is None
    assert (await sql_store.verify_audit(anchor)).problem == (
        "the anchor's entry 3 is no longer there"
    )
    await write(sql_store, clock, "another third")
    assert (await sql_store.verify_audit(anchor)).problem == (
        "entry 3 is not the one the anchor names"
    )


async def test_an_anchor_noted_earlier_holds_as_the_chain_grows(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    await write(sql_store, clock, "a", "b")
    anchor = (await sql_store.verify_audit()).head
    await write(sql_store, clock, "c")
    verdict = await sql_store.verify_audit(anchor)
    assert (verdict.problem, verdict.entries) == (None, 3)


async def test_an_entry_of_another_tenant_has_no_place_in_the_chain(
    open_here: OpenStore, database_url: str, clock: ScriptedClock
) -> None:
    ours, theirs = await open_here(tenant="a"), await open_here(tenant="b")
    await write(ours, clock, "x")
    await write(theirs, clock, "x")
    await tamper(
        database_url,
        "DELETE FROM audit_entries WHERE tenant = 'a'",
        "UPDATE audit_entries SET tenant = 'a' WHERE tenant = 'b'",
    )
    assert (await ours.verify_audit()).problem == "entry 1 was changed"


async def test_a_chain_longer_than_one_reading_step_is_walked_whole(
    sql_store: SqlStore, database_url: str, clock: ScriptedClock
) -> None:
    await write(sql_store, clock, *(str(n) for n in range(2000)))
    assert (await sql_store.verify_audit()).entries == 2000
    await tamper(database_url, "UPDATE audit_entries SET detail = '' WHERE seq = 1999")
    assert (await sql_store.verify_audit()).problem == "entry 1999 was changed"
