"""Incident (事件): what we dispatch, and the legal moves of its stages (GB/T 30428.2 process words).

What each action requires and who may take it is data (`INCIDENT_MOVES`), so that the console can show
it, a test can walk all of it, and nobody has to read code to know why a button is grey.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from commhub.domain.errors import IllegalMoveError, NotAllowedError, RequirementError
from commhub.domain.geo import Point
from commhub.domain.people import Loop, Role


class Stage(StrEnum):
    """上报 立案 派遣 接单 到场 处理 核查 结案 考核; aside 不予立案 退单 挂账 重开 并案."""

    REPORTED = "reported"
    REGISTERED = "registered"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    ON_SCENE = "on_scene"
    HANDLED = "handled"
    VERIFIED = "verified"
    CLOSED = "closed"
    SCORED = "scored"
    REJECTED = "rejected"
    RETURNED = "returned"
    SUSPENDED = "suspended"
    REOPENED = "reopened"
    MERGED = "merged"


class Action(StrEnum):
    """What may be done to an incident."""

    REGISTER = "register"
    REJECT = "reject"
    DISPATCH = "dispatch"
    ACCEPT = "accept"
    ARRIVE = "arrive"
    HANDLE = "handle"
    VERIFY = "verify"
    CLOSE = "close"
    SCORE = "score"
    RETURN = "return"
    SUSPEND = "suspend"
    RESUME = "resume"
    REOPEN = "reopen"
    MERGE = "merge"
    COMMENT = "comment"


class Requirement(StrEnum):
    """What an action needs beside the stage."""

    NOTE = "note"
    RESPONDER = "responder"
    TARGET = "target"
    NO_OPEN_TASK = "no_open_task"


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the table. `target` None keeps the stage."""

    sources: frozenset[Stage]
    target: Stage | None
    roles: frozenset[Role]
    requires: frozenset[Requirement] = frozenset()


ENDED_STAGES = frozenset({Stage.CLOSED, Stage.SCORED, Stage.REJECTED, Stage.MERGED})
OPEN_STAGES = frozenset(Stage) - ENDED_STAGES
# Stages in which what it is about may still be going on.
UNHANDLED_STAGES = OPEN_STAGES - {Stage.HANDLED, Stage.VERIFIED}
# Stages in which the incident waits for somebody to be sent.
DISPATCHABLE_STAGES = frozenset(
    {
        Stage.REGISTERED,
        Stage.RETURNED,
        Stage.REOPENED,
        Stage.DISPATCHED,
        Stage.ACCEPTED,
        Stage.ON_SCENE,
    }
)

_DESK = frozenset({Role.DISPATCHER, Role.DUTY_LEADER, Role.COMMANDER})
_FIELD = _DESK | {Role.RESPONDER}
_LEAD = frozenset({Role.DUTY_LEADER, Role.COMMANDER, Role.DISPATCHER})

