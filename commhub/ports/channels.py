"""Channels carry deliveries to people. Sending is at-least-once; the delivery id is the idempotency key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from commhub.domain.message import Delivery, Message


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One delivery with the message it carries."""

    delivery: Delivery
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The provider has it. `response_code` lets the card be changed until it expires."""

    provider_id: str | None = None
    response_code: str | None = None
    response_code_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """It will never go this way (unknown recipient, invalid content)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TryLater:
    """Throttled or down; `after_s` when the provider said how long."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The request left and no answer came: the same delivery may be sent again, marked as a duplicate."""

    reason: str


Outcome = Sent | Refused | TryLater | Unknown


class Channel(Protocol):
    """One way to a person: wecom, sms, radio text. Never raises for a provider's failure."""

    @property
    def name(self) -> str: ...

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Send. A retry carries the same delivery id, so that the provider can drop the second one."""
        ...


@runtime_checkable
class CardChannel(Protocol):
    """Channels whose cards can change after they were sent."""

    async def update(self, outgoing: Outgoing) -> Outcome:
        """Change the card to what `delivery.update` says: {"status": text, "actions": [...], "by": name}."""
        ...
