"""Facts: what happened, in the past tense. A fact with an incident is a line of its timeline (处置记录).

`UnitOfWork.record(fact)` writes that line in the transaction of the change itself and publishes the fact on
the bus after the commit. A new kind of fact is a new class; its name in snake case is its `kind`, and
its own fields are its `data`. Kinds are stored for ever: never rename one. Those of calls are in `call_facts`, those of
rooms in `room_facts`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

_BASE_FIELDS = frozenset({"at", "actor", "incident_id"})
_WORD = re.compile(r"(?<!^)(?=[A-Z])")

SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """`actor` is `kind:name`: user:li, responder:zhang, device:b7, rules, clock, system."""

    at: datetime
    actor: str = SYSTEM
    incident_id: str | None = None

    @property
    def kind(self) -> str:
        return _WORD.sub("_", type(self).__name__).lower()

    @property
    def data(self) -> dict[str, object]:
        """The fact's own fields, JSON-ready (enums are their values already)."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _BASE_FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """A stored fact. `seq` orders the whole hub's log; `hub` says which tier wrote it. A line of another hub has its place in that
    hub's log (`origin_seq`) and the neighbour it came by."""

    seq: int
    incident_id: str
    at: datetime
    actor: str
    kind: str
    data: Mapping[str, object]
    hub: str = ""
    origin_seq: int | None = None
    came_by: str | None = None


# --- reports and incidents -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived(Fact):
    report_id: str
    source: str
    category: str
    text: str
    reporter: str | None = None
    place: str | None = None
    lat: float | None = None
    lon: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuarantined(Fact):
    report_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesDecided(Fact):
    ruleset: str
    version: str
    outcome: Mapping[str, object]
    trace: Mapping[str, object]
    fell_to_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRegistered(Fact):
    number: str
    category: str
    level: int
    loop: str
    team: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RespondersRanked(Fact):
    """`ranked` best first, each {responder, score, reasons}; `excluded` each {responder, reason}."""

    ranked: tuple[Mapping[str, object], ...]
    excluded: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderShortfall(Fact):
    """Nobody qualified: `reasons` say why, `fallback` who got it instead (None: nobody yet)."""

    reasons: tuple[str, ...]
    fallback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMoved(Fact):
    """A person's action on the incident."""

    action: str
    before: str
    after: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentMerged(Fact):
    into: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAbsorbed(Fact):
    """The other side of a merge: this incident took in `absorbed`, whose number people know."""

    absorbed: str
    number: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRaised(Fact):
    """A person must look; `code` is stable, `text` a sentence."""

    code: str
    text: str


# --- tasks and clocks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDispatched(Fact):
    task_id: str
    responder_id: str
    responder: str
    unit: str
    attempt: int
    accept_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMoved(Fact):
    task_id: str
    responder_id: str
    responder: str
    action: str
    after: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockExpired(Fact):
    clock: str
    step: int
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEscalated(Fact):
    task_id: str
    from_responder: str
    to_responder: str | None
    reason: str


# --- messages --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageQueued(Fact):
    message_id: str
    message_kind: str
    title: str
    recipients: tuple[str, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryMoved(Fact):
    delivery_id: str
    message_id: str
    channel: str
    recipient: str
    delivery_kind: str
    state: str
    attempt: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AckReceived(Fact):
    message_id: str
    task_id: str | None
    action: str
    source: str
    effect: str


# --- devices ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSeen(Fact):
    """Birth, death or telemetry of a device: presence and position for the map."""

    device_id: str
    online: bool
    lat: float | None = None
    lon: float | None = None
    battery: int | None = None
    changed: str = "telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCommanded(Fact):
    command_id: str
    device_id: str
    op: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSeen(Fact):
    """A SIP account registered, or its last contact went away."""

    account: str
    online: bool
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMoved(Fact):
    """A part of the hub went down or came back, for the desk's status strip."""

    service: str
    state: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAlarm(Fact):
    """Something about the lines to the public network that a person must know at once: an emergency call, a burst of
    calls, a line that went. `alarm` is one word, `text` for people."""

    alarm: str
    text: str
    call_id: str | None = None
