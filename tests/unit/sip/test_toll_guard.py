"""What stolen passwords and mistakes may cost: caps by the minute, at once and by the day, and alarms on bursts."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from fakes.clock import ScriptedClock
from fakes.objects import a_call, a_leg

from commhub.domain.call import Direction, LegState
from commhub.domain.people import Endpoint
from gateways.sip.trunks.config import Caps, EmergencyPolicy, NumberingConfig, NumberRule
from gateways.sip.trunks.numbers import NumberPlan
from gateways.sip.trunks.toll import Alarms, TollGuard

PLAN = NumberPlan(
    NumberingConfig(
        rules=(NumberRule(prefix="+86", via=("a",), price_per_minute=0.5),),
        emergency=EmergencyPolicy(via=("a",)),
    )
)
NUMBER, EMERGENCY = PLAN.route("+8613800000000"), PLAN.route("120")
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Desk:
    def __init__(self):
        self.alarms = []

    async def __call__(self, kind, text, call_id=None):
        self.alarms.append(kind)


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def guard(store, clock, desk):
    def made(**caps):
        return TollGuard(Caps(**caps), PLAN, store, clock, SHANGHAI, Alarms(desk, clock))

    return made


async def ask(guard, route=NUMBER, *, caller="phone:1001", at_once=0):
    refusal = await guard.admit(route, caller, at_once, "call")
    return refusal.reason if refusal else None


async def test_so_many_calls_a_minute_and_no_more(guard, clock):
    asked = guard(calls_per_minute=3, calls_per_minute_per_caller=0)
    assert [await ask(asked) for _ in range(4)] == [None, None, None, "calls_per_minute"]
    clock.advance(61)
    assert await ask(asked) is None


async def test_one_caller_does_not_use_up_the_minute_of_the_others(guard):
    asked = guard(calls_per_minute_per_caller=2)
    assert [await ask(asked) for _ in range(3)] == [None, None, "calls_per_caller"]
    assert await ask(asked, caller="user:li") is None


async def test_so_many_at_once_and_the_desk_is_told_when_lines_run_out(guard, desk):
    asked = guard(calls_at_once=5)
    assert await ask(asked, at_once=4) is None
    assert await ask(asked, at_once=5) == "calls_at_once"
    assert desk.alarms == ["calls_at_once"]


async def test_no_cap_stands_in_the_way_of_an_emergency_number(guard, store, clock):
    asked = guard(
        calls_per_minute=1, calls_per_minute_per_caller=1, calls_at_once=1, spend_per_day=0.1
    )
    await spend(store, clock, minutes=30)
    assert [await ask(asked, EMERGENCY, at_once=1000) for _ in range(100)] == [None] * 100
    assert await ask(asked) == "spend_per_day"


async def test_emergency_calls_use_up_nobody_elses_minute(guard):
    asked = guard(calls_per_minute=2, calls_per_minute_per_caller=2)
    for _ in range(10):
        await ask(asked, EMERGENCY)
    assert [await ask(asked) for _ in range(2)] == [None, None]


async def spend(store, clock, *, minutes, ago_s=0.0, number="+8613800000000", **changes):
    """A call that was talked, and ended `ago_s` ago."""
    call = a_call()
    over = clock.now() - timedelta(seconds=ago_s)
    begun = over - timedelta(minutes=minutes)
    leg = a_leg(
        call_id=call.id,
        endpoint=Endpoint.parse(f"tel:{number}"),
        created_at=begun,
        **{"state": LegState.ENDED, "connected_at": begun, "ended_at": over, **changes},
    )
    async with store.begin() as uow:
        await uow.calls.add(call)
        await uow.calls.add_leg(leg)


async def test_the_day_has_a_budget_and_a_begun_minute_counts_in_full(guard, store, clock, desk):
    asked = guard(spend_per_day=5.0)
    await spend(store, clock, minutes=8.2)
    assert await asked.spent_today() == 4.5
    assert await ask(asked) is None
    await spend(store, clock, minutes=0.1)
    assert await ask(asked) == "spend_per_day"
    assert desk.alarms == ["spend_per_day"]


async def test_a_call_that_goes_on_costs_already(guard, store, clock):
    asked = guard(spend_per_day=5.0)
    await spend(store, clock, minutes=2, state=LegState.CONNECTED, ended_at=None)
    assert await asked.spent_today() == 1.0
    clock.advance(61)
    assert await asked.spent_today() == 2.0


async def test_what_costs_nothing_is_not_counted(guard, store, clock):
    asked = guard(spend_per_day=1.0)
    await spend(store, clock, minutes=60, direction=Direction.INBOUND)
    await spend(store, clock, minutes=60, connected_at=None)
    await spend(store, clock, minutes=60, number="110")
    await spend(store, clock, minutes=60, number="+14155550100")
    assert await asked.spent_today() == 0.0


async def test_a_new_day_of_the_town_has_a_new_budget(store, desk):
    clock = ScriptedClock(ScriptedClock().now().replace(hour=15, minute=50))
    asked = TollGuard(Caps(spend_per_day=5.0), PLAN, store, clock, SHANGHAI, Alarms(desk, clock))
    await spend(store, clock, minutes=20)
    assert await ask(asked) == "spend_per_day"
    clock.advance(15 * 60)
    assert await asked.spent_today() == 0.0
    assert await ask(asked) is None


async def test_a_call_over_midnight_costs_each_day_its_own_minutes(store, desk):
    clock = ScriptedClock(ScriptedClock().now().replace(hour=16, minute=5))
    asked = TollGuard(Caps(spend_per_day=5.0), PLAN, store, clock, SHANGHAI, Alarms(desk, clock))
    await spend(store, clock, minutes=20)
    assert await asked.spent_today() == 2.5


async def test_a_burst_of_calls_is_told_once_a_minute(guard, clock, desk):
    asked = guard(burst_calls=5, calls_per_minute_per_caller=0)
    for _ in range(12):
        await ask(asked)
    assert desk.alarms == ["call_burst"]
    clock.advance(61)
    for _ in range(5):
        await ask(asked)
    assert desk.alarms == ["call_burst"] * 2


async def test_a_burst_of_refusals_is_told_too(guard, desk):
    asked = guard(burst_refusals=4)
    for _ in range(6):
        await asked.refused(PLAN.route("+14155550100"))
    assert desk.alarms == ["refusal_burst"]
