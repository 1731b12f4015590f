"""What the rules are asked and what they answer. They decide and never perform; both calls are pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from commhub.domain.people import Loop, Responder
from commhub.domain.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationStep:
    """What happens when a clock has run `after` of its length (1.0 = at the deadline)."""

    clock: str
    after: float
    act: str
    to: str
    via: tuple[str, ...] = ()
    repeat: int = 1
    every: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`trace` names the rows that matched and the values they read (JSON-ready, kept on the timeline).

    `fell_to_default`: only the catch-all row matched, which a person should look at.
    """

    ruleset: str
    version: str
    loop: Loop
    team: str
    skills: frozenset[str]
    alarm: int
    channels: tuple[str, ...]
    clocks: Mapping[str, timedelta]
    level: int = 4
    escalation: tuple[EscalationStep, ...] = ()
    trace: Mapping[str, object] = field(default_factory=dict)
    fell_to_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A responder with what the ranking weighs. `tried` already had this incident and lost it."""

    responder: Responder
    team: str
    open_tasks: int
    tried: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Lower `score` is better; `reasons` are short codes with values, for people to read."""

    responder_id: str
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    responder_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """`fallback`: the duty leader to ask when `ranked` is empty; `shortfall` says why it is."""

    ranked: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]
    fallback: str | None = None
    shortfall: tuple[str, ...] = ()


class Decisions(Protocol):
    """The rule engine and the assignment behind it."""

    def decide(self, report: Report, *, mode: str = "normal") -> Decision:
        """Decide on a report. Raises commhub.domain.errors.InvalidError when its facts do not fit the types
        the rule set declares; asking again gives the same answer until the rules change."""
        ...

    def rank(
        self, decision: Decision, report: Report, candidates: Sequence[Candidate], now: datetime
    ) -> Ranking:
        """Order the candidates best first, with reasons, and say why the others are out."""
        ...
