"""The one driver of `tel:` endpoints: the number rules choose between the SIP trunks and Twilio, and guard both.

An order is judged here once, before any line hears of it. A hub with Twilio and no rule of its own is as it always was:
Twilio's own prefixes decide. Emergency calls are never judged by anything but their own policy.
"""

from collections import OrderedDict
from functools import partial
from zoneinfo import ZoneInfo

import structlog

from commhub.domain.call import Cause, Direction
from commhub.domain.errors import DomainError
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.clock import Clock
from commhub.ports.inward import CallsIn
from commhub.ports.media import RtpAddress
from commhub.ports.store import Store
from commhub.ports.telephony import (
    LegDriver,
    LegOrder,
    OutsideNumber,
    Readdressing,
    Recovering,
)
from commhub.settings import Settings
from commhub.wiring.health import Health
from commhub.wiring.trunks import TWILIO, numbering
from gateways.sip.gateway import SipGateway
from gateways.sip.trunks import metrics
from gateways.sip.trunks.dial import Otherwise
from gateways.sip.trunks.line import Line
from gateways.sip.trunks.numbers import NumberPlan, Refusal, Route
from gateways.sip.trunks.toll import Alarm, Alarms, TollGuard

log = structlog.get_logger(__name__)

_REMEMBERED = 10_000


