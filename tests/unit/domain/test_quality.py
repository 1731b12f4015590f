"""The E-model (ITU-T G.107): known points, and that more loss or delay never sounds better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.quality import estimate, mean_opinion, rating

CODECS = st.sampled_from(["PCMU", "PCMA", "G722", "opus", "something else"])


@pytest.mark.parametrize(
    ("r", "mos"),
    [(0, 1.0), (50, 2.58), (60, 3.10), (70, 3.60), (80, 4.02), (90, 4.34), (93.2, 4.41)],
)
def test_the_opinion_scores_of_annex_b(r, mos):
    assert mean_opinion(r) == pytest.approx(mos, abs=0.006)


def test_a_clean_short_line_is_as_good_as_it_gets():
    assert rating("PCMA", lost_pct=0, delay_ms=40) == 93.2
    assert estimate("PCMA", lost_pct=0, delay_ms=40) == 4.4


@pytest.mark.parametrize(
    ("delay_ms", "impairment"), [(100, 0), (150, 0.2), (200, 3.0), (400, 24.1)]
)
def test_long_delays_cost_what_the_curve_says(delay_ms, impairment):
    r = rating("PCMU", lost_pct=0, delay_ms=delay_ms)
    assert 93.2 - r == pytest.approx(impairment, abs=0.1)


@pytest.mark.parametrize(("lost_pct", "impairment"), [(1, 3.64), (5, 15.78), (20, 42.13)])
def test_loss_costs_what_concealed_g711_loses(lost_pct, impairment):
    r = rating("PCMU", lost_pct=lost_pct, delay_ms=0)
    assert 93.2 - r == pytest.approx(impairment, abs=0.01)


@given(CODECS, st.floats(0, 100), st.floats(0, 5000), st.floats(0, 20), st.floats(0, 500))
def test_more_loss_or_delay_is_never_better(codec, lost, delay, more_lost, more_delay):
    here = rating(codec, lost_pct=lost, delay_ms=delay)
    there = rating(codec, lost_pct=lost + more_lost, delay_ms=delay + more_delay)
    assert there <= here + 1e-9


@given(CODECS, st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_whatever_was_measured_there_is_a_score(codec, lost, delay):
    score = estimate(codec, lost_pct=lost, delay_ms=delay)
    assert math.isfinite(score)
    assert 1.0 <= score <= 4.5
