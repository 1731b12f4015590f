"""Which schema a database has, and which one this version needs.

Kept apart from Alembic, whose import would cost every restart of the hub half a second: it is needed only when
the schema changes.
"""

from sqlalchemy import Connection, inspect, text

from commhub.db.errors import StoreError

# The newest module of migrations/versions; a contract test holds the two together.
HEAD = "0011"
_VERSION_TABLE = "alembic_version"


def current_revision(connection: Connection) -> str | None:
    """The schema's revision; None for an empty database."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608 - a constant
    return revision


def require_current_schema(connection: Connection) -> None:
    """Raises StoreError when the database is not at this version's schema."""
    found = current_revision(connection)
    if found != HEAD:
        raise StoreError(
            f"the database's schema is {found or 'empty'}, this version needs {HEAD}: migrate it first"
        )
