"""Messages, their deliveries (the outbox), acks, and raw events from channels (the inbox)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import dispatch
from commhub.domain.message import (
    WAITING_DELIVERY_STATES,
    Ack,
    Delivery,
    DeliveryState,
    Message,
    MessageKind,
)
from commhub.ports.store import InboundEvent

_TABLE = dispatch.messages
_OUTBOX = dispatch.deliveries
_INBOX = dispatch.inbound_events
_MESSAGES = Rows(Message, _TABLE)
_DELIVERIES = Rows(Delivery, _OUTBOX)
_ACKS = Rows(Ack, dispatch.acks)
_EVENTS = Rows(InboundEvent, _INBOX)

_IS_WAITING = _OUTBOX.c.state.in_(sorted(WAITING_DELIVERY_STATES))
_IS_LEASED = _OUTBOX.c.state == DeliveryState.SENDING


class SqlMessages(Repository):
    """Implements commhub.ports.store.Messages."""

    async def add(self, message: Message, deliveries: Sequence[Delivery]) -> bool:
        if not await self._tx.insert_new(_TABLE, _MESSAGES.to_row(message)):
            return False
        for delivery in deliveries:
            await self.add_delivery(delivery)
        return True

    async def get(self, message_id: str) -> Message:
        return await self._get(_MESSAGES, message_id, "message")

    async def find_of_task(self, task_id: str) -> Message | None:
        """The task's card; the newest, should there be several."""
        return await self._find(
            _MESSAGES,
            self._select(_MESSAGES)
            .where(_TABLE.c.task_id == task_id, _TABLE.c.kind == MessageKind.TASK_CARD)
            .order_by(_TABLE.c.id.desc())
            .limit(1),
        )

    async def list(
        self, incident_id: str | None, before: str | None, limit: int
    ) -> Sequence[Message]:
        statement = self._page(_MESSAGES, before, limit)
        if incident_id is not None:
            statement = statement.where(_TABLE.c.incident_id == incident_id)
        return await self._all(_MESSAGES, statement)

    # --- the outbox ----------------------------------------------------------------------------------

    async def add_delivery(self, delivery: Delivery) -> None:
        self._tx.add(_OUTBOX, _DELIVERIES.to_row(delivery))

    async def claim(self, now: datetime, lease_until: datetime, limit: int) -> Sequence[Delivery]:
        statement = (
            self._select(_DELIVERIES)
            .where(
                or_(
                    and_(_IS_WAITING, _OUTBOX.c.next_at <= now),
                    and_(_IS_LEASED, _OUTBOX.c.lease_until <= now),
                )
            )
            .order_by(_OUTBOX.c.next_at, _OUTBOX.c.id)
            .limit(limit)
        )
        due = await self._all(_DELIVERIES, self._tx.claim(statement))
        if due:
            await self._tx.write(
                _OUTBOX,
                update(_OUTBOX)
                .where(self._tx.mine(_OUTBOX), _OUTBOX.c.id.in_([delivery.id for delivery in due]))
                .values(
                    state=DeliveryState.SENDING,
                    lease_until=lease_until,
                    attempt=_OUTBOX.c.attempt + 1,
                ),
            )
        return [
            replace(
                delivery,
                state=DeliveryState.SENDING,
                lease_until=lease_until,
                attempt=delivery.attempt + 1,
            )
            for delivery in due
        ]

    async def end_leases(self, now: datetime) -> None:
        await self._tx.write(
            _OUTBOX,
            update(_OUTBOX).where(self._tx.mine(_OUTBOX), _IS_LEASED).values(lease_until=now),
        )

    async def get_delivery(self, delivery_id: str) -> Delivery:
        return await self._get(_DELIVERIES, delivery_id, "delivery")

    async def update_delivery(self, delivery: Delivery) -> None:
        self._tx.update(_OUTBOX, _DELIVERIES.to_row(delivery))

    async def deliveries_of(self, message_id: str) -> Sequence[Delivery]:
        """Oldest first."""
        return await self._all(
            _DELIVERIES,
            self._select(_DELIVERIES)
            .where(_OUTBOX.c.message_id == message_id)
            .order_by(_OUTBOX.c.id),
        )

    async def next_delivery_at(self) -> datetime | None:
        """When `claim` will next find something: a delivery due, or a lease run out."""
        mine = self._tx.mine(_OUTBOX)
        moments = [
            await self._tx.value(select(func.min(_OUTBOX.c.next_at)).where(mine, _IS_WAITING)),
            await self._tx.value(select(func.min(_OUTBOX.c.lease_until)).where(mine, _IS_LEASED)),
        ]
        return min((moment for moment in moments if moment is not None), default=None)

    # --- answers -------------------------------------------------------------------------------------

    async def add_ack(self, ack: Ack) -> bool:
        return await self._tx.insert_new(dispatch.acks, _ACKS.to_row(ack))

    async def acks_of(self, message_id: str) -> Sequence[Ack]:
        """Oldest first."""
        return await self._all(
            _ACKS,
            self._select(_ACKS)
            .where(dispatch.acks.c.message_id == message_id)
            .order_by(dispatch.acks.c.at, dispatch.acks.c.id),
        )

    async def add_inbound(self, event: InboundEvent) -> bool:
        return await self._tx.insert_new(_INBOX, _EVENTS.to_row(event))

    async def waiting_inbound(self, limit: int) -> Sequence[InboundEvent]:
        """Oldest first; rows another hub process holds are skipped."""
        statement = (
            self._select(_EVENTS)
            .where(_INBOX.c.handled.is_(False))
            .order_by(_INBOX.c.received_at, _INBOX.c.id)
            .limit(limit)
        )
        return await self._all(_EVENTS, self._tx.claim(statement))

    async def update_inbound(self, event: InboundEvent) -> None:
        self._tx.update(_INBOX, _EVENTS.to_row(event))
