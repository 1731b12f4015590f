"""The media streams protocol: JSON texts on a WebSocket, numbers as strings, audio as base64 µ-law at 8 kHz.

Reading is strict about what we use and indifferent to the rest, so that a new field of Twilio's breaks nothing.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateways.twilio.errors import ProtocolError

MAX_MESSAGE = 32 * 1024
"""Characters; a longer text is not even parsed."""
MAX_PAYLOAD = 8000
"""Bytes of audio in one message: a second."""
DIGITS = "0123456789*#ABCD"
_LONGEST_NAME = 256
_WHOLE_NUMBER_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Connected:
    """The first message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Whose audio follows. `ticket` is the parameter our TwiML gave, empty when there is none."""

    stream_sid: str
    account_sid: str
    call_sid: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Media:
    """µ-law audio of any length. `timestamp_ms` is its place in the stream."""

    timestamp_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Dtmf:
    """A key was pressed; Twilio says so once."""

    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """All audio we sent before the mark of this name has been played, or was cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream or the call ended."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message this version does not know."""

    event: str


Message = Connected | Start | Media | Dtmf | Mark | Stop | Unknown


def parse(text: str) -> Message:
    """Read one message. Raises ProtocolError."""
    if len(text) > MAX_MESSAGE:
        raise ProtocolError("a message is too long")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a message is no JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("a message is a JSON object")
    event = str(message.get("event"))[:32]
    match event:
        case "connected":
            return Connected()
        case "stop":
            return Stop()
        case "start" | "media" | "dtmf" | "mark":
            return _READERS[event](_part(message, event))
    return Unknown(event)


def _start(start: Mapping[str, object]) -> Start:
    form = _part(start, "mediaFormat")
    if (form.get("encoding"), form.get("sampleRate"), form.get("channels")) != (
        "audio/x-mulaw",
        8000,
        1,
    ):
        raise ProtocolError("the stream is not µ-law at 8 kHz")
    parameters = start.get("customParameters")
    ticket = parameters.get("ticket", "") if isinstance(parameters, dict) else ""
    return Start(
        stream_sid=_text(start, "streamSid"),
        account_sid=_text(start, "accountSid"),
        call_sid=_text(start, "callSid"),
        ticket=ticket if isinstance(ticket, str) else "",
    )


def _media(media: Mapping[str, object]) -> Media:
    try:
        payload = base64.b64decode(str(media.get("payload")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("audio is no base64") from error
    if len(payload) > MAX_PAYLOAD:
        raise ProtocolError("more than a second of audio in one message")
    return Media(_number(media, "timestamp"), payload)


def _dtmf(dtmf: Mapping[str, object]) -> Dtmf:
    digit = str(dtmf.get("digit"))
    if len(digit) != 1 or digit not in DIGITS:
        raise ProtocolError("no key of a telephone")
    return Dtmf(digit)


def _mark(mark: Mapping[str, object]) -> Mark:
    return Mark(_text(mark, "name"))


_READERS: dict[str, Callable[[Mapping[str, object]], Message]] = {
    "start": _start,
    "media": _media,
    "dtmf": _dtmf,
    "mark": _mark,
}


def _part(message: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = message.get(name)
    if not isinstance(part, dict):
        raise ProtocolError(f"{name} is missing")
    return part


def _text(part: Mapping[str, object], name: str) -> str:
    value = part.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise ProtocolError(f"{name} is missing")
    return value


def _number(part: Mapping[str, object], name: str) -> int:
    value = str(part.get(name))
    if not (value.isascii() and value.isdigit() and len(value) <= _WHOLE_NUMBER_DIGITS):
        raise ProtocolError(f"{name} is no number")
    return int(value)


def media(stream_sid: str, payload: bytes) -> str:
    """Audio to play, after what was sent before."""
    sound = {"payload": base64.b64encode(payload).decode()}
    return _write({"event": "media", "streamSid": stream_sid, "media": sound})


def mark(stream_sid: str, name: str) -> str:
    """Ask to be told when everything sent so far has been played."""
    return _write({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def clear(stream_sid: str) -> str:
    """Throw away what has not been played yet."""
    return _write({"event": "clear", "streamSid": stream_sid})


def _write(message: Mapping[str, object]) -> str:
    return json.dumps(message, separators=(",", ":"))
