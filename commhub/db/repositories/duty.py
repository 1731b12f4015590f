"""Calls to duty lines."""

from collections.abc import Sequence
from datetime import datetime

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import equipment
from commhub.domain.duty import DutyCall, DutyState

_TABLE = equipment.duty_calls
_CALLS = Rows(DutyCall, _TABLE)


class SqlDuty(Repository):
    """Implements commhub.ports.call_store.Duty."""

    async def add(self, call: DutyCall) -> None:
        self._tx.add(_TABLE, _CALLS.to_row(call))

    async def find(self, call_id: str) -> DutyCall | None:
        return await self._find_by(_CALLS, "id", call_id)

    async def get(self, call_id: str) -> DutyCall:
        return await self._get_held(_CALLS, call_id, "call to a duty line")

    async def update(self, call: DutyCall) -> None:
        self._tx.update(_TABLE, _CALLS.to_row(call))

    async def find_called_back(self, call_id: str) -> DutyCall | None:
        return await self._find_by(_CALLS, "call_back", call_id)

    async def open(self) -> Sequence[DutyCall]:
        statement = self._select(_CALLS).where(_TABLE.c.state != DutyState.CLOSED)
        return await self._all(_CALLS, statement.order_by(_TABLE.c.offered_at, _TABLE.c.id))

    async def unlinked(self, since: datetime) -> Sequence[DutyCall]:
        is_over = _TABLE.c.state == DutyState.CLOSED
        without = _TABLE.c.incident_id.is_(None) & (_TABLE.c.offered_at >= since)
        statement = self._select(_CALLS).where(is_over & without)
        return await self._all(_CALLS, statement.order_by(_TABLE.c.offered_at, _TABLE.c.id))

    async def list(self, before: str | None, limit: int) -> Sequence[DutyCall]:
        return await self._all(_CALLS, self._page(_CALLS, before, limit))
