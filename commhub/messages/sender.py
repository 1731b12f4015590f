"""The sender: takes due deliveries under a lease, hands them to their channels, writes down what became of them.

Sending is at-least-once. A process that dies leaves a lease that runs out, and the same delivery (the same id)
goes again. Each channel has so many places side by side; what finds none is put back, so a slow channel holds up
nobody else. Outcomes that come in together are written together. A change of a card waits until the card itself
has gone, and for an older change of it that is on its way.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from commhub.domain.errors import UnavailableError
from commhub.domain.message import (
    WAITING_DELIVERY_STATES,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Message,
)
from commhub.kit.clock import Clock
from commhub.kit.together import Together
from commhub.messages import settling
from commhub.messages.config import MessageConfig
from commhub.messages.metrics import DELIVERIES, IN_FLIGHT
from commhub.messages.outbox import Outbox, moved_fact
from commhub.ports.channels import CardChannel, Channel, Outcome, Outgoing, Sent, Unknown
from commhub.ports.inside import Attention
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

PUT_BACK = timedelta(seconds=1)
SOONEST_S = 0.05
# Together well below what a lease has left after the slowest answer.
WRITE_PAUSES_S = (0.1, 0.5, 2.0)
_UNSETTLED = WAITING_DELIVERY_STATES | {DeliveryState.SENDING}
_GONE = frozenset({DeliveryState.ACCEPTED, DeliveryState.DELIVERED})


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A claimed delivery as it was sent, and its outcome; None: it was not its turn."""

    message: Message
    delivery: Delivery
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class _Ending:
    """A delivery that needs no attempt: stale, superseded, or without a channel."""

    message: Message
    delivery: Delivery


