"""What the engine tells: events for control, and what is to be published to the radios.

A tick collects them; they leave the engine's thread together after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from commhub.ports.media import LegMeter, RecordedFile
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
class LegVanished:
    """The browser of a leg shows no sign of life any more; the leg is not in its call any more."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class LegMeasured:
    """What the meters of a leg showed when it was released."""

    meter: LegMeter


@dataclass(frozen=True, slots=True)
class VoiceHeard:
    """A watched leg began or ended to speak, or goes on speaking (told again each second); `level_dbov` is how loud, −127
    when it has ended."""

    leg_id: str
    speaks: bool
    level_dbov: float


@dataclass(frozen=True, slots=True)
class FloorMoved:
    """`event` is taken, idle, revoked (`cause` says why) or queue; `talker` is who has, had or lost the floor,
    `queue` who waits for it now, the next one first."""

    group: str
    event: str
    talker: str | None
    calls: tuple[str, ...]
    cause: str | None = None
    queue: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordingFailed:
    """The recording of the leg (None: the mixed one) ended early or never began."""

    call_id: str
    leg_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class PlaybackEnded:
    """`reason` is finished, stopped, gone or failed."""

    playback_id: str
    call_id: str
    reason: str


Event = (
    DtmfReceived
    | LegSilent
    | LegVanished
    | LegMeasured
    | VoiceHeard
    | FloorMoved
    | RecordedFile
    | RecordingFailed
    | PlaybackEnded
)
"""A `RecordedFile` is told again to every control until one acknowledges it; the others once."""


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


@dataclass(frozen=True, slots=True)
class PacketOut:
    """An RTP packet for a leg without a socket of its own: whoever carries that leg sends it."""

    leg_id: str
    packet: bytes


RadioOut = FrameOut | FloorAnswer | FloorState
Output = Event | RadioOut | PacketOut
