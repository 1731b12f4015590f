"""Calls of a real store for two dispatchers, and a media engine that only remembers."""

import pytest
from fakes.media import FakeMedia

from commhub.calls.service import CallService
from commhub.domain.account import User
from commhub.domain.people import Role


@pytest.fixture
async def media():
    made = FakeMedia()
    yield made
    made.close()


@pytest.fixture
async def calls(store, clock):
    async with store.begin() as uow:
        for name in ("li", "wang"):
            await uow.accounts.add_user(
                User(
                    id=f"id-{name}",
                    name=name,
                    display_name=name,
                    password_hash="",
                    roles=frozenset({Role.DISPATCHER}),
                    created_at=clock.now(),
                )
            )
    return CallService(store, clock, ring_for_s=30)
