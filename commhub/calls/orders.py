"""What the leg drivers and the media engine are told, after the transaction that decided it is committed.

An order that fails is one leg's affair: the others are carried out all the same.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

import structlog

from commhub.calls.shapes import hold_prompt
from commhub.domain.account import Principal
from commhub.domain.call import Call, Cause, Leg
from commhub.domain.errors import DomainError, InvalidError, UnavailableError
from commhub.domain.people import Endpoint, Scheme
from commhub.ports.media import PLAIN, MediaEngine, RtpAddress
from commhub.ports.telephony import (
    LegDriver,
    LegOrder,
    Numbering,
    OutsideNumber,
    Probing,
    Reaching,
    Readdressing,
    Recovering,
    shape_of,
)

log = structlog.get_logger(__name__)

_COME_THEMSELVES = frozenset({Scheme.ROOM})
"""Participants of a meeting take their seat by an offer; there is nothing to ring."""


@dataclass(slots=True)
class Orders:
    """Gathered inside a transaction, carried out after it. `move` has the legs as they are in their new call, `hold`
    those whose hold began or ended."""

    place: list[tuple[Leg, Call]] = field(default_factory=list)
    answer: list[Leg] = field(default_factory=list)
    hang_up: list[tuple[Leg, Cause]] = field(default_factory=list)
    record: list[tuple[str, bool, bool]] = field(default_factory=list)
    move: list[Leg] = field(default_factory=list)
    shape: list[Leg] = field(default_factory=list)
    hold: list[Leg] = field(default_factory=list)


class Orderly:
    """Knows the drivers by the scheme of their addresses, and the engine."""

    def __init__(self, ring_for_s: float) -> None:
        self._ring_for_s = ring_for_s
        self._drivers: Mapping[Scheme, LegDriver] = {}
        self._elsewhere: LegDriver | None = None
        self._engine: MediaEngine | None = None
        self._numbering: Numbering | None = None

    def connect(self, media: MediaEngine, drivers: Mapping[Scheme, LegDriver]) -> None:
        self._engine = media
        self._drivers = drivers
        outside: object = drivers.get(Scheme.TEL)
        self._numbering = outside if isinstance(outside, Numbering) else None

    def connect_hubs(self, elsewhere: LegDriver) -> None:
        """The driver of what is at other hubs (`radio:r12@street-a`), of whatever scheme."""
        self._elsewhere = elsewhere

    @property
    def media(self) -> MediaEngine:
        if self._engine is None:
            raise UnavailableError("the media engine is not connected yet")
        return self._engine

    def endpoint(self, text: str) -> Endpoint:
        """Read an endpoint that can be called. Raises InvalidError with the schemes that can."""
        endpoint = Endpoint.parse(text)
        comes_itself = endpoint.scheme in _COME_THEMSELVES and endpoint.hub is None
        if comes_itself or not self.carries(endpoint):
            schemes = ", ".join(f"{one}:" for one in self._drivers if one not in _COME_THEMSELVES)
            raise InvalidError(f"{endpoint} cannot be called from here; these can: {schemes}")
        driver: object = self._find(endpoint)
        if isinstance(driver, Reaching) and (reason := driver.why_not(endpoint)) is not None:
            raise InvalidError(f"{endpoint}: {reason}")
        return endpoint

    def carries(self, endpoint: Endpoint) -> bool:
        """Whether a leg of this address can be in a call here."""
        return endpoint.scheme in self._drivers and self._find(endpoint) is not None

    async def carry_out(self, orders: Orders) -> list[tuple[Leg, str]]:
        """Tell everybody; returns the legs that could not be placed, with the reason."""
        failed = [
            (leg, reason)
            for leg, call in orders.place
            if (reason := await self._place(leg, call)) is not None
        ]
        for leg in orders.shape:
            if shape_of(leg) != PLAIN:
                await _attempt("shape", leg, self.media.shape(leg.id, shape_of(leg)))
        await self._hold(orders)
        for leg in orders.answer:
            await _attempt("answer", leg, self._answer(leg))
        for call_id, on, per_leg in orders.record:
            await _attempt("record", None, self.media.record(call_id, on, per_leg))
        for leg, cause in orders.hang_up:
            await _attempt("hang_up", leg, self._hang_up(leg, cause))
        return failed

    async def _answer(self, leg: Leg) -> None:
        await self._driver(leg).answer(leg.id)

    async def _hang_up(self, leg: Leg, cause: Cause) -> None:
        await self._driver(leg).hang_up(leg.id, cause)

    async def shape(self, orders: Orders) -> None:
        """Tell the engine how legs take part; raises what it says. A hold without its prompt is a hold still."""
        for leg in orders.shape:
            await self.media.shape(leg.id, shape_of(leg))
        await self._hold(orders)

    async def transfer(self, orders: Orders) -> None:
        """Move legs as far as can be, then raise the first failure; what failed is caught up with (`catch_up`)."""
        failures = []
        for leg in orders.move:
            try:
                await self.media.move(leg.id, leg.call_id)
            except DomainError as error:
                log.warning("call_order_failed", order="move", leg_id=leg.id, reason=str(error))
                failures.append(error)
        for leg in orders.shape:
            await _attempt("shape", leg, self.media.shape(leg.id, shape_of(leg)))
        await self._hold(orders)
        # Whoever rang in and is now with somebody, and whoever was in both calls.
        await self.carry_out(Orders(answer=orders.answer, hang_up=orders.hang_up))
        if failures:
            raise failures[0]

    async def catch_up(self, orders: Orders) -> None:
        """Tell an engine what it may have missed; one leg's failure is its own."""
        for leg in orders.move:
            await _attempt("move", leg, self.media.move(leg.id, leg.call_id))
        for leg in orders.shape:
            await _attempt("shape", leg, self.media.shape(leg.id, shape_of(leg)))
        await self._hold(orders)

    async def _hold(self, orders: Orders) -> None:
        for leg in orders.hold:
            prompt = hold_prompt(leg)
            work = self.media.play(prompt) if leg.held else self.media.stop_playing(prompt.id)
            await _attempt("hold", leg, work)

    async def outside(self, number: str, caller: Endpoint) -> OutsideNumber | None:
        """What somebody means by a number that is perhaps not ours."""
        if self._numbering is None:
            return None
        return await self._numbering.meaning(number, caller)

    async def recover(self, leg: Leg) -> bool:
        """Whether the far end of a leg without audio comes back by itself."""
        driver: object = self._find(leg.endpoint)
        return isinstance(driver, Recovering) and await driver.recover(leg.id)

    async def probe(self, leg: Leg) -> None:
        """Have the far end asked whether it is still there, where that can be done."""
        driver: object = self._find(leg.endpoint)
        if isinstance(driver, Probing):
            await driver.probe(leg.id)

    async def readdress(self, leg: Leg, address: RtpAddress) -> bool:
        """Whether the leg's far end can be told that our address has changed; it is then being told."""
        driver: object = self._find(leg.endpoint)
        if not isinstance(driver, Readdressing):
            return False
        await driver.readdress(leg.id, address)
        return True

    def _find(self, endpoint: Endpoint) -> LegDriver | None:
        return self._drivers.get(endpoint.scheme) if endpoint.hub is None else self._elsewhere

    def _driver(self, leg: Leg) -> LegDriver:
        driver = self._find(leg.endpoint)
        if driver is None:
            raise UnavailableError(f"nobody carries {leg.endpoint} here")
        return driver

    async def _place(self, leg: Leg, call: Call) -> str | None:
        order = LegOrder(
            call_id=call.id,
            leg_id=leg.id,
            endpoint=leg.endpoint,
            caller=call.title or "commhub",
            ring_for_s=self._ring_for_s,
            shape=shape_of(leg),
            placed_by=call.created_by,
            in_room=call.room_id is not None,
            incident_id=call.incident_id,
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


def own_desk(endpoint: Endpoint, principal: Principal) -> Endpoint:
    """`desk:me` is the desk of whoever asks."""
    if endpoint.scheme is not Scheme.DESK or endpoint.name != "me":
        return endpoint
    if principal.kind != "user":
        raise InvalidError("a key has no desk; name the account whose desk is to ring")
    return Endpoint(Scheme.DESK, principal.name)
