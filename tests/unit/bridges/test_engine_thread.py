"""The engine's thread: orders between ticks, time that stood still, ticks that fail."""

import threading
import time

import pytest

from bridges.audio.counts import Counts
from bridges.audio.thread import CATCH_UP, EngineThread, Order
from commhub.domain.errors import NotFoundError, UnavailableError

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


class Delivered:
    """Remembers what leaves the engine's thread, delivery by delivery."""

    def __init__(self):
        self.batches = []
        self.news = threading.Condition()

    def __call__(self, orders, outputs):
        with self.news:
            self.batches.append((list(orders), list(outputs)))
            self.news.notify_all()

    @property
    def orders(self):
        return [order for orders, _ in self.batches for order in orders]

    @property
    def outputs(self):
        return [outputs for _, outputs in self.batches if outputs]

    def wait_for(self, *orders):
        with self.news:
            assert self.news.wait_for(lambda: set(map(id, orders)) <= set(map(id, self.orders)), 30)


@pytest.fixture
def delivered():
    return Delivered()


@pytest.fixture
def thread(engine, delivered):
    made = EngineThread(engine, delivered)
    made.start()
    yield made
    made.stop()


def test_an_order_is_carried_out_in_the_engines_thread_and_answered(thread, delivered):
    order = Order(lambda _: threading.current_thread().name)
    thread.order(order)
    delivered.wait_for(order)
    assert (order.result, order.error) == ("audio-engine", None)


def test_orders_are_carried_out_and_delivered_in_their_order(thread, delivered):
    done = []
    orders = [Order(lambda _, n=n: done.append(n)) for n in range(50)]
    for order in orders:
        thread.order(order)
    delivered.wait_for(*orders)
    assert done == list(range(50))
    assert delivered.orders == orders


def test_the_orders_of_a_tick_are_delivered_at_once_and_with_what_it_tells(engine, delivered):
    thread = EngineThread(engine, delivered)
    orders = [Order(lambda _: None) for _ in range(20)]
    for order in orders:
        thread.order(order)
    engine.work = lambda: ["something"] if not delivered.batches else []
    thread.start()
    delivered.wait_for(*orders)
    thread.stop()
    assert delivered.batches == [(orders, ["something"])]


def test_the_failure_of_an_order_belongs_to_whoever_gave_it(thread, engine, delivered):
    def refuse(_):
        raise NotFoundError("no such leg")

    order = Order(refuse)
    thread.order(order)
    delivered.wait_for(order)
    assert isinstance(order.error, NotFoundError)
    assert engine.counts.failed_ticks == 0


def test_orders_are_delivered_though_their_tick_fails(thread, engine, delivered):
    def fail():
        raise ZeroDivisionError

    engine.work = fail
    order = Order(lambda _: "done")
    thread.order(order)
    delivered.wait_for(order)
    assert order.result == "done"


def test_a_quiet_tick_delivers_nothing(thread, engine, delivered):
    at = engine.ticks
    engine.wait_for(lambda: engine.ticks >= at + 5)
    assert delivered.batches == []


def test_what_a_tick_tells_is_delivered(thread, engine, delivered):
    engine.work = lambda: ["something"] if not delivered.batches else []
    engine.wait_for(lambda: delivered.batches)
    assert delivered.outputs == [["something"]]


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


def test_orders_left_at_the_end_are_delivered_as_not_done(engine, delivered):
    thread = EngineThread(engine, delivered)
    thread.start()
    thread.stop()
    order = Order(lambda _: "done")
    thread.order(order)
    thread.stop()
    assert delivered.orders == [order]
    assert isinstance(order.error, UnavailableError)
