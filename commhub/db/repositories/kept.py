"""The question both tables of recordings answer alike: whose time is up."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Select, and_, or_, select

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository, T
from commhub.db.tables import dispatch
from commhub.domain.incident import OPEN_STAGES
from commhub.domain.recording import Retention


class KeptFiles(Repository):
    """Rows about files, with `retention`, `stored_at`, `incident_id`, `held` and `deleted_at`."""

    def _expired(
        self, files: Rows[T], stored_before: Mapping[Retention, datetime], limit: int
    ) -> Select[tuple[object, ...]]:
        """Oldest first, without those that are held, deleted already or belong to an incident that is open."""
        file, incidents = files.table.c, dispatch.incidents
        still_open = (
            select(incidents.c.id)
            .where(
                self._tx.mine(incidents),
                incidents.c.id == file.incident_id,
                incidents.c.stage.in_(OPEN_STAGES),
            )
            .exists()
        )
        old = [
            and_(file.retention == retention, file.stored_at < moment)
            for retention, moment in stored_before.items()
        ]
        return (
            self._select(files)
            .where(or_(*old), file.deleted_at.is_(None), file.held.is_(False), ~still_open)
            .order_by(file.stored_at, file.id)
            .limit(limit)
        )
