"""The migrations and the tables say the same, on both databases, and nothing works on another schema."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from fakes.clock import ScriptedClock
from fakes.databases import empty_postgresql
from fakes.servers import free_port
from fakes.stores import sqlite_url
from sqlalchemy import Connection, inspect, text

from commhub.db import StoreError, migrate, open_store
from commhub.db.engine import in_transaction, is_sqlite_url, parse_url
from commhub.db.schema import HEAD
from commhub.db.tables import metadata
from commhub.db.upgrade import alembic_config
from commhub.domain.errors import UnavailableError
from commhub.domain.facts import Fact
from commhub.kit.bus import Bus


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "deep" / "down" / "empty.db")
    return await empty_postgresql(request.getfixturevalue("postgresql_server"))


def differences(connection: Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def constraints(connection: Connection) -> dict[str, object]:
    """What `compare_metadata` does not look at: keys with their columns."""
    inspector = inspect(connection)
    return {
        name: (
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted(
                (tuple(key["constrained_columns"]), key["referred_table"])
                for key in inspector.get_foreign_keys(name)
            ),
            sorted(tuple(key["column_names"]) for key in inspector.get_unique_constraints(name)),
        )
        for name in metadata.tables
    }


def test_the_revision_we_ask_for_is_the_newest_there_is() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


async def test_migrations_produce_exactly_the_tables(empty_url: str) -> None:
    await migrate(empty_url)
    assert await in_transaction(parse_url(empty_url), differences) == []
    migrated = await in_transaction(parse_url(empty_url), constraints)

    def rebuilt(connection: Connection) -> dict[str, object]:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        return constraints(connection)

    assert migrated == await in_transaction(parse_url(empty_url), rebuilt)


async def test_migrating_twice_and_at_once_is_migrating_once(empty_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(3)))
    await migrate(empty_url)
    assert await in_transaction(parse_url(empty_url), differences) == []


async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "private.db"
    await migrate(sqlite_url(path))
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_empty_database_is_refused_with_what_to_do(
    empty_url: str, bus: Bus[Fact], clock: ScriptedClock
) -> None:
    database = parse_url(empty_url)
    if is_sqlite_url(database):
        Path(database.database or "").parent.mkdir(parents=True)
    with pytest.raises(StoreError, match="is empty, this version needs"):
        async with open_store(empty_url, bus=bus, clock=clock):
            pass


async def test_the_schema_of_another_version_is_refused(
    empty_url: str, bus: Bus[Fact], clock: ScriptedClock
) -> None:
    def age(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await migrate(empty_url)
    await in_transaction(parse_url(empty_url), age)
    with pytest.raises(StoreError, match="schema is 9999"):
        async with open_store(empty_url, bus=bus, clock=clock):
            pass


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "no URL"),
        ("sqlite+aiosqlite://", "needs a file"),
        ("sqlite+aiosqlite:///:memory:", "needs a file"),
        ("mysql://root:secret@db/x", "mysql"),
    ],
)
async def test_a_wrong_url_is_one_clear_line_without_the_password(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as raised:
        await migrate(url)
    assert "secret" not in str(raised.value)


async def test_a_server_that_is_not_there_is_unavailable(
    bus: Bus[Fact], clock: ScriptedClock
) -> None:
    url = f"postgresql+asyncpg://hub:secret@127.0.0.1:{free_port()}/hub"
    with pytest.raises(UnavailableError) as raised:
        await migrate(url)
    assert raised.value.__cause__ is not None
    with pytest.raises(UnavailableError):
        async with open_store(url, bus=bus, clock=clock):
            pass


async def test_a_file_that_is_no_database_is_unavailable(
    tmp_path: Path, bus: Bus[Fact], clock: ScriptedClock
) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear all, this is no database." * 100)
    with pytest.raises(UnavailableError):
        await migrate(sqlite_url(path))
