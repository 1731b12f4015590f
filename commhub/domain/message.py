"""Message (消息), Delivery (投递: one recipient on one channel) and Ack (回执).

«Accepted» by a provider is not «seen» by a person: only an Ack stops a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class MessageKind(StrEnum):
    """TASK_CARD asks a responder to act; TEXT only tells."""

    TASK_CARD = "task_card"
    TEXT = "text"


class CardAction(StrEnum):
    """What a person can tap on a task card. The values travel to the channel and back."""

    ACCEPT = "accept"
    FINISH = "finish"
    RETURN = "return"


class DeliveryKind(StrEnum):
    """A card once sent is updated in place; both are queued the same way."""

    SEND = "send"
    UPDATE = "update"


class DeliveryState(StrEnum):
    """UNKNOWN: the provider may or may not have it (a timeout after the request left)."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED_TEMP = "failed_temp"
    FAILED_PERM = "failed_perm"
    UNKNOWN = "unknown"
    STALE = "stale"
    SUPERSEDED = "superseded"


WAITING_DELIVERY_STATES = frozenset(
    {DeliveryState.PENDING, DeliveryState.FAILED_TEMP, DeliveryState.UNKNOWN}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`fields` are label/value rows, `actions` the buttons, `link` a plain web page that does the same."""

    id: str
    dedup_key: str
    kind: MessageKind
    title: str
    body: str
    created_at: datetime
    incident_id: str | None = None
    task_id: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    actions: tuple[CardAction, ...] = ()
    link: str | None = None
    priority: int = 1
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`response_code` is the channel's one-use key to change the card; every tap brings a new one."""

    id: str
    message_id: str
    channel: str
    recipient: str
    kind: DeliveryKind = DeliveryKind.SEND
    responder_id: str | None = None
    state: DeliveryState = DeliveryState.PENDING
    attempt: int = 0
    next_at: datetime
    lease_until: datetime | None = None
    provider_id: str | None = None
    response_code: str | None = None
    response_code_expires_at: datetime | None = None
    update: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """UNIQUE(message, actor, action): the same tap delivered five times counts once."""

    id: str
    message_id: str
    actor: str
    action: str
    source: str
    at: datetime
    effect: str
