"""Timers that share slots, on a loop whose time is in the test's hands."""

import gc
import heapq
import weakref
from dataclasses import dataclass, field

import pytest

from gateways.sip.wheel import GRAIN_S, LONG_GRAIN_S, LONG_S, TimerWheel


@dataclass
class Handle:
    when: float
    action: object
    cancelled: bool = False

    def cancel(self):
        self.cancelled = True


@dataclass
class ScriptedLoop:
    now: float = 1_000.0
    waiting: list = field(default_factory=list)
    armed: int = 0

    def time(self):
        return self.now

    def call_at(self, when, action):
        self.armed += 1
        handle = Handle(when, action)
        heapq.heappush(self.waiting, (when, self.armed, handle))
        return handle

    def advance(self, seconds):
        until = self.now + seconds
        while self.waiting and self.waiting[0][0] <= until:
            self.now, _, handle = heapq.heappop(self.waiting)
            if not handle.cancelled:
                handle.action()
        self.now = until


@pytest.fixture
def loop():
    return ScriptedLoop()


@pytest.fixture
def wheel(loop):
    return TimerWheel(loop)


def test_a_timer_fires_in_its_time_and_never_early(loop, wheel):
    fired = []
    wheel.call_later(0.5, lambda: fired.append(loop.now))
    loop.advance(0.499)
    assert fired == []
    loop.advance(0.5)
    assert 1_000.5 <= fired[0] <= 1_000.5 + 2 * GRAIN_S


def test_timers_fire_in_the_order_of_their_times(loop, wheel):
    fired = []
    for delay in (3.0, 1.0, 2.0, 0.0):
        wheel.call_later(delay, lambda delay=delay: fired.append(delay))
    loop.advance(5)
    assert fired == [0.0, 1.0, 2.0, 3.0]


def test_a_cancelled_timer_never_fires_and_lets_go_of_what_it_held(loop, wheel):
    fired = []
    timer = wheel.call_later(1, lambda: fired.append("never"))
    timer.cancel()
    assert timer.action is None
    loop.advance(2)
    assert fired == []


def test_a_timer_that_starts_another_at_once_does_not_keep_the_loop(loop, wheel):
    fired = []

    def again():
        fired.append(loop.now)
        if len(fired) < 5:
            wheel.call_later(0, again)

    wheel.call_later(0, again)
    loop.advance(1)
    assert len(fired) == 5


def test_one_failing_timer_does_not_take_its_neighbours_with_it(loop, wheel):
    fired = []
    wheel.call_later(1, lambda: 1 / 0)
    wheel.call_later(1, lambda: fired.append("after"))
    loop.advance(2)
    assert fired == ["after"]


def test_a_timer_may_cancel_its_neighbour(loop, wheel):
    fired = []
    timers = []
    wheel.call_later(1, lambda: [timer.cancel() for timer in timers])
    timers.append(wheel.call_later(1, lambda: fired.append("never")))
    loop.advance(2)
    assert fired == []


def test_a_long_timer_fires_a_little_late_and_never_early(loop, wheel):
    fired = []
    for number in range(20):
        wheel.call_later(LONG_S + number * 0.013, lambda: fired.append(loop.now))
    loop.advance(LONG_S + 10)
    late = [at - 1_000.0 - LONG_S - number * 0.013 for number, at in enumerate(fired)]
    assert len(late) == 20
    assert all(-1e-6 <= one <= LONG_GRAIN_S + 2 * GRAIN_S for one in late)


@pytest.mark.parametrize("end", ["cancelled", "fired", "closed"])
def test_a_timer_that_is_over_is_kept_by_nobody(loop, wheel, end):
    class Held:
        def act(self):
            pass

    gc.disable()
    try:
        held = Held()
        timer = wheel.call_later(1_800, held.act)
        neighbour = wheel.call_later(1_800, lambda: None)
        seen = weakref.ref(held)
        slot = timer._slot
        del held
        match end:
            case "cancelled":
                timer.cancel()
                assert list(slot) == [neighbour]
            case "fired":
                loop.advance(1_801)
                assert not slot
            case "closed":
                wheel.close()
                assert not slot
        del timer
        assert seen() is None
    finally:
        gc.enable()


def test_thousands_of_timers_arm_the_loop_for_slots_only(loop, wheel):
    for number in range(10_000):
        wheel.call_later(32 + number * 0.00001, lambda: None)
    assert loop.armed == 1
    loop.advance(60)
    assert loop.armed < 20


def test_nothing_fires_after_the_close(loop, wheel):
    fired = []
    wheel.call_later(1, lambda: fired.append("never"))
    wheel.close()
    loop.advance(2)
    assert fired == []
