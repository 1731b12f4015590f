"""The WeCom channel: implements `commhub.ports.channels.Channel` and `CardChannel`.

WeCom's «accepted» says only that its server has the message (there is no read receipt), so the hub's clocks run
until somebody taps. Every failure becomes an outcome; nothing is raised at the outbox.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import structlog

from commhub.domain.message import CardAction, DeliveryKind
from commhub.kit.clock import Clock
from commhub.ports.channels import Outcome, Outgoing, Refused, Sent, TryLater, Unknown
from gateways.wecom.api import TOKEN_CODES, WeComApi
from gateways.wecom.card import send_request, update_request
from gateways.wecom.config import WeComConfig
from gateways.wecom.errors import ApiError, NoAnswerError, NotSentError
from gateways.wecom.metrics import OUTCOMES
from gateways.wecom.throttle import MemberThrottle

log = structlog.get_logger(__name__)

NAME = "wecom"
# D/94888: a code changes a card once, within 72 hours.
CODE_LIFE = timedelta(hours=72)

# Seconds to wait after a code that passes by itself: busy, throttled, too many at once (D/90313).
_PASSING = {-1: 2.0, 45009: 60.0, 45033: 2.0}
# Codes that a person must mend in the app's settings (secret, corp, agent, callback URL, trusted address, token):
# the message is in order and goes out afterwards.
_MISCONFIGURED = frozenset({40001, 40013, 40056, 43012, 60020}) | TOKEN_CODES
_MENDING_S = 60.0


class WeComChannel:
    """One app of one tenant. Use it with `async with`."""

    def __init__(self, config: WeComConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._api = WeComApi(config, clock)
        self._throttle = MemberThrottle(clock)

    @property
    def name(self) -> str:
        return NAME

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._api.__aexit__(kind, error, traceback)

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Send the card or text; a repeat within four hours is dropped by WeCom as a duplicate."""
        return _counted(DeliveryKind.SEND, await _outcome_of(lambda: self._send(outgoing)))

    async def update(self, outgoing: Outgoing) -> Outcome:
        """Change the card as `delivery.update` says; Refused when its code was used or is past 72 hours."""
        return _counted(DeliveryKind.UPDATE, await _outcome_of(lambda: self._update(outgoing)))

    async def _send(self, outgoing: Outgoing) -> Outcome:
        user = user_of(outgoing.delivery.recipient)
        if not user:
            return Refused(reason="the recipient names no WeCom user")
        wait_s = self._throttle.wait_s(user)
        if wait_s > 0:
            return TryLater(reason="30 messages a minute to one member", after_s=wait_s)
        try:
            body = send_request(outgoing.message, outgoing.delivery.id, user, self._config.agent_id)
        except ValueError as error:
            return Refused(reason=str(error))
        try:
            answer = await self._api.call("/cgi-bin/message/send", body)
        except NoAnswerError:
            self._throttle.note(user)
            raise
        self._throttle.note(user)
        if missing := _not_reached(answer, user):
            return Refused(reason=missing)
        code = answer.get("response_code") or None
        return Sent(
            provider_id=answer.get("msgid") or None,
            response_code=code,
            response_code_expires_at=self._clock.now() + CODE_LIFE if code else None,
        )

    async def _update(self, outgoing: Outgoing) -> Outcome:
        delivery = outgoing.delivery
        user = user_of(delivery.recipient)
        expires = delivery.response_code_expires_at
        if not user:
            return Refused(reason="the recipient names no WeCom user")
        if delivery.response_code is None:
            return Refused(reason="there is no unused response code for this card")
        if expires is not None and expires <= self._clock.now():
            return Refused(reason="the card's response code is past its 72 hours")
        try:
            actions = [CardAction(str(action)) for action in _list(delivery.update, "actions")]
        except ValueError as error:
            return Refused(reason=str(error))
        body = update_request(
            outgoing.message,
            status=str(delivery.update.get("status") or "已更新"),
            actions=actions,
            by=str(delivery.update.get("by") or ""),
            user=user,
            agent_id=self._config.agent_id,
            response_code=delivery.response_code,
        )
        answer = await self._api.call("/cgi-bin/message/update_template_card", body)
        if missing := _not_reached(answer, user):
            return Refused(reason=missing)
        return Sent(provider_id=delivery.provider_id)


def user_of(recipient: str) -> str:
    """`wecom:zhangsan`, with or without the scheme, as WeCom's user id; empty when it names nobody."""
    user = recipient.removeprefix("wecom:").strip()
    # «|» would address several, «@all» everybody: one delivery is one person.
    return "" if "|" in user or user.startswith("@") else user


async def _outcome_of(attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    try:
        return await attempt()
    except NotSentError as error:
        return TryLater(reason=str(error), after_s=error.after_s)
    except NoAnswerError as error:
        return Unknown(reason=str(error))
    except ApiError as error:
        return _outcome_of_code(error)


def _outcome_of_code(error: ApiError) -> Outcome:
    if error.code in _PASSING:
        return TryLater(reason=str(error), after_s=_PASSING[error.code])
    if error.code in _MISCONFIGURED:
        log.error("wecom_app_misconfigured", code=error.code)
        return TryLater(reason=str(error), after_s=_MENDING_S)
    return Refused(reason=str(error))


def _counted(kind: DeliveryKind, outcome: Outcome) -> Outcome:
    OUTCOMES.labels(kind, type(outcome).__name__).inc()
    return outcome


def _not_reached(answer: Mapping[str, Any], user: str) -> str | None:
    """Partial failure is errcode 0 with the user in a list; WeCom gives ids back in lower case (D/90236)."""
    for key, words in (
        ("invaliduser", "WeCom does not know this user, or the app is not visible to them"),
        ("unlicenseduser", "this user has no licence for the WeCom interface"),
    ):
        listed = answer.get(key) or ""
        users = listed if isinstance(listed, list) else str(listed).split("|")
        if user.lower() in {str(one).lower() for one in users}:
            return words
    return None


def _list(update: Mapping[str, object], key: str) -> list[object]:
    value = update.get(key, ())
    return list(value) if isinstance(value, list | tuple) else []
