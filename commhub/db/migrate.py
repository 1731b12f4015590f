"""Bring a database to the schema of this version."""

from pathlib import Path

from sqlalchemy import Connection, func, select

from commhub.db.engine import in_transaction, is_sqlite_url, parse_url
from commhub.db.prepared import is_sqlite
from commhub.db.schema import HEAD, current_revision

# Any constant: PostgreSQL's advisory lock that lets one process at a time migrate.
_MIGRATION_LOCK = 0x636F6D6D


async def migrate(url: str) -> None:
    """Create or upgrade the schema in one transaction; several processes at once take turns.

    A SQLite file and its directory are created, the file for its owner only. Raises StoreError for a wrong URL,
    UnavailableError when the database does not answer.
    """
    parsed = parse_url(url)
    if is_sqlite_url(parsed) and parsed.database:
        _make_private(Path(parsed.database))
    await in_transaction(parsed, _upgrade)


def _make_private(file: Path) -> None:
    """SQLite gives its journal the mode of the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)


def _upgrade(connection: Connection) -> None:
    if not is_sqlite(connection):
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    if current_revision(connection) == HEAD:
        return
    from commhub.db.upgrade import upgrade_to_head  # noqa: PLC0415 - costly, and rarely needed

    upgrade_to_head(connection)
