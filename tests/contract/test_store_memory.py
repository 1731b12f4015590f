"""What one unit of work leaves to the next: it is asked for less, and never believed wrongly. On both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from fakes.objects import a_call, a_leg
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from commhub.db import SqlStore
from commhub.db.memory import Memory
from commhub.db.prepared import driver_of
from commhub.db.sqlite import SqliteBackend
from commhub.domain.call import Call, Leg, LegState
from commhub.domain.errors import DomainError, UnavailableError
from commhub.ports.edge_store import SipAccount

OpenStore = Callable[..., Awaitable[SqlStore]]


def memory_of(store: SqlStore) -> Memory:
    assert isinstance(store._backend, SqliteBackend)
    return store._backend.memory


async def a_talk(store: SqlStore) -> tuple[Call, Leg, Leg]:
    """A call with two legs on record, known by heart where that is done."""
    call = a_call()
    one, other = a_leg(call.id), a_leg(call.id)
    async with store.begin() as uow:
        await uow.calls.add(call)
        await uow.calls.add_leg(one)
        await uow.calls.add_leg(other)
    async with store.begin() as uow:
        assert await uow.calls.legs_of(call.id) == [one, other]
    return call, one, other


async def test_what_was_written_is_what_the_next_one_finds(sql_store: SqlStore) -> None:
    call, one, other = await a_talk(sql_store)
    rings = replace(one, state=LegState.RINGING)
    async with sql_store.begin() as uow:
        await uow.calls.update_leg(rings)
        await uow.calls.update(replace(call, had_two=True))
    async with sql_store.begin() as uow:
        assert await uow.calls.find_leg(one.id) == rings
        assert (await uow.calls.get(call.id)).had_two
        assert await uow.calls.legs_of(call.id) == [rings, other]
    async with sql_store.read() as uow:
        assert await uow.calls.legs_of(call.id) == [rings, other]


async def test_another_process_that_wrote_meanwhile_is_believed(
    sql_store: SqlStore, open_here: OpenStore
) -> None:
    call, one, other = await a_talk(sql_store)
    elsewhere = await open_here()
    rings = replace(one, state=LegState.RINGING)
    third = a_leg(call.id)
    async with elsewhere.begin() as uow:
        await uow.calls.update_leg(rings)
        await uow.calls.add_leg(third)
    async with sql_store.begin() as uow:
        assert await uow.calls.find_leg(one.id) == rings
        assert set(await uow.calls.legs_of(call.id)) == {rings, other, third}


async def test_one_that_was_taken_back_leaves_nothing(sql_store: SqlStore) -> None:
    call, one, _ = await a_talk(sql_store)

    async def broken_off() -> None:
        async with sql_store.begin() as uow:
            await uow.calls.update_leg(replace(one, state=LegState.RINGING))
            await uow.calls.add_leg(a_leg(call.id))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken_off()
    async with sql_store.begin() as uow:
        assert (await uow.calls.find_leg(one.id)) == one
        assert len(await uow.calls.legs_of(call.id)) == 2


async def test_one_that_the_database_refused_leaves_nothing(sql_store: SqlStore) -> None:
    _, one, _ = await a_talk(sql_store)
    orphan = a_leg("no-such-call")

    async def refused() -> None:
        async with sql_store.begin() as uow:
            await uow.calls.update_leg(replace(one, state=LegState.RINGING))
            await uow.calls.add_leg(orphan)

    with pytest.raises(DomainError):
        await refused()
    async with sql_store.begin() as uow:
        assert await uow.calls.find_leg(one.id) == one
        assert await uow.calls.find_leg(orphan.id) is None


async def test_a_leg_that_moved_is_in_its_new_call_and_no_longer_in_the_old(
    sql_store: SqlStore,
) -> None:
    call, one, other = await a_talk(sql_store)
    further, third, _ = await a_talk(sql_store)
    moved = replace(one, call_id=further.id)
    async with sql_store.begin() as uow:
        assert await uow.calls.find_leg(one.id) == one
        await uow.calls.update_leg(moved)
    async with sql_store.begin() as uow:
        assert await uow.calls.legs_of(call.id) == [other]
        legs = await uow.calls.legs_of(further.id)
        assert len(legs) == 3
        assert {moved, third} < set(legs)


async def test_a_leg_that_joins_a_call_nobody_looked_at_is_not_missed(sql_store: SqlStore) -> None:
    call, _, _ = await a_talk(sql_store)
    third = a_leg(call.id)
    async with sql_store.begin() as uow:
        await uow.calls.add_leg(third)
    async with sql_store.begin() as uow:
        assert third in await uow.calls.legs_of(call.id)


async def test_steps_at_the_same_moment_see_each_other(sql_store: SqlStore) -> None:
    call, *legs = await a_talk(sql_store)

    async def ring(leg: Leg) -> None:
        async with sql_store.begin() as uow:
            await uow.calls.get(call.id)
            known = await uow.calls.find_leg(leg.id)
            assert known is not None
            await uow.calls.update_leg(replace(known, state=LegState.RINGING))

    await asyncio.gather(*map(ring, legs))
    async with sql_store.begin() as uow:
        states = [leg.state for leg in await uow.calls.legs_of(call.id)]
    assert states == [LegState.RINGING] * 2


async def test_a_step_of_a_call_asks_for_nothing_it_was_left(store: SqlStore) -> None:
    call, one, _ = await a_talk(store)
    asked: list[str] = []
    async with store.begin() as uow:
        await uow.calls.get(call.id)
    assert isinstance(store._backend, SqliteBackend)
    store._backend.writer.at_once(lambda on: driver_of(on).set_trace_callback(asked.append))
    async with store.begin() as uow:
        await uow.calls.get(call.id)
        await uow.calls.find_leg(one.id)
        await uow.calls.legs_of(call.id)
        await uow.calls.update_leg(replace(one, state=LegState.RINGING))
    assert not [text for text in asked if "SELECT" in text]
    assert len([text for text in asked if "UPDATE" in text]) == 1


async def test_a_commit_that_is_lost_is_forgotten(store: SqlStore) -> None:
    _, one, _ = await a_talk(store)

    def fail(connection: Connection) -> None:
        raise OperationalError("COMMIT", None, Exception("the disk is full"))

    assert isinstance(store._backend, SqliteBackend)
    engine = store._backend.writer._engine
    event.listen(engine, "commit", fail)
    with pytest.raises(UnavailableError):
        async with store.begin() as uow:
            await uow.calls.update_leg(replace(one, state=LegState.RINGING))
    event.remove(engine, "commit", fail)
    async with store.begin() as uow:
        assert await uow.calls.find_leg(one.id) == one


async def test_a_call_that_is_over_is_not_kept(store: SqlStore) -> None:
    call, one, _ = await a_talk(store)
    assert len(memory_of(store))
    async with store.begin() as uow:
        for leg in await uow.calls.legs_of(call.id):
            await uow.calls.update_leg(replace(leg, state=LegState.ENDED, ended_at=call.created_at))
        await uow.calls.update(replace(call, ended_at=call.created_at))
    assert not len(memory_of(store))
    async with store.begin() as uow:
        found = await uow.calls.find_leg(one.id)
    assert found is not None
    assert not found.is_live


def test_the_memory_is_bounded_and_what_is_used_stays_longest() -> None:
    memory = Memory(most=3)
    memory.learn({("leg", "a"): 1, ("leg", "b"): 2, ("leg", "c"): 3}, ())
    assert memory.recall(("leg", "a")) == 1
    memory.learn({("leg", "d"): 4}, ())
    assert len(memory) == 3
    assert memory.recall(("leg", "b")) is None
    assert memory.recall(("leg", "a")) == 1


async def test_an_account_is_as_it_was_put_last(sql_store: SqlStore, open_here: OpenStore) -> None:
    account = SipAccount(name="1001", display_name="", ha1_md5="a", ha1_sha256="b")

    async def found() -> SipAccount | None:
        async with sql_store.begin() as uow:
            return await uow.sip.find_account("1001")

    assert await found() is None
    async with sql_store.begin() as uow:
        await uow.sip.put_account(account)
        assert await uow.sip.find_account("1001") == account
    assert await found() == account
    async with sql_store.begin() as uow:
        await uow.sip.put_account(replace(account, disabled=True))
        assert await uow.sip.find_account("1001") == replace(account, disabled=True)
    assert await found() == replace(account, disabled=True)
    elsewhere = await open_here()
    async with elsewhere.begin() as uow:
        await uow.sip.put_account(replace(account, ha1_md5="new"))
    assert await found() == replace(account, ha1_md5="new")
