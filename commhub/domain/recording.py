"""Recordings (录音) and prompts (提示音): what was said in calls and what is played to them.

How long a recording is kept depends on what it belongs to, and two things stop the clock: an incident that is
still open, and a hold that a person put on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from commhub.domain.incident import Incident


class RecordingKind(StrEnum):
    """MIXED is the call as everybody in it sounds together, LEG what one leg says."""

    MIXED = "mixed"
    LEG = "leg"


class Retention(StrEnum):
    """What a recording belongs to, which says how long it is kept."""

    INCIDENT = "incident"
    DRILL = "drill"
    OTHER = "other"


KeepDays = Mapping[Retention, int]

KEEP_DAYS: KeepDays = {Retention.INCIDENT: 180, Retention.OTHER: 90, Retention.DRILL: 30}


class Always(StrEnum):
    """Which calls are recorded without being asked for."""

    NEVER = "never"
    INCIDENTS = "incidents"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """Which calls are recorded from their first voice on, and whether each leg is, too."""

    always: Always = Always.NEVER
    per_leg: bool = False

    def wants(self, incident_id: str | None) -> bool:
        return self.always is Always.ALL or (
            self.always is Always.INCIDENTS and incident_id is not None
        )


UNRECORDED = RecordingRule()
"""Only what somebody asks for."""


LONGEST_PROMPT_S = 300
"""Of an uploaded prompt."""


class BuiltInPrompt(StrEnum):
    """Prompts that every worker can make. HOLD is for whoever waits, RECORDING says that one is being recorded,
    ATTENTION goes before an announcement."""

    RINGBACK = "ringback"
    BUSY = "busy"
    HOLD = "hold"
    BEEP = "beep"
    JOIN = "join"
    LEAVE = "leave"
    RECORDING = "recording"
    ATTENTION = "attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A WAV file of 16-bit mono samples under the recordings directory; `sha256` of its bytes stands on the timeline.

    `started_at` is the moment of its first sample: files of one call that began together carry the same one.
    `held` keeps it whatever its age. `deleted_at`: retention removed the file and kept this row.
    """

    id: str
    call_id: str
    path: str
    seconds: float
    sha256: str
    stored_at: datetime
    started_at: datetime
    kind: RecordingKind = RecordingKind.MIXED
    leg_id: str | None = None
    incident_id: str | None = None
    retention: Retention = Retention.OTHER
    rate: int = 8000
    size: int = 0
    held: bool = False
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """An uploaded sound, kept as `ID.wav` (16 kHz, mono) under the prompts directory; `size` in bytes."""

    id: str
    name: str
    seconds: float
    size: int
    sha256: str
    created_at: datetime
    created_by: str


def retention_of(incident: Incident | None) -> Retention:
    """The class of a recording of a call about `incident` (None: about none)."""
    if incident is None:
        return Retention.OTHER
    return Retention.DRILL if incident.drill else Retention.INCIDENT


def expired_before(now: datetime, keep: KeepDays) -> Mapping[Retention, datetime]:
    """Per class, the moment before which a recording was stored that may go now."""
    return {retention: now - timedelta(days=days) for retention, days in keep.items()}
