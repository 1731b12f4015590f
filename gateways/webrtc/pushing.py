"""Pushes by WHIP and watches by WHEP: the picture engine offers, the far end answers over HTTP, and an address there is kept to say
goodbye to.

These addresses are kept in no row: a hub that was restarted cannot end what it had begun, but its engine says goodbye by DTLS, and
an ingest lets go who gives no sign of life.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from commhub.domain.errors import DomainError
from commhub.ports.pushes import PushTarget
from commhub.ports.video import PublishOrder, PushOrder, VideoEngine
from gateways.webrtc.whip_client import WhipClient, WhipSession

log = structlog.get_logger(__name__)

OrderT = TypeVar("OrderT")


@dataclass(frozen=True, slots=True)
class _Agreed:
    session: WhipSession
    token: str | None


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    takers: int = 0


class _Outward(ABC, Generic[OrderT]):
    """Sessions for which our engine offers."""

    def __init__(self, engine: VideoEngine, client: WhipClient) -> None:
        self._engine = engine
        self._client = client
        self._agreed: dict[str, _Agreed] = {}
        self._turns: dict[str, _Turn] = {}

    @abstractmethod
    async def _offer(self, order: OrderT) -> str:
        """The engine's offer."""

    @abstractmethod
    async def _answered(self, session_id: str, answer: str) -> None:
        """Hand the engine the far end's answer."""

    async def _begin(self, session_id: str, order: OrderT, target: PushTarget) -> None:
        async with self._turn(session_id):
            before = self._agreed.get(session_id)
            agreed: _Agreed | None = None
            try:
                offer = await self._offer(order)
                session = await self._client.offer(target.url, target.token, offer)
                agreed = _Agreed(session, target.token)
                await self._answered(session_id, session.answer)
            except BaseException:
                await self._undo(session_id, agreed, keeps=before is not None)
                raise
            self._agreed[session_id] = agreed
            if before is not None:
                await self._leave(before)

    async def stop(self, session_id: str) -> None:
        """See `PicturesOut` and `PicturesIn`. Raises UnavailableError while there is no engine; the far end is told all the same."""
        async with self._turn(session_id):
            agreed = self._agreed.pop(session_id, None)
            try:
                await self._engine.release(session_id)
            finally:
                if agreed is not None:
                    await self._leave(agreed)

    @asynccontextmanager
    async def _turn(self, session_id: str) -> AsyncIterator[None]:
        """One thing after another for each push."""
        turn = self._turns.setdefault(session_id, _Turn())
        turn.takers += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.takers -= 1
            if not turn.takers:
                del self._turns[session_id]

    async def _undo(self, session_id: str, agreed: _Agreed | None, *, keeps: bool) -> None:
        """Nothing came of an offer. What there was before (`keeps`) goes on: the engine forgets the offer by itself."""
        if not keeps:
            with suppress(DomainError):
                await self._engine.release(session_id)
        if agreed is not None:
            await self._leave(agreed)

    async def _leave(self, agreed: _Agreed) -> None:
        """Say goodbye to the far end, which notices without it, too."""
        try:
            await self._client.end(agreed.session, agreed.token)
        except DomainError as error:
            log.info("outward_session_not_ended", reason=str(error))


class WhipPushes(_Outward[PushOrder]):
    """Implements `commhub.ports.pushes.PicturesOut`."""

    async def push(self, order: PushOrder, target: PushTarget) -> None:
        """See `PicturesOut`."""
        await self._begin(order.session_id, order, target)

    async def _offer(self, order: PushOrder) -> str:
        return await self._engine.offer_push(order)

    async def _answered(self, session_id: str, answer: str) -> None:
        await self._engine.push_answered(session_id, answer)


class WhepWatches(_Outward[PublishOrder]):
    """Implements `commhub.ports.pushes.PicturesIn`."""

    async def watch(self, order: PublishOrder, target: PushTarget) -> None:
        """See `PicturesIn`."""
        await self._begin(order.session_id, order, target)

    async def _offer(self, order: PublishOrder) -> str:
        return await self._engine.offer_watch(order)

    async def _answered(self, session_id: str, answer: str) -> None:
        await self._engine.watch_answered(session_id, answer)
