"""A transaction that is over is freed at once, however it ended: hundreds a second are made beside calls."""

import pytest
from fakes.objects import a_call, a_leg
from fakes.rings import no_rings

from commhub.db import SqlStore
from commhub.domain.errors import NotFoundError


async def step(store: SqlStore) -> str:
    """Whatever a call touches."""
    call = a_call()
    async with store.begin() as uow:
        await uow.calls.add(call)
        await uow.calls.add_leg(a_leg(call.id))
        await uow.sip.find_account("1001")
    async with store.begin() as uow:
        await uow.calls.legs_of(call.id)
    return call.id


async def ask_for(store: SqlStore, *call_ids: str) -> None:
    async with store.begin() as uow:
        for call_id in call_ids:
            await uow.calls.get(call_id)


async def test_a_committed_one(store: SqlStore) -> None:
    await step(store)
    with no_rings():
        await step(store)


async def test_one_that_is_given_up(store: SqlStore) -> None:
    call_id = await step(store)
    with no_rings(), pytest.raises(NotFoundError):
        await ask_for(store, call_id, "nobody")


async def test_a_snapshot(store: SqlStore) -> None:
    call_id = await step(store)
    with no_rings():
        async with store.read() as uow:
            await uow.calls.get(call_id)
            await uow.sip.find_account("1001")
        del uow
