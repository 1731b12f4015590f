"""The timeline (处置记录): facts of incidents, appended and never changed."""

from collections.abc import Sequence

from sqlalchemy import Connection, or_, select

from commhub.db.codec import Rows
from commhub.db.pending import insert_or_leave, take_turn
from commhub.db.repositories.base import Repository
from commhub.db.tables import dispatch
from commhub.domain.facts import Fact, TimelineEntry

_TABLE = dispatch.timeline
_ENTRIES = Rows(TimelineEntry, _TABLE)


class SqlTimeline(Repository):
    """Implements commhub.ports.store.Timeline, and writes what the unit of work records."""

    def append(self, fact: Fact) -> None:
        """Queue a line for the fact's incident; the database gives it its place in the hub's log."""
        self._tx.add(
            _TABLE,
            {
                "incident_id": fact.incident_id,
                "at": fact.at,
                "actor": fact.actor,
                "kind": fact.kind,
                "data": fact.data,
            },
        )

    async def of_incident(
        self, incident_id: str, after: int = 0, limit: int = 500
    ) -> Sequence[TimelineEntry]:
        return await self._all(
            _ENTRIES,
            self._select(_ENTRIES)
            .where(_TABLE.c.incident_id == incident_id, _TABLE.c.seq > after)
            .order_by(_TABLE.c.seq)
            .limit(limit),
        )

    async def untold(
        self, incident_id: str, peer: str, after: int, limit: int
    ) -> Sequence[TimelineEntry]:
        return await self._all(
            _ENTRIES,
            self._select(_ENTRIES)
            .where(
                _TABLE.c.incident_id == incident_id,
                _TABLE.c.seq > after,
                _TABLE.c.hub != peer,
                or_(_TABLE.c.came_by.is_(None), _TABLE.c.came_by != peer),
            )
            .order_by(_TABLE.c.seq)
            .limit(limit),
        )

    async def newest(self) -> int:
        newest = select(_TABLE.c.seq).where(self._tx.mine(_TABLE)).order_by(_TABLE.c.seq.desc())
        return int(await self._tx.value(newest.limit(1)) or 0)

    async def merge(self, entries: Sequence[TimelineEntry]) -> None:
        if not entries:
            return
        tenant, on_sqlite = self._tx.owner.tenant, self._tx.on_sqlite
        rows = [_ENTRIES.to_row(entry) | {"tenant": tenant} for entry in entries]
        for row in rows:
            del row["seq"]

        def write(connection: Connection) -> None:
            take_turn(connection, tenant)
            insert_or_leave(_TABLE, tuple(rows[0]), on_sqlite=on_sqlite).run_all(connection, rows)

        self._tx.defer(write)