class Outside:
    """`commhub.ports.telephony.LegDriver` of `tel:`, `Numbering`, `Recovering` and `Readdressing`. `twilio` is None
    where there is no account."""

    def __init__(
        self,
        plan: NumberPlan,
        guard: TollGuard,
        alarm: Alarm,
        calls: CallsIn,
        store: Store,
        sip: SipGateway,
        twilio: LegDriver | None,
    ) -> None:
        self._plan = plan
        self._guard = guard
        self._alarm = alarm
        self._calls = calls
        self._store = store
        self._sip = sip
        self._twilio = twilio
        self._judged: OrderedDict[str, None] = OrderedDict()
        if twilio is not None:
            sip.heir = self._over_to(twilio)

    # --- commhub.ports.telephony.LegDriver -----------------------------------------------------------------

    async def place(self, order: LegOrder) -> None:
        """Begin to ring a number outside, where the rules allow it."""
        if order.leg_id in self._judged or self._sip.carries(order.leg_id):
            # A call of before a restart was judged, counted and told of then.
            return
        self._note(order.leg_id)
        try:
            await self._judge(order)
        except BaseException as error:
            # The order will come again, and has to be heard then.
            self._judged.pop(order.leg_id, None)
            if isinstance(error, Exception) and self._plan.emergency(order.endpoint.name):
                await self._lost(order, str(error) or type(error).__name__)
            raise

    async def _judge(self, order: LegOrder) -> None:
        number = order.endpoint.name
        if not self._plan.has_rules and self._plan.emergency(number) is None and self._twilio:
            await self._twilio.place(order)
            return
        route = self._plan.route(number)
        if isinstance(route, Refusal):
            await self._refuse(order, route)
            return
        refusal = await self._guard.admit(route, order.placed_by, self._at_once, order.call_id)
        if refusal is not None:
            await self._calls.leg_ended(order.leg_id, Cause.NOT_ALLOWED, refusal.why)
            return
        await self._dial(order, route)
        if route.emergency:
            text = f"emergency call to {route.number} by {order.placed_by}"
            await self._alarm(Alarms.EMERGENCY, text, order.call_id)

    async def _refuse(self, order: LegOrder, refusal: Refusal) -> None:
        await self._calls.leg_ended(order.leg_id, Cause.NOT_ALLOWED, refusal.why)
        if self._plan.emergency(order.endpoint.name) is not None:
            await self._lost(order, refusal.why, "no_line")
        await self._guard.refused(refusal, order.call_id)

    async def _lost(self, order: LegOrder, why: str, outcome: str = "failed") -> None:
        """No line ever heard of an emergency call: a person has to, now."""
        metrics.EMERGENCIES.labels(outcome).inc()
        text = f"an emergency call by {order.placed_by} could not be placed: {why}"
        await self._alarm(Alarms.EMERGENCY_FAILED, text, order.call_id)

    async def _dial(self, order: LegOrder, route: Route) -> None:
        """Over the lines in their order; where Twilio is one of them, what stands behind it is not reached, because it
        has no way of saying that it is out of service before it has tried."""
        trunks = route.via[: route.via.index(TWILIO)] if TWILIO in route.via else route.via
        twilio = self._twilio if TWILIO in route.via and not route.emergency else None
        if not trunks and twilio is not None:
            await twilio.place(order)
            return
        then = self._over_to(twilio) if twilio is not None else None
        await self._sip.dial(order, route, then)

    def _over_to(self, twilio: LegDriver) -> Otherwise:
        async def take_over(order: LegOrder) -> None:
            if not await self._is_wanted(order.leg_id):
                return
            try:
                await twilio.place(order)
            except DomainError as error:
                await self._calls.leg_ended(order.leg_id, Cause.FAILED, str(error))
                return
            if not await self._is_wanted(order.leg_id):
                # Hung up in the moment between the two.
                await twilio.hang_up(order.leg_id, Cause.CANCELLED)

        return take_over

    async def _is_wanted(self, leg_id: str) -> bool:
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
        return leg is not None and leg.is_live

    @property
    def _at_once(self) -> int:
        lines = sum(line.calls_of(Direction.OUTBOUND) for line in self._sip.lines)
        return lines + int(getattr(self._twilio, "legs", 0))

    def _note(self, leg_id: str) -> None:
        self._judged[leg_id] = None
        while len(self._judged) > _REMEMBERED:
            self._judged.popitem(last=False)

    async def answer(self, leg_id: str) -> None:
        for driver in self._drivers:
            await driver.answer(leg_id)

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        """Both are told: a leg that is unknown to one of them is no matter."""
        for driver in self._drivers:
            await driver.hang_up(leg_id, cause)

    @property
    def _drivers(self) -> list[LegDriver]:
        return [self._sip, *([self._twilio] if self._twilio is not None else [])]

    # --- Reaching, Recovering, Readdressing ----------------------------------------------------------------

    def why_not(self, endpoint: Endpoint) -> str | None:
        """Of a hub that calls no numbers at all. An emergency number is placed all the same: it has to become an alarm."""
        if self._plan.has_rules or self._twilio is not None:
            return None
        if self._plan.emergency(endpoint.name) is not None:
            return None
        return "no line of this hub calls numbers outside (sip.trunks and sip.numbers, or twilio)"

    async def recover(self, leg_id: str) -> bool:
        """Twilio's far ends come back; a trunk's are told another address instead."""
        driver: object = self._twilio
        return isinstance(driver, Recovering) and await driver.recover(leg_id)

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        for driver in self._drivers:
            if isinstance(driver, Readdressing):
                await driver.readdress(leg_id, address)

    # --- Numbering -----------------------------------------------------------------------------------------

    async def meaning(self, number: str, caller: Endpoint) -> OutsideNumber | None:
        """A phone of ours may mean anything outside; what of it is allowed is judged when it is placed. Who came in
        over a line may only mean what a rule lets out again, and nobody but a phone dials an emergency number."""
        meant = self._plan.dialled(number)
        if meant is None:
            return None
        emergency = self._plan.emergency(meant) is not None
        if caller.scheme is Scheme.TEL:
            route = self._plan.route(meant, from_outside=True)
            if isinstance(route, Refusal):
                await self._guard.refused(route)
                return None
        elif not emergency and not self._plan.has_rules:
            return None
        return OutsideNumber(Endpoint(Scheme.TEL, meant), emergency)


def open_outside(
    settings: Settings,
    calls: CallsIn,
    store: Store,
    clock: Clock,
    sip: SipGateway,
    twilio: LegDriver | None,
    alarm: Alarm,
) -> Outside:
    """The driver of `tel:`. A hub without any line has it too: somebody who dials an emergency number there is told by
    more than silence, and so is the desk. Raises SettingsError."""
    config = numbering(settings)
    plan = NumberPlan(config)
    guard = TollGuard(config.caps, plan, store, clock, ZoneInfo(settings.time_zone), alarm)
    if sip.lines and not plan.has_rules:
        log.warning("lines_call_nobody", reason="setting sip.numbers is empty")
    if sip.lines and not config.emergency.via:
        log.warning("no_emergency_calls", reason="setting sip.emergency.via is empty")
    return Outside(plan, guard, alarm, calls, store, sip, twilio)


def watch_lines(health: Health, sip: SipGateway) -> None:
    """One line of the hub's state for each trunk; without one of them it is degraded, never down."""
    for line in sip.lines:
        health.watch(f"trunk-{line.name}", partial(_is_up, line), needed=False)


def _is_up(line: Line) -> bool:
    return line.is_up
