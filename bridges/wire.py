"""What all worker protocols share: JSON lines, requests with their answers, events, errors, and where a worker listens.

A `Dialect` is one kind of worker's orders and events; the models are the ports' own dataclasses, checked where they enter.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from bridges.errors import ProtocolError
from commhub.domain.errors import DomainError, InvalidError

LINE_LIMIT = 4 << 20
"""Bytes of the longest line: the status of a full worker."""

Message = Mapping[str, Any]
ArgsT = TypeVar("ArgsT")
EventT = TypeVar("EventT")

_ERROR_KINDS: list[type[DomainError]] = [DomainError]
_ERROR_KINDS += DomainError.__subclasses__()
_ERRORS = {kind.code: kind for kind in _ERROR_KINDS}

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_NOTHING: Message = {}
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


def plain(model: object) -> object:
    """The dataclass as plain JSON values; a tenth of the time of `dataclasses.asdict`, and a call is six orders."""
    return _adapter(type(model)).dump_python(model, mode="json")


def line(message: Message) -> bytes:
    """One message as it goes over the socket."""
    return _ENCODER.encode(message).encode() + b"\n"


def answer_line(number: object, result: object) -> bytes:
    """The answer to a request as it goes over the socket."""
    if result is None and type(number) is int:
        return b'{"id":%d,"ok":null}\n' % number
    return line(answer(number, result))


def parse(text: bytes) -> Message:
    """One line as a message. Raises ProtocolError."""
    try:
        # A sixth of the time of `json.loads` for an answer, half of it for the status of a full worker.
        message = from_json(text)
    except ValueError as error:
        raise ProtocolError("a line that is no JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("a line that is no JSON object")
    return message


def answer(number: object, result: object) -> Message:
    return {"id": number, "ok": result}


def refusal(number: object, error: DomainError) -> Message:
    return {"id": number, "error": {"code": error.code, "message": str(error)}}


def read_error(message: Message) -> DomainError:
    """The error of a refusal, as the class it was raised as."""
    error = message.get("error")
    code, text = (error.get("code"), error.get("message")) if isinstance(error, dict) else ("", "")
    return _ERRORS.get(str(code), DomainError)(str(text or "refused by the media worker"))


class Dialect(Generic[ArgsT, EventT]):
    """The orders and events of one kind of worker, by their names on the wire, in one version."""

    def __init__(
        self, version: int, args: Mapping[str, type[ArgsT]], events: Mapping[str, type[EventT]]
    ) -> None:
        self.version = version
        self._args = args
        self._ops: dict[type[object], str] = {kind: op for op, kind in args.items()}
        self._events = events
        self._names: dict[type[object], str] = {kind: name for name, kind in events.items()}

    def request(self, number: int, args: ArgsT) -> Message:
        return {"id": number, "op": self._ops[type(args)], "args": plain(args)}

    def request_line(self, number: int, args: ArgsT) -> bytes:
        """A request as it goes over the socket, in half the time of `request` and `line`. Raises InvalidError for text
        that is none."""
        kind = type(args)
        try:
            # The serializer itself: `dump_json` takes as long again to hand it its options.
            told = _adapter(kind).serializer.to_json(args)
        except ValueError as error:
            raise InvalidError(f"{kind.__name__} cannot be written: {error}") from error
        return b'{"id":%d,"op":"%b","args":%b}\n' % (number, self._ops[kind].encode(), told)

    def read_args(self, message: Message) -> ArgsT:
        """The arguments of a request. Raises InvalidError for an unknown operation or arguments that do not fit."""
        kind = self._args.get(str(message.get("op")))
        if kind is None:
            raise InvalidError(f"unknown operation {str(message.get('op'))[:40]}")
        args: ArgsT = read_as(kind, message.get("args", _NOTHING))
        return args

    def event(self, happened: EventT) -> Message:
        return {"event": self._names[type(happened)], "args": plain(happened)}

    def read_event(self, message: Message) -> EventT | None:
        """The event, or None for one that a newer worker has and we do not know. Raises InvalidError."""
        kind = self._events.get(str(message.get("event")))
        if kind is None:
            return None
        happened: EventT = read_as(kind, message.get("args", {}))
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
