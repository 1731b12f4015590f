"""The worker protocol, version 2: JSON lines between control and a media worker (docs/protocols/worker.md).

Requests carry the arguments of `ports.media.MediaEngine`, events those of `ports.inward.MediaIn`; the models are
the ports' own dataclasses, checked where they enter.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bridges.audio.events import (
    DtmfReceived,
    Event,
    FloorMoved,
    LegMeasured,
    LegSilent,
    LegVanished,
    PlaybackEnded,
    RecordingFailed,
)
from bridges.errors import ProtocolError
from commhub.domain.errors import DomainError, InvalidError
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

PROTOCOL = 2
LINE_LIMIT = 4 << 20
"""Bytes of the longest line: the status of a full worker."""

Message = Mapping[str, Any]


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
_OPS = {args: op for op, args in ARGS.items()}


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
    "floor_moved": FloorMoved,
    "recording_stored": RecordedFile,
    "recording_failed": RecordingFailed,
    "playback_ended": PlaybackEnded,
}
_EVENT_NAMES = {event: name for name, event in EVENTS.items()}

_ERROR_KINDS: list[type[DomainError]] = [DomainError]
_ERROR_KINDS += DomainError.__subclasses__()
_ERRORS = {kind.code: kind for kind in _ERROR_KINDS}

_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Building one costs a thousand times what using it does."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def read_as(kind: type[Any], value: object) -> Any:
    """`value` as an instance of the dataclass `kind`. Raises InvalidError with the fields that do not fit."""
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        fields = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        raise InvalidError(f"{kind.__name__} does not fit: {fields}") from error


def line(message: Message) -> bytes:
    """One message as it goes over the socket."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def parse(text: bytes) -> Message:
    """One line as a message. Raises ProtocolError."""
    try:
        message = json.loads(text)
    except ValueError as error:
        raise ProtocolError("a line that is no JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("a line that is no JSON object")
    return message


def request(number: int, args: Args) -> Message:
    return {"id": number, "op": _OPS[type(args)], "args": asdict(args)}


def read_args(message: Message) -> Args:
    """The arguments of a request. Raises InvalidError for an unknown operation or arguments that do not fit."""
    kind = ARGS.get(str(message.get("op")))
    if kind is None:
        raise InvalidError(f"unknown operation {str(message.get('op'))[:40]}")
    args: Args = read_as(kind, message.get("args", {}))
    return args


def answer(number: object, result: object) -> Message:
    return {"id": number, "ok": result}


def refusal(number: object, error: DomainError) -> Message:
    return {"id": number, "error": {"code": error.code, "message": str(error)}}


def read_error(message: Message) -> DomainError:
    """The error of a refusal, as the class it was raised as."""
    error = message.get("error")
    code, text = (error.get("code"), error.get("message")) if isinstance(error, dict) else ("", "")
    return _ERRORS.get(str(code), DomainError)(str(text or "refused by the media worker"))


def event(happened: Event) -> Message:
    return {"event": _EVENT_NAMES[type(happened)], "args": asdict(happened)}


def read_event(message: Message) -> Event | None:
    """The event, or None for one that a newer worker has and we do not know. Raises InvalidError."""
    kind = EVENTS.get(str(message.get("event")))
    if kind is None:
        return None
    happened: Event = read_as(kind, message.get("args", {}))
    return happened


@dataclass(frozen=True, slots=True)
class ControlAddress:
    """Where a worker listens: `unix:/run/commhub/worker.sock` or `tcp:host:port`."""

    path: str | None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "ControlAddress":
        """Raises InvalidError."""
        kind, _, rest = text.partition(":")
        if kind == "unix" and rest:
            return cls(rest)
        host, _, port = rest.rpartition(":")
        if kind == "tcp" and host and port.isdecimal() and int(port) < 65536:
            return cls(None, host, int(port))
        raise InvalidError(f"a worker's address is unix:PATH or tcp:HOST:PORT, not {text!r}")

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:{self.host}:{self.port}"
