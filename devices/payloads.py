"""The JSON of the field, read strictly and forgivingly at once.

Strictly: a message whose parts have the wrong type or size is refused as a whole, with a reason that repeats none of
it. Forgivingly: unknown members are ignored (newer firmware), and an SOS is never refused for anything but a missing
identity: a position that makes no sense is left out, and said so.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeGuard, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from commhub.domain.device import is_safe_id
from commhub.domain.geo import Point
from devices.datum import gcj02_to_wgs84
from devices.errors import WireError

MAX_BYTES = 16 * 1024
# A device's clock may run ahead a little, and an unset one says 1970.
AHEAD = timedelta(minutes=1)
BEHIND = timedelta(days=1)

Crs = Literal["wgs84", "gcj02"]


def _storable(text: str) -> str:
    return text.replace("\x00", "")


def _safe(text: str) -> str:
    if not is_safe_id(text):
        raise ValueError("unsafe id")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Id = Annotated[str, AfterValidator(_safe)]
Word = Annotated[Text, Field(max_length=64)]


class Payload(BaseModel):
    """Base of all. `device` repeats the id of the topic, for those who log payloads; it must be the same."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    device: str | None = None


class Birth(Payload):
    """`up/birth`. `boot` names one power-on; `groups` the talk groups, the selected one first."""

    boot: Id
    model: Word | None = None
    capabilities: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    codecs: Annotated[tuple[Word, ...], Field(max_length=16)] = ()
    groups: Annotated[tuple[Id, ...], Field(max_length=64)] = ()
    gb_id: Annotated[str, Field(pattern=r"^\d{20}$")] | None = Field(None, alias="gbId")


class Death(Payload):
    """`up/death`, the last will."""

    boot: Id


class Telemetry(Payload):
    """`up/tele`. Degrees, metres a second, percent, dBm; `ts` as in `read_time`."""

    lat: float | None = None
    lon: float | None = None
    crs: Crs = "wgs84"
    speed: Annotated[float, Field(ge=0, le=500)] | None = None
    battery: Annotated[int, Field(ge=0, le=100)] | None = None
    rssi: Annotated[int, Field(ge=-200, le=100)] | None = None
    ts: float | str | None = None


class Sos(Payload):
    """`up/sos`. `id` is new for every press of the button and the same in its repetitions. The parts about place
    and time are read apart (`read_point`, `read_time`), because no fault in them may cost the alarm."""

    id: Annotated[str | int, Field(union_mode="left_to_right")]
    boot: Id | None = None
    text: Any = None
    lat: Any = None
    lon: Any = None
    crs: Any = "wgs84"
    ts: Any = None


class Answer(Payload):
    """`up/rsp`: how far a command has come."""

    id: Annotated[Text, Field(min_length=1, max_length=64)]
    state: Literal["delivered", "read", "done", "failed"]
    detail: Annotated[Text, Field(max_length=500)] | None = None


class FloorRequest(Payload):
    """`up/floor`: ask for the floor of a group or give it back (TS 24.380 §8.2, Floor Request and Release)."""

    op: Literal["request", "release"]
    group: Id
    priority: Literal["normal", "emergency"] = "normal"


class Alarm(Payload):
    """`s/{sensor}/up/alarm`. `category` and `level` are what the rules read; `id` is new for every alarm."""

    id: Annotated[str | int, Field(union_mode="left_to_right")]
    category: Annotated[Text, Field(min_length=1, max_length=64)] = "sensor"
    text: Annotated[Text, Field(max_length=2000)] = ""
    level: Annotated[int, Field(ge=1, le=4)] | None = None
    place: Annotated[Text, Field(max_length=200)] | None = None
    lat: float | None = None
    lon: float | None = None
    crs: Crs = "wgs84"
    ts: float | str | None = None


PayloadT = TypeVar("PayloadT", bound=Payload)


def read(model: type[PayloadT], payload: bytes, sender: str) -> PayloadT:
    """Read a payload of `sender`. Raises WireError: «too_large», «not_json», «fields», «other_id»."""
    if len(payload) > MAX_BYTES:
        raise WireError("too_large", f"{len(payload)} bytes; {MAX_BYTES} are allowed")
    try:
        found = model.model_validate_json(payload)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        if faults[0]["type"] == "json_invalid":
            raise WireError("not_json", "the payload is no JSON") from None
        where = "; ".join(f"{_path(f['loc'])}: {f['type']}" for f in faults[:5])
        raise WireError("fields", where) from None
    if found.device is not None and found.device != sender:
        raise WireError("other_id", "the payload names another device than the topic")
    return found


def _path(where: tuple[int | str, ...]) -> str:
    return ".".join(map(str, where)) or "payload"


def read_point(lat: object, lon: object, crs: object) -> Point | None:
    """Read a place into WGS-84; None when it was left out. Raises WireError («position»)."""
    if lat is None and lon is None:
        return None
    if not (_is_number(lat) and _is_number(lon)):
        raise WireError("position", "a position is two numbers, lat and lon")
    if crs not in ("wgs84", "gcj02"):
        raise WireError("position", "crs is wgs84 or gcj02")
    try:
        point = Point(float(lat), float(lon))
    except (ValueError, OverflowError) as error:
        raise WireError("position", "the position is not on earth") from error
    return gcj02_to_wgs84(point) if crs == "gcj02" else point


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_time(ts: object) -> datetime | None:
    """Read seconds since 1970 or ISO 8601 with an offset; None for anything else."""
    try:
        match ts:
            case bool():
                return None
            case int() | float():
                return datetime.fromtimestamp(ts, UTC)
            case str():
                at = datetime.fromisoformat(ts)
                return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None
    return None


def credible_time(ts: object, now: datetime) -> datetime:
    """The device's time of something that just happened, or ours when its clock is obviously not set: one message
    from the year 2099 would otherwise make every later position look old."""
    at = read_time(ts)
    return at if at is not None and now - BEHIND <= at <= now + AHEAD else now


def read_text(text: object, limit: int) -> str:
    """Text cut to `limit`; empty when it is none."""
    return _storable(text)[:limit] if isinstance(text, str) else ""


def read_alarm_id(value: str | int) -> str:
    """The id of an SOS or alarm as text. Raises WireError («id»)."""
    text = str(value)
    if not 0 < len(text) <= 64 or not text.isprintable():
        raise WireError("id", "an id has 1 to 64 printable characters")
    return text


def name_of(payload: bytes) -> str | None:
    """The `id` of a payload that may be otherwise unreadable, to tell its sender which one was refused."""
    try:
        found = _OnlyId.model_validate_json(payload[:MAX_BYTES])
        return read_alarm_id(found.id)
    except (ValidationError, WireError):
        return None


class _OnlyId(BaseModel):
    id: str | int


def describe(error: WireError) -> Mapping[str, str]:
    """The fault for a log line or a nack: a code and a sentence, none of the payload."""
    return {"reason": error.reason, "fault": str(error)}
