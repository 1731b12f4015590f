"""The test cases beside a rule file: reports with the answers the author expects.

They run before a file is taken over, so a slip in one row is told to its author and not to a responder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from commhub.domain.errors import InvalidError
from commhub.domain.report import Report, Source
from commhub.ports.decisions import Decision
from rules.compiler import CompiledRules
from rules.engine import decide
from rules.errors import Flaw, RuleFileError
from rules.tables import read_yaml

_REPORT_KEYS = frozenset({"category", "source", "level", "grid", "casualties", "drill"})
# The tables read no time; a report needs one.
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """`expect` names only what matters to the case; clocks are in minutes."""

    name: str
    report: Report
    mode: str
    expect: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """`failures` is empty when the case passed."""

    name: str
    failures: tuple[str, ...]


def parse_cases(text: str, file: str, ruleset: str) -> tuple[Case, ...]:
    """Read a case file. Raises RuleFileError."""
    data = read_yaml(text, file)
    flaws = []
    if data.get("ruleset") != ruleset:
        flaws.append(Flaw(file, f"these cases are of {data.get('ruleset')!r}, not of {ruleset!r}"))
    listed = data.get("cases")
    if not isinstance(listed, list):
        raise RuleFileError((*flaws, Flaw(file, "cases must be a list")))
    cases = []
    for number, item in enumerate(listed, 1):
        try:
            cases.append(_case(item, number))
        except (ValueError, TypeError) as error:
            flaws.append(Flaw(file, str(error), "cases", number))
    if flaws:
        raise RuleFileError(tuple(flaws))
    return tuple(cases)


def run_cases(compiled: CompiledRules, cases: tuple[Case, ...]) -> tuple[CaseResult, ...]:
    """Ask every case's question and compare."""
    return tuple(_run(compiled, case) for case in cases)


def _run(compiled: CompiledRules, case: Case) -> CaseResult:
    try:
        answer = _answer(decide(compiled, case.report, case.mode))
    except InvalidError as error:
        return CaseResult(case.name, (str(error),))
    failures = tuple(
        f"{key} should be {expected!r} and is {answer[key]!r}"
        if key in answer
        else f"{key} is no answer of these rules"
        for key, expected in case.expect.items()
        if key not in answer or answer[key] != expected
    )
    return CaseResult(case.name, failures)


def _answer(decision: Decision) -> dict[str, object]:
    return {
        **{name: span.total_seconds() / 60 for name, span in decision.clocks.items()},
        "loop": str(decision.loop),
        "team": decision.team,
        "skills": sorted(decision.skills),
        "alarm": decision.alarm,
        "channels": list(decision.channels),
        "level": decision.level,
        "fell_to_default": decision.fell_to_default,
    }


def _case(item: Any, number: int) -> Case:
    if not isinstance(item, dict) or set(item) - {"name", "report", "mode", "expect"}:
        raise ValueError("a case has name, report, expect and perhaps mode")
    report, expect = item.get("report"), item.get("expect")
    if not isinstance(report, dict) or not isinstance(expect, dict) or not expect:
        raise ValueError("a case needs a report and something to expect")
    if unknown := set(report) - _REPORT_KEYS:
        raise ValueError(f"unknown in the report: {', '.join(sorted(map(str, unknown)))}")
    if "category" not in report:
        raise ValueError("the report needs a category")
    if isinstance(skills := expect.get("skills"), list):
        expect = {**expect, "skills": sorted(skills)}
    return Case(
        name=str(item.get("name", f"case {number}")),
        report=Report(
            id=f"case-{number}",
            source=Source(str(report.get("source", Source.CONSOLE))),
            idempotency_key=f"case-{number}",
            text="",
            received_at=_AT,
            **{key: value for key, value in report.items() if key != "source"},
        ),
        mode=str(item.get("mode", "normal")),
        expect=expect,
    )
