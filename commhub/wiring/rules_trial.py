"""`commhub rules test`: compile a rule file, run its own cases, and show what it would decide on one report."""

import json
from dataclasses import asdict
from pathlib import Path

from commhub.domain.errors import InvalidError
from commhub.domain.geo import Point
from commhub.domain.report import Report, Source
from commhub.kit.clock import SystemClock
from rules.book import examine
from rules.engine import decide
from rules.errors import RuleFileError
from rules.history import Source as RuleSource
from rules.tables import parse_ruleset


def decide_on_file(file: Path, event: Path | None) -> tuple[bool, str]:
    """Whether all is well, and what to show: the decision as JSON, or the flaws one a line."""
    try:
        text = file.read_text("utf-8")
        cases = file.with_name(f"{file.stem}.tests.yaml")
        source = RuleSource(file.name, text, cases.read_text("utf-8") if cases.is_file() else None)
        compiled, results = examine(source, parse_ruleset(text, file.name).name)
        failed = [f"{one.name}: {why}" for one in results for why in one.failures]
        if failed:
            return False, "\n".join(failed)
        if event is None:
            return True, f"{file.name} compiles; {len(results)} cases pass"
        decision = decide(compiled, _report(event), "normal")
    except (RuleFileError, InvalidError, OSError, ValueError) as error:
        return False, str(error)
    return True, json.dumps(asdict(decision), ensure_ascii=False, indent=2, default=_plain)


def _report(event: Path) -> Report:
    """A report from JSON with the fields of `POST reports`. Raises ValueError."""
    told = json.loads(event.read_text("utf-8"))
    if not isinstance(told, dict) or not isinstance(told.get("category"), str):
        raise ValueError(f"{event.name} must be a JSON object with at least a category")  # noqa: TRY004 - one kind of fault for the caller
    point = told.get("point")
    return Report(
        id="trial",
        source=Source(told.get("source", Source.CONSOLE)),
        idempotency_key="trial",
        category=told["category"],
        text=str(told.get("text", "")),
        received_at=SystemClock().now(),
        level=told.get("level"),
        reporter=told.get("reporter"),
        point=Point(point["lat"], point["lon"]) if point else None,
        grid=told.get("grid"),
        casualties=told.get("casualties", 0),
        drill=told.get("drill", False),
    )


def _plain(value: object) -> object:
    """What JSON has no word for: sets as lists, spans as minutes."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
