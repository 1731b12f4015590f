"""The inbox: what people answer. The raw event is committed first, its effect follows in a second transaction.

So a channel hears «taken» only when nothing can be lost, and a restart between the two finds the event waiting.
The same event delivered five times is one row; two different taps are two. Implements `ports.inward.AcksIn`.

Whoever taps is recognised by their address, never by what the card says: a tap by somebody who does not hold the
task moves nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from commhub.domain.errors import InvalidError, NotFoundError, UnavailableError
from commhub.domain.facts import AckReceived
from commhub.domain.message import Ack, CardAction, Delivery, DeliveryKind, DeliveryState, Message
from commhub.domain.people import Endpoint, Responder
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.patience import Patience
from commhub.kit.supervise import Doorbell
from commhub.messages.addresses import SCHEME_OF, same_address
from commhub.messages.config import MessageConfig
from commhub.messages.metrics import ACKS, FAILED_EVENTS, REPEATED_EVENTS
from commhub.messages.outbox import moved_fact
from commhub.ports.inside import AckEffect, Attention, TaskMoves
from commhub.ports.inward import NewAck
from commhub.ports.store import InboundEvent, Store, UnitOfWork

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Tap:
    """An answer with what it is about."""

    ack: NewAck
    message: Message
    card: Delivery
    responder: Responder | None
    at: datetime

    @property
    def actor(self) -> str:
        if self.responder is not None:
            return f"responder:{self.responder.id}"
        return self.ack.actor if ":" in self.ack.actor else f"{self.ack.channel}:{self.ack.actor}"


class Inbox:
    """Takes answers and lets them take effect, one at a time, in the order they came."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        task_moves: TaskMoves,
        attention: Attention,
        config: MessageConfig,
    ) -> None:
        self._store = store
        self._clock = clock
        self._moves = task_moves
        self._attention = attention
        self._config = config
        self._bell = Doorbell()
        self._patience = Patience(clock, config.backoff)
        self._handling = asyncio.Lock()

    async def acknowledge(self, ack: NewAck) -> None:
        """See `commhub.ports.inward.AcksIn`. Raises only when the event could not be kept."""
        event = InboundEvent(
            id=new_id(),
            channel=ack.channel,
            event_key=ack.event_key,
            payload=_payload_of(ack),
            received_at=self._clock.now(),
        )
        async with self._store.begin() as uow:
            is_new = await uow.messages.add_inbound(event)
        if not is_new:
            REPEATED_EVENTS.labels(ack.channel).inc()
            return
        try:
            await self.handle_waiting()
        except UnavailableError as error:
            # It is safe, and the loop comes back to it.
            log.warning("inbound_postponed", event_id=event.id, error=str(error))
            self._bell.ring()

    async def run(self) -> None:
        """Handle what a restart or a failure left, until cancelled. Raises when the store cannot even be read."""
        while True:
            if not await self.handle_waiting():
                await self._bell.wait(self._config.poll_s)

    async def handle_waiting(self) -> int:
        """Let waiting events take effect and return how many left the inbox."""
        async with self._handling:
            async with self._store.read() as uow:
                waiting = await uow.messages.waiting_inbound(
                    self._config.event_batch + len(self._patience)
                )
            self._patience.keep_only({event.id for event in waiting})
            handled = 0
            for event in self._patience.ready(waiting, lambda e: e.id):
                handled += await self._handle(event)
        if handled:
            self._moves.wake()
        return handled

    async def _handle(self, event: InboundEvent) -> bool:
        try:
            async with self._store.begin() as uow:
                error = await self._take_effect(uow, event)
                await uow.messages.update_inbound(replace(event, handled=True, error=error))
        except UnavailableError as failure:
            log.warning("inbound_postponed", event_id=event.id, error=str(failure))
            self._patience.failed(event.id)
            return False
        except Exception as failure:
            failures = self._patience.failed(event.id)
            log.exception("inbound_failed", event_id=event.id, failures=failures)
            if failures >= self._config.event_tries:
                await self._set_aside(event, repr(failure))
            return False
        return True

    # --- one event -----------------------------------------------------------------------------------

    async def _take_effect(self, uow: UnitOfWork, event: InboundEvent) -> str | None:
        """Do what the answer asks for; the reason when it can have no effect at all."""
        ack = _ack_of(event.payload)
        try:
            delivery = await uow.messages.get_delivery(ack.delivery_id)
        except NotFoundError:
            ACKS.labels(ack.channel, AckEffect.UNKNOWN).inc()
            log.warning("ack_of_unknown_delivery", event_id=event.id, channel=ack.channel)
            return "no such delivery"
        message = await uow.messages.get(delivery.message_id)
        responder = await _responder_of(uow, ack)
        tap = _Tap(ack, message, delivery, responder, event.received_at)
        # Before anything else is read for change: judging takes the incident's row.
        effect = await self._judge(uow, tap)
        await self._note_card(uow, tap)
        await self._note_ack(uow, tap, effect)
        ACKS.labels(ack.channel, effect).inc()
        if message.task_id is None or effect in {AckEffect.NOT_YOURS, AckEffect.UNKNOWN}:
            return None
        if effect is AckEffect.DONE:
            await self._moves.move_task(
                uow, message.task_id, CardAction(ack.action), tap.actor, tap.at
            )
        else:
            await self._moves.refresh_card(uow, message.task_id)
        return None

    async def _judge(self, uow: UnitOfWork, tap: _Tap) -> AckEffect:
        task_id, responder = tap.message.task_id, tap.responder
        if task_id is None or tap.ack.action not in set(CardAction):
            return AckEffect.UNKNOWN
        return await self._moves.judge(
            uow, task_id, CardAction(tap.ack.action), responder.id if responder else None
        )

    async def _note_card(self, uow: UnitOfWork, tap: _Tap) -> None:
        """Keep the card's new key (D/94888: every tap issues one). A tap proves that the card is there, whatever
        its provider answered."""
        card = await _card_tapped(uow, tap)
        if card is None:
            return
        noted = replace(card, state=DeliveryState.DELIVERED, lease_until=None, error=None)
        if tap.ack.response_code is not None:
            noted = replace(
                noted,
                response_code=tap.ack.response_code,
                response_code_expires_at=None,
            )
        await uow.messages.update_delivery(noted)
        if card.state is not DeliveryState.DELIVERED:
            uow.record(moved_fact(tap.message, noted, tap.at))

    async def _note_ack(self, uow: UnitOfWork, tap: _Tap, effect: AckEffect) -> None:
        """The row is unique per person and action; the timeline has every tap but idle repetitions."""
        is_new = await uow.messages.add_ack(
            Ack(
                id=new_id(),
                message_id=tap.message.id,
                actor=tap.actor,
                action=tap.ack.action,
                source=tap.ack.channel,
                at=tap.ack.at,
                effect=effect.value,
            )
        )
        if is_new or effect is not AckEffect.REPEATED:
            uow.record(
                AckReceived(
                    at=tap.at,
                    actor=tap.actor,
                    incident_id=tap.message.incident_id,
                    message_id=tap.message.id,
                    task_id=tap.message.task_id,
                    action=tap.ack.action,
                    source=tap.ack.channel,
                    effect=effect.value,
                )
            )

    async def _set_aside(self, event: InboundEvent, error: str) -> None:
        """Keep the event with its error and tell the desk, where it can be told which incident it is about."""
        FAILED_EVENTS.labels(event.channel).inc()
        aside = replace(event, handled=True, error=error[:1000])
        try:
            async with self._store.begin() as uow:
                delivery = await uow.messages.get_delivery(_ack_of(event.payload).delivery_id)
                message = await uow.messages.get(delivery.message_id)
                if message.incident_id is not None:
                    await self._attention.raise_attention(
                        uow,
                        message.incident_id,
                        "answer_failed",
                        f"an answer by {event.channel} could not be handled: {error}",
                    )
                await uow.messages.update_inbound(aside)
        except Exception:
            log.exception("inbound_mark_failed", event_id=event.id)
            async with self._store.begin() as uow:
                await uow.messages.update_inbound(aside)


