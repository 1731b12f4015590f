"""The timeline (处置记录): facts of incidents, appended and never changed."""

from collections.abc import Sequence

from commhub.db.codec import Rows
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
