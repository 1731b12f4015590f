"""PostgreSQL: a pooled connection a turn, row locks instead of one writer, snapshots as REPEATABLE READ."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from commhub.db.errors import translated
from commhub.db.memory import Key
from commhub.db.pending import Batch
from commhub.db.transaction import Run
from commhub.db.types import dumps

R = TypeVar("R")


class PostgresTurn:
    """Implements commhub.db.backend.Turn."""

    def __init__(self, backend: "PostgresBackend", connection: AsyncConnection) -> None:
        self._backend = backend
        self._connection = connection

    async def run(self, work: Callable[[Connection], R], /, *, small: bool = False) -> R:
        del small
        return await self._connection.run_sync(work)

    def recall(self, key: Key) -> object | None:
        """Others write at the same time."""
        return None

    def learn(self, news: Mapping[Key, object], gone: Iterable[Key]) -> None:
        """Nothing is kept."""

    async def commit(self, last: Batch, publish: Callable[[], None]) -> None:
        await self._backend.finish(self._commit(last, publish))

    async def rollback(self) -> None:
        await self._backend.finish(self._connection.close())

    async def _commit(self, last: Batch, publish: Callable[[], None]) -> None:
        # Closing without a commit rolls back.
        try:
            await self._connection.run_sync(last.send)
            await self._connection.commit()
            publish()
        finally:
            await self._connection.close()


POOL_SIZE = 10
POOL_WAIT_S = 10.0


def postgresql_engine(url: URL) -> AsyncEngine:
    """A pool of connections that checks each before use, as a restarted server leaves dead ones."""
    return create_async_engine(
        url,
        json_serializer=dumps,
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,
    )


class PostgresBackend:
    """Implements commhub.db.backend.Backend."""

    is_sqlite = False

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._endings: set[asyncio.Task[None]] = set()

    async def turn(self) -> PostgresTurn:
        with translated():
            return PostgresTurn(self, await self._engine.connect())

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Run]:
        with translated():
            connection = await self._engine.connect()
        try:
            with translated():
                await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )

            async def run(work: Callable[[Connection], R], /, *, small: bool = False) -> R:
                del small
                return await connection.run_sync(work)

            yield run
        finally:
            await connection.close()

    async def finish(self, ending: Coroutine[Any, Any, None]) -> None:
        """End a turn in a task of its own: a commit under way is published even when its caller is
        cancelled meanwhile."""
        task = asyncio.create_task(ending, name="postgresql-ending")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        with translated():
            await asyncio.shield(task)

    async def close(self) -> None:
        await asyncio.gather(*self._endings, return_exceptions=True)
        await self._engine.dispose()
