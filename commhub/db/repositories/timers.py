"""Clocks (时限) as rows."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import dispatch
from commhub.domain.timer import ClockName, Timer, TimerState

_TABLE = dispatch.timers
_TIMERS = Rows(Timer, _TABLE)


class SqlTimers(Repository):
    """Implements commhub.ports.store.Timers."""

    async def arm(self, timer: Timer) -> None:
        """The same step of the same clock armed again changes nothing."""
        self._tx.add(_TABLE, _TIMERS.to_row(timer), once=True)

    async def cancel(self, incident_id: str, clock: ClockName) -> None:
        await self._tx.write(
            _TABLE,
            update(_TABLE)
            .where(
                self._tx.mine(_TABLE),
                _TABLE.c.incident_id == incident_id,
                _TABLE.c.clock == clock,
                _TABLE.c.state == TimerState.ARMED,
            )
            .values(state=TimerState.CANCELLED),
        )

    async def due(self, now: datetime, limit: int) -> Sequence[Timer]:
        statement = (
            self._select(_TIMERS)
            .where(_TABLE.c.state == TimerState.ARMED, _TABLE.c.due_at <= now)
            .order_by(_TABLE.c.due_at, _TABLE.c.id)
            .limit(limit)
        )
        return await self._all(_TIMERS, self._tx.claim(statement))

    async def update(self, timer: Timer) -> None:
        self._tx.update(_TABLE, _TIMERS.to_row(timer))

    async def next_due(self) -> datetime | None:
        return await self._tx.value(
            select(func.min(_TABLE.c.due_at)).where(
                self._tx.mine(_TABLE), _TABLE.c.state == TimerState.ARMED
            )
        )

    async def of_incident(self, incident_id: str) -> Sequence[Timer]:
        return await self._all(
            _TIMERS,
            self._select(_TIMERS)
            .where(_TABLE.c.incident_id == incident_id)
            .order_by(_TABLE.c.clock, _TABLE.c.step),
        )
