"""From a URL to a database: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://user@host/name`.

SQLite speaks BEGIN itself here (the driver's own transaction handling is off), because a write transaction
must take the lock at its beginning (BEGIN IMMEDIATE): a lock taken at the first write can fail half way.
`synchronous=FULL` makes a commit outlive the power; WAL lets readers keep their snapshot beside the writer.
The hub drives SQLite from threads of its own (`lanes`), so the driver a URL names after the `+` is not used.

PostgreSQL's half is imported when a URL asks for it: SQLAlchemy's asyncio layer and the driver are a third of a
second that every restart on SQLite would wait for.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from commhub.db.backend import Backend
from commhub.db.errors import StoreError, translated
from commhub.db.prepared import driver_of
from commhub.db.sqlite import SqliteBackend
from commhub.db.types import dumps

R = TypeVar("R")

BUSY_TIMEOUT_S = 5.0
_READERS = 4
_STATEMENTS = 512

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)


def parse_url(text: str) -> URL:
    """Read a database URL. Raises StoreError with a sentence for people, without the URL's password."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StoreError("the database URL is no URL; write sqlite+aiosqlite:///path") from error
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:":
            return url.set(drivername="sqlite+pysqlite")
        case "sqlite":
            raise StoreError("SQLite needs a file; write sqlite+aiosqlite:///path")
        case "postgresql":
            return url.set(drivername="postgresql+asyncpg")
        case other:
            raise StoreError(f"«{other}» is no database the hub knows: sqlite or postgresql")


def is_sqlite_url(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def open_backend(url: URL) -> Backend:
    """The database behind a parsed URL, connected at the first need."""
    if is_sqlite_url(url):
        reader = _sqlite(url, begin="BEGIN", pragmas=(*_PRAGMAS, "PRAGMA query_only=ON"))
        return SqliteBackend(_sqlite_writer(url), reader, _READERS, patience_s=BUSY_TIMEOUT_S)
    from commhub.db.postgresql import PostgresBackend, postgresql_engine  # noqa: PLC0415 - see above

    return PostgresBackend(postgresql_engine(url))


async def in_transaction(url: URL, work: Callable[[Connection], R]) -> R:
    """Run `work` in one write transaction outside any store (migrations). Raises UnavailableError."""
    with translated():
        if is_sqlite_url(url):
            return await asyncio.to_thread(_in_sqlite, url, work)
        from commhub.db.postgresql import postgresql_engine  # noqa: PLC0415 - see above

        engine = postgresql_engine(url)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()


def _in_sqlite(url: URL, work: Callable[[Connection], R]) -> R:
    with _sqlite_writer(url).begin() as connection:
        return work(connection)


def _sqlite_writer(url: URL) -> Engine:
    return _sqlite(url, begin="BEGIN IMMEDIATE", pragmas=_PRAGMAS)


def _sqlite(url: URL, *, begin: str, pragmas: tuple[str, ...]) -> Engine:
    connect: dict[str, Any] = {
        "isolation_level": None,
        "timeout": BUSY_TIMEOUT_S,
        # A lane uses it from its own thread and from the event loop's, never from both at once.
        "check_same_thread": False,
        "cached_statements": _STATEMENTS,
    }
    engine = create_engine(
        url, json_serializer=dumps, hide_parameters=True, connect_args=connect, poolclass=NullPool
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        # A turn or a snapshot begins with a statement that goes to the driver itself.
        if not driver_of(connection).in_transaction:
            connection.exec_driver_sql(begin)

    return engine
