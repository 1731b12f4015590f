"""Wishes for whole pictures, and where a view begins."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.video.gop import Cached, may_replay, replay_kbps
from bridges.video.keyframes import KeyframeWishes
from bridges.video.meters import Rates, round_trip_ms

STEP_S = 0.02


def test_the_wishes_of_many_views_are_one_request():
    wishes = KeyframeWishes()
    for _ in range(100):
        wishes.wish(5.0)
    assert wishes.due(5.0)
    assert not wishes.due(5.0)
    assert wishes.number == 1


def test_a_key_frame_fulfils_the_wishes_before_it_and_none_after_it():
    wishes = KeyframeWishes()
    wishes.wish(5.0)
    assert wishes.due(5.0)
    wishes.came()
    assert not wishes.is_open
    wishes.wish(5.1)
    assert not wishes.due(5.2)
    assert wishes.due(5.5)
    assert wishes.number == 2


def test_a_request_that_is_not_answered_is_said_again_more_and_more_slowly_and_then_no_more():
    wishes = KeyframeWishes()
    wishes.wish(0.0)
    asked = [step * STEP_S for step in range(6_000) if wishes.due(step * STEP_S)]
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits[0] == pytest.approx(0.5, abs=STEP_S)
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(4.0, abs=STEP_S)
    assert asked[-1] <= 60.0
    assert not wishes.is_open


@given(
    st.lists(
        st.tuples(st.sampled_from(["wish", "came", "nothing"]), st.floats(0, 0.4)), max_size=300
    )
)
def test_requests_are_never_closer_than_half_a_second_and_no_wish_is_forgotten(steps):
    wishes = KeyframeWishes()
    now, asked, waiting = 0.0, [], None
    for what, passed in steps:
        now += passed
        if what == "wish":
            wishes.wish(now)
            waiting = now if waiting is None else waiting
        elif what == "came":
            wishes.came()
            waiting = None
        assert wishes.is_open == (waiting is not None)
        if wishes.due(now):
            assert waiting is not None
            asked.append(now)
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(asked))


WHOLE = Cached(expected=400, present=400, octets=480_000, age_s=1.0)


@pytest.mark.parametrize(
    ("cached", "path", "newcomer", "expected"),
    [
        (WHOLE, None, True, True),
        (WHOLE, 5_000, True, True),
        (WHOLE, 1_000, True, False),
        (WHOLE, None, False, False),
        (Cached(20, 20, 24_000, 0.1), None, False, True),
        (Cached(400, 399, 480_000, 1.0), None, True, False),
        (Cached(2_000, 2_000, 2_400_000, 3.0), None, True, False),
        (Cached(100, 100, 9_000, 30.0), None, True, False),
        (Cached(0, 0, 0, 0.0), None, True, False),
        (None, None, True, False),
    ],
    ids=[
        "a newcomer", "a good path", "a path that would take four seconds", "one that can wait",
        "a fresh key frame", "a hole", "too many", "too old", "nothing", "no key frame known",
    ],
)  # fmt: skip
def test_who_begins_from_the_cache(cached, path, newcomer, expected):
    assert may_replay(cached, path, is_newcomer=newcomer) is expected


def test_a_replay_overtakes_the_present_and_spares_the_path():
    assert replay_kbps(4_200, None) == 21_000
    assert replay_kbps(600, None) == 20_000
    assert replay_kbps(4_200, 6_000) == 12_000
    assert replay_kbps(4_200, 1_000) == pytest.approx(6_300)


def test_rates_are_those_of_the_last_second():
    rates = Rates()
    assert (rates.kbps, rates.fps) == (0.0, 0.0)
    for i in range(101):
        rates.read(i * 12_500, i * 3, i * 0.1)
    assert (rates.kbps, rates.fps) == (pytest.approx(1_000), pytest.approx(30))
    for i in range(20):
        rates.read(1_250_000, 300, 10.1 + i * 0.1)
    assert (rates.kbps, rates.fps) == (0.0, 0.0)


def test_rates_of_a_stream_that_begins_anew_begin_anew():
    rates = Rates()
    rates.read(1_000_000, 900, 1.0)
    rates.read(1_000, 1, 2.0)
    assert (rates.kbps, rates.fps) == (0.0, 0.0)
    rates.read(126_000, 31, 3.0)
    assert (rates.kbps, rates.fps) == (1_000.0, 30.0)


@pytest.mark.parametrize(
    ("received", "last", "delay", "expected"),
    [
        (65_536, 0, 0, None),
        (2 * 65_536, 65_536, 32_768, 500.0),
        (10, 0xFFFFFFFF - 6_543, 0, pytest.approx(100, abs=0.2)),
        (65_536, 65_540, 0, None),
    ],
    ids=["never heard of ours", "half a second", "over the wrap", "before it was sent"],
)
def test_round_trips_come_from_report_blocks(received, last, delay, expected):
    assert round_trip_ms(received, last, delay) == expected
