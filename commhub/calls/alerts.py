"""Task cards by telephone: a phone is rung, hears a prompt, and its keys are the buttons of the card («press 1»).

Implements `ports.channels.Channel` and `CardChannel`, so escalation goes over voice like over any other channel. The
call is a call like any other, with its timeline and its quality; `created_by` says which delivery it carries, and that
row is all there is to know, so a restart in the middle of the prompt goes on where it was. What a key does is decided
where every tap is (`AcksIn`): a key pressed twice, too late, or for a task that somebody else has, moves nothing.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from commhub.calls.metrics import ALERTS
from commhub.calls.prompts import find_prompt
from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call, Cause, Leg, LegState
from commhub.domain.call_facts import CallEnded, CallStarted, LegMoved
from commhub.domain.errors import DomainError, InvalidError, NotFoundError
from commhub.domain.facts import Fact
from commhub.domain.message import CardAction
from commhub.domain.recording import BuiltInPrompt
from commhub.kit.bus import Bus, Subscription
from commhub.kit.clock import Clock
from commhub.ports.channels import Outcome, Outgoing, Refused, Sent, TryLater
from commhub.ports.inside import AckEffect
from commhub.ports.inward import AcksIn, NewAck
from commhub.ports.media import MediaEngine, Playback
from commhub.ports.store import Store

log = structlog.get_logger(__name__)

KEYS = {"1": CardAction.ACCEPT, "2": CardAction.RETURN}
_KIND = "alert"
_LOOK_EVERY_S = 0.5
_CONFIRM_FOR_S = 10.0
_FACTS = 10_000
_WELL = frozenset({AckEffect.DONE, AckEffect.REPEATED})
# Somebody is there and will be free; all else is up to the next channel.
_AGAIN_AFTER_S = {Cause.BUSY: 30.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertConfig:
    """Prompts are built-in ones or uploaded ones by their names. `settle_s` is how long a delivery waits to learn
    whether the phone can be rung at all; `listen_for_s` how long its keys are waited for."""

    prompt: str = "attention"
    accepted_prompt: str = "join"
    refused_prompt: str = "leave"
    settle_s: float = 8.0
    listen_for_s: float = 60.0


@dataclass(frozen=True, slots=True)
class _Key:
    leg_id: str
    digit: str


@dataclass(frozen=True, slots=True)
class _Confirmed:
    call_id: str


class AlertService:
    """Rings phones for deliveries. `connect` it before `run`."""

    def __init__(
        self, calls: CallService, store: Store, clock: Clock, config: AlertConfig | None = None
    ) -> None:
        self._calls = calls
        self._store = store
        self._clock = clock
        self._config = config or AlertConfig()
        self._media: MediaEngine | None = None
        self._acks: AcksIn | None = None
        self._inbox: asyncio.Queue[LegMoved | _Key | _Confirmed] = asyncio.Queue(_FACTS)
        self._cards: set[str] = set()
        self._settling: dict[str, asyncio.Future[LegMoved]] = {}
        self._deadlines: dict[str, float] = {}
        self._answered: set[str] = set()

    def connect(self, media: MediaEngine, acks: AcksIn) -> None:
        """Hand over what plays and what takes answers, which themselves know this service."""
        self._media = media
        self._acks = acks

    # --- a delivery --------------------------------------------------------------------------------------

    async def ring(self, outgoing: Outgoing) -> Outcome:
        """Ring the phone of a delivery. Sent as soon as it rings: whether anybody acts on it is another matter."""
        delivery, message = outgoing.delivery, outgoing.message
        if live := await self._live_call(delivery.id):
            return Sent(provider_id=live.id)
        request = CallRequest(
            legs=(delivery.recipient,), incident_id=message.incident_id, title=message.title
        )
        try:
            state = await self._calls.place(request, _caller(delivery.id))
        except (InvalidError, NotFoundError) as error:
            return Refused(reason=str(error))
        except DomainError as error:
            return TryLater(reason=str(error))
        return await self._settled(state.call.id, state.legs[0].id)

    async def _settled(self, call_id: str, leg_id: str) -> Outcome:
        future: asyncio.Future[LegMoved] = asyncio.get_running_loop().create_future()
        self._settling[leg_id] = future
        try:
            # It may ring or be over already, and then the fact of that has passed.
            async with self._store.read() as uow:
                leg = await uow.calls.find_leg(leg_id)
            if leg is not None and not leg.is_live:
                return _unreached(leg.cause, leg.detail)
            if leg is not None and leg.state not in (LegState.REQUESTED, LegState.CALLING):
                return Sent(provider_id=call_id)
            async with asyncio.timeout(self._config.settle_s):
                moved = await future
        except TimeoutError:
            return Sent(provider_id=call_id)
        finally:
            self._settling.pop(leg_id, None)
        if moved.state == LegState.ENDED:
            return _unreached(Cause(moved.cause) if moved.cause else None, moved.detail)
        return Sent(provider_id=call_id)

    async def withdraw(self, outgoing: Outgoing) -> Outcome:
        """The card has changed. One that asks nothing any more stops ringing; who has picked up hears it from the
        answer to their key."""
        if outgoing.delivery.update.get("actions"):
            return Sent()
        async with self._store.read() as uow:
            family = await uow.messages.deliveries_of(outgoing.message.id)
        for one in family:
            if one.recipient == outgoing.delivery.recipient and (
                call := await self._live_call(one.id)
            ):
                state = await self._calls.get(call.id)
                if not any(leg.state in TALKING for leg in state.legs):
                    await self._calls.end(call.id, _caller(one.id))
        return Sent()

    async def _live_call(self, delivery_id: str) -> Call | None:
        live = await self._live(delivery_id)
        return live[0] if live else None

    async def _live(self, delivery_id: str | None = None) -> Sequence[Call]:
        async with self._store.read() as uow:
            return await uow.calls.live_placed_by(_KIND, delivery_id)

    # --- what happens to the call ------------------------------------------------------------------------

    async def dtmf_received(self, leg_id: str, digit: str) -> None:
        """A key of some leg; of a leg that carries no card it means nothing here."""
        self._note(_Key(leg_id, digit))

    async def playback_ended(self, playback_id: str, call_id: str) -> None:
        """A prompt is over; after the confirmation there is nothing more to say."""
        if playback_id == _playback_id(call_id, "confirm"):
            self._note(_Confirmed(call_id))

    def _note(self, event: LegMoved | _Key | _Confirmed) -> None:
        with suppress(asyncio.QueueFull):
            self._inbox.put_nowait(event)

    async def run(self, bus: Bus[Fact]) -> None:
        """Carry the calls on until cancelled, those of a former process too."""
        with bus.subscribe(_FACTS, self._concerns) as facts:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(facts), name="alerts-facts")
                await self._take_up()
                while True:
                    await self._next()

    async def _follow(self, facts: Subscription[Fact]) -> None:
        """Note what happens to the calls that carry cards, and look at no other."""
        lost = 0
        async for fact in facts:
            if facts.dropped > lost:
                lost = facts.dropped
                await self._take_up()
            match fact:
                case CallEnded():
                    self._cards.discard(fact.call_id)
                case LegMoved():
                    if (future := self._settling.get(fact.leg_id)) and not future.done():
                        future.set_result(fact)
                    self._note(fact)

    def _concerns(self, fact: Fact) -> bool:
        """Whether a fact is of a call that carries a card; most are not. Such a call is known from its beginning on, so
        that what follows in the same transaction passes too."""
        if isinstance(fact, CallStarted) and _is_card(fact.actor):
            self._cards.add(fact.call_id)
        return isinstance(fact, LegMoved | CallEnded) and fact.call_id in self._cards

    async def _next(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                event = await self._inbox.get()
        except TimeoutError:
            await self._end_overdue()
            return
        try:
            await self._handle(event)
        except DomainError as error:
            log.warning("alert_event_failed", event_kind=type(event).__name__, reason=str(error))

    async def _handle(self, event: LegMoved | _Key | _Confirmed) -> None:
        if isinstance(event, _Key):
            await self._pressed(event)
        elif isinstance(event, _Confirmed):
            await self._hang_up(event.call_id)
        elif event.state in (LegState.CONNECTED, LegState.ENDED):
            await self._moved(event)

    async def _take_up(self) -> None:
        for call in await self._live():
            self._cards.add(call.id)
            for leg in (await self._calls.get(call.id)).legs:
                if leg.state in TALKING:
                    await self._ask(call, leg)

    async def _moved(self, event: LegMoved) -> None:
        async with self._store.read() as uow:
            call = await uow.calls.get(event.call_id)
            leg = await uow.calls.find_leg(event.leg_id)
        if leg is None or _delivery_of(call) is None:
            return
        if event.state == LegState.CONNECTED:
            await self._ask(call, leg)
        else:
            self._forget(call.id)
            ALERTS.labels("answered" if leg.connected_at else str(leg.cause)).inc()

    async def _ask(self, call: Call, leg: Leg) -> None:
        """Say what it is about, again and again until a key is pressed."""
        if call.id in self._deadlines:
            return
        self._deadlines[call.id] = self._clock.monotonic() + self._config.listen_for_s
        await self._play(call, leg, "ask", self._config.prompt, loop=True)

    async def _pressed(self, key: _Key) -> None:
        action = KEYS.get(key.digit)
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(key.leg_id)
            if action is None or leg is None or leg.state not in TALKING:
                return
            call = await uow.calls.get(leg.call_id)
            delivery_id = _delivery_of(call)
            if delivery_id is None or call.id in self._answered:
                return
            channel = (await uow.messages.get_delivery(delivery_id)).channel
        # Committed before the person hears that it was: a key that could not be kept may be pressed again.
        await self._acknowledge(channel, delivery_id, leg, action)
        self._answered.add(call.id)
        effect = await self._effect_of(delivery_id, action)
        ALERTS.labels(f"key_{action.value}").inc()
        self._deadlines[call.id] = self._clock.monotonic() + _CONFIRM_FOR_S
        good = effect in _WELL
        prompt = self._config.accepted_prompt if good else self._config.refused_prompt
        await self._engine.stop_playing(_playback_id(call.id, "ask"))
        await self._play(call, leg, "confirm", prompt, loop=False)

    async def _acknowledge(
        self, channel: str, delivery_id: str, leg: Leg, action: CardAction
    ) -> None:
        if self._acks is None:
            raise RuntimeError("the alerts are not connected")
        await self._acks.acknowledge(
            NewAck(
                channel=channel,
                event_key=f"{leg.id}:{action.value}",
                delivery_id=delivery_id,
                actor=str(leg.endpoint),
                action=action.value,
                at=self._now(),
            )
        )

    async def _effect_of(self, delivery_id: str, action: CardAction) -> str | None:
        """What the key did; None while that is not decided yet."""
        async with self._store.read() as uow:
            delivery = await uow.messages.get_delivery(delivery_id)
            acks = await uow.messages.acks_of(delivery.message_id)
        return next((ack.effect for ack in reversed(acks) if ack.action == action.value), None)

    async def _play(self, call: Call, leg: Leg, what: str, prompt: str, *, loop: bool) -> None:
        try:
            async with self._store.read() as uow:
                name, _ = await find_prompt(uow, prompt)
        except NotFoundError:
            log.error("alert_prompt_missing", prompt=prompt)  # noqa: TRY400 - the name says it
            name = str(BuiltInPrompt.ATTENTION)
        playback = Playback(
            id=_playback_id(call.id, what),
            call_id=call.id,
            prompt=name,
            leg_ids=(leg.id,),
            loop=loop,
        )
        try:
            await self._engine.play(playback)
        except DomainError as error:
            # Silence says nothing, but its keys are heard all the same.
            log.warning("alert_prompt_failed", call_id=call.id, reason=str(error))
            if what == "confirm":
                await self._hang_up(call.id)

    async def _end_overdue(self) -> None:
        now = self._clock.monotonic()
        for call_id in [one for one, until in self._deadlines.items() if until <= now]:
            ALERTS.labels("no_key").inc()
            await self._hang_up(call_id)

    async def _hang_up(self, call_id: str) -> None:
        self._forget(call_id)
        async with self._store.read() as uow:
            call = await uow.calls.get(call_id)
        await self._calls.end(call_id, _caller(_delivery_of(call) or ""))

    def _forget(self, call_id: str) -> None:
        self._deadlines.pop(call_id, None)
        self._answered.discard(call_id)

    def _now(self) -> datetime:
        return self._clock.now()

    @property
    def _engine(self) -> MediaEngine:
        if self._media is None:
            raise RuntimeError("the alerts are not connected")
        return self._media


class AlertChannel:
    """One channel of the service: `sip` rings phones of ours, `tel` telephones outside."""

    def __init__(self, name: str, alerts: AlertService) -> None:
        self._name = name
        self._alerts = alerts

    @property
    def name(self) -> str:
        return self._name

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Ring. A retry finds the call that is there."""
        return await self._alerts.ring(outgoing)

    async def update(self, outgoing: Outgoing) -> Outcome:
        """Stop ringing when nothing is asked any more."""
        return await self._alerts.withdraw(outgoing)


def _caller(delivery_id: str) -> Principal:
    return Principal(id=_KIND, name=delivery_id, kind=_KIND, roles=frozenset())


def _is_card(placed_by: str) -> bool:
    return placed_by.startswith(f"{_KIND}:")


def _delivery_of(call: Call) -> str | None:
    return call.created_by.partition(":")[2] if _is_card(call.created_by) else None


def _playback_id(call_id: str, what: str) -> str:
    return f"{_KIND}-{what}-{call_id}"


def _unreached(cause: Cause | None, detail: str | None) -> Outcome:
    """A phone that could not be rung: later when that will help, else the next channel's turn."""
    ALERTS.labels(str(cause)).inc()
    reason = f"{cause}: {detail}" if detail else str(cause)
    if cause in _AGAIN_AFTER_S:
        return TryLater(reason=reason, after_s=_AGAIN_AFTER_S[cause])
    return Refused(reason=reason)
