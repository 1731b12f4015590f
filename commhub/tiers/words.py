"""What peers say to us: every durable message is taken once, in a transaction with all it causes, or refused with a reason.

Features register here what they understand (`ports.tiers.TierWords`); the links hand everything to `TierIn`, which this is.
What a link delivers again because our answer was lost is answered alike and changes nothing. Messages that came together are
committed together: a commit waits for the disk, and a line that was cut for an hour has thousands to say. When one of them is
refused, what was before it is taken without it, and then it alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import structlog

from commhub.domain.errors import (
    DomainError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from commhub.domain.tier import SCHEMA, MessageState, Peering, TierMessage
from commhub.domain.tier_facts import LinkMoved, TierRefused
from commhub.http.bodies import refuse_unstorable
from commhub.kit.clock import Clock
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import Answers, Applied, Body, Hears, PeerAnswer, Settled
from commhub.tiers.metrics import ASKED, REFUSED, TAKEN, TOLD

log = structlog.get_logger(__name__)

_NOTED_FOR = timedelta(days=90)
UNKNOWN_KIND = "unknown-kind"
UNKNOWN_SCHEMA = "unknown-schema"
BROKEN = "broken-message"
OUT_OF_ORDER = "out-of-order"

# SQLite has one writer, and calls wait for it as well.
_TOGETHER_S = 0.1
_REPEATED = "repeated"
# A body of another shape than its kind has raises one of these where it is read.
_NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, AttributeError)


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

    async def arrived(
        self, peer: str, epoch: str, messages: Sequence[TierMessage]
    ) -> Sequence[TierMessage]:
        """See `ports.tiers.TierIn`."""
        together = messages
        while len(together) > 1:
            taken: list[tuple[TierMessage, str]] = []
            try:
                await self._take_together(peer, epoch, together, taken)
            except UnavailableError:
                raise
            except (DomainError, *_NOT_UNDERSTOOD):
                # All of it is undone. Who was refused is the first next time; a commit does not say who it was.
                stumbled = len(taken) < len(together)
                together = together[: max(1, len(taken) if stumbled else len(taken) // 2)]
                continue
            return _counted(taken)
        return [await self._take_alone(peer, epoch, together[0])]

    async def forget_old(self) -> int:
        """Drop messages settled and notes of messages taken long ago; what comes behind the cursor is refused without them."""
        before = self._clock.now() - _NOTED_FOR
        async with self._store.begin() as uow:
            settled = await uow.peerings.forget_settled(before)
            return settled + await uow.peerings.forget_taken(before)

    async def reached(self, peer: str) -> tuple[str, int]:
        """See `ports.tiers.TierIn`."""
        async with self._store.read() as uow:
            return await uow.peerings.applied(peer)

    async def settled(self, peer: str, answers: Sequence[PeerAnswer]) -> None:
        """See `ports.tiers.TierIn`."""
        if len(answers) > 1:
            try:
                await self._settle_together(peer, answers)
            except UnavailableError:
                raise
            except DomainError:
                log.warning("tier_answers_one_by_one", peer=peer, exc_info=True)
            else:
                return
        for answer in answers:
            await self._settle_together(peer, [answer])

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
            except Exception:  # one that stumbles must not keep the others from hearing of it
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
            first, last = messages[0].seq, messages[-1].seq
            # Between two that wait there may be settled ones.
            places = await uow.peerings.places(peer, first, last)
            before = [await uow.peerings.before(peer, first), *places]
        prev = dict(zip(places, before, strict=False))
        return [(prev[message.seq], message) for message in messages]

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

    async def _take_together(
        self,
        peer: str,
        epoch: str,
        messages: Sequence[TierMessage],
        taken: list[tuple[TierMessage, str]],
    ) -> None:
        """Commit the first of them, as many as time allows; `taken` grows with each that went well. Raises what `_take_in`
        raises, and what the commit raises."""
        async with self._store.begin() as uow:
            until = self._clock.monotonic() + _TOGETHER_S
            await uow.peerings.get(peer)
            await _hold_incidents(uow, messages)
            for message in messages:
                taken.append(await self._take_in(uow, peer, epoch, message))
                if self._clock.monotonic() > until:
                    break
                # Small statements are done on the spot, and others of this process want to go on as well.
                await asyncio.sleep(0)

    async def _take_alone(self, peer: str, epoch: str, message: TierMessage) -> TierMessage:
        """The message with its state. Raises UnavailableError."""
        try:
            async with self._store.begin() as uow:
                taken = await self._take_in(uow, peer, epoch, message)
        except UnavailableError:
            raise
        except DomainError as error:
            return await self._refuse(peer, epoch, message, error)
        except _NOT_UNDERSTOOD as error:
            # The peer is to hear of it, and nothing behind it may wait.
            log.warning("tier_message_broken", peer=peer, kind=message.kind, exc_info=True)
            broken = InvalidError(f"«{message.kind}» is not of the form we know: {error!r}"[:500])
            broken.code = BROKEN
            return await self._refuse(peer, epoch, message, broken)
        return _counted([taken])[0]

    async def _take_in(
        self, uow: UnitOfWork, peer: str, epoch: str, message: TierMessage
    ) -> tuple[TierMessage, str]:
        """Do what the message says, unless that was done before. The answer, and as what it counts. Raises DomainError, or anything of
        `_NOT_UNDERSTOOD`."""
        # Held first of all rows, here as in a batch: a link and the one that replaces it may meet here.
        peering = await uow.peerings.get(peer)
        of, reached = await uow.peerings.applied(peer)
        if not await self._take(uow, peer, epoch, message):
            return await self._answer_again(uow, peer, message), _REPEATED
        if of == epoch and message.seq <= reached:
            raise _out_of_order(message, reached)
        if message.state is MessageState.REFUSED:
            raise _unreadable(message)
        _check_active(peering)
        refuse_unstorable(message.body)
        await self._reader_of(message)(uow, peering, message)
        return replace(message, state=MessageState.APPLIED), message.kind

    async def _settle_together(self, peer: str, answers: Sequence[PeerAnswer]) -> None:
        """In one transaction. What is no message of ours to that peer, or is settled, stays as it is."""
        async with self._store.begin() as uow:
            waiting: dict[str, TierMessage] = {}
            for answer in answers:
                message = await uow.peerings.find_message(answer.message_id)
                if message is None or message.peer != peer or message.id in waiting:
                    continue
                if message.state is MessageState.WAITING:
                    state = MessageState.APPLIED if answer.code is None else MessageState.REFUSED
                    waiting[message.id] = replace(
                        message, state=state, code=answer.code, reason=answer.reason
                    )
            if len(waiting) > 1:
                await _hold_incidents(uow, waiting.values())
            for message in waiting.values():
                await self._settle(uow, message)
                await asyncio.sleep(0)

    async def _settle(self, uow: UnitOfWork, message: TierMessage) -> None:
        await uow.peerings.settle(message)
        if (follow := self._settled.get(message.kind)) is not None:
            await follow(uow, message)
        if message.code is not None:
            told = await _on_timeline(uow, message)
            uow.record(self._refused(told, message.code, message.reason or "", ours=True))

    async def _take(self, uow: UnitOfWork, peer: str, epoch: str, message: TierMessage) -> bool:
        return await uow.peerings.take(peer, epoch, message.seq, message.id, self._clock.now())

    async def _answer_again(self, uow: UnitOfWork, peer: str, message: TierMessage) -> TierMessage:
        refusal = await uow.peerings.refusal_of(peer, message.id)
        if refusal is None:
            return replace(message, state=MessageState.APPLIED, code=None, reason=None)
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


def _counted(taken: Sequence[tuple[TierMessage, str]]) -> Sequence[TierMessage]:
    """The answers of what is committed."""
    for _, counts_as in taken:
        TAKEN.labels(counts_as).inc()
    return [message for message, _ in taken]


async def _hold_incidents(uow: UnitOfWork, messages: Iterable[TierMessage]) -> None:
    """Whoever takes several incidents takes them in the order of their ids, so that no two wait for each other."""
    for incident_id in sorted({one.incident_id for one in messages if one.incident_id}):
        with suppress(NotFoundError):
            await uow.incidents.get(incident_id)


async def _on_timeline(uow: UnitOfWork, message: TierMessage) -> TierMessage:
    """The message, of an incident only where it is one that we share: a refusal of any other is no line of a timeline."""
    known = message.incident_id and await uow.shares.find(message.incident_id, message.peer)
    return message if known else replace(message, incident_id=None)


async def _active(uow: UnitOfWork, peer: str) -> Peering:
    peering = await uow.peerings.get(peer)
    _check_active(peering)
    return peering


def _check_active(peering: Peering) -> None:
    if not peering.is_active:
        peer = peering.peer
        raise NotAllowedError(f"the peering with {peer} is revoked", peer=peer)


def _out_of_order(message: TierMessage, reached: int) -> InvalidError:
    error = InvalidError(f"message {message.seq} comes after {reached}, which was taken before it")
    error.code = OUT_OF_ORDER
    return error


def _unknown(kind: str) -> InvalidError:
    error = InvalidError(f"this hub knows no «{kind[:64]}»: update it")
    error.code = UNKNOWN_KIND
    return error


def _unreadable(message: TierMessage) -> InvalidError:
    error = InvalidError(message.reason or "it could not be read")
    error.code = message.code or BROKEN
    return error
