"""The clocks between hubs (时限): who was whistled and has not checked in, what was supervised and is not answered.

Both hubs keep the row and both fire it, each in a transaction of its own that takes the incident first and then looks at the row again; a row
that cannot be handled waits longer each time and holds up no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from commhub.domain.errors import UnavailableError
from commhub.domain.tier import CheckIn, Supervision
from commhub.domain.tier_moves import overdue, stayed_away
from commhub.kit.patience import Patience
from commhub.kit.supervise import Doorbell
from commhub.ports.store import UnitOfWork
from commhub.tiers.common import Common
from commhub.tiers.deadlines import CheckIns, Supervisions
from commhub.tiers.metrics import CLOCKS

log = structlog.get_logger(__name__)

_CLOCK: Final = "clock"
_BATCH: Final = 50
_POLL_S: Final = 5.0
_SOONEST_S: Final = 0.2
_GATHER_S: Final = 0.1


class TierClocks:
    """`run` is the loop; without it deadlines wait and fire late."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._check_ins = CheckIns(common)
        self._supervisions = Supervisions(common)
        self._bell = Doorbell()
        self._patience = Patience(common.clock)

    def wake(self) -> None:
        """A deadline may be nearer than the one we sleep for."""
        self._bell.ring()

    async def run(self) -> None:
        """Fire until cancelled. Raises when the store cannot even be read."""
        while True:
            if not await self.fire_due():
                await self._bell.wait(await self._idle_s())
                # Shares move in crowds, and few of them have a deadline.
                await asyncio.sleep(_GATHER_S)

    async def _idle_s(self) -> float:
        async with self._common.store.read() as uow:
            due = await uow.shares.next_due()
        if due is None:
            return _POLL_S
        left_s = (due - self._common.clock.now()).total_seconds()
        return min(max(left_s, _SOONEST_S), _POLL_S)

    async def fire_due(self) -> int:
        """Handle those that are due, each for itself; how many were handled."""
        now, limit = self._common.clock.now(), _BATCH + len(self._patience)
        async with self._common.store.read() as uow:
            check_ins = await uow.shares.overdue_check_ins(now, limit)
            orders = await uow.shares.overdue_supervisions(now, limit)
        due: list[CheckIn | Supervision] = [*check_ins, *orders]
        self._patience.keep_only({one.id for one in due})
        handled = 0
        for one in self._patience.ready(due, lambda row: row.id):
            if isinstance(one, CheckIn):
                handled += await self._handle("check_in", one, self._miss)
            else:
                handled += await self._handle("supervision", one, self._overdue)
        return handled

    async def _handle(
        self,
        name: str,
        row: CheckIn | Supervision,
        fire: Callable[[UnitOfWork, str], Awaitable[None]],
    ) -> bool:
        try:
            async with self._common.store.begin() as uow:
                await uow.incidents.get(row.incident_id)
                await fire(uow, row.id)
        except UnavailableError as error:
            log.warning("tier_clock_postponed", row=row.id, error=str(error))
            self._patience.failed(row.id)
            return False
        except Exception:  # one row that cannot be handled holds up no other
            log.exception("tier_clock_failed", row=row.id)
            self._patience.failed(row.id)
            CLOCKS.labels(name, "failed").inc()
            return False
        CLOCKS.labels(name, "fired").inc()
        return True

    async def _miss(self, uow: UnitOfWork, check_in_id: str) -> None:
        check_in = await self._check_ins.find(uow, check_in_id)
        missed = stayed_away(check_in, self._common.clock.now()) if check_in is not None else None
        if missed is None:
            return
        await self._check_ins.put(uow, missed, _CLOCK)
        await self._common.call(
            uow, missed.incident_id, "tier_no_show", f"{missed.unit} has not checked in"
        )

    async def _overdue(self, uow: UnitOfWork, supervision_id: str) -> None:
        order = await self._supervisions.find(uow, supervision_id)
        late = overdue(order, self._common.clock.now()) if order is not None else None
        if late is None:
            return
        await self._supervisions.put(uow, late, _CLOCK)
        await self._common.call(
            uow, late.incident_id, "tier_overdue", f"not answered in time: {late.text}"
        )
