"""Facts of calls (通话), of the floor, and of the duty number. See `commhub/domain/facts.py`."""

from collections.abc import Mapping
from dataclasses import dataclass

from commhub.domain.facts import Fact
from commhub.kit.values import quick

# --- calls and floor -------------------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Fact):
    call_id: str
    legs: tuple[str, ...]


@quick
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


@quick
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
