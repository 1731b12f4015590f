"""Who is asked: a ranked list with reasons, and why everybody else is out.

Pure and deterministic: equal scores are ordered by responder id, so the same question has the same answer on
every hub. A leader (`Responder.leads`) is kept back as the fallback for what nobody else can take.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from commhub.domain.geo import distance_m
from commhub.domain.people import Responder, Scheme
from commhub.domain.report import Report, Source
from commhub.ports.decisions import Candidate, Decision, Excluded, Ranked, Ranking

STALE_AFTER_S = 1800


@dataclass(frozen=True, slots=True)
class Weights:
    """What one unit of each costs, in kilometres of way. Somebody whose position is not known comes after
    everybody whose position is, however far: `unknown_position` is more than any street is long."""

    open_task: float = 2.0
    grid_match: float = -1.0
    unknown_position: float = 1000.0


DEFAULT_WEIGHTS = Weights()


def rank(
    decision: Decision,
    report: Report,
    candidates: Sequence[Candidate],
    now: datetime,
    weights: Weights = DEFAULT_WEIGHTS,
) -> Ranking:
    """Order the candidates, best first; see `commhub.ports.decisions.Decisions.rank`."""
    ranked, excluded = [], []
    obstacles: Counter[str] = Counter()
    for candidate in candidates:
        reasons = tuple(_obstacles(decision, report, candidate, now))
        if reasons:
            excluded.append(
                Excluded(responder_id=candidate.responder.id, reason=", ".join(reasons))
            )
            if candidate.team == decision.team:
                obstacles.update(reason.partition("=")[0] for reason in reasons)
        else:
            ranked.append(_score(report, candidate, weights))
    ranked.sort(key=lambda r: (r.score, r.responder_id))
    excluded.sort(key=lambda e: e.responder_id)
    return Ranking(
        ranked=tuple(ranked),
        excluded=tuple(excluded),
        # Also when somebody is ranked: they may all be taken before they can be asked.
        fallback=_fallback(decision, report, candidates),
        shortfall=() if ranked else _shortfall(decision, candidates, obstacles),
    )


def _obstacles(
    decision: Decision, report: Report, candidate: Candidate, now: datetime
) -> Iterator[str]:
    """Why somebody is out, as short codes with values; nothing more is said of another team's people."""
    responder = candidate.responder
    if candidate.team != decision.team:
        yield f"team={candidate.team}"
        return
    if responder.leads:
        yield "kept_as_fallback"
    if _raised(report, responder):
        yield "raised_it"
    if missing := decision.skills - responder.skills:
        yield f"missing_skills={'+'.join(sorted(missing))}"
    if not responder.on_duty:
        yield "off_duty"
    # Without a place to go to, it does not matter how old somebody's position is.
    if report.point is not None and responder.position is not None:
        age_s = (now - responder.position.at).total_seconds()
        if age_s > STALE_AFTER_S:
            yield f"position_stale_s={age_s:.0f}"
    if not responder.leads and candidate.open_tasks >= responder.capacity:
        yield f"capacity={candidate.open_tasks}/{responder.capacity}"
    if candidate.tried:
        yield "tried"


def _raised(report: Report, responder: Responder) -> bool:
    """Whoever pressed the button of their own device is the one who needs help."""
    return report.source is Source.DEVICE and report.reporter in {
        f"device:{endpoint.name}"
        for endpoint in responder.endpoints
        if endpoint.scheme in (Scheme.CAMERA, Scheme.RADIO)
    }


def _score(report: Report, candidate: Candidate, weights: Weights) -> Ranked:
    responder = candidate.responder
    score, reasons = 0.0, []
    if report.point is not None:
        if responder.position is None:
            score += weights.unknown_position
            reasons.append("position_unknown")
        else:
            metres = distance_m(report.point, responder.position.point)
            score += metres / 1000
            reasons.append(f"distance_m={metres:.0f}")
    score += weights.open_task * candidate.open_tasks
    reasons.append(f"open_tasks={candidate.open_tasks}")
    if report.grid is not None and report.grid in responder.grids:
        score += weights.grid_match
        reasons.append(f"grid={report.grid}")
    return Ranked(responder_id=responder.id, score=round(score, 6), reasons=tuple(reasons))


def _fallback(decision: Decision, report: Report, candidates: Sequence[Candidate]) -> str | None:
    """A leader who was not asked yet: on duty before off duty, of the team before any other."""
    leaders = [
        c
        for c in candidates
        if c.responder.leads and not c.tried and not _raised(report, c.responder)
    ]
    best = min(
        leaders,
        key=lambda c: (
            not c.responder.on_duty,
            c.team != decision.team,
            c.open_tasks,
            c.responder.id,
        ),
        default=None,
    )
    return best.responder.id if best else None


def _shortfall(
    decision: Decision, candidates: Sequence[Candidate], obstacles: Counter[str]
) -> tuple[str, ...]:
    of_team = sum(c.team == decision.team for c in candidates)
    if not of_team:
        return (f"no_responder_of_team={decision.team}",)
    return (
        f"team={decision.team}, responders={of_team}",
        *(f"{reason}={count}" for reason, count in sorted(obstacles.items())),
    )
