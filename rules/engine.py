"""The rule engine behind `commhub.ports.decisions.Decisions`: asks the compiled tables, keeps what they read.

A report's values are checked against the declared types before zen sees them, because a wrong type would fall
silently to the default row. `current` is asked for every decision, so a swapped rule set takes effect at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from commhub.domain.errors import InvalidError
from commhub.domain.people import Loop
from commhub.domain.report import Report
from commhub.ports.decisions import Candidate, Decision, Ranking
from rules import assignment
from rules.compiler import CompiledRules
from rules.metrics import DECISIONS, DEFAULTS, REFUSED
from rules.tables import Input, Table, Value

DEFAULT_LEVEL = 4


class RuleEngine:
    """Implements Decisions over whatever rule set is current."""

    def __init__(self, current: Callable[[], CompiledRules]) -> None:
        self._current = current

    def decide(self, report: Report, *, mode: str = "normal") -> Decision:
        """See Decisions.decide. Raises InvalidError naming the input that does not fit."""
        compiled = self._current()
        try:
            decision = decide(compiled, report, mode)
        except InvalidError:
            REFUSED.labels("report").inc()
            raise
        DECISIONS.labels(decision.ruleset).inc()
        if decision.fell_to_default:
            DEFAULTS.labels(decision.ruleset).inc()
        return decision

    def rank(
        self, decision: Decision, report: Report, candidates: Sequence[Candidate], now: datetime
    ) -> Ranking:
        """See Decisions.rank and `assignment.rank`."""
        return assignment.rank(decision, report, candidates, now)


def decide(compiled: CompiledRules, report: Report, mode: str) -> Decision:
    """Ask `assign`, then `sla` with the level that `assign` settled on."""
    rules = compiled.rules
    event = read_event(rules.inputs, report, mode)
    assigned = _ask(compiled, rules.tables["assign"], event)
    level = assigned.result.get("level", event.get("level", DEFAULT_LEVEL))
    timed = _ask(
        compiled,
        rules.tables["sla"],
        {**event, "level": level} if "level" in rules.inputs else event,
    )
    return Decision(
        ruleset=rules.name,
        version=rules.version,
        loop=Loop(assigned.result["loop"]),
        team=assigned.result["team"],
        skills=frozenset(assigned.result["skills"]),
        alarm=assigned.result["alarm"],
        channels=tuple(assigned.result["channels"]),
        clocks={name: timedelta(minutes=minutes) for name, minutes in timed.result.items()},
        level=level,
        escalation=rules.escalation,
        trace={"mode": mode, "assign": assigned.trace, "sla": timed.trace},
        fell_to_default=assigned.is_default or timed.is_default,
    )


def read_event(inputs: Mapping[str, Input], report: Report, mode: str) -> dict[str, Value]:
    """What the rules may read of a report, each of its declared type. Raises InvalidError."""
    offered: dict[str, object] = {
        "category": report.category,
        "level": report.level,
        "mode": mode,
        "source": str(report.source),
        "grid": report.grid,
        "casualties": report.casualties,
        "drill": report.drill,
    }
    event: dict[str, Value] = {}
    for name, declared in inputs.items():
        value = offered[name]
        if value is None:
            value = declared.default
        if value is None:
            raise InvalidError(
                f"the report has no {name}, and the rules give no default for it", input=name
            )
        if not (declared.type.admits(value) and isinstance(value, Value)):
            raise InvalidError(
                f"the report's {name} must be {declared.type}, not {type(value).__name__}",
                input=name,
            )
        event[name] = value
    return event


@dataclass(frozen=True, slots=True)
class _Answer:
    result: Mapping[str, Any]
    trace: Mapping[str, object]
    is_default: bool


def _ask(compiled: CompiledRules, table: Table, event: Mapping[str, Value]) -> _Answer:
    answer = compiled.zen.evaluate(table.name, dict(event), {"trace": True})
    index = answer["trace"]["table"]["traceData"]["index"]
    result = answer["result"]
    is_default = index == len(table.rows) - 1
    trace = {
        "row": index + 1,
        "rows": len(table.rows),
        "is_default": is_default,
        "when": {
            column: cell
            for column, cell in zip(table.when, table.conditions(index), strict=True)
            if cell
        },
        "read": {column: event[column] for column in table.when},
        "result": result,
    }
    return _Answer(result, trace, is_default)
