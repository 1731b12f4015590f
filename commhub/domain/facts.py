"""Facts: what happened, in the past tense. A fact with an incident is a line of its timeline (处置记录).

`UnitOfWork.record(fact)` writes that line in the transaction of the change itself and publishes the fact on
the bus after the commit. A new kind of fact is a new class here; its name in snake case is its `kind`, and
its own fields are its `data`. Kinds are stored for ever: never rename one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

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
    """A stored fact. `seq` orders the whole hub's log; `hub` says which tier wrote it."""

    seq: int
    incident_id: str
    at: datetime
    actor: str
    kind: str
    data: Mapping[str, object]
    hub: str = ""


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


# --- calls and floor -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Fact):
    call_id: str
    legs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMoved(Fact):
    call_id: str
    leg_id: str
    endpoint: str
    state: str
    cause: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMeasured(Fact):
    """How well a leg that ended could be heard here: an opinion score from 1 to 4.5 (G.107), and what it was
    estimated from. `concealed_pct` is what had to be made up of its voice; the last two are what its far end told
    of our voice, None when it never did."""

    call_id: str
    leg_id: str
    endpoint: str
    codec: str | None
    score: float
    lost_pct: float
    concealed_pct: float
    jitter_ms: float
    round_trip_ms: float | None = None
    far_lost_pct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegShaped(Fact):
    """What the desk changed about how a leg takes part: `change` has the new values by name (muted, held,
    listen_only, whispers_to as endpoints, gain_db, auto_gain, entry)."""

    call_id: str
    leg_id: str
    endpoint: str
    change: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegTransferred(Fact):
    """The desk took a leg out of one call and into another; told in both."""

    call_id: str
    leg_id: str
    endpoint: str
    from_call: str
    to_call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorCommanded(Fact):
    """The desk took a group's floor away, or gave it to a radio. `participant` None: whoever talked."""

    group: str
    action: str
    participant: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Fact):
    call_id: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorMoved(Fact):
    """`talker` is an endpoint or `call:ID`; None when the floor is idle. `queue` waits for it, the next one
    first; `cause` says why it was revoked."""

    group: str
    event: str
    talker: str | None = None
    call_id: str | None = None
    cause: str | None = None
    queue: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStored(Fact):
    """`leg_id` None is the call as everybody in it sounds together."""

    call_id: str
    recording_id: str
    seconds: float
    sha256: str
    leg_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSwitched(Fact):
    """A person switched a call's recording on or off; `per_leg`: each leg in a file of its own too."""

    call_id: str
    on: bool
    per_leg: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFailed(Fact):
    """The recording of the leg (None: the mixed one) ended early or never began; the call goes on."""

    call_id: str
    reason: str
    leg_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingDeleted(Fact):
    """Its time was up: the file is gone, its row and hash stay."""

    call_id: str
    recording_id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlayed(Fact):
    """`legs` are the endpoints it was played to, empty for the whole call; `name` is what the desk calls it."""

    call_id: str
    name: str
    legs: tuple[str, ...] = ()


# --- the duty number -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCallReceived(Fact):
    """Somebody dialled a duty line and waits; `duty_id` is the call's id, here and below."""

    duty_id: str
    line: str
    caller: str
    caller_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCallForwarded(Fact):
    """Nobody answered for so long, so `to` is called as well."""

    duty_id: str
    to: str
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCallTaken(Fact):
    """`by` is the address that answered: a desk, a phone, or the radio that spoke."""

    duty_id: str
    by: str
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCallMissed(Fact):
    """The caller gave up before anybody answered."""

    duty_id: str
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCallClosed(Fact):
    """Nobody need do anything about it any more: it ended after a talk, was declined, called_back or dismissed."""

    duty_id: str
    how: str


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


class Topic(StrEnum):
    """Where the live socket files a fact."""

    INCIDENTS = "incidents"
    CALLS = "calls"
    FLEET = "fleet"
    SYSTEM = "system"


TOPICS: Mapping[type[Fact], Topic] = {
    CallStarted: Topic.CALLS,
    LegMoved: Topic.CALLS,
    LegShaped: Topic.CALLS,
    LegTransferred: Topic.CALLS,
    FloorCommanded: Topic.CALLS,
    CallEnded: Topic.CALLS,
    FloorMoved: Topic.CALLS,
    RecordingStored: Topic.CALLS,
    DutyCallReceived: Topic.CALLS,
    DutyCallForwarded: Topic.CALLS,
    DutyCallTaken: Topic.CALLS,
    DutyCallMissed: Topic.CALLS,
    DutyCallClosed: Topic.CALLS,
    DeviceSeen: Topic.FLEET,
    DeviceCommanded: Topic.FLEET,
    PhoneSeen: Topic.FLEET,
    ServiceMoved: Topic.SYSTEM,
    LineAlarm: Topic.SYSTEM,
}


def topic_of(fact: Fact) -> Topic:
    """The live topic of a fact; whatever is not listed belongs to its incident."""
    return TOPICS.get(type(fact), Topic.INCIDENTS)
