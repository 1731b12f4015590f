"""Facts of rooms (会议): who came and went, what was seen, and what is kept of it. See `commhub/domain/facts.py`."""

from collections.abc import Mapping
from dataclasses import dataclass

from commhub.domain.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOpened(Fact):
    room_id: str
    name: str
    number: str
    mode: str
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomChanged(Fact):
    """The host changed the room: `change` has the new values by name (name, locked, lobby, spotlight as a label)."""

    room_id: str
    name: str
    change: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEndProposed(Fact):
    """Its incident was closed, so somebody may want to end it."""

    room_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEnded(Fact):
    """`attended` is how many were there at all."""

    room_id: str
    name: str
    duration_s: float
    attended: int
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantMoved(Fact):
    """`state` as in `commhub.domain.room.ParticipantState`; `why` says more of an end (left, lost, removed, denied, ended)."""

    room_id: str
    participant_id: str
    participant: str
    participant_kind: str
    state: str
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantChanged(Fact):
    """The host's word on a participant: `change` has role, sound_muted, picture_muted; or their own: hand_raised."""

    room_id: str
    participant_id: str
    participant: str
    change: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRevoked(Fact):
    room_id: str
    participant_id: str
    participant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMoved(Fact):
    """A picture is seen (live), is being started, pauses (idle) or is over (ended)."""

    room_id: str
    source_id: str
    label: str
    source_kind: str
    state: str
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerMoved(Fact):
    """Who speaks now: their picture (`source_id` None: nobody who can be seen) and who they are (`participant_id` None: nobody
    any more). For live desks only, never on a timeline."""

    room_id: str
    source_id: str | None
    participant_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollCallStarted(Fact):
    room_id: str
    roll_call_id: str
    n: int
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RollCallDone(Fact):
    """`absent` and `faulty` are names; `slowest_ms` the longest round trip that was measured."""

    room_id: str
    roll_call_id: str
    n: int
    present: int
    expected: int
    absent: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()
    slowest_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MinutesWritten(Fact):
    room_id: str
    name: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRecordingSwitched(Fact):
    """A person switched the recording of a room's pictures on or off."""

    room_id: str
    name: str
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecordingStored(Fact):
    room_id: str
    recording_id: str
    source_id: str
    label: str
    seconds: float
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecordingFailed(Fact):
    """The recording of a picture ended early or never began; the picture goes on."""

    room_id: str
    source_id: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecordingDeleted(Fact):
    """Its time was up: the file is gone, its row and hash stay."""

    room_id: str
    recording_id: str
    sha256: str
