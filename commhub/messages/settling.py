"""What an outcome makes of a delivery: pure, so that every case is a line of a table and a test.

SENDING is what the sender holds under its lease; a delivery that a tap has already proved delivered, or that was
superseded meanwhile, is not taken back.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from commhub.domain.message import Delivery, DeliveryKind, DeliveryState
from commhub.messages.config import MessageConfig
from commhub.ports.channels import Outcome, Refused, Sent, TryLater, Unknown

# What a person should read on the timeline at the first attempt too, not only when it is over.
_TROUBLE = frozenset({DeliveryState.FAILED_TEMP, DeliveryState.UNKNOWN})
_NEWS = frozenset(
    {
        DeliveryState.ACCEPTED,
        DeliveryState.DELIVERED,
        DeliveryState.FAILED_PERM,
        DeliveryState.STALE,
    }
)


def after(delivery: Delivery, outcome: Outcome, now: datetime, config: MessageConfig) -> Delivery:
    """The delivery after an attempt with that outcome."""
    match outcome:
        case Sent():
            return _sent(delivery, outcome)
        case Refused(reason=reason):
            return _ended(delivery, DeliveryState.FAILED_PERM, reason)
        case TryLater(reason=reason, after_s=after_s):
            wait = max(config.backoff.after(delivery.attempt), timedelta(seconds=after_s or 0))
            return _again(delivery, DeliveryState.FAILED_TEMP, reason, now + wait, config)
        case Unknown(reason=reason):
            wait = config.backoff.after(delivery.attempt)
            return _again(delivery, DeliveryState.UNKNOWN, reason, now + wait, config)


def stale(delivery: Delivery) -> Delivery:
    """Its time has passed before it could go."""
    return _ended(delivery, DeliveryState.STALE, "expired before it could be sent")


def superseded(delivery: Delivery) -> Delivery:
    """Something newer says it, or nobody needs it any more."""
    return _ended(delivery, DeliveryState.SUPERSEDED, delivery.error)


def refused(delivery: Delivery, reason: str) -> Delivery:
    return _ended(delivery, DeliveryState.FAILED_PERM, reason)


def put_back(delivery: Delivery, until: datetime) -> Delivery:
    """Not tried this time, which is no attempt. What may have left before stays «unknown»."""
    return replace(
        delivery,
        state=DeliveryState.UNKNOWN if delivery.attempt > 1 else DeliveryState.PENDING,
        attempt=delivery.attempt - 1,
        next_at=until,
        lease_until=None,
    )


def is_news(before: Delivery, now: Delivery) -> bool:
    """Whether the timeline should have a line for it: every end, and the first sign of trouble."""
    if now.state == before.state:
        return False
    if now.kind is DeliveryKind.UPDATE:
        return now.state in _NEWS
    return now.state in _NEWS or (now.state in _TROUBLE and now.attempt == 1)


def _sent(delivery: Delivery, sent: Sent) -> Delivery:
    # A tap may have been faster than the provider's answer: then it is delivered, and its code is newer.
    was_tapped = delivery.state is DeliveryState.DELIVERED
    code, expires = sent.response_code, sent.response_code_expires_at
    if delivery.response_code is not None:
        code, expires = delivery.response_code, delivery.response_code_expires_at
    return replace(
        delivery,
        state=DeliveryState.DELIVERED if was_tapped else DeliveryState.ACCEPTED,
        lease_until=None,
        provider_id=sent.provider_id or delivery.provider_id,
        response_code=code,
        response_code_expires_at=expires,
        error=None,
    )


def _again(
    delivery: Delivery, state: DeliveryState, reason: str, at: datetime, config: MessageConfig
) -> Delivery:
    if delivery.state is DeliveryState.DELIVERED:
        return replace(delivery, lease_until=None)
    if delivery.attempt >= config.tries:
        return _ended(
            delivery,
            DeliveryState.FAILED_PERM,
            f"{reason} (given up after {delivery.attempt} tries)",
        )
    return replace(delivery, state=state, next_at=at, lease_until=None, error=reason[:500])


def _ended(delivery: Delivery, state: DeliveryState, error: str | None) -> Delivery:
    if delivery.state is DeliveryState.DELIVERED:
        return replace(delivery, lease_until=None)
    return replace(delivery, state=state, lease_until=None, error=error[:500] if error else None)
