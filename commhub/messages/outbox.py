"""The outbox: messages and card changes are rows in the transaction of what they tell about.

A card goes to the first channel at once and to the others later, each when its predecessor brought no answer:
the fallback chain is nothing but the deliveries' `next_at`. Implements `ports.inside.Outbox`.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from commhub.domain.facts import DeliveryMoved, MessageQueued
from commhub.domain.message import (
    WAITING_DELIVERY_STATES,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Message,
    MessageKind,
)
from commhub.domain.people import Responder
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.supervise import Doorbell
from commhub.messages.addresses import channels_to
from commhub.messages.config import MessageConfig
from commhub.ports.inside import CardChange, TaskCard
from commhub.ports.store import UnitOfWork

# The provider has it, or may have it: such a card is changed, not withdrawn.
LEFT_STATES = frozenset(
    {
        DeliveryState.SENDING,
        DeliveryState.ACCEPTED,
        DeliveryState.DELIVERED,
        DeliveryState.UNKNOWN,
    }
)


class Outbox:
    """`channels` are the names of those in service. One outbox is shared by all who queue."""

    def __init__(
        self, clock: Clock, channels: Collection[str], config: MessageConfig | None = None
    ) -> None:
        self._clock = clock
        self._config = config or MessageConfig()
        self.channels = frozenset(channels)
        self.bell = Doorbell()

    def wake(self) -> None:
        """What was queued is committed: send it."""
        self.bell.ring()

    async def queue_card(
        self, uow: UnitOfWork, card: TaskCard, responder: Responder, channels: Sequence[str]
    ) -> Sequence[str]:
        """See `commhub.ports.inside.Outbox.queue_card`."""
        now = self._clock.now()
        message = Message(
            id=new_id(),
            dedup_key=f"task:{card.task_id}:card",
            kind=MessageKind.TASK_CARD,
            title=card.title,
            body=card.body,
            created_at=now,
            incident_id=card.incident_id,
            task_id=card.task_id,
            fields=card.fields,
            actions=card.actions,
            link=card.link,
        )
        ways = channels_to(responder, channels, self.channels)
        deliveries = [
            Delivery(
                id=new_id(),
                message_id=message.id,
                channel=channel,
                recipient=str(endpoint),
                responder_id=responder.id,
                next_at=now + place * self._config.fallback_after,
            )
            for place, (channel, endpoint) in enumerate(ways)
        ]
        await queue(uow, message, deliveries, now)
        return [channel for channel, _ in ways]

    async def change_card(self, uow: UnitOfWork, task_id: str, change: CardChange) -> None:
        """See `commhub.ports.inside.Outbox.change_card`."""
        message = await uow.messages.find_of_task(task_id)
        if message is None:
            return
        deliveries = await uow.messages.deliveries_of(message.id)
        sends = [d for d in deliveries if d.kind is DeliveryKind.SEND]
        kept = _still_wanted(sends, is_over=not change.actions)
        now = self._clock.now()
        for delivery in deliveries:
            is_older_change = delivery.kind is DeliveryKind.UPDATE
            if delivery.state in WAITING_DELIVERY_STATES and (
                is_older_change or delivery not in kept
            ):
                await self._supersede(uow, message, delivery, now)
        for send in kept:
            await uow.messages.add_delivery(self._update_of(send, change, now))

    def _update_of(self, send: Delivery, change: CardChange, now: datetime) -> Delivery:
        return Delivery(
            id=new_id(),
            message_id=send.message_id,
            channel=send.channel,
            recipient=send.recipient,
            kind=DeliveryKind.UPDATE,
            responder_id=send.responder_id,
            next_at=max(now, send.next_at) if send.state in WAITING_DELIVERY_STATES else now,
            update={
                "status": change.status,
                "actions": [action.value for action in change.actions],
                "by": change.by,
            },
        )

    async def _supersede(
        self, uow: UnitOfWork, message: Message, delivery: Delivery, now: datetime
    ) -> None:
        moved = replace(delivery, state=DeliveryState.SUPERSEDED, lease_until=None)
        await uow.messages.update_delivery(moved)
        if delivery.kind is DeliveryKind.SEND:
            uow.record(moved_fact(message, moved, now))


def _still_wanted(sends: Sequence[Delivery], *, is_over: bool) -> list[Delivery]:
    """The cards to change: those that left. When none did and the task goes on, the next one that will."""
    left = [send for send in sends if send.state in LEFT_STATES]
    if left or is_over:
        return left
    return [send for send in sends if send.state in WAITING_DELIVERY_STATES][:1]


async def queue(
    uow: UnitOfWork,
    message: Message,
    deliveries: Sequence[Delivery],
    now: datetime,
    by: str = "system",
) -> None:
    """Write the message with its deliveries once; the same dedup key again changes nothing."""
    if await uow.messages.add(message, deliveries):
        uow.record(
            MessageQueued(
                at=now,
                actor=by,
                incident_id=message.incident_id,
                message_id=message.id,
                message_kind=message.kind.value,
                title=message.title,
                recipients=tuple(d.recipient for d in deliveries),
                channels=tuple(dict.fromkeys(d.channel for d in deliveries)),
            )
        )


def moved_fact(message: Message, delivery: Delivery, now: datetime) -> DeliveryMoved:
    """What became of a delivery, for the timeline."""
    return DeliveryMoved(
        at=now,
        incident_id=message.incident_id,
        delivery_id=delivery.id,
        message_id=message.id,
        channel=delivery.channel,
        recipient=delivery.recipient,
        delivery_kind=delivery.kind.value,
        state=delivery.state.value,
        attempt=delivery.attempt,
        error=delivery.error,
    )
