"""Alembic's entry. The hub hands in its open connection (`commhub.db.migrate`); a developer, who wants to
write the next revision, calls `alembic -c commhub/db/migrations/alembic.ini -x url=… revision --autogenerate`.
"""

import asyncio
from typing import Any, Literal

from alembic import context
from sqlalchemy import JSON, Connection, DateTime, Text

from commhub.db.engine import in_transaction, parse_url
from commhub.db.tables import metadata

_NAMES = {Text: "TEXT", DateTime: "MOMENT", JSON: "JSON"}


def plain_types(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write column types into a new revision by what they are in the database, not by our classes."""
    storage = getattr(item, "impl_instance", None)
    return _NAMES.get(type(storage), False) if kind == "type" else False


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_item=plain_types)
    with context.begin_transaction():
        context.run_migrations()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    run(handed_in)
else:
    asyncio.run(in_transaction(parse_url(context.get_x_argument(as_dictionary=True)["url"]), run))
