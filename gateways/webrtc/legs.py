"""Desks as legs of calls: `desk:ACCOUNT` rings in that dispatcher's browser, which answers by an offer over WHIP.

Ringing is only a fact that the live socket shows; nothing is sent to a browser. A leg whose audio was lost (the
worker died, the page was reloaded) is not over: the browser offers again, and has `return_within_s` to do so.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType

from commhub.domain.call import TALKING, Call, Cause, Leg, LegState
from commhub.domain.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from commhub.domain.people import Scheme
from commhub.kit.clock import Clock
from commhub.ports.inward import CallsIn
from commhub.ports.media import MediaEngine, WebRtcOrder
from commhub.ports.store import Store
from commhub.ports.telephony import LegOrder, shape_of
from gateways.webrtc.config import WebRtcConfig
from gateways.webrtc.metrics import RETURNS
from gateways.webrtc.waiting import WaitingLegs

CODEC = "opus"
_RING_AGAIN_S = 45.0


class DeskLegs(AbstractAsyncContextManager["DeskLegs"]):
    """Implements `commhub.ports.telephony.LegDriver` and `Recovering` for `desk:ACCOUNT`."""

    def __init__(
        self, config: WebRtcConfig, store: Store, media: MediaEngine, calls: CallsIn, clock: Clock
    ) -> None:
        self._config = config
        self._store = store
        self._media = media
        self._calls = calls
        self._clock = clock
        self._waiting = WaitingLegs("desk", media, calls)

    async def __aenter__(self) -> "DeskLegs":
        """Go on with the desks that rang when the process ended."""
        await self._waiting.__aenter__()
        async with self._store.read() as uow:
            legs = await uow.calls.live_legs(Scheme.DESK)
        for leg in legs:
            # A desk of another hub calls by SIP.
            if leg.state is LegState.RINGING and leg.endpoint.hub is None:
                rung = (self._clock.now() - leg.created_at).total_seconds()
                self._waiting.begin(
                    leg.id, partial(self._give_up_ringing, leg.id, _RING_AGAIN_S - rung)
                )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._waiting.__aexit__(exc_type, exc, traceback)

    # --- commhub.ports.telephony.LegDriver -------------------------------------------------------------------

    async def place(self, order: LegOrder) -> None:
        """Ring at the account's console. Returns when the desk shows it."""
        if order.leg_id in self._waiting:
            return
        async with self._store.read() as uow:
            user = await uow.accounts.find_user(order.endpoint.name)
        if user is None or user.disabled:
            await self._calls.leg_ended(order.leg_id, Cause.NOT_FOUND, "no account has this name")
            return
        patience = partial(self._give_up_ringing, order.leg_id, order.ring_for_s)
        self._waiting.begin(order.leg_id, patience)
        await self._calls.leg_ringing(order.leg_id)

    async def answer(self, leg_id: str) -> None:
        """Desks are rung and never dial by themselves. Raises InvalidError."""
        raise InvalidError(f"leg {leg_id} is a desk, which never calls the hub")

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        """Close the browser's connection; it hears of it by the live socket. Raises UnavailableError."""
        self._waiting.stop(leg_id)
        await self._media.release(leg_id)

    async def recover(self, leg_id: str) -> bool:
        """The media worker has lost the leg. True: its browser is given time to come back."""
        if leg_id not in self._waiting:
            self._waiting.begin(leg_id, partial(self._give_up_returning, leg_id))
        return True

    # --- what browsers do ------------------------------------------------------------------------------------

    async def connect(self, leg_id: str, offer: str, *, talks: bool) -> str:
        """A browser's offer for the leg, its first or a later one; returns our answer.

        Raises NotFoundError for a leg that is none of ours or is over, InvalidError for a bad offer,
        ConflictError when the leg ended meanwhile, UnavailableError without a worker.
        """
        call, leg = await self.find(leg_id)
        order = WebRtcOrder(call_id=call.id, leg_id=leg_id, talks=talks, shape=shape_of(leg))
        answer = await self._media.answer(order, offer)
        if leg_id in self._waiting and leg.state in TALKING:
            RETURNS.labels("returned").inc()
        self._waiting.stop(leg_id)
        await self._calls.leg_connected(leg_id, CODEC)
        try:
            await self.find(leg_id)
        except NotFoundError as error:
            # It was hung up while we answered: its audio must not outlive it.
            await self._media.release(leg_id)
            raise ConflictError("the leg was hung up meanwhile") from error
        return answer

    async def leave(self, leg_id: str) -> None:
        """The browser hung up."""
        self._waiting.stop(leg_id)
        await self._calls.leg_ended(leg_id, Cause.HUNG_UP, None)
        await self._media.release(leg_id)

    async def find(self, leg_id: str) -> tuple[Call, Leg]:
        """A live desk leg with its call. Raises NotFoundError."""
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
            if leg is None or not leg.is_live or leg.endpoint.scheme is not Scheme.DESK:
                raise NotFoundError("no desk of a live call has this id")
            return await uow.calls.get(leg.call_id), leg

    # --- patience --------------------------------------------------------------------------------------------

    async def _give_up_ringing(self, leg_id: str, after_s: float) -> None:
        await asyncio.sleep(max(0.0, after_s))
        await self._waiting.end(leg_id, Cause.NO_ANSWER, None)

    async def _give_up_returning(self, leg_id: str) -> None:
        await asyncio.sleep(self._config.return_within_s)
        if await self._is_in_the_engine(leg_id):
            # The news of its loss was older than its return.
            return
        RETURNS.labels("lost").inc()
        await self._waiting.end(leg_id, Cause.MEDIA_LOST, "the browser did not come back")

    async def _is_in_the_engine(self, leg_id: str) -> bool:
        try:
            return any(meter.leg_id == leg_id for meter in (await self._media.status()).legs)
        except UnavailableError:
            return False
