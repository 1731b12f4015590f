"""What goes wrong in a database, in the core's words.

A retry may help: UnavailableError (locked, lost, full, dead-locked). A retry never helps: ConflictError (a
unique key is taken), InvalidError (a value or a reference the schema does not admit). Whatever else comes
is a mistake of ours and passes through untouched.
"""

import sqlite3
from types import TracebackType

from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from commhub.domain.errors import ConflictError, DomainError, InvalidError, UnavailableError


class StoreError(Exception):
    """The store cannot be used as it is: a schema of another version, an unknown kind of database."""

    retryable = False


# SQLSTATE classes (PostgreSQL appendix A): connection, resources, operator intervention, rollback
# (deadlock, serialization), lock not available, and a server that became a read-only standby.
_PASSING_CLASSES = ("08", "53", "57", "58", "40", "55P03", "25006")
_DATA_EXCEPTION = "22"
_FOREIGN_KEY = ("23503", "SQLITE_CONSTRAINT_FOREIGNKEY")

_CONNECTING_FAILED = (OSError, TimeoutError, PoolTimeoutError)


def _code(origin: object) -> str:
    """The SQLSTATE of PostgreSQL or the error name of SQLite."""
    return str(getattr(origin, "sqlstate", None) or getattr(origin, "sqlite_errorname", None) or "")


def _is_passing(code: str) -> bool:
    if code.startswith(_PASSING_CLASSES):
        return True
    # Of SQLite's codes only the generic one speaks of the statement; the others of file, lock or disk.
    return code.startswith("SQLITE_") and not code.startswith(
        ("SQLITE_ERROR", "SQLITE_MISUSE", "SQLITE_RANGE", "SQLITE_MISMATCH", "SQLITE_CONSTRAINT")
    )


def _of_database(
    origin: object, *, breaks_a_key: bool, is_lost: bool = False
) -> DomainError | None:
    code = _code(origin)
    if code in _FOREIGN_KEY:
        return InvalidError("this refers to something that is not there")
    if breaks_a_key:
        return ConflictError("something with the same key is there already")
    if is_lost or _is_passing(code):
        return UnavailableError("the database is not available just now")
    return (
        InvalidError("a value does not fit the database")
        if code.startswith(_DATA_EXCEPTION)
        else None
    )


def _in_our_words(error: StatementError) -> DomainError | None:
    if isinstance(error.orig, DomainError):
        return error.orig
    if not isinstance(error, DBAPIError):
        return None
    return _of_database(
        error.orig,
        breaks_a_key=isinstance(error, IntegrityError),
        is_lost=error.connection_invalidated,
    )


class translated:  # noqa: N801 - used as a word before a block: every statement passes here, and a class costs less
    """Raise what the database raised as a DomainError, with the cause chained."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and (ours := _translation(error)) is not None:
            raise ours from error


def _translation(error: Exception) -> DomainError | None:
    """None for what passes through untouched."""
    if isinstance(error, StatementError):
        return _in_our_words(error)
    if isinstance(error, sqlite3.Error):
        # Of a statement that went to the driver itself.
        return _of_database(error, breaks_a_key=isinstance(error, sqlite3.IntegrityError))
    if isinstance(error, _CONNECTING_FAILED) or _is_from_asyncpg(error):
        return UnavailableError("the database is not available just now")
    return None


def _is_from_asyncpg(error: Exception) -> bool:
    """Whether PostgreSQL's driver itself raised it, while connecting.

    Told by its module: importing the driver for an `except` would cost every start on SQLite.
    """
    return type(error).__module__.partition(".")[0] == "asyncpg"
