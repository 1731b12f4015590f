"""The store of `commhub.ports.store` on SQLAlchemy Core: SQLite for one machine, PostgreSQL beyond it.

Core and not the ORM, because the domain's objects are frozen: `tables` is the schema, `codec` and `types`
turn domain values into rows and back, `transaction` groups the writes, `repositories` has a module per noun,
`store` is the door, `migrations` (Alembic) makes the schema.
"""

from commhub.db.errors import StoreError
from commhub.db.migrate import migrate
from commhub.db.store import SqlStore, open_store

__all__ = ["SqlStore", "StoreError", "migrate", "open_store"]
