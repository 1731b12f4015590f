"""Databases on a real PostgreSQL server: one that is migrated once and emptied for each test, because making
a database takes ten times as long; and new ones without a schema."""

import asyncpg
from sqlalchemy import Connection, make_url

from commhub.db import migrate
from commhub.db.engine import in_transaction, parse_url
from commhub.db.tables import metadata
from commhub.kit.ids import new_id

_SHARED = "commhub"


def plain_url(url: str) -> str:
    """The URL as asyncpg itself reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def _create(server: str, name: str) -> str:
    connection = await asyncpg.connect(plain_url(server))
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


async def make_shared_postgresql(server: str) -> None:
    """Once a server."""
    await migrate(await _create(server, _SHARED))


async def emptied_postgresql(server: str) -> str:
    """The URL of the shared database, migrated and without a row. One test at a time."""
    url = make_url(server).set(database=_SHARED).render_as_string(hide_password=False)
    await in_transaction(parse_url(url), _delete_all)
    return url


def _delete_all(connection: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        connection.execute(table.delete())


async def empty_postgresql(server: str) -> str:
    """The URL of a new database without a schema."""
    return await _create(server, f"t_{new_id().replace('-', '')}")
