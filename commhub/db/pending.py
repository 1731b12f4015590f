"""Writes that wait for company inside one transaction.

Inserts and updates by key are kept here and sent grouped per table (`executemany`), parents before children,
when somebody reads one of these tables and at the commit. So a hundred incidents made in one unit of work
cost a handful of statements. What must come last (the audit's chain) is deferred to the commit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

from sqlalchemy import Connection, FromClause, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commhub.db.codec import Row
from commhub.db.prepared import Prepared, is_sqlite
from commhub.db.tables import dispatch, metadata, tiers
from commhub.domain.errors import NotFoundError

Work = Callable[[Connection], None]

# Rows have columns of many names, so the parameters of WHERE have names of their own.
_TENANT, _KEY = "_tenant", "_key"

_ORDER = {table: place for place, table in enumerate(metadata.sorted_tables)}

# More than these are better sent from a thread.
_FEW = 32

# Any constant: the space of PostgreSQL's advisory locks that order the timeline.
_TIMELINE_LOCK = 0x74696D65

# Logs that are read from a place onward.
_IN_TURN = frozenset({dispatch.timeline, tiers.outbox})


def take_turn(connection: Connection, tenant: str) -> None:
    """Before an insert into a log that is read from a place onward. A sequence counts at the insert, not at the commit:
    without taking turns, a reader who has seen entry 8 could miss entry 7, which another transaction commits later."""
    if not is_sqlite(connection):
        connection.execute(
            select(func.pg_advisory_xact_lock(_TIMELINE_LOCK, func.hashtext(tenant)))
        )


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rows are read and written, and which hub writes them."""

    tenant: str
    hub: str


@cache
def with_parents(table: Table) -> frozenset[Table]:
    """The table and all it refers to, directly or not."""
    parents = {fk.column.table for fk in table.foreign_keys} - {table}
    return frozenset({table}).union(*map(with_parents, parents))


@cache
def _key_of(table: Table) -> str:
    """The one key column beside the tenant."""
    (name,) = (c.name for c in table.primary_key if c.name != "tenant")
    return name


@cache
def _update_by_key(table: Table, columns: tuple[str, ...]) -> Prepared:
    return Prepared(
        update(table)
        .where(table.c.tenant == bindparam(_TENANT), table.c[_key_of(table)] == bindparam(_KEY))
        .values({name: bindparam(name) for name in columns})
    )


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(table).inline(), columns)


@cache
def insert_or_leave(table: Table, columns: tuple[str, ...], *, on_sqlite: bool) -> Prepared:
    """INSERT that leaves out a row whose unique key is there already."""
    statement = dialect_insert(table, on_sqlite=on_sqlite).on_conflict_do_nothing()
    return Prepared(statement, columns)


@cache
def insert_or_replace(table: Table, columns: tuple[str, ...], *, on_sqlite: bool) -> Prepared:
    """INSERT, or UPDATE of the row with the same primary key; its hub of origin stays."""
    statement = dialect_insert(table, on_sqlite=on_sqlite)
    keys = [column.name for column in table.primary_key]
    replaced = {
        column.name: statement.excluded[column.name]
        for column in table.c
        if column.name not in {*keys, "hub"}
    }
    return Prepared(statement.on_conflict_do_update(index_elements=keys, set_=replaced), columns)


