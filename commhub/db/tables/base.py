"""What all tables share: one metadata, names of constraints, and the columns that say whose row it is.

Every primary key begins with `tenant`, and so does every foreign key: a row can never point at another
tenant's. `hub` is the hub of origin, the tier that wrote the row.
"""

from typing import Any

from sqlalchemy import Column, ForeignKeyConstraint, Integer, MetaData, PrimaryKeyConstraint, Table
from sqlalchemy.schema import SchemaItem

from commhub.db.types import AnyType, Line

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def table(name: str, *items: SchemaItem, key: tuple[str, ...] = ("id",), **options: Any) -> Table:
    """A table with its owner columns, keyed by tenant and `key`."""
    return Table(
        name,
        metadata,
        Column("tenant", Line, nullable=False),
        Column("hub", Line, nullable=False),
        *items,
        PrimaryKeyConstraint("tenant", *key),
        **options,
    )


def text(name: str) -> Column[Any]:
    return Column(name, Line, nullable=False)


def maybe_text(name: str) -> Column[Any]:
    return Column(name, Line)


def number(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False)


def column(name: str, kind: AnyType | type[AnyType]) -> Column[Any]:
    return Column(name, kind, nullable=False)


def maybe(name: str, kind: AnyType | type[AnyType]) -> Column[Any]:
    return Column(name, kind)


def belongs_to(owner: str, local: str, remote: str = "id") -> ForeignKeyConstraint:
    """The row's `local` names a row of `owner` in the same tenant; None names nothing."""
    return ForeignKeyConstraint(["tenant", local], [f"{owner}.tenant", f"{owner}.{remote}"])
