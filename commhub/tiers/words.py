"""What peers say to us: every durable message is taken once, in a transaction with all it causes, or refused with a reason.

Features register here what they understand (`ports.tiers.TierWords`); the links hand everything to `TierIn`, which this is.
What a link delivers again because our answer was lost is answered alike and changes nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from commhub.domain.errors import DomainError, InvalidError, NotAllowedError, UnavailableError
from commhub.domain.tier import SCHEMA, MessageState, Peering, TierMessage
from commhub.domain.tier_facts import LinkMoved, TierRefused
from commhub.http.bodies import refuse_unstorable
from commhub.kit.clock import Clock
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import Answers, Applied, Body, Hears, Settled
from commhub.tiers.metrics import ASKED, REFUSED, TAKEN, TOLD

log = structlog.get_logger(__name__)

_NOTED_FOR = timedelta(days=90)
UNKNOWN_KIND = "unknown-kind"
UNKNOWN_SCHEMA = "unknown-schema"
BROKEN = "broken-message"
OUT_OF_ORDER = "out-of-order"


class Words:
    """Implements `ports.tiers.TierWords`, `TierIn` and `TierOutbox`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._messages: dict[str, Applied] = {}
        self._settled: dict[str, Settled] = {}
        self._asks: dict[str, Answers] = {}
        self._tells: dict[str, Hears] = {}
        self._links: list[Callable[[Peering, bool], Awaitable[None]]] = []

    # --- ports.tiers.TierWords ---------------------------------------------------------------------------

    def on_message(self, kind: str, apply: Applied) -> None:
        self._messages[kind] = apply

    def on_settled(self, kind: str, follow: Settled) -> None:
        self._settled[kind] = follow

    def on_ask(self, kind: str, answer: Answers) -> None:
        self._asks[kind] = answer

    def on_tell(self, kind: str, hear: Hears) -> None:
        self._tells[kind] = hear

    def on_link(self, moved: Callable[[Peering, bool], Awaitable[None]]) -> None:
        self._links.append(moved)

    # --- ports.tiers.TierIn ------------------------------------------------------------------------------

    async def arrived(self, peer: str, epoch: str, message: TierMessage) -> TierMessage:
        """See `ports.tiers.TierIn`. Raises UnavailableError when it could not be committed just now: it is to be sent again."""
        try:
            async with self._store.begin() as uow:
                of, reached = await uow.peerings.applied(peer)
                if not await self._take(uow, peer, epoch, message):
                    return await self._answer_again(uow, peer, message)
                if of == epoch and message.seq <= reached:
                    raise _out_of_order(message, reached)
                peering = await _active(uow, peer)
                refuse_unstorable(message.body)
                await self._reader_of(message)(uow, peering, message)
        except UnavailableError:
            raise
        except DomainError as error:
            return await self._refuse(peer, epoch, message, error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # A body of another shape than its kind has: the peer is to hear of it, and nothing behind it may wait.
            log.warning("tier_message_broken", peer=peer, kind=message.kind, exc_info=True)
            broken = InvalidError(f"«{message.kind}» is not of the form we know: {error!r}"[:500])
            broken.code = BROKEN
            return await self._refuse(peer, epoch, message, broken)
        TAKEN.labels(message.kind).inc()
        return replace(message, state=MessageState.APPLIED)

    async def forget_old(self) -> int:
        """Drop the notes of messages taken long ago; what comes behind the cursor is refused without them."""
        async with self._store.begin() as uow:
            return await uow.peerings.forget_taken(self._clock.now() - _NOTED_FOR)

    async def reached(self, peer: str) -> tuple[str, int]:
        """See `ports.tiers.TierIn`."""
        async with self._store.read() as uow:
            return await uow.peerings.applied(peer)

    async def settled(
        self, peer: str, message_id: str, code: str | None, reason: str | None
    ) -> None:
        """See `ports.tiers.TierIn`."""
        async with self._store.begin() as uow:
            message = await uow.peerings.find_message(message_id)
            if message is None or message.peer != peer or message.state is not MessageState.WAITING:
                return
            state = MessageState.APPLIED if code is None else MessageState.REFUSED
            message = replace(message, state=state, code=code, reason=reason)
            await uow.peerings.settle(message)
            if (follow := self._settled.get(message.kind)) is not None:
                await follow(uow, message)
            if code is not None:
                told = await _on_timeline(uow, message)
                uow.record(self._refused(told, code, reason or "", ours=True))

    async def asked(self, peer: str, kind: str, body: Body) -> Body:
        """See `ports.tiers.TierIn`."""
        async with self._store.read() as uow:
            peering = await _active(uow, peer)
        answer = self._asks.get(kind)
        if answer is None:
            raise _unknown(kind)
        ASKED.labels(kind).inc()
        try:
            refuse_unstorable(body)
            return await answer(peering, body)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("tier_ask_broken", peer=peer, kind=kind, exc_info=True)
            raise InvalidError(f"«{kind}» is not of the form we know: {error!r}"[:500]) from error

    async def told(self, peer: str, kind: str, body: Body) -> None:
        """See `ports.tiers.TierIn`. What is not understood is dropped: the next one may be."""
        hear = self._tells.get(kind)
        if hear is None:
            TOLD.labels("unknown").inc()
            return
        TOLD.labels(kind).inc()
        try:
            async with self._store.read() as uow:
                peering = await _active(uow, peer)
            refuse_unstorable(body)
            await hear(peering, body)
        except (DomainError, KeyError, TypeError, ValueError):
            log.warning("tier_tell_dropped", peer=peer, kind=kind, exc_info=True)

    async def link_moved(self, peer: str, up: bool, reason: str | None) -> None:
        """See `ports.tiers.TierIn`."""
        async with self._store.begin() as uow:
            peering = await uow.peerings.get(peer)
            now = self._clock.now()
            came, went = (now, peering.went_down_at) if up else (peering.came_up_at, now)
            peering = replace(peering, came_up_at=came, went_down_at=went)
            await uow.peerings.put(peering)
            uow.record(LinkMoved(at=now, peer=peer, up=up, reason=reason))
        for moved in self._links:
            try:
                await moved(peering, up)
            except (
                Exception
            ):  # one feature that stumbles must not keep the others from hearing of it
                log.exception("tier_link_not_followed", peer=peer, up=up)

    # --- ports.tiers.TierOutbox --------------------------------------------------------------------------

    async def epoch(self) -> str:
        """See `ports.tiers.TierOutbox`."""
        async with self._store.begin() as uow:
            return await uow.peerings.epoch()

    async def waiting(self, peer: str, after: int, limit: int) -> Sequence[tuple[int, TierMessage]]:
        """See `ports.tiers.TierOutbox`."""
        async with self._store.read() as uow:
            messages = await uow.peerings.waiting(peer, after, limit)
            if not messages:
                return []
            # Between two that wait there may be settled ones.
            prev = [await uow.peerings.before(peer, message.seq) for message in messages]
        return list(zip(prev, messages, strict=True))

    async def how_many_wait(self, peer: str) -> int:
        """See `ports.tiers.TierOutbox`."""
        async with self._store.read() as uow:
            return await uow.peerings.how_many_wait(peer)

    async def peerings(self) -> Sequence[Peering]:
        """See `ports.tiers.TierOutbox`."""
        async with self._store.read() as uow:
            return await uow.peerings.list()

    async def peering(self, peer: str) -> Peering | None:
        """See `ports.tiers.TierOutbox`."""
        async with self._store.read() as uow:
            return await uow.peerings.find(peer)

    async def keys_told(self, peer: str, keys: tuple[str, ...]) -> None:
        """See `ports.tiers.TierOutbox`."""
        async with self._store.begin() as uow:
            peering = await uow.peerings.get(peer)
            if keys and peering.keys != keys:
                now = self._clock.now()
                await uow.peerings.put(replace(peering, keys=keys))
                await uow.audit.append(now, f"hub:{peer}", "tier.keys", peer, "ok")

    async def met(self, peer: str, name: str, sip: str | None) -> None:
        """See `ports.tiers.TierOutbox`."""
        async with self._store.begin() as uow:
            peering = await uow.peerings.get(peer)
            if (peering.name, peering.sip) != (name, sip):
                await uow.peerings.put(replace(peering, name=name, sip=sip))

    # --- inside ------------------------------------------------------------------------------------------

    async def _take(self, uow: UnitOfWork, peer: str, epoch: str, message: TierMessage) -> bool:
        return await uow.peerings.take(peer, epoch, message.seq, message.id, self._clock.now())

    async def _answer_again(self, uow: UnitOfWork, peer: str, message: TierMessage) -> TierMessage:
        refusal = await uow.peerings.refusal_of(peer, message.id)
        TAKEN.labels("repeated").inc()
        if refusal is None:
            return replace(message, state=MessageState.APPLIED)
        code, reason = refusal
        return replace(message, state=MessageState.REFUSED, code=code, reason=reason)

    def _reader_of(self, message: TierMessage) -> Applied:
        if message.schema > SCHEMA:
            newer = InvalidError(
                f"this message is of version {message.schema}, this hub knows {SCHEMA}: update it"
            )
            newer.code = UNKNOWN_SCHEMA
            raise newer
        reader = self._messages.get(message.kind)
        if reader is None:
            raise _unknown(message.kind)
        return reader

    async def _refuse(
        self, peer: str, epoch: str, message: TierMessage, error: DomainError
    ) -> TierMessage:
        REFUSED.labels(error.code).inc()
        log.warning("tier_message_refused", peer=peer, kind=message.kind, code=error.code)
        async with self._store.begin() as uow:
            await self._take(uow, peer, epoch, message)
            await uow.peerings.note_refusal(peer, message.id, error.code, str(error))
            told = await _on_timeline(uow, message)
            uow.record(self._refused(told, error.code, str(error), ours=False))
        return replace(message, state=MessageState.REFUSED, code=error.code, reason=str(error))

    def _refused(self, message: TierMessage, code: str, reason: str, *, ours: bool) -> TierRefused:
        return TierRefused(
            at=self._clock.now(),
            incident_id=message.incident_id,
            peer=message.peer,
            message_kind=message.kind,
            code=code,
            reason=reason,
            ours=ours,
        )


async def _on_timeline(uow: UnitOfWork, message: TierMessage) -> TierMessage:
    """The message, of an incident only where it is one that we share: a refusal of any other is no line of a timeline."""
    known = message.incident_id and await uow.shares.find(message.incident_id, message.peer)
    return message if known else replace(message, incident_id=None)


async def _active(uow: UnitOfWork, peer: str) -> Peering:
    peering = await uow.peerings.get(peer)
    if not peering.is_active:
        raise NotAllowedError(f"the peering with {peer} is revoked", peer=peer)
    return peering


def _out_of_order(message: TierMessage, reached: int) -> InvalidError:
    error = InvalidError(f"message {message.seq} comes after {reached}, which was taken before it")
    error.code = OUT_OF_ORDER
    return error


def _unknown(kind: str) -> InvalidError:
    error = InvalidError(f"this hub knows no «{kind[:64]}»: update it")
    error.code = UNKNOWN_KIND
    return error
