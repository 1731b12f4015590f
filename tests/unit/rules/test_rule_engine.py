"""Decisions: what the tables answer, what they read, and reports whose types do not fit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes.clock import START
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.errors import InvalidError
from commhub.domain.report import Report, Source
from commhub.ports.decisions import Decisions
from rules.book import check, shipped
from rules.compiler import CompiledRules, compile_rules
from rules.engine import RuleEngine
from rules.metrics import DEFAULTS
from rules.tables import parse_ruleset

STREET = check(shipped("street-dispatch"), "street-dispatch")
ENGINE: Decisions = RuleEngine(lambda: STREET)


def report(category: str = "sos", **changes: Any) -> Report:
    base = Report(
        id="r",
        source=Source.DEVICE,
        idempotency_key="k",
        category=category,
        text="",
        received_at=START,
    )
    return replace(base, **changes)


def test_an_sos_without_a_level_is_the_patrols_at_level_one_with_a_minute_to_accept() -> None:
    decision = ENGINE.decide(report())
    assert (decision.team, decision.level, decision.alarm) == ("patrol", 1, 1)
    assert decision.channels == ("wecom", "sip", "ptt")
    assert decision.clocks["accept"] == timedelta(seconds=60)
    assert not decision.fell_to_default


def test_the_trace_names_the_rows_and_the_values_they_read() -> None:
    trace = ENGINE.decide(report(casualties=2)).trace
    assign, sla = trace["assign"], trace["sla"]
    assert isinstance(assign, dict)
    assert isinstance(sla, dict)
    assert assign["row"] == 1
    assert assign["when"] == {"category": '"sos"'}
    assert assign["read"] == {
        "category": "sos",
        "level": 4,
        "mode": "normal",
        "source": "device",
        "casualties": 2,
    }
    assert assign["result"]["team"] == "patrol"
    assert sla["read"]["level"] == 1


def test_the_same_question_has_the_same_answer() -> None:
    assert ENGINE.decide(report()) == ENGINE.decide(report())


def test_the_default_row_is_flagged_and_counted() -> None:
    before = DEFAULTS.labels("street-dispatch")._value.get()
    decision = ENGINE.decide(report("dragon"))
    assert decision.fell_to_default
    assert decision.trace["assign"]["is_default"]  # type: ignore[index]  # the trace is JSON
    assert DEFAULTS.labels("street-dispatch")._value.get() == before + 1


def test_the_mode_changes_the_decision() -> None:
    assert ENGINE.decide(report("flood")).loop == "street"
    assert ENGINE.decide(report("flood"), mode="war").loop == "district"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", "1"),
        ("level", 1.5),
        ("level", True),
        ("category", 7),
        ("grid", 12),
        ("casualties", "many"),
        ("casualties", False),
    ],
)
def test_a_value_of_another_type_is_refused_instead_of_falling_to_the_default_row(
    name: str, value: object
) -> None:
    with pytest.raises(InvalidError, match=name):
        ENGINE.decide(report(**{name: value}) if name != "category" else report(value))  # type: ignore[arg-type]  # on purpose


def test_an_input_without_a_default_must_be_told() -> None:
    text = STREET.rules.text.replace("level: int = 4", "level: int")
    strict = compile_rules(parse_ruleset(text, "strict.yaml"))
    with pytest.raises(InvalidError, match="no level"):
        RuleEngine(lambda: strict).decide(report("waste"))


def test_a_swapped_rule_set_decides_the_next_report() -> None:
    text = STREET.rules.text.replace("- [1, '', 1, 2,", "- [1, '', 0.05, 2,")
    fast = compile_rules(parse_ruleset(text, "fast.yaml"))
    current: list[CompiledRules] = [STREET]
    engine = RuleEngine(lambda: current[0])
    assert engine.decide(report()).clocks["accept"] == timedelta(seconds=60)
    current[0] = fast
    assert engine.decide(report()).clocks["accept"] == timedelta(seconds=3)


@given(
    category=st.text(max_size=20),
    level=st.none() | st.integers(-(2**31), 2**31),
    mode=st.text(max_size=10),
    grid=st.none() | st.text(max_size=10),
    casualties=st.integers(0, 10**6),
    source=st.sampled_from(Source),
)
def test_every_report_of_the_right_types_gets_a_decision(
    category: str,
    level: int | None,
    mode: str,
    grid: str | None,
    casualties: int,
    source: Source,
) -> None:
    asked = report(category, level=level, grid=grid, casualties=casualties, source=source)
    decision = ENGINE.decide(asked, mode=mode)
    assert decision.team
    assert decision.channels
    assert decision.clocks["accept"] > timedelta(0)
