"""Telephone legs that outlive the process."""

from collections.abc import Sequence

from sqlalchemy import delete

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import equipment
from commhub.ports.edge_store import TwilioLeg

_TABLE = equipment.twilio_legs
_LEGS = Rows(TwilioLeg, _TABLE)


class SqlTwilioLegs(Repository):
    """Implements commhub.ports.store.TwilioLegs."""

    async def put(self, leg: TwilioLeg) -> None:
        await self._tx.put(_TABLE, _LEGS.to_row(leg))

    async def delete(self, leg_id: str) -> None:
        await self._tx.write(
            _TABLE, delete(_TABLE).where(self._tx.mine(_TABLE), _TABLE.c.leg_id == leg_id)
        )

    async def list(self) -> Sequence[TwilioLeg]:
        return await self._all(_LEGS, self._select(_LEGS).order_by(_TABLE.c.leg_id))
