"""Both databases for the store's contract: a SQLite file and a real PostgreSQL server, one a test run."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fakes.clock import ScriptedClock
from fakes.databases import emptied_postgresql, make_shared_postgresql
from fakes.servers import running_postgresql
from fakes.stores import fresh_database, run_apart

from commhub.db import SqlStore, open_store
from commhub.domain.facts import Fact
from commhub.kit.bus import Bus

OpenStore = Callable[..., Awaitable[SqlStore]]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    with running_postgresql() as url:
        run_apart(make_shared_postgresql(url))
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated, empty database of either kind."""
    if request.param == "sqlite":
        return fresh_database(tmp_path)
    return await emptied_postgresql(request.getfixturevalue("postgresql_server"))


@pytest.fixture
async def open_here(
    database_url: str, bus: Bus[Fact], clock: ScriptedClock
) -> AsyncIterator[OpenStore]:
    """Open further stores on the same database, as other processes would."""
    async with AsyncExitStack() as stack:

        async def opened(**options: str) -> SqlStore:
            return await stack.enter_async_context(
                open_store(
                    database_url, **{"bus": bus, "clock": clock, "hub": "street-a"} | options
                )
            )

        yield opened


@pytest.fixture
async def sql_store(open_here: OpenStore) -> SqlStore:
    """The store on either database."""
    return await open_here()
