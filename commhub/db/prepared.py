"""Statements that are written once.

SQLAlchemy needs several times as long to build a statement, to recognise it and to wrap its rows as SQLite needs to
answer it. So what is asked all the time is compiled at its first use, into text, what binds its values and what reads
its columns, and goes straight to SQLite's driver from then on. On PostgreSQL, where the way to the server is longer
than all that, the same statement goes through SQLAlchemy; the types that translate values are the same on both.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Boolean, Connection, Dialect, Select
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement

from commhub.db.codec import Row

Translate = Callable[[Any], Any]


def is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def driver_of(connection: Connection) -> sqlite3.Connection:
    """SQLite's own connection beneath SQLAlchemy's."""
    found: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment] # asked on SQLite alone
    return found


class Prepared:
    """A SELECT, INSERT, UPDATE or DELETE whose open values are named. `keys` are the columns an INSERT is given."""

    def __init__(self, statement: Any, keys: Iterable[str] | None = None) -> None:
        self.statement = statement
        self._keys = None if keys is None else list(keys)
        self._text: _Text | None = None

    def rows(self, connection: Connection, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """All rows of a SELECT."""
        if not is_sqlite(connection):
            return connection.execute(self.statement, values).all()
        text = self._compiled(connection.dialect)
        found = driver_of(connection).execute(text.sql, text.bound(values)).fetchall()
        return [text.read(row) for row in found] if text.readers else found

    def run(self, connection: Connection, row: Row) -> int:
        """Change something; how many rows were touched."""
        if not is_sqlite(connection):
            return connection.execute(self.statement, row).rowcount
        text = self._compiled(connection.dialect)
        return driver_of(connection).execute(text.sql, text.bound(row)).rowcount

    def run_all(self, connection: Connection, rows: Sequence[Row]) -> int:
        """The same for each row; how many rows were touched in all."""
        if len(rows) == 1:
            return self.run(connection, rows[0])
        if is_sqlite(connection):
            text = self._compiled(connection.dialect)
            bound = [text.bound(row) for row in rows]
            return driver_of(connection).executemany(text.sql, bound).rowcount
        if connection.dialect.supports_sane_multi_rowcount:
            return connection.execute(self.statement, rows).rowcount
        return sum(connection.execute(self.statement, row).rowcount for row in rows)

    def _compiled(self, dialect: Dialect) -> "_Text":
        if self._text is None:
            compiled = self.statement.compile(dialect=dialect, column_keys=self._keys)
            asked = self.statement.selected_columns if isinstance(self.statement, Select) else ()
            self._text = _Text(compiled, tuple(asked))
        return self._text


class _Text:
    """A statement in SQLite's words."""

    def __init__(self, compiled: SQLCompiler, columns: Sequence[ColumnElement[Any]]) -> None:
        dialect = compiled.dialect
        self.sql = str(compiled)
        names = tuple(compiled.positiontup or ())
        self._pick = _picker(names)
        self._binders: list[tuple[int, Translate]] = []
        self._fixed: dict[str, object] = {}
        for place, name in enumerate(names):
            bind = compiled.binds[name]
            if bind.expanding:
                raise TypeError("a statement that is written once cannot grow with its values")
            translate = bind.type.dialect_impl(dialect).bind_processor(dialect)
            # The driver writes True and False as the numbers they are.
            if translate is not None and not isinstance(bind.type, Boolean):
                self._binders.append((place, translate))
            if not bind.required and bind.value is not None:
                self._fixed[name] = bind.value
        self.readers: list[tuple[int, Translate]] = []
        """Of the columns that are not what SQLite keeps."""
        for place, column in enumerate(columns):
            reader = column.type.dialect_impl(dialect).result_processor(dialect, None)
            if reader is not None:
                self.readers.append((place, reader))

    def bound(self, values: Mapping[str, object]) -> list[object]:
        """The values in the order of their marks. Raises KeyError for one that is missing."""
        if self._fixed:
            values = {**self._fixed, **values}
        bound = list(self._pick(values))
        for place, translate in self._binders:
            # What is not there is NULL, whatever the column.
            if (value := bound[place]) is not None:
                bound[place] = translate(value)
        return bound

    def read(self, row: Sequence[Any]) -> list[Any]:
        """A row as the domain knows its values."""
        columns = list(row)
        for place, reader in self.readers:
            if (value := columns[place]) is not None:
                columns[place] = reader(value)
        return columns


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, object]], Iterable[object]]:
    """What takes the values of these names, in this order."""
    if len(names) < 2:
        return lambda values: [values[name] for name in names]
    return itemgetter(*names)
