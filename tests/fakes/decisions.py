"""Rules of a small town, simple enough to keep in one's head: implements commhub.ports.decisions.Decisions.

Every report is a matter of the team `grid`; of that team those are ranked by open tasks and id who are on duty,
below capacity, lead nothing and were not tried; the leader with the first id is the fallback.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from commhub.domain.people import Loop
from commhub.domain.report import Report
from commhub.ports.decisions import Candidate, Decision, Excluded, Ranked, Ranking

ACCEPT = timedelta(minutes=2)
USUAL = Decision(
    ruleset="test",
    version="1",
    loop=Loop.STREET,
    team="grid",
    skills=frozenset(),
    alarm=1,
    channels=("wecom", "sms"),
    clocks={"accept": ACCEPT},
    level=2,
    trace={"assign": {"row": 1}},
)


@dataclass
class FakeDecisions:
    """`on_decide` and `on_rank` may raise, to make a report or an incident bad."""

    decision: Decision = USUAL
    on_decide: Callable[[Report], None] = field(default=lambda report: None)
    on_rank: Callable[[Report], None] = field(default=lambda report: None)
    asked: list[str] = field(default_factory=list)

    def decide(self, report: Report, *, mode: str = "normal") -> Decision:
        self.asked.append(report.text)
        self.on_decide(report)
        return self.decision

    def change(self, **changes: object) -> None:
        """Change what is decided from now on."""
        self.decision = replace(self.decision, **changes)

    def rank(
        self, decision: Decision, report: Report, candidates: Sequence[Candidate], now: datetime
    ) -> Ranking:
        self.on_rank(report)
        ranked, excluded = [], []
        for candidate in sorted(candidates, key=lambda c: (c.open_tasks, c.responder.id)):
            reason = _obstacle(decision, candidate)
            if reason:
                excluded.append(Excluded(responder_id=candidate.responder.id, reason=reason))
            else:
                ranked.append(
                    Ranked(
                        responder_id=candidate.responder.id,
                        score=float(candidate.open_tasks),
                        reasons=(f"open_tasks={candidate.open_tasks}",),
                    )
                )
        leaders = sorted(c.responder.id for c in candidates if c.responder.leads and not c.tried)
        return Ranking(
            ranked=tuple(ranked),
            excluded=tuple(excluded),
            fallback=leaders[0] if leaders and not ranked else None,
            shortfall=() if ranked else ("nobody_of_team=grid",),
        )


def _obstacle(decision: Decision, candidate: Candidate) -> str | None:
    responder = candidate.responder
    if candidate.team != decision.team:
        return "team"
    if responder.leads:
        return "leads"
    if not responder.on_duty:
        return "off_duty"
    if candidate.tried:
        return "tried"
    if candidate.open_tasks >= responder.capacity:
        return "capacity"
    return None