class Sender:
    """`channels` by their names."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        channels: Mapping[str, Channel],
        outbox: Outbox,
        attention: Attention,
        config: MessageConfig,
    ) -> None:
        self._store = store
        self._clock = clock
        self._channels = channels
        self._bell = outbox.bell
        self._attention = attention
        self._config = config
        self._flying: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._is_full = False
        self._written: Together[_Attempt | _Ending, None] = Together(self._write)

    async def run(self) -> None:
        """Send until cancelled. A store that is away is waited for, and what is on its way goes on meanwhile."""
        async with asyncio.TaskGroup() as flights:
            while True:
                try:
                    claimed = await self._claim()
                    idle_s = 0.0 if claimed else await self._idle_s()
                except UnavailableError as error:
                    log.warning("deliveries_not_claimed", error=str(error))
                    claimed, idle_s = (), self._config.poll_s
                for outgoing in claimed:
                    flights.create_task(
                        self._carry(outgoing), name=f"delivery {outgoing.delivery.id}"
                    )
                if not claimed:
                    await self._bell.wait(idle_s)

    async def send_due(self) -> int:
        """Send what is due now, once each, and return how many there were."""
        claimed = await self._claim()
        async with asyncio.TaskGroup() as flights:
            for outgoing in claimed:
                flights.create_task(self._carry(outgoing))
        return len(claimed)

    async def _idle_s(self) -> float:
        if self._is_full:
            return self._config.poll_s
        async with self._store.read() as uow:
            next_at = await uow.messages.next_delivery_at()
        if next_at is None:
            return self._config.poll_s
        left_s = (next_at - self._clock.now()).total_seconds()
        return min(max(left_s, SOONEST_S), self._config.poll_s)

    async def _claim(self) -> Sequence[Outgoing]:
        """Take no more than there are places: a lease must not run out in a queue of our own."""
        places = self._config.at_once * max(len(self._channels), 1)
        free = places - self._flying.total()
        self._is_full = free <= 0
        if self._is_full:
            return ()
        now = self._clock.now()
        async with self._store.begin() as uow:
            claimed = await uow.messages.claim(now, now + self._config.lease, free)
        if not claimed:
            return ()
        async with self._store.read() as uow:
            orders = [Outgoing(d, await uow.messages.get(d.message_id)) for d in claimed]
        for delivery in claimed:
            self._flying[delivery.channel] += 1
        return orders

    async def _carry(self, outgoing: Outgoing) -> None:
        """One delivery from claim to outcome. Its failure is its own: the lease brings it back."""
        delivery = outgoing.delivery
        IN_FLIGHT.labels(delivery.channel).inc()
        try:
            await self._note(await self._attempt(outgoing))
        except UnavailableError as error:
            log.warning("delivery_not_written", delivery=delivery.id, error=str(error))
        except Exception:
            log.exception("delivery_failed", delivery=delivery.id)
        finally:
            IN_FLIGHT.labels(delivery.channel).dec()
            self._flying[delivery.channel] -= 1
            if self._is_full:
                self._bell.ring()

    async def _note(self, attempt: _Attempt | _Ending) -> None:
        """Write the outcome, patiently: one that is lost makes somebody's phone ring twice."""
        for pause_s in WRITE_PAUSES_S:
            try:
                await self._written.put(attempt)
            except UnavailableError:
                await asyncio.sleep(pause_s)
            else:
                return
        await self._written.put(attempt)

    # --- one attempt ---------------------------------------------------------------------------------

    async def _attempt(self, outgoing: Outgoing) -> _Attempt | _Ending:
        delivery, message = outgoing.delivery, outgoing.message
        channel = self._channels.get(delivery.channel)
        if message.expires_at is not None and message.expires_at <= self._clock.now():
            return _Ending(message, settling.stale(delivery))
        if channel is None:
            reason = f"the channel {delivery.channel} is not in service"
            return _Ending(message, settling.refused(delivery, reason))
        if delivery.kind is DeliveryKind.UPDATE:
            return await self._update(channel, message, delivery)
        return await self._ask(channel.send, outgoing)

    async def _update(
        self, channel: Channel, message: Message, delivery: Delivery
    ) -> _Attempt | _Ending:
        async with self._store.read() as uow:
            family = await uow.messages.deliveries_of(message.id)
        card = _card_of(delivery, family)
        siblings = [d for d in family if _is_change_of_same(d, delivery)]
        if (
            card is None
            or (card.state not in _UNSETTLED and card.state not in _GONE)
            or any(other.id > delivery.id for other in siblings)
        ):
            return _Ending(message, settling.superseded(delivery))
        if card.state in _UNSETTLED or any(d.state is DeliveryState.SENDING for d in siblings):
            return _Attempt(message, delivery, None)
        if not isinstance(channel, CardChannel):
            return _Ending(message, settling.superseded(delivery))
        ready = replace(
            delivery,
            provider_id=card.provider_id,
            response_code=card.response_code,
            response_code_expires_at=card.response_code_expires_at,
        )
        return await self._ask(channel.update, Outgoing(ready, message))

    async def _ask(
        self, hand_over: Callable[[Outgoing], Awaitable[Outcome]], outgoing: Outgoing
    ) -> _Attempt:
        """Hand it over, if its channel has a place."""
        delivery = outgoing.delivery
        if self._busy[delivery.channel] >= self._config.at_once:
            return _Attempt(outgoing.message, delivery, None)
        self._busy[delivery.channel] += 1
        try:
            outcome = await self._outcome_of(hand_over, outgoing)
        finally:
            self._busy[delivery.channel] -= 1
        return _Attempt(outgoing.message, delivery, outcome)

    async def _outcome_of(
        self, hand_over: Callable[[Outgoing], Awaitable[Outcome]], outgoing: Outgoing
    ) -> Outcome:
        """A channel never raises for its provider; whatever it raises may have left all the same."""
        try:
            async with asyncio.timeout(self._config.send_within.total_seconds()):
                return await hand_over(outgoing)
        except TimeoutError:
            return Unknown(reason="no answer in time")
        except Exception as error:
            log.exception("channel_failed", delivery=outgoing.delivery.id)
            return Unknown(reason=repr(error))

    # --- outcomes ------------------------------------------------------------------------------------

    async def _write(self, batch: Sequence[_Attempt | _Ending]) -> Sequence[Exception | None]:
        try:
            async with self._store.begin() as uow:
                # Rows of incidents first and in one order, as everywhere: see commhub.ports.inside.
                for incident_id in sorted({i for a in batch if (i := a.message.incident_id)}):
                    await uow.incidents.get(incident_id)
                for attempt in batch:
                    await self._settle(uow, attempt)
        except Exception as error:  # noqa: BLE001 - raised to the one whose outcome it is
            if isinstance(error, UnavailableError) or len(batch) == 1:
                return [error] * len(batch)
            return [(await self._write([attempt]))[0] for attempt in batch]
        return [None] * len(batch)

    async def _settle(self, uow: UnitOfWork, attempt: _Attempt | _Ending) -> None:
        current = await uow.messages.get_delivery(attempt.delivery.id)
        settled = self._settled(attempt, current)
        await uow.messages.update_delivery(settled)
        if isinstance(attempt, _Attempt):
            await self._use_up_code(uow, attempt)
        DELIVERIES.labels(settled.channel, settled.kind, settled.state).inc()
        if settling.is_news(current, settled):
            uow.record(moved_fact(attempt.message, settled, self._clock.now()))
        if (
            settled.kind is DeliveryKind.SEND
            and settled.state is DeliveryState.FAILED_PERM
            and current.state is not DeliveryState.FAILED_PERM
        ):
            await self._fall_back(uow, attempt.message, settled)

    def _settled(self, attempt: _Attempt | _Ending, current: Delivery) -> Delivery:
        """What is written: the outcome on top of what happened to the row while the request was away."""
        is_ours = current.state is DeliveryState.SENDING
        if isinstance(attempt, _Ending):
            return attempt.delivery if is_ours else current
        if attempt.outcome is None:
            until = self._clock.now() + PUT_BACK
            return settling.put_back(current, until) if is_ours else current
        return settling.after(current, attempt.outcome, self._clock.now(), self._config)

    async def _use_up_code(self, uow: UnitOfWork, attempt: _Attempt) -> None:
        """A code changes a card once (D/94888). A tap may have brought a new one meanwhile: that one stays."""
        update, outcome = attempt.delivery, attempt.outcome
        if update.kind is not DeliveryKind.UPDATE or not isinstance(outcome, Sent):
            return
        card = _card_of(update, await uow.messages.deliveries_of(update.message_id))
        if card is not None and card.response_code == update.response_code:
            await uow.messages.update_delivery(
                replace(
                    card,
                    response_code=outcome.response_code,
                    response_code_expires_at=outcome.response_code_expires_at,
                )
            )

    async def _fall_back(self, uow: UnitOfWork, message: Message, failed: Delivery) -> None:
        """The next way is tried at once; when there is none left, a person must know."""
        sends = [
            d
            for d in await uow.messages.deliveries_of(message.id)
            if d.kind is DeliveryKind.SEND and _to_same_person(d, failed)
        ]
        if any(d.state in _GONE or d.state is DeliveryState.SENDING for d in sends):
            return
        waiting = [d for d in sends if d.state in WAITING_DELIVERY_STATES]
        if waiting:
            now = self._clock.now()
            await uow.messages.update_delivery(replace(waiting[0], next_at=now))
            self._bell.ring()
        elif message.incident_id is not None:
            await self._attention.raise_attention(
                uow,
                message.incident_id,
                "delivery_failed",
                f"«{message.title}» did not reach {failed.recipient} by {failed.channel}: {failed.error}",
            )


def _to_same_person(one: Delivery, other: Delivery) -> bool:
    return (one.responder_id or one.recipient) == (other.responder_id or other.recipient)


def _card_of(update: Delivery, family: Sequence[Delivery]) -> Delivery | None:
    """The card that the change is about."""
    return next(
        (
            d
            for d in family
            if d.kind is DeliveryKind.SEND
            and (d.channel, d.recipient) == (update.channel, update.recipient)
        ),
        None,
    )


def _is_change_of_same(other: Delivery, update: Delivery) -> bool:
    return (
        other.kind is DeliveryKind.UPDATE
        and other.id != update.id
        and (other.channel, other.recipient) == (update.channel, update.recipient)
    )
