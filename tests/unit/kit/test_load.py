"""Overload is a delay that stays, not one that was."""

import pytest
from fakes.clock import ScriptedClock

from commhub.kit.load import Load, LoadConfig


@pytest.fixture
def load(clock: ScriptedClock) -> Load:
    return Load(clock, LoadConfig(target_s=0.05, beats=3))


def test_nothing_is_behind_before_anybody_has_looked(load: Load) -> None:
    assert not load.is_behind
    load.beat(9.0)
    load.beat(9.0)
    assert not load.is_behind


def test_one_late_beat_is_a_hiccup(load: Load) -> None:
    for late_s in (0.0, 2.0, 0.0):
        load.beat(late_s)
    assert not load.is_behind


def test_a_delay_that_stays_is_overload_and_the_first_good_beat_ends_it(load: Load) -> None:
    for late_s in (0.3, 0.06, 0.2):
        load.beat(late_s)
    assert load.is_behind
    assert load.behind_s == 0.06
    load.beat(0.01)
    assert not load.is_behind


def test_the_slowest_queue_under_watch_counts(load: Load) -> None:
    waits = {"store": 0.4, "orders": 0.1}
    load.watch("store", lambda: waits["store"])
    load.watch("orders", lambda: waits["orders"])
    for _ in range(3):
        load.beat(0.0)
    assert load.behind_s == 0.4
    waits["store"] = 0.0
    load.beat(0.0)
    assert load.behind_s == 0.1


def test_a_clock_that_was_early_is_no_credit(load: Load) -> None:
    for _ in range(3):
        load.beat(-0.001)
    assert load.behind_s == 0.0
