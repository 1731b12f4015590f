"""A call to the outside: what is wanted, its place in the audio engine, and what becomes of it when no line takes it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from commhub.domain.call import Cause
from commhub.ports.media import MediaOrder
from commhub.ports.telephony import LegOrder
from gateways.sip.ledger import Errand, Page
from gateways.sip.legs import Leg
from gateways.sip.trunks import metrics
from gateways.sip.trunks.lines import Lines
from gateways.sip.trunks.numbers import Route
from gateways.sip.trunks.toll import Alarm, Alarms
from gateways.sip.withdrawing import give_up

Otherwise = Callable[[LegOrder], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """A call to the outside. `otherwise` takes it on, under the same leg id, when no line could."""

    order: LegOrder
    route: Route
    lines: Lines
    alarm: Alarm
    otherwise: Otherwise | None = None

    @classmethod
    def of_errand(
        cls, page: Page, errand: Errand, lines: Lines, alarm: Alarm, heir: Otherwise | None
    ) -> "Dial":
        """What a former process was about."""
        order = LegOrder(
            call_id=page.call_id,
            leg_id=page.leg_id,
            endpoint=errand.endpoint,
            caller=errand.caller,
            ring_for_s=errand.ring_for_s,
            placed_by=errand.placed_by,
        )
        otherwise = heir if errand.has_heir else None
        return cls(order=order, route=errand.route, lines=lines, alarm=alarm, otherwise=otherwise)


def place_of(order: LegOrder, route: Route, *, ipv6: bool = False) -> MediaOrder:
    """A place in the audio engine. A carrier's audio rarely comes from where its signalling does, so it gets a port of
    its own."""
    return MediaOrder(
        call_id=order.call_id,
        leg_id=order.leg_id,
        shape=order.shape,
        near_signalling=False,
        ipv6=ipv6,
        urgent=route.emergency,
    )


async def nobody_left(leg: Leg, dial: Dial, cause: Cause, detail: str, *, forks: int = 0) -> None:
    """No line could take the call: whoever comes after them may, else the leg ends."""
    if dial.route.emergency:
        metrics.EMERGENCIES.labels("failed").inc()
        text = f"the call to {dial.route.number} could not be placed ({detail}): use another telephone now"
        await dial.alarm(Alarms.EMERGENCY_FAILED, text, dial.order.call_id)
    if dial.otherwise is None or forks:
        await give_up(leg, cause, detail, forks=forks)
        return
    await leg.core.release(leg.id)
    await leg.core.ledger.delete(leg.id)
    leg.finish()
    await dial.otherwise(dial.order)


def why_none(dial: Dial) -> str:
    """Why no line could even be tried."""
    states = []
    for name in dial.route.via:
        line = dial.lines.find(name)
        if line is not None:
            states.append(
                f"{name} is {'full' if line.is_full else line.trouble or 'not registered'}"
            )
    return f"no line is free: {'; '.join(states)}" if states else "no line of this hub takes it"
