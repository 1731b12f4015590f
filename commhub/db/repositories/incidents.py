"""Incidents and the counter behind their numbers."""

from collections.abc import Sequence

from sqlalchemy import or_

from commhub.db.codec import Rows
from commhub.db.pending import dialect_insert
from commhub.db.repositories.base import Repository
from commhub.db.tables import dispatch
from commhub.db.transaction import Transaction
from commhub.domain.incident import OPEN_STAGES, Incident
from commhub.ports.store import IncidentQuery

_TABLE = dispatch.incidents
_COUNTS = dispatch.incident_counts
_INCIDENTS = Rows(Incident, _TABLE)


class SqlIncidents(Repository):
    """Implements commhub.ports.store.Incidents."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction)
        self._given: dict[str, int] = {}

    async def add(self, incident: Incident) -> None:
        self._tx.add(_TABLE, _INCIDENTS.to_row(incident))

    async def get(self, incident_id: str) -> Incident:
        return await self._get_held(_INCIDENTS, incident_id, "incident")

    async def update(self, incident: Incident) -> None:
        self._tx.update(_TABLE, _INCIDENTS.to_row(incident))

    async def list(self, query: IncidentQuery) -> Sequence[Incident]:
        statement = self._page(_INCIDENTS, query.before, query.limit)
        if query.stages:
            statement = statement.where(_TABLE.c.stage.in_(sorted(query.stages)))
        if query.open_only:
            statement = statement.where(_TABLE.c.stage.in_(sorted(OPEN_STAGES)))
        if query.text:
            places = (_TABLE.c.number, _TABLE.c.title, _TABLE.c.place)
            statement = statement.where(
                or_(*(place.icontains(query.text, autoescape=True) for place in places))
            )
        return await self._all(_INCIDENTS, statement)

    async def next_number(self, day: str) -> int:
        """The first asks for the day's counter and keeps its row locked until the commit; the others count
        on from there. A rollback gives the numbers back unseen."""
        if day not in self._given:
            counter = dialect_insert(_COUNTS, on_sqlite=self._tx.on_sqlite)
            self._given[day] = await self._tx.write_returning(
                _COUNTS,
                counter.values(
                    tenant=self._tx.owner.tenant, hub=self._tx.owner.hub, day=day, given=1
                )
                .on_conflict_do_update(
                    index_elements=["tenant", "day"], set_={"given": _COUNTS.c.given + 1}
                )
                .returning(_COUNTS.c.given),
            )
        else:
            self._given[day] += 1
            self._tx.update(_COUNTS, {"day": day, "given": self._given[day]})
        return self._given[day]