INCIDENT_MOVES: Mapping[Action, Move] = {
    Action.REGISTER: Move(frozenset({Stage.REPORTED}), Stage.REGISTERED, _DESK),
    Action.REJECT: Move(
        frozenset({Stage.REPORTED, Stage.REGISTERED}),
        Stage.REJECTED,
        _DESK,
        frozenset({Requirement.NOTE, Requirement.NO_OPEN_TASK}),
    ),
    Action.DISPATCH: Move(
        DISPATCHABLE_STAGES, Stage.DISPATCHED, _DESK, frozenset({Requirement.RESPONDER})
    ),
    Action.ACCEPT: Move(frozenset({Stage.DISPATCHED}), Stage.ACCEPTED, _FIELD),
    Action.ARRIVE: Move(frozenset({Stage.ACCEPTED}), Stage.ON_SCENE, _FIELD),
    Action.HANDLE: Move(
        frozenset({Stage.ACCEPTED, Stage.ON_SCENE}),
        Stage.HANDLED,
        _FIELD,
        frozenset({Requirement.NO_OPEN_TASK}),
    ),
    Action.VERIFY: Move(frozenset({Stage.HANDLED}), Stage.VERIFIED, _DESK),
    Action.CLOSE: Move(frozenset({Stage.VERIFIED}), Stage.CLOSED, _DESK),
    Action.SCORE: Move(frozenset({Stage.CLOSED}), Stage.SCORED, _LEAD),
    Action.RETURN: Move(
        frozenset({Stage.DISPATCHED, Stage.ACCEPTED, Stage.ON_SCENE}),
        Stage.RETURNED,
        _FIELD,
        frozenset({Requirement.NOTE}),
    ),
    Action.SUSPEND: Move(
        frozenset({Stage.REGISTERED, Stage.RETURNED, Stage.HANDLED}),
        Stage.SUSPENDED,
        _LEAD,
        frozenset({Requirement.NOTE}),
    ),
    Action.RESUME: Move(frozenset({Stage.SUSPENDED}), Stage.REGISTERED, _DESK),
    Action.REOPEN: Move(
        frozenset({Stage.CLOSED, Stage.SCORED, Stage.REJECTED, Stage.HANDLED, Stage.VERIFIED}),
        Stage.REOPENED,
        _DESK,
        frozenset({Requirement.NOTE}),
    ),
    Action.MERGE: Move(
        OPEN_STAGES - {Stage.VERIFIED},
        Stage.MERGED,
        _DESK,
        frozenset({Requirement.TARGET}),
    ),
    Action.COMMENT: Move(frozenset(Stage), None, _FIELD, frozenset({Requirement.NOTE})),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """`number` is what people say aloud (day and count); `id` is the same over all tiers."""

    id: str
    number: str
    category: str
    title: str
    level: int
    loop: Loop
    stage: Stage
    opened_at: datetime
    updated_at: datetime
    team: str = ""
    place: str | None = None
    point: Point | None = None
    grid: str | None = None
    reporter: str | None = None
    unit_id: str | None = None
    responder_id: str | None = None
    accept_by: datetime | None = None
    needs_attention: str | None = None
    merged_into: str | None = None
    closed_at: datetime | None = None
    drill: bool = False
    origin: str = ""
    decision: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.stage in OPEN_STAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What came with an action, for its requirements to be checked against."""

    note: str | None = None
    responder_id: str | None = None
    target_id: str | None = None
    open_tasks: int = 0


_MISSING: Mapping[Requirement, str] = {
    Requirement.NOTE: "needs a note that says why",
    Requirement.RESPONDER: "needs a responder",
    Requirement.TARGET: "needs the incident to merge into",
    Requirement.NO_OPEN_TASK: "needs every task to have ended first",
}


def _is_met(requirement: Requirement, given: Given) -> bool:
    match requirement:
        case Requirement.NOTE:
            return bool(given.note and given.note.strip())
        case Requirement.RESPONDER:
            return given.responder_id is not None
        case Requirement.TARGET:
            return given.target_id is not None
        case Requirement.NO_OPEN_TASK:
            return given.open_tasks == 0


def check_move(incident: Incident, action: Action, roles: frozenset[Role], given: Given) -> Move:
    """Return the table row for a legal action.

    Raises NotAllowedError, IllegalMoveError or RequirementError, in that order of asking.
    """
    move = INCIDENT_MOVES[action]
    if not roles & move.roles:
        raise NotAllowedError(f"your role may not {action} an incident", action=action)
    if incident.stage not in move.sources:
        raise IllegalMoveError(
            f"the incident is {incident.stage}, so it cannot {action}",
            stage=incident.stage,
            action=action,
            legal=legal_actions(incident, roles),
        )
    for requirement in sorted(move.requires):
        if not _is_met(requirement, given):
            raise RequirementError(
                f"to {action} an incident {_MISSING[requirement]}",
                action=action,
                requirement=requirement,
            )
    return move


def move_incident(incident: Incident, move: Move, at: datetime) -> Incident:
    """Return the incident in the stage `move` leads to."""
    target = move.target or incident.stage
    return replace(
        incident,
        stage=target,
        updated_at=at,
        closed_at=at
        if target is Stage.CLOSED
        else (None if target is Stage.REOPENED else incident.closed_at),
    )


def legal_actions(incident: Incident, roles: frozenset[Role]) -> tuple[Action, ...]:
    """The actions whose stage and role fit now (requirements may still be missing)."""
    return tuple(
        action
        for action, move in INCIDENT_MOVES.items()
        if incident.stage in move.sources and roles & move.roles
    )
