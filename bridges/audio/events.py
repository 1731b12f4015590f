"""What the engine tells: events for control, and what is to be published to the radios.

A tick collects them; they leave the engine's thread together after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from commhub.ports.voice import VoiceFrame


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    leg_id: str
    digit: str


@dataclass(frozen=True, slots=True)
class LegSilent:
    """Once for each spell of silence."""

    leg_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FloorMoved:
    """`event` is taken, idle or revoked; `talker` is who has, had or lost the floor."""

    group: str
    event: str
    talker: str | None
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordingStored:
    """`path` is relative to the recordings directory. Told again to every control until one acknowledges it."""

    call_id: str
    path: str
    seconds: float
    sha256: str


Event = DtmfReceived | LegSilent | FloorMoved | RecordingStored


@dataclass(frozen=True, slots=True)
class FrameOut:
    """To the group, once."""

    group: str
    frame: VoiceFrame


@dataclass(frozen=True, slots=True)
class FloorAnswer:
    """To one device."""

    device_id: str
    message: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class FloorState:
    """To the group, retained."""

    group: str
    message: Mapping[str, object]


RadioOut = FrameOut | FloorAnswer | FloorState
Output = Event | RadioOut
