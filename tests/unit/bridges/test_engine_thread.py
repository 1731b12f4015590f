"""The engine's thread: orders between ticks, time that stood still, ticks that fail."""

import threading
import time

import pytest

from bridges.audio.counts import Counts
from bridges.audio.thread import CATCH_UP, EngineThread
from commhub.domain.errors import NotFoundError

TICK_S = 0.02


class ScriptedEngine:
    """Stands where the engine does; `work` is what one tick does."""

    def __init__(self):
        self.counts = Counts()
        self.ticks = 0
        self.skipped = 0
        self.work = list
        self.ticked = threading.Condition()

    def tick(self, now):
        with self.ticked:
            self.ticks += 1
            self.ticked.notify_all()
        return self.work()

    def skip(self, ticks):
        self.skipped += ticks

    def wait_for(self, condition):
        with self.ticked:
            assert self.ticked.wait_for(condition, timeout=5)


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def delivered():
    return []


@pytest.fixture
def thread(engine, delivered):
    made = EngineThread(engine, delivered.append)
    made.start()
    yield made
    made.stop()


def test_an_order_is_carried_out_in_the_engines_thread_and_answered(thread):
    name = thread.order(lambda engine: threading.current_thread().name)
    assert name.result(5) == "audio-engine"


def test_orders_are_carried_out_in_their_order(thread):
    done = []
    orders = [thread.order(lambda _, n=n: done.append(n)) for n in range(50)]
    orders[-1].result(5)
    assert done == list(range(50))


def test_the_failure_of_an_order_belongs_to_whoever_gave_it(thread, engine):
    def refuse(_):
        raise NotFoundError("no such leg")

    with pytest.raises(NotFoundError):
        thread.order(refuse).result(5)
    assert engine.counts.failed_ticks == 0


def test_an_order_given_up_is_not_carried_out(thread):
    done = []
    release = threading.Event()
    blocking = thread.order(lambda _: release.wait(5))
    given_up = thread.order(lambda _: done.append(1))
    assert given_up.cancel()
    release.set()
    blocking.result(5)
    thread.order(lambda _: None).result(5)
    assert done == []


def test_what_a_tick_tells_is_delivered(thread, engine, delivered):
    engine.work = lambda: ["something"] if not delivered else []
    engine.wait_for(lambda: delivered)
    assert delivered == [["something"]]


def test_a_tick_that_fails_is_counted_and_the_next_one_comes(thread, engine):
    def fail():
        raise ZeroDivisionError

    engine.work = fail
    at = engine.ticks
    engine.wait_for(lambda: engine.ticks >= at + 3)
    engine.work = list
    engine.wait_for(lambda: engine.ticks >= at + 5)
    assert engine.counts.failed_ticks >= 2


def test_after_a_standstill_time_is_skipped_and_counted(thread, engine):
    stood_still = threading.Event()

    def stand_still():
        engine.work = list
        # The machine's standstill itself, not a wait for something.
        time.sleep((CATCH_UP + 3) * TICK_S)
        stood_still.set()
        return []

    engine.work = stand_still
    assert stood_still.wait(5)
    at = engine.ticks
    engine.wait_for(lambda: engine.ticks > at + 1)
    assert engine.skipped >= CATCH_UP


def test_orders_left_at_the_end_are_cancelled(engine, delivered):
    thread = EngineThread(engine, delivered.append)
    order = thread.order(lambda _: None)
    thread.start()
    thread.stop()
    later = thread.order(lambda _: None)
    thread.stop()
    assert order.cancelled() or order.done()
    assert later.cancelled()
