"""The JSON form of rooms and what is kept of them, as `views` has everything else's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from commhub.domain.recording import Retention
from commhub.domain.roll_call import Check, RollCallState, Verdict
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    RoomRole,
    RoomState,
    Source,
    SourceKind,
    SourceState,
)
from commhub.http.views import View

MaybeEndpoint = Annotated[
    str | None,
    BeforeValidator(lambda value: None if value is None else str(value)),
    Field(description="scheme:name", examples=["sip:1001"]),
]


class ParticipantView(View):
    """`admitted`: the waiting room is behind them. `leg_id` is the leg of the room's call. `present_s` counts the visits that are
    over."""

    id: str
    room_id: str
    kind: ParticipantKind
    name: str
    created_at: datetime
    role: RoomRole
    state: ParticipantState
    account: str | None
    endpoint: MaybeEndpoint
    unit_id: str | None
    admitted: bool
    hand_raised: bool
    sound_muted: bool
    picture_muted: bool
    leg_id: str | None
    first_joined_at: datetime | None
    joined_at: datetime | None
    left_at: datetime | None
    present_s: float


class SourceView(View):
    """`codec` and `layers` (main, sub, low) once its picture was seen. `device` is the body camera that sends it."""

    id: str
    room_id: str
    participant_id: str
    kind: SourceKind
    label: str
    created_at: datetime
    state: SourceState
    codec: str | None
    layers: Sequence[str]
    muted: bool
    device: str | None
    unit_id: str | None
    started_at: datetime | None
    ended_at: datetime | None


class RoomView(View):
    """`dial` is what a phone dials for it. `participants` are all that ever were, `sources` without those that ended; both
    oldest first."""

    id: str
    number: str
    dial: str | None
    name: str
    created_at: datetime
    created_by: str
    mode: RoomMode
    state: RoomState
    incident_id: str | None
    call_id: str | None
    device: str | None
    locked: bool
    lobby: bool
    drill: bool
    recording: bool
    spotlight: str | None
    end_proposed_at: datetime | None
    ended_at: datetime | None
    participants: Sequence[ParticipantView] = ()
    sources: Sequence[SourceView] = ()


def room_view(
    room: Room, participants: Sequence[Participant], sources: Sequence[Source]
) -> RoomView:
    """A room with everybody and everything in it."""
    return RoomView.model_validate(room).model_copy(
        update={
            "participants": [ParticipantView.model_validate(one) for one in participants],
            "sources": [
                SourceView.model_validate(one)
                for one in sources
                if one.state is not SourceState.ENDED
            ],
        }
    )


class InvitationView(View):
    """A guest link; the link itself is shown once, when it is made."""

    id: str
    room_id: str
    participant_id: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    sent_to: str | None
    used_at: datetime | None
    revoked_at: datetime | None


class InvitedView(View):
    """Who was asked in. `link` is shown once (null when the same request is repeated)."""

    participant: ParticipantView
    invitation: InvitationView | None
    link: str | None


class MeView(View):
    """As whom I am in a room. `waiting`: the host has not let me in yet."""

    participant: ParticipantView
    waiting: bool


class LayerMeterView(View):
    layer: str
    width: int
    height: int
    fps: float
    kbps: float
    lost: int


class SourceMeterView(View):
    """How a picture arrives now."""

    source_id: str
    codec: str
    layers: Sequence[LayerMeterView]
    views: int
    silent_s: float
    round_trip_ms: float | None
    muted: bool
    recording: bool


class RoomMetersView(View):
    """`speaker` is the source of whoever speaks now, `speaking` which participant that is, with or without a picture."""

    speaker: str | None
    speaking: str | None
    sources: Sequence[SourceMeterView]


class RollCallItemView(View):
    """`rung`: called anew. `answer_ms` from the call to the answer, `round_trip_ms` over the network. `peer`: the neighbouring hub itself, or
    (with an `origin`, HUB/ID) somebody of whom it told."""

    participant_id: str
    name: str
    endpoint: MaybeEndpoint
    called_at: datetime
    rung: bool
    answered_at: datetime | None
    answer_ms: float | None = None
    round_trip_ms: float | None
    picture: Check
    height: int
    fps: float
    voice: Check
    verdict: Verdict
    peer: str | None
    origin: str | None


class RollCallView(View):
    id: str
    room_id: str
    n: int
    created_at: datetime
    created_by: str
    until: datetime
    state: RollCallState
    done_at: datetime | None
    items: Sequence[RollCallItemView] = ()


class MinutesView(View):
    room_id: str
    version: int
    text: str
    at: datetime
    author: str


class VideoRecordingView(View):
    """`held` keeps it beyond its time; after `deleted_at` there is no file."""

    id: str
    room_id: str
    source_id: str
    label: str
    incident_id: str | None
    started_at: datetime
    seconds: float
    width: int
    height: int
    size: int
    sha256: str
    stored_at: datetime
    retention: Retention
    held: bool
    deleted_at: datetime | None


class WallLayoutView(View):
    """`tiles` row by row: the address of a camera, a source's id, or empty. `owner` «» is everybody."""

    name: str
    owner: str
    columns: int
    tiles: Sequence[str]
    updated_at: datetime
    updated_by: str