def dialect_insert(table: Table, *, on_sqlite: bool) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT; both databases write it alike."""
    return sqlite.insert(table) if on_sqlite else postgresql.insert(table)


@dataclass(slots=True)
class Batch:
    """What is to be sent at once. Sending may raise whatever the database raises, and NotFoundError for an
    update of a row that is gone."""

    tenant: str
    new: dict[Table, list[Row]] = field(default_factory=dict)
    once: set[Table] = field(default_factory=set)
    changed: dict[Table, dict[object, Row]] = field(default_factory=dict)
    said: list[tuple[Table, Prepared, Row]] = field(default_factory=list)
    deferred: list[Work] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.said or self.deferred)

    @property
    def is_small(self) -> bool:
        """Whether it is sent in no time."""
        return not self.deferred and self._rows() <= _FEW

    @property
    def is_one(self) -> bool:
        """Whether it is one row and thus one statement, which the database does as a whole or not at all."""
        return not self.deferred and self._rows() == 1

    def _rows(self) -> int:
        written = sum(map(len, self.new.values())) + sum(map(len, self.changed.values()))
        return written + len(self.said)

    def send(self, connection: Connection) -> None:
        for table in sorted(self.new, key=_ORDER.__getitem__):
            self._insert(connection, table)
        for table in sorted(self.changed, key=_ORDER.__getitem__):
            self._update(connection, table)
        for statement, said in groupby(self.said, key=lambda one: one[1]):
            statement.run_all(connection, [row for _, _, row in said])
        for work in self.deferred:
            work(connection)

    def _insert(self, connection: Connection, table: Table) -> None:
        if table in _IN_TURN:
            take_turn(connection, self.tenant)
        rows = self.new[table]
        columns = tuple(rows[0])
        if table in self.once:
            statement = insert_or_leave(table, columns, on_sqlite=is_sqlite(connection))
        else:
            statement = _insert(table, columns)
        statement.run_all(connection, rows)

    def _update(self, connection: Connection, table: Table) -> None:
        by_columns: dict[tuple[str, ...], list[Row]] = {}
        for key, row in self.changed[table].items():
            wanted = row | {_TENANT: self.tenant, _KEY: key}
            by_columns.setdefault(tuple(row), []).append(wanted)
        for columns, rows in by_columns.items():
            found = _update_by_key(table, columns).run_all(connection, rows)
            if found != len(rows):
                raise NotFoundError(f"{len(rows) - found} of the {table.name} to change are gone")


class Pending:
    """The writes of one transaction that have not been sent."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._batch = Batch(owner.tenant)
        self._new_by_key: dict[tuple[Table, object], Row] = {}

    def __bool__(self) -> bool:
        return bool(self._batch)

    def add(self, table: Table, row: Row, *, once: bool = False) -> None:
        """Insert later. `once`: a row whose unique key is there already is left out; a table is either always
        or never written so."""
        row["tenant"], row["hub"] = self._owner.tenant, self._owner.hub
        self._batch.new.setdefault(table, []).append(row)
        if once:
            self._batch.once.add(table)
        elif (key := row.get("id")) is not None:
            self._new_by_key[table, key] = row

    def update(self, table: Table, row: Row) -> None:
        """Write the row's columns over the one with its key, later. The last word counts."""
        key = row.pop(_key_of(table))
        waiting = self._new_by_key.get((table, key))
        if waiting is None:
            waiting = self._batch.changed.setdefault(table, {}).setdefault(key, {})
        waiting.update(row)

    def say(self, table: Table, statement: Prepared, row: Row) -> None:
        """Run a statement about one row of the table later, behind inserts and updates and in the order they were said."""
        self._batch.said.append((table, statement, row))

    def defer(self, work: Work) -> None:
        """Run `work` after everything else, at the commit or when all is flushed."""
        self._batch.deferred.append(work)

    def take_all(self) -> Batch:
        """Everything that waits; it waits no longer."""
        batch, self._batch = self._batch, Batch(self._owner.tenant)
        self._new_by_key.clear()
        return batch

    def take_for(self, tables: Iterable[FromClause]) -> Batch | None:
        """What waits for these tables and for all they refer to; None when nothing does."""
        waiting = self._batch.new.keys() | self._batch.changed.keys()
        waiting.update(table for table, _, _ in self._batch.said)
        if not waiting:
            return None
        wanted = set[Table]()
        for table in tables:
            if isinstance(table, Table):
                wanted |= waiting & with_parents(table)
        if not wanted:
            return None
        batch = Batch(self._owner.tenant, once=self._batch.once)
        for table in wanted:
            if rows := self._batch.new.pop(table, None):
                batch.new[table] = rows
                for row in rows:
                    self._new_by_key.pop((table, row.get("id")), None)
            if changes := self._batch.changed.pop(table, None):
                batch.changed[table] = changes
        if self._batch.said:
            batch.said = [one for one in self._batch.said if one[0] in wanted]
            self._batch.said = [one for one in self._batch.said if one[0] not in wanted]
        return batch
