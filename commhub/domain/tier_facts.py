"""Facts between tiers (层级). Those with an incident are lines of its timeline, as all facts are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from commhub.domain.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class PeeringMoved(Fact):
    """A neighbour was paired, changed its keys or was revoked."""

    peer: str
    name: str
    tier: str
    relation: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMoved(Fact):
    """The connection to a neighbour came up or went down; `reason` is a sentence."""

    peer: str
    up: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentShared(Fact):
    """`share` is reported_up, assigned_down or whistled; `given`: by us."""

    peer: str
    share: str
    given: bool
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareMoved(Fact):
    """The other hub took it, gave it back, refused it or settled it."""

    peer: str
    before: str
    after: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirStageMoved(Fact):
    """How the incident stands at the other hub."""

    peer: str
    number: str
    stage: str
    unit: str | None = None
    person: str | None = None
    clocks: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitWhistled(Fact):
    check_in_id: str
    peer: str
    unit: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInMoved(Fact):
    """`by` is who came for the department."""

    check_in_id: str
    peer: str
    unit: str
    state: str
    by: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionOrdered(Fact):
    supervision_id: str
    peer: str
    text: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionMoved(Fact):
    supervision_id: str
    peer: str
    state: str
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRefused(Fact):
    """Something a neighbour sent, or we sent it, was refused; `code` is stable, `reason` a sentence both sides read."""

    peer: str
    message_kind: str
    code: str
    reason: str
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMoved(Fact):
    """What a neighbour shares with us changed: `subjects` are their addresses."""

    peer: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCommanded(Fact):
    """A device was ordered over tiers to do `op`. `given`: by us, to a device of the neighbour; else the neighbour's order was handed to
    ours."""

    peer: str
    subject: str
    op: str
    given: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineMerged(Fact):
    """Lines of another hub came into the timeline of an incident, the oldest of them of `since`. Only on the bus: the lines are the
    record."""

    about: str
    peer: str
    lines: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesChanged(Fact):
    """What an incident has in common with other hubs changed: shares, check-ins or supervisions. Only on the bus, because what
    happened is a fact of its own, at the hub where it did."""

    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeMoved(Fact):
    """A room was joined with a neighbour's, lost it, or got it back."""

    room_id: str
    peer: str
    state: str
    reason: str | None = None
