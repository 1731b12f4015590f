"""The worker protocol, version 3: what control and an audio worker say to each other (docs/protocols/worker.md).

Requests carry the arguments of `ports.media.MediaEngine`, events those of `ports.inward.MediaIn`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bridges.audio.events import (
    DtmfReceived,
    Event,
    FloorMoved,
    LegMeasured,
    LegSilent,
    LegVanished,
    PlaybackEnded,
    RecordingFailed,
    VoiceHeard,
)
from bridges.wire import (
    LINE_LIMIT,
    ControlAddress,
    Dialect,
    Message,
    answer,
    line,
    parse,
    read_as,
    read_error,
    refusal,
)
from commhub.kit.values import quick
from commhub.ports.media import (
    FloorAction,
    LegShape,
    MediaOrder,
    Playback,
    RadioStanding,
    RecordedFile,
    RtpRemote,
    WebRtcOrder,
)

__all__ = [
    "LINE_LIMIT",
    "ControlAddress",
    "Message",
    "answer",
    "line",
    "parse",
    "read_as",
    "read_error",
    "refusal",
]

PROTOCOL = 3


@quick
@dataclass(frozen=True, slots=True)
class ConnectArgs:
    leg_id: str
    remote: RtpRemote


@dataclass(frozen=True, slots=True)
class AnswerArgs:
    order: WebRtcOrder
    offer: str


@dataclass(frozen=True, slots=True)
class JoinGroupArgs:
    call_id: str
    leg_id: str
    group: str


@dataclass(frozen=True, slots=True)
class ShapeArgs:
    leg_id: str
    shape: LegShape


@dataclass(frozen=True, slots=True)
class WatchArgs:
    leg_id: str
    on: bool


@dataclass(frozen=True, slots=True)
class MoveArgs:
    leg_id: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CommandFloorArgs:
    group: str
    action: FloorAction
    participant: str | None


@dataclass(frozen=True, slots=True)
class EnrollArgs:
    radios: tuple[RadioStanding, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class KeyGroupArgs:
    call_id: str
    group: str
    down: bool


@dataclass(frozen=True, slots=True)
class RecordArgs:
    call_id: str
    on: bool
    per_leg: bool = False


@dataclass(frozen=True, slots=True)
class StopPlayingArgs:
    playback_id: str


@dataclass(frozen=True, slots=True)
class SendDigitsArgs:
    leg_id: str
    digits: str


@quick
@dataclass(frozen=True, slots=True)
class ReleaseArgs:
    leg_id: str


@dataclass(frozen=True, slots=True)
class StatusArgs:
    """Nothing to say."""


@dataclass(frozen=True, slots=True)
class LoadArgs:
    """Nothing to say."""


@dataclass(frozen=True, slots=True)
class JournalArgs:
    """Nothing to say."""


EngineArgs = (
    MediaOrder
    | ConnectArgs
    | JoinGroupArgs
    | ShapeArgs
    | WatchArgs
    | MoveArgs
    | CommandFloorArgs
    | EnrollArgs
    | KeyGroupArgs
    | RecordArgs
    | Playback
    | StopPlayingArgs
    | SendDigitsArgs
    | ReleaseArgs
)
"""What the audio engine carries out between two ticks."""

WorkerArgs = AnswerArgs | StatusArgs | LoadArgs | JournalArgs
"""What the worker answers itself."""

Args = EngineArgs | WorkerArgs

ARGS: Mapping[str, type[Args]] = {
    "reserve": MediaOrder,
    "connect": ConnectArgs,
    "answer": AnswerArgs,
    "join_group": JoinGroupArgs,
    "shape": ShapeArgs,
    "watch": WatchArgs,
    "move": MoveArgs,
    "command_floor": CommandFloorArgs,
    "enroll": EnrollArgs,
    "key_group": KeyGroupArgs,
    "record": RecordArgs,
    "play": Playback,
    "stop_playing": StopPlayingArgs,
    "send_digits": SendDigitsArgs,
    "release": ReleaseArgs,
    "status": StatusArgs,
    "load": LoadArgs,
    "journal": JournalArgs,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoad:
    """How much a worker has to do. `busy` is the share of the last second in which it was in a tick; `counts` are
    all since its start (`audio.counts`)."""

    boot_id: str
    legs: int
    max_legs: int
    busy: float
    counts: Mapping[str, int]


EVENTS: Mapping[str, type[Event]] = {
    "dtmf_received": DtmfReceived,
    "leg_silent": LegSilent,
    "leg_vanished": LegVanished,
    "leg_measured": LegMeasured,
    "voice_heard": VoiceHeard,
    "floor_moved": FloorMoved,
    "recording_stored": RecordedFile,
    "recording_failed": RecordingFailed,
    "playback_ended": PlaybackEnded,
}

WORDS: Dialect[Args, Event] = Dialect(PROTOCOL, ARGS, EVENTS)
request = WORDS.request
read_args = WORDS.read_args
event = WORDS.event
read_event = WORDS.read_event
