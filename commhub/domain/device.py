"""Field equipment as the hub knows it: identity, what it can do, whether it is there now."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from commhub.domain.geo import Position

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_safe_id(text: str) -> bool:
    """Whether `text` may name a device or a talk group: it stands in topics, endpoints and the broker's files,
    so it has no separator or wildcard of any of them, and at most 64 characters."""
    return _SAFE_ID.fullmatch(text) is not None


class DeviceKind(StrEnum):
    """What a device is, which decides the scheme of its endpoint."""

    BODYCAM = "bodycam"
    RADIO = "radio"
    SENSOR = "sensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """`boot_id` names one power-on: a death that names another is stale. `groups` are its talk groups,
    the selected one first."""

    id: str
    kind: DeviceKind
    name: str
    responder_id: str | None = None
    groups: tuple[str, ...] = ()
    model: str | None = None
    gb_id: str | None = None
    capabilities: tuple[str, ...] = ()
    online: bool = False
    boot_id: str | None = None
    seen_at: datetime | None = None
    position: Position | None = None
    battery: int | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCommand:
    """An order to a device, followed delivered → read → done by its answers."""

    id: str
    device_id: str
    op: str
    at: datetime
    state: str = "sent"
    expires_at: datetime | None = None
    answer: str | None = None
