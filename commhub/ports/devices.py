"""Orders to field devices, and the credentials that let them in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOrder:
    """One command; the device drops it after `expires_at` (MQTT v5 message expiry) and answers by `id`."""

    id: str
    device_id: str
    op: str
    args: Mapping[str, object]
    expires_at: datetime | None = None


class DeviceControl(Protocol):
    """Sends commands. Raises UnavailableError when the broker is not reachable."""

    async def command(self, order: CommandOrder) -> None:
        """Queue the command with the broker (QoS 1): it waits there for a device that is away."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCredential:
    """`password_hash` in mosquitto's own form ($7$ iterations $ salt $ PBKDF2-SHA512). `groups` are the talk
    groups the device may hear and speak in."""

    device_id: str
    password_hash: str
    groups: tuple[str, ...] = ()


class Credentials(Protocol):
    """Who the broker lets in."""

    def hash_secret(self, secret: str) -> str:
        """The form the broker stores."""
        ...

    async def publish(self, credentials: Sequence[DeviceCredential]) -> None:
        """Make exactly these devices welcome; whoever is missing is cut off within 5 s."""
        ...
