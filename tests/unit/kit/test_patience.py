"""Rows that failed wait with growing pauses, and only they."""

from fakes.clock import ScriptedClock

from commhub.kit.patience import Backoff, Patience


def key(row: str) -> str:
    return row


def test_a_row_that_failed_waits_and_the_others_do_not(clock: ScriptedClock) -> None:
    patience = Patience(clock, Backoff(first_s=1, most_s=60))
    assert patience.failed("a") == 1

    assert patience.ready(["a", "b"], key) == ["b"]
    clock.advance(1.25)
    assert patience.ready(["a", "b"], key) == ["a", "b"]


def test_pauses_grow_to_a_bound(clock: ScriptedClock) -> None:
    backoff = Backoff(first_s=1, most_s=10)

    assert all(0.75 <= backoff.after(1).total_seconds() <= 1.25 for _ in range(50))
    assert all(3 <= backoff.after(3).total_seconds() <= 5 for _ in range(50))
    assert all(backoff.after(10_000).total_seconds() <= 12.5 for _ in range(50))


def test_what_went_through_or_left_is_forgotten(clock: ScriptedClock) -> None:
    patience = Patience(clock)
    for row in "abc":
        patience.failed(row)

    patience.forget("a")
    patience.keep_only({"b"})

    assert len(patience) == 1
    assert patience.failed("a") == 1
    assert patience.failed("b") == 2