async def _card_tapped(uow: UnitOfWork, tap: _Tap) -> Delivery | None:
    """The SEND behind the tap, read again under the incident's row. None when it was somebody else's card."""
    sends = [
        d
        for d in await uow.messages.deliveries_of(tap.message.id)
        if d.kind is DeliveryKind.SEND and d.channel == tap.ack.channel
    ]
    return next(
        (d for d in sends if same_address(d.recipient, tap.ack.actor, tap.ack.channel)), None
    )


async def _responder_of(uow: UnitOfWork, ack: NewAck) -> Responder | None:
    """Whose address it is; the channel's id, with or without its scheme."""
    scheme = SCHEME_OF.get(ack.channel)
    if scheme is None:
        return None
    name = ack.actor.removeprefix(f"{scheme}:")
    try:
        endpoint = Endpoint.parse(f"{scheme}:{name}")
    except InvalidError:
        return None
    if found := await uow.directory.find_by_endpoint(endpoint):
        return found
    for responder in await uow.directory.responders():
        addresses = (e for e in responder.endpoints if e.scheme == scheme)
        if any(same_address(str(address), ack.actor, ack.channel) for address in addresses):
            return responder
    return None


def _payload_of(ack: NewAck) -> dict[str, object]:
    return {**asdict(ack), "at": ack.at.isoformat()}


def _ack_of(payload: Mapping[str, Any]) -> NewAck:
    return NewAck(**{**payload, "at": datetime.fromisoformat(payload["at"])})
