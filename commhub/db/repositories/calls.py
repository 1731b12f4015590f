"""Calls and legs."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, bindparam, select, type_coerce

from commhub.db.codec import Rows
from commhub.db.memory import Key
from commhub.db.prepared import Prepared
from commhub.db.repositories.base import Question, Repository
from commhub.db.repositories.known import Known
from commhub.db.tables import equipment
from commhub.db.transaction import Transaction
from commhub.db.types import Line
from commhub.domain.call import Call, Leg, LegState
from commhub.domain.people import Scheme

_TABLE = equipment.calls
_LEGS_TABLE = equipment.legs
_CALLS = Rows(Call, _TABLE)
_LEGS = Rows(Leg, _LEGS_TABLE)
_LEGS_OF = Question(
    _LEGS,
    _LEGS_TABLE.c.call_id == bindparam("call_id"),
    order_by=(_LEGS_TABLE.c.created_at, _LEGS_TABLE.c.id),
)
_ROOM_OF = Prepared(
    select(_TABLE.c.room_id).where(
        _TABLE.c.tenant == bindparam("tenant"),
        _TABLE.c.id == bindparam("call_id"),
        _TABLE.c.room_id.is_not(None),
    )
)


def _of_scheme(scheme: Scheme) -> ColumnElement[bool]:
    return type_coerce(_LEGS_TABLE.c.endpoint, Line).startswith(f"{scheme}:")


class SqlCalls(Repository):
    """Implements commhub.ports.call_store.Calls."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction)
        self._calls = Known(transaction, _CALLS)
        self._legs = Known(transaction, _LEGS)
        self._whole: set[str] = set()
        """Calls whose legs are all known."""
        self._regrouped: set[str] = set()
        """Calls that legs joined or left."""
        if transaction.is_alone:
            transaction.leaves(self._tell)

    def _tell(self, known: dict[Key, object], gone: set[Key]) -> None:
        """Calls that go on, with their legs; of one that is over little more is asked."""
        legs = self._legs.all()
        over = {call.id for call in self._calls.all() if not call.is_live}
        known.update((self._calls.key(call.id), call) for call in self._calls.all())
        known.update((self._legs.key(leg.id), leg) for leg in legs)
        for call_id in self._whole:
            ids = tuple(leg.id for leg in legs if leg.call_id == call_id)
            known[_LEGS_OF, call_id] = ids
        gone.update((_LEGS_OF, call_id) for call_id in (self._regrouped - self._whole) | over)
        gone.update(self._calls.key(call_id) for call_id in over)
        gone.update(self._legs.key(leg.id) for leg in legs if leg.call_id in over)

    async def add(self, call: Call) -> None:
        self._calls.add(call)
        self._whole.add(call.id)

    async def get(self, call_id: str) -> Call:
        return self._calls.still(call_id) or self._calls.seen(
            await self._get_held(_CALLS, call_id, "call")
        )

    async def update(self, call: Call) -> None:
        self._calls.update(call)

    async def list(self, live_only: bool, before: str | None, limit: int) -> Sequence[Call]:
        statement = self._page(_CALLS, before, limit)
        if live_only:
            statement = statement.where(_TABLE.c.ended_at.is_(None))
        return await self._all(_CALLS, statement)

    async def live_here(self) -> Sequence[Call]:
        here = _TABLE.c.hub == self._tx.owner.hub
        return await self._all(
            _CALLS,
            self._select(_CALLS)
            .where(here, _TABLE.c.ended_at.is_(None))
            .order_by(_TABLE.c.id.desc()),
        )

    async def add_leg(self, leg: Leg) -> None:
        self._legs.add(leg)
        self._regrouped.add(leg.call_id)

    async def find_leg(self, leg_id: str) -> Leg | None:
        if known := self._legs.still(leg_id):
            return known
        leg = await self._find_by(_LEGS, "id", leg_id)
        return None if leg is None else self._legs.seen(leg)

    async def update_leg(self, leg: Leg) -> None:
        before = self._legs.update(leg)
        if before is None or before.call_id != leg.call_id:
            self._regrouped.add(leg.call_id)
            if before is not None:
                self._regrouped.add(before.call_id)

    async def legs_of(self, call_id: str) -> Sequence[Leg]:
        if self._tx.is_alone and (call_id in self._whole or self._recalls_legs(call_id)):
            known = (leg for leg in self._legs.all() if leg.call_id == call_id)
            return sorted(known, key=lambda leg: (leg.created_at, leg.id))
        self._whole.add(call_id)
        return [self._legs.seen(leg) for leg in await self._ask(_LEGS_OF, call_id=call_id)]

    def _recalls_legs(self, call_id: str) -> bool:
        """Whether all legs of the call are known from former units of work; then they are known here."""
        ids = cast("tuple[str, ...] | None", self._tx.recall((_LEGS_OF, call_id)))
        if ids is None or not all(self._legs.still(leg_id) for leg_id in ids):
            return False
        self._whole.add(call_id)
        return True

    async def live_placed_by(self, kind: str, name: str | None = None) -> Sequence[Call]:
        by = _TABLE.c.created_by
        placed = (
            by.startswith(f"{kind}:", autoescape=True) if name is None else by == f"{kind}:{name}"
        )
        live = self._select(_CALLS).where(_TABLE.c.ended_at.is_(None), placed)
        return await self._all(_CALLS, live.order_by(_TABLE.c.id.desc()))

    async def live_legs(self, scheme: Scheme | None = None) -> Sequence[Leg]:
        statement = self._select(_LEGS).where(
            self._tx.mine(_TABLE),
            _TABLE.c.ended_at.is_(None),
            _LEGS_TABLE.c.call_id == _TABLE.c.id,
            _LEGS_TABLE.c.state != LegState.ENDED,
        )
        if scheme is not None:
            statement = statement.where(_of_scheme(scheme))
        return await self._all(
            _LEGS, statement.order_by(_LEGS_TABLE.c.created_at, _LEGS_TABLE.c.id)
        )

    async def rooms_of(self, call_ids: Collection[str]) -> Mapping[str, str]:
        found = {
            call_id: await self._tx.ask(_ROOM_OF, _TABLE, call_id=call_id) for call_id in call_ids
        }
        return {call_id: rows[0][0] for call_id, rows in found.items() if rows}

    async def legs_since(self, scheme: Scheme, since: datetime) -> Sequence[Leg]:
        return await self._all(
            _LEGS,
            self._select(_LEGS)
            .where(_LEGS_TABLE.c.created_at >= since, _of_scheme(scheme))
            .order_by(_LEGS_TABLE.c.created_at, _LEGS_TABLE.c.id),
        )
