"""How far Twilio is behind, by marks, and when what it holds is thrown away."""

import pytest

from gateways.twilio.stream import Backlog


def test_marks_that_come_back_in_time_clear_nothing():
    backlog, now = Backlog(0.6), 0.0
    for _ in range(100):
        name = backlog.next_mark(now)
        backlog.returned(name, now + 0.2)
        now += 1.0
        assert not backlog.must_clear(now)
    assert backlog.seconds == pytest.approx(0.2)


def test_a_mark_that_comes_back_late_clears_once():
    backlog = Backlog(0.6)
    name = backlog.next_mark(0.0)
    backlog.returned(name, 1.5)
    assert backlog.must_clear(1.5)
    assert not backlog.must_clear(1.6)


def test_a_mark_that_is_long_on_its_way_is_late_already():
    backlog = Backlog(0.6)
    backlog.returned(backlog.next_mark(0.0), 0.1)
    backlog.next_mark(10.0)
    assert not backlog.must_clear(10.5)
    assert backlog.must_clear(10.7)


def test_a_far_end_that_never_returns_a_mark_is_left_alone():
    backlog = Backlog(0.6)
    for second in range(100):
        backlog.next_mark(float(second))
        assert not backlog.must_clear(float(second))


def test_marks_of_what_was_cleared_measure_nothing():
    backlog = Backlog(0.6)
    backlog.returned(backlog.next_mark(0.0), 0.1)
    old = backlog.next_mark(10.0)
    assert backlog.must_clear(12.0)
    backlog.returned(old, 12.1)
    backlog.returned("of somebody else", 12.1)
    assert not backlog.must_clear(20.0)
