"""Who may have a terminal that both hubs can call (双接入): a table, and what holds of all of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.tier import Relation
from commhub.domain.tier_calls import CallWeight, Claim, takes_over, weight_of

ORDINARY, DISPATCHER, EMERGENCY = CallWeight
UPPER, LOWER = Relation
CLAIMS = [Claim(*one) for one in itertools.product(CallWeight, (UPPER, None, LOWER))]
claims = st.sampled_from(CLAIMS)


@pytest.mark.parametrize(
    ("asking", "holding", "taken"),
    [
        (Claim(DISPATCHER, UPPER), Claim(DISPATCHER), True),
        (Claim(DISPATCHER, UPPER), Claim(ORDINARY), True),
        (Claim(ORDINARY, UPPER), Claim(ORDINARY), False),
        (Claim(DISPATCHER, UPPER), Claim(EMERGENCY), False),
        (Claim(EMERGENCY, UPPER), Claim(EMERGENCY), True),
        (Claim(EMERGENCY), Claim(DISPATCHER, UPPER), True),
        (Claim(DISPATCHER), Claim(DISPATCHER, UPPER), False),
        (Claim(DISPATCHER), Claim(DISPATCHER, LOWER), True),
        (Claim(EMERGENCY, LOWER), Claim(ORDINARY), False),
    ],
)
def test_an_emergency_comes_first_then_who_is_above(
    asking: Claim, holding: Claim, taken: bool
) -> None:
    assert takes_over(asking, holding) is taken


@given(claims, claims)
def test_of_two_claims_at_most_one_takes_from_the_other(one: Claim, other: Claim) -> None:
    assert not (takes_over(one, other) and takes_over(other, one))


@given(claims)
def test_what_is_below_takes_nothing_of_ours(holding: Claim) -> None:
    for weight in CallWeight:
        assert not takes_over(Claim(weight, LOWER), holding)


@pytest.mark.parametrize(
    ("placed_by", "level", "weight"),
    [
        ("user:li", None, DISPATCHER),
        ("user:li", 2, DISPATCHER),
        ("phone:1001", 2, ORDINARY),
        ("phone:1001", 1, EMERGENCY),
        ("hub:district-1", None, ORDINARY),
    ],
)
def test_a_call_weighs_what_placed_it_and_what_it_is_about(
    placed_by: str, level: int | None, weight: CallWeight
) -> None:
    assert weight_of(placed_by, level) is weight
