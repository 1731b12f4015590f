"""The schema as SQLAlchemy Core tables. The migrations produce exactly this; a test compares them."""

from commhub.db.tables import dispatch, equipment, meetings, people, tiers
from commhub.db.tables.base import metadata

__all__ = ["dispatch", "equipment", "meetings", "metadata", "people", "tiers"]
