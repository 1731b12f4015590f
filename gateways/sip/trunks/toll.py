"""What calls to the outside may cost, and how many there may be at once and in a minute.

Money is counted from the legs on record, so a restart forgets nothing of it; only the rates of the last minute begin
anew with a process. Emergency calls are never asked about and count for nothing here.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol
from zoneinfo import ZoneInfo

from commhub.domain.call import Direction, Leg
from commhub.domain.people import Scheme
from commhub.kit.clock import Clock
from commhub.ports.store import Store
from gateways.sip.trunks import metrics
from gateways.sip.trunks.config import Caps
from gateways.sip.trunks.numbers import NumberPlan, Refusal, Route

_MINUTE_S = 60.0
_MAX_CALLERS = 10_000
# A call cannot have begun longer ago than this and still cost something today.
_LONGEST = timedelta(days=1)


class Alarm(Protocol):
    """Tells the desk: `kind` is one word, `text` for people."""

    async def __call__(self, kind: str, text: str, call_id: str | None = None) -> None: ...


async def unheard(kind: str, text: str, call_id: str | None = None) -> None:
    """An alarm where no desk listens: its counter and the log line of its cause are all there is."""
    del text, call_id
    metrics.ALARMS.labels(kind).inc()


class Alarms:
    """Passes alarms on, each kind once in `again_after_s`, so that an attack does not bury the desk. Emergencies come
    through every time, those that failed above all."""

    EMERGENCY = "emergency_call"
    EMERGENCY_FAILED = "emergency_failed"

    def __init__(self, tell: Alarm, clock: Clock, again_after_s: float = 60.0) -> None:
        self._tell = tell
        self._clock = clock
        self._again_after_s = again_after_s
        self._told: dict[str, float] = {}

    async def __call__(self, kind: str, text: str, call_id: str | None = None) -> None:
        now = self._clock.monotonic()
        if kind not in (self.EMERGENCY, self.EMERGENCY_FAILED):
            if now - self._told.get(kind, -self._again_after_s) < self._again_after_s:
                return
            self._told[kind] = now
        metrics.ALARMS.labels(kind).inc()
        await self._tell(kind, text, call_id)


class Rate:
    """How often something happened in the last minute."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def note(self, now: float) -> None:
        self._moments.append(now)

    def count(self, now: float) -> int:
        while self._moments and now - self._moments[0] >= _MINUTE_S:
            self._moments.popleft()
        return len(self._moments)


class TollGuard:
    """Asked before a call to the outside is placed. One that is asked about counts, placed or not."""

    def __init__(
        self, caps: Caps, plan: NumberPlan, store: Store, clock: Clock, zone: ZoneInfo, alarm: Alarm
    ) -> None:
        self._caps = caps
        self._plan = plan
        self._store = store
        self._clock = clock
        self._zone = zone
        self._alarm = alarm
        self._placed = Rate()
        self._refused = Rate()
        self._callers: OrderedDict[str, Rate] = OrderedDict()

    async def admit(self, route: Route, caller: str, at_once: int, call_id: str) -> Refusal | None:
        """None when the call may be placed. `caller` is who asks for it (`phone:1001`, `user:li`), `at_once` how many
        calls to the outside there are already."""
        if route.emergency:
            return None
        refusal = self._by_counts(caller, at_once) or await self._by_money(route)
        now = self._clock.monotonic()
        self._placed.note(now)
        self._rate_of(caller).note(now)
        burst = self._caps.burst_calls
        if burst and self._placed.count(now) >= burst:
            text = f"{self._placed.count(now)} calls to the outside within a minute"
            await self._alarm("call_burst", text)
        if refusal is not None:
            await self.refused(refusal, call_id)
        return refusal

    async def refused(self, refusal: Refusal, call_id: str | None = None) -> None:
        """Count a call that was not placed, for whatever reason; many of them are somebody trying doors."""
        metrics.REFUSED.labels(refusal.reason).inc()
        now = self._clock.monotonic()
        self._refused.note(now)
        burst = self._caps.burst_refusals
        if burst and self._refused.count(now) >= burst:
            text = f"{self._refused.count(now)} calls to the outside refused within a minute"
            await self._alarm("refusal_burst", f"{text}, the last one: {refusal.why}", call_id)
        elif refusal.reason in ("spend_per_day", "calls_at_once"):
            await self._alarm(refusal.reason, refusal.why, call_id)

    def _by_counts(self, caller: str, at_once: int) -> Refusal | None:
        caps, now = self._caps, self._clock.monotonic()
        if caps.calls_at_once and at_once >= caps.calls_at_once:
            return Refusal(
                "calls_at_once", f"{at_once} calls to the outside are the most there may be at once"
            )
        if caps.calls_per_minute and self._placed.count(now) >= caps.calls_per_minute:
            return Refusal(
                "calls_per_minute", f"more than {caps.calls_per_minute} calls within a minute"
            )
        own = caps.calls_per_minute_per_caller
        if own and self._rate_of(caller).count(now) >= own:
            return Refusal(
                "calls_per_caller", f"more than {own} calls of one caller within a minute"
            )
        return None

    async def _by_money(self, route: Route) -> Refusal | None:
        limit = self._caps.spend_per_day
        if not limit:
            return None
        spent = await self.spent_today()
        metrics.SPENT.set(spent)
        # Its first minute is paid as soon as somebody answers.
        if spent + route.price_per_minute <= limit:
            return None
        return Refusal(
            "spend_per_day",
            f"today's calls have cost {spent:.2f}, and {limit:.2f} is the most (sip.calling.spend_per_day)",
        )

    async def spent_today(self) -> float:
        """What the outside calls of the town's day cost so far by the rules' prices, every begun minute in full."""
        now = self._clock.now()
        midnight = now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        async with self._store.read() as uow:
            legs = await uow.calls.legs_since(Scheme.TEL, midnight - _LONGEST)
        return sum(self._cost(leg, midnight, now) for leg in _paid(legs))

    def _cost(self, leg: Leg, midnight: datetime, now: datetime) -> float:
        route = self._plan.route(leg.endpoint.name)
        if isinstance(route, Refusal) or route.emergency or leg.connected_at is None:
            return 0.0
        begun, over = max(leg.connected_at, midnight), leg.ended_at or now
        minutes = ceil((over - begun).total_seconds() / _MINUTE_S)
        if over <= begun:
            # Before midnight, or answered this very moment.
            minutes = 0 if leg.ended_at else 1
        return minutes * route.price_per_minute

    def _rate_of(self, caller: str) -> Rate:
        rate = self._callers.setdefault(caller, Rate())
        self._callers.move_to_end(caller)
        while len(self._callers) > _MAX_CALLERS:
            self._callers.popitem(last=False)
        return rate


def _paid(legs: Sequence[Leg]) -> list[Leg]:
    return [leg for leg in legs if leg.direction is Direction.OUTBOUND]
