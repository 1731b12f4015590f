"""What the leg drivers and the media engine are told, after the transaction that decided it is committed.

An order that fails is one leg's affair: the others are carried out all the same.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

import structlog

from commhub.domain.call import Call, Cause, Leg
from commhub.domain.errors import DomainError, InvalidError, UnavailableError
from commhub.domain.people import Endpoint, Scheme
from commhub.ports.media import MediaEngine
from commhub.ports.telephony import LegDriver, LegOrder, Recovering

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Orders:
    """Gathered inside a transaction, carried out after it."""

    place: list[tuple[Leg, Call]] = field(default_factory=list)
    answer: list[Leg] = field(default_factory=list)
    hang_up: list[tuple[Leg, Cause]] = field(default_factory=list)
    record: list[tuple[str, bool]] = field(default_factory=list)


class Orderly:
    """Knows the drivers by the scheme of their addresses, and the engine."""

    def __init__(self, ring_for_s: float) -> None:
        self._ring_for_s = ring_for_s
        self._drivers: Mapping[Scheme, LegDriver] = {}
        self._engine: MediaEngine | None = None

    def connect(self, media: MediaEngine, drivers: Mapping[Scheme, LegDriver]) -> None:
        self._engine = media
        self._drivers = drivers

    @property
    def media(self) -> MediaEngine:
        if self._engine is None:
            raise UnavailableError("the media engine is not connected yet")
        return self._engine

    def endpoint(self, text: str) -> Endpoint:
        """Read an endpoint that can be called. Raises InvalidError with the schemes that can."""
        endpoint = Endpoint.parse(text)
        if endpoint.scheme not in self._drivers or endpoint.hub is not None:
            schemes = ", ".join(f"{scheme}:" for scheme in self._drivers)
            raise InvalidError(f"{endpoint} cannot be called from here; these can: {schemes}")
        return endpoint

    async def carry_out(self, orders: Orders) -> list[tuple[Leg, str]]:
        """Tell everybody; returns the legs that could not be placed, with the reason."""
        failed = [
            (leg, reason)
            for leg, call in orders.place
            if (reason := await self._place(leg, call)) is not None
        ]
        for leg in orders.answer:
            await _attempt("answer", leg, self._driver(leg).answer(leg.id))
        for call_id, on in orders.record:
            await _attempt("record", None, self.media.record(call_id, on))
        for leg, cause in orders.hang_up:
            await _attempt("hang_up", leg, self._driver(leg).hang_up(leg.id, cause))
        return failed

    async def recover(self, leg: Leg) -> bool:
        """Whether the far end of a leg without audio comes back by itself."""
        driver: object = self._drivers.get(leg.endpoint.scheme)
        return isinstance(driver, Recovering) and await driver.recover(leg.id)

    def _driver(self, leg: Leg) -> LegDriver:
        return self._drivers[leg.endpoint.scheme]

    async def _place(self, leg: Leg, call: Call) -> str | None:
        order = LegOrder(
            call_id=call.id,
            leg_id=leg.id,
            endpoint=leg.endpoint,
            caller=call.title or "commhub",
            ring_for_s=self._ring_for_s,
        )
        try:
            await self._driver(leg).place(order)
        except DomainError as error:
            return str(error)
        return None


async def _attempt(what: str, leg: Leg | None, work: Awaitable[None]) -> None:
    try:
        await work
    except DomainError as error:
        leg_id = leg.id if leg else None
        log.warning("call_order_failed", order=what, leg_id=leg_id, reason=str(error))
