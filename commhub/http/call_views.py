"""The JSON form of calls, duty calls, recordings and prompts, as `views` has everything else's."""

from collections.abc import Sequence
from datetime import datetime

from commhub.domain.call import Cause, Direction, LegState
from commhub.domain.duty import DutyState
from commhub.domain.recording import RecordingKind, Retention
from commhub.http.views import EndpointText, PointView, View


class LegView(View):
    id: str
    call_id: str
    endpoint: EndpointText
    created_at: datetime
    direction: Direction
    state: LegState
    name: str | None
    codec: str | None
    muted: bool
    held: bool
    listen_only: bool
    whispers_to: Sequence[str]
    gain_db: float
    auto_gain: bool
    connected_at: datetime | None
    ended_at: datetime | None
    cause: Cause | None
    detail: str | None
    score: float | None


class CallView(View):
    """`legs` are all legs, ended ones too, oldest first."""

    id: str
    created_at: datetime
    created_by: str
    incident_id: str | None
    title: str | None
    line: str | None
    room_id: str | None
    recording: bool
    recording_legs: bool
    ended_at: datetime | None
    legs: Sequence[LegView] = ()


class DutyCallView(View):
    """A call to a duty line: who waits since when, who took it, or that it was missed. `id` is the call's."""

    id: str
    line: str
    dialled: str
    caller: EndpointText
    caller_name: str | None
    offered_at: datetime
    responder_id: str | None
    point: PointView | None
    state: DutyState
    step: int
    incident_id: str | None
    taken_by: str | None
    taken_at: datetime | None
    ended_at: datetime | None
    call_back: str | None
    settled_by: str | None


class RecordingView(View):
    """`leg_id` None is the mixed one. `held` keeps it beyond its time; after `deleted_at` there is no file."""

    id: str
    call_id: str
    incident_id: str | None
    kind: RecordingKind
    leg_id: str | None
    started_at: datetime
    seconds: float
    rate: int
    size: int
    sha256: str
    stored_at: datetime
    retention: Retention
    held: bool
    deleted_at: datetime | None


class RecordingSwitchView(View):
    """How a call is recorded from now on."""

    on: bool
    per_leg: bool


class PromptView(View):
    """An uploaded prompt; `size` in bytes as it is kept."""

    id: str
    name: str
    seconds: float
    size: int
    sha256: str
    created_at: datetime
    created_by: str


class PromptList(View):
    built_in: Sequence[str]
    uploaded: Sequence[PromptView]


class PlaybackView(View):
    """`leg_ids` None: the whole call."""

    id: str
    call_id: str
    prompt: str
    leg_ids: Sequence[str] | None
    loop: bool
    gain_db: float
