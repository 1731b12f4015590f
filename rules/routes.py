"""HTTP of the rules, under /api/v1/rules: read them, change them, ask them what they would do.

A dry run touches nothing. Whom it could ask is handed in by wiring, because the rules know no directory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from commhub.domain.account import Permission
from commhub.domain.geo import Point
from commhub.domain.people import Loop
from commhub.domain.report import Report, Source
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.views import PointView, View
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.decisions import Candidate, Decision, Ranking
from commhub.ports.store import Store
from rules import history
from rules.assignment import rank
from rules.book import Page, RuleBook, examine
from rules.cases import CaseResult
from rules.compiler import CompiledRules
from rules.engine import decide
from rules.tables import MAX_BYTES

Candidates = Callable[[Decision, Report], Awaitable[Sequence[Candidate]]]

YamlText = Annotated[str, Field(max_length=MAX_BYTES)]


class NewRules(Body):
    """A rule set in YAML, and its test cases; without `tests` the present cases must pass."""

    yaml: YamlText
    tests: YamlText | None = None


class TrialReport(Body):
    """What a report says that the rules and the ranking read."""

    category: str = Field(min_length=1, max_length=64)
    source: Source = Source.CONSOLE
    level: int | None = Field(None, ge=1, le=4)
    point: PointView | None = None
    grid: str | None = Field(None, max_length=64)
    casualties: int = Field(0, ge=0)
    drill: bool = False


class DryRun(Body):
    """Ask the running rules, or those in `yaml`, about a report."""

    report: TrialReport
    mode: str = Field("normal", max_length=32)
    yaml: YamlText | None = None
    tests: YamlText | None = None


class RulesSummary(View):
    """`trouble`: the file on the disk is broken for this reason, and an older version runs."""

    name: str
    version: str
    active: bool
    trouble: str | None = None


class VersionView(View):
    version: str
    stored_at: datetime


class RulesView(RulesSummary):
    """`versions` are all that ran before, newest first."""

    yaml: str
    tests: str | None
    versions: Sequence[VersionView]


class EscalationView(View):
    clock: str
    after: float
    act: str
    to: str
    via: Sequence[str]
    repeat: int
    every_s: float | None


class DecisionView(View):
    """`clocks` in minutes; `trace` names the row that matched in each table, and the values read."""

    ruleset: str
    version: str
    loop: Loop
    team: str
    skills: Sequence[str]
    alarm: int
    channels: Sequence[str]
    level: int
    clocks: dict[str, float]
    escalation: Sequence[EscalationView]
    trace: dict[str, Any]
    fell_to_default: bool


class CaseView(View):
    name: str
    passed: bool
    failures: Sequence[str]


class DryRunView(View):
    """`ranking`: {ranked: [{responder_id, score, reasons}], excluded, fallback, shortfall}; `cases` are the
    test cases of a handed-in rule set."""

    decision: DecisionView
    ranking: dict[str, Any]
    cases: Sequence[CaseView] = ()


def build_router(book: RuleBook, candidates: Candidates, clock: Clock, store: Store) -> APIRouter:
    """The routes. `candidates` answers who could be asked; `store` takes the audit line of a change."""
    router = APIRouter(prefix="/rules", tags=["rules"])

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_rules() -> list[RulesSummary]:
        return [_summary(book, name) for name in book.names()]

    @router.get("/{name}", dependencies=[needs(Permission.VIEW)])
    async def get_rules(name: str) -> RulesView:
        page = book.page(name)
        return _view(book, name, page, await asyncio.to_thread(book.versions, name))

    @router.put("/{name}", dependencies=[needs(Permission.MANAGE_RULES)])
    async def put_rules(name: str, body: NewRules, principal: CurrentPrincipal) -> RulesView:
        """Take over a new version. 422 `broken-rules` lists every flaw, and the running rules stay."""
        page = await asyncio.to_thread(book.put, name, body.yaml, body.tests)
        async with store.begin() as uow:
            await uow.audit.append(
                clock.now(), principal.actor, "rules.put", name, "done", f"version {page.version}"
            )
        return _view(book, name, page, await asyncio.to_thread(book.versions, name))

    @router.post("/{name}/dry-run", dependencies=[needs(Permission.MANAGE_RULES)])
    async def dry_run(name: str, body: DryRun) -> DryRunView:
        """What the rules would decide and who would be asked; nobody is."""
        compiled, cases = await asyncio.to_thread(_rules_to_try, book, name, body)
        now = clock.now()
        report = _report(body.report, now)
        decision = decide(compiled, report, body.mode)
        ranking = rank(decision, report, await candidates(decision, report), now)
        return DryRunView(
            decision=_decision_view(decision),
            ranking=ranking_json(ranking),
            cases=[
                CaseView(name=case.name, passed=not case.failures, failures=case.failures)
                for case in cases
            ],
        )

    return router


def ranking_json(ranking: Ranking) -> dict[str, Any]:
    """A ranking in the form that `GET incidents/{id}/candidates` has too."""
    return asdict(ranking)


def _rules_to_try(
    book: RuleBook, name: str, body: DryRun
) -> tuple[CompiledRules, tuple[CaseResult, ...]]:
    """The running rules, or the ones handed in with their cases (theirs, else those of the running set)."""
    if body.yaml is None:
        return book.page(name).compiled, ()
    tests = body.tests
    if tests is None and name in book.names():
        tests = book.page(name).source.tests
    return examine(history.Source(f"{name}.yaml", body.yaml, tests), name)


def _report(trial: TrialReport, now: datetime) -> Report:
    return Report(
        id=new_id(),
        source=trial.source,
        idempotency_key="dry-run",
        category=trial.category,
        text="",
        received_at=now,
        level=trial.level,
        point=Point(trial.point.lat, trial.point.lon) if trial.point else None,
        grid=trial.grid,
        casualties=trial.casualties,
        drill=trial.drill,
    )


def _summary(book: RuleBook, name: str) -> RulesSummary:
    page = book.page(name)
    return RulesSummary(
        name=name, version=page.version, active=name == book.active, trouble=page.trouble
    )


def _view(book: RuleBook, name: str, page: Page, versions: list[history.Entry]) -> RulesView:
    return RulesView(
        name=name,
        version=page.version,
        active=name == book.active,
        trouble=page.trouble,
        yaml=page.source.text,
        tests=page.source.tests,
        versions=[VersionView(version=e.version, stored_at=e.stored_at) for e in versions],
    )


def _decision_view(decision: Decision) -> DecisionView:
    return DecisionView(
        ruleset=decision.ruleset,
        version=decision.version,
        loop=decision.loop,
        team=decision.team,
        skills=sorted(decision.skills),
        alarm=decision.alarm,
        channels=decision.channels,
        level=decision.level,
        clocks={name: span.total_seconds() / 60 for name, span in decision.clocks.items()},
        escalation=[
            EscalationView(
                clock=step.clock,
                after=step.after,
                act=step.act,
                to=step.to,
                via=step.via,
                repeat=step.repeat,
                every_s=step.every.total_seconds() if step.every else None,
            )
            for step in decision.escalation
        ],
        trace=dict(decision.trace),
        fell_to_default=decision.fell_to_default,
    )
