"""Which numbers may be called, over which lines, and that nothing stands between a person and an emergency number."""

import pytest

from gateways.sip.trunks.config import EmergencyPolicy, NumberingConfig, NumberRule
from gateways.sip.trunks.numbers import NumberPlan, Refusal, Route, rewrite

PLAN = NumberPlan(
    NumberingConfig(
        rules=(
            NumberRule(prefix="+86", via=("carrier-a", "carrier-b"), price_per_minute=0.2),
            NumberRule(prefix="+861", via=("mobile",), price_per_minute=0.3),
            NumberRule(prefix="+86168", via=()),
            NumberRule(prefix="12345", via=("carrier-b",)),
            NumberRule(prefix="+852", via=("carrier-a",), hairpin=True),
        ),
        emergency=EmergencyPolicy(via=("local",)),
        outside_prefix="9",
        dialled_prefixes={"00": "+", "0": "+86", "1": "+861", "12345": "12345", "": "+8621"},
    )
)


def reason(outcome):
    assert isinstance(outcome, Refusal)
    return outcome.reason


@pytest.mark.parametrize(
    ("number", "via"),
    [
        ("+862112345678", ("carrier-a", "carrier-b")),
        ("+86 (21) 1234-5678", ("carrier-a", "carrier-b")),
        ("+8613800000000", ("mobile",)),
        ("12345", ("carrier-b",)),
    ],
)
def test_the_longest_prefix_decides_the_lines(number, via):
    route = PLAN.route(number)
    assert isinstance(route, Route)
    assert route.via == via
    assert not route.emergency


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("+14155550100", "not_listed"),
        ("13800000000", "not_listed"),
        ("+861681234567", "forbidden"),
        ("*72#13800000000", "no_number"),
        ("+86138;phone-context=x", "no_number"),
        ("+861380000000012345", "no_number"),
        ("sip@evil", "no_number"),
        ("", "no_number"),
    ],
)
def test_what_is_not_listed_is_refused(number, why):
    assert reason(PLAN.route(number)) == why


def test_without_rules_nothing_may_be_called():
    assert reason(NumberPlan(NumberingConfig()).route("+862112345678")) == "not_listed"


@pytest.mark.parametrize(
    "dialled",
    ["110", "9110", "+86110", "0086110", "021110", "+8621110", "+86512110", "1 1 0", "9021110"],
)
def test_an_emergency_number_is_known_however_it_is_dialled(dialled):
    route = PLAN.route(dialled)
    assert route == Route("110", ("local",), emergency=True)
    assert PLAN.dialled(dialled) == "110"


@pytest.mark.parametrize("number", ["1100", "+861101234567", "12001", "+86212110119", "011", "11"])
def test_a_number_that_only_begins_like_one_is_none(number):
    assert PLAN.emergency(number) is None


def test_without_an_emergency_line_the_refusal_says_what_to_do():
    plan = NumberPlan(NumberingConfig(rules=(NumberRule(prefix="1", via=("carrier-a",)),)))
    refusal = plan.route("120")
    assert reason(refusal) == "no_emergency_line"
    assert "another telephone" in refusal.why


def test_who_came_in_over_a_line_goes_out_over_one_only_where_a_rule_says_so():
    assert reason(PLAN.route("+862112345678", from_outside=True)) == "hairpin"
    assert reason(PLAN.route("119", from_outside=True)) == "hairpin"
    assert isinstance(PLAN.route("+85212345678", from_outside=True), Route)


@pytest.mark.parametrize(
    ("dialled", "number"),
    [
        ("9008613800000000", "+8613800000000"),
        ("9013800000000", "+8613800000000"),
        ("913800000000", "+8613800000000"),
        ("962345678", "+862162345678"),
        ("912345", "12345"),
        ("+8613800000000", "+8613800000000"),
        ("13800000000", None),
        ("9", None),
        ("9" * 40, None),
        ("1001", None),
        ("duty", None),
    ],
)
def test_a_phone_dials_outside_behind_the_prefix(dialled, number):
    assert PLAN.dialled(dialled) == number


def test_a_rewriting_replaces_the_longest_prefix_once():
    prefixes = {"+86": "0", "+8621": "", "+": "00"}
    assert rewrite("+862112345678", prefixes) == "12345678"
    assert rewrite("+8651212345678", prefixes) == "051212345678"
    assert rewrite("+85212345678", prefixes) == "0085212345678"
    assert rewrite("12345", prefixes) == "12345"
