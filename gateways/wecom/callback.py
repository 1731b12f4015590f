"""What comes from WeCom (D/90930, D/90240): the address check, taps on cards, and messages people write.

The answer is an empty 200 only after the core has committed. Repeats are welcome: MsgId, or for events the parts
that identify them, is the key by which the core makes them one. Of a body only the sealed part is read before
its signature was found good.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from xml.etree.ElementTree import ParseError

import structlog
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from commhub.domain.errors import ConflictError, InvalidError, UnavailableError
from commhub.domain.report import Source
from commhub.http.auth import public
from commhub.http.problems import problem
from commhub.kit.clock import Clock
from commhub.ports.inward import AcksIn, NewAck, NewReport, ReportsIn
from gateways.wecom.channel import NAME
from gateways.wecom.config import WeComConfig
from gateways.wecom.crypto import Envelope
from gateways.wecom.errors import ForgeryError
from gateways.wecom.freshness import Freshness
from gateways.wecom.metrics import CALLBACKS, REFUSED
from gateways.wecom.task_id import to_delivery_id

log = structlog.get_logger(__name__)

MAX_BODY = 64 * 1024
# WeCom hangs up after 5 s; giving up a little earlier keeps the refusal ours.
ANSWER_WITHIN_S = 4.5
# A report of somebody who only wrote a text has no category yet; the desk gives it one.
TEXT_CATEGORY = "other"

_WHY_PUBLIC = "WeCom signs its callbacks (msg_signature) instead of signing in"

_Text = Annotated[str, Query(max_length=256)]
_Echo = Annotated[str, Query(max_length=4096)]


class WeComCallback:
    """Opens envelopes and hands their content to the core."""

    def __init__(self, config: WeComConfig, acks: AcksIn, reports: ReportsIn, clock: Clock) -> None:
        """Raises ValueError for an EncodingAESKey that is none."""
        self._envelope = Envelope(config.token, config.aes_key, config.corp_id)
        self._freshness = Freshness()
        self._acks = acks
        self._reports = reports
        self._clock = clock

    def open(self, signature: str, timestamp: str, nonce: str, sealed: str) -> bytes:
        """The plain content of a callback. Raises ForgeryError."""
        plain = self._envelope.open(signature, timestamp, nonce, sealed)
        self._freshness.check(signature, timestamp, nonce, self._clock.now())
        return plain

    async def take(self, plain: bytes) -> None:
        """Hand one message or event to the core; returns after the commit.

        What the core refuses for good is logged and counted, because asking WeCom to send it again would not
        help; UnavailableError goes on to the caller.
        """
        kind = ("", "")
        try:
            fields = read_fields(plain)
            kind = (fields.get("MsgType", ""), fields.get("Event", ""))
            match kind:
                case ("event", "template_card_event"):
                    await self._take_tap(fields, plain)
                case ("text", _):
                    await self._take_text(fields)
                case _:
                    self._ignore(kind)
        except (ConflictError, InvalidError, ValueError, OverflowError) as error:
            CALLBACKS.labels("refused_by_core").inc()
            log.warning("wecom_callback_not_taken", kind=kind[1] or kind[0], reason=str(error))

    async def _take_tap(self, fields: Mapping[str, str], plain: bytes) -> None:
        user, made = fields["FromUserName"], fields["CreateTime"]
        key = (user, made, fields["Event"], fields["EventKey"], fields["TaskId"])
        await self._acks.acknowledge(
            NewAck(
                channel=NAME,
                event_key=":".join(key),
                delivery_id=to_delivery_id(fields["TaskId"]),
                actor=f"{NAME}:{user}",
                action=fields["EventKey"],
                at=datetime.fromtimestamp(int(made), UTC),
                response_code=fields.get("ResponseCode") or None,
                raw=plain.decode("utf-8", "replace"),
            )
        )
        CALLBACKS.labels("tap").inc()

    async def _take_text(self, fields: Mapping[str, str]) -> None:
        await self._reports.submit(
            NewReport(
                source=Source.WECOM,
                idempotency_key=fields["MsgId"],
                category=TEXT_CATEGORY,
                text=fields["Content"],
                reporter=f"{NAME}:{fields['FromUserName']}",
                occurred_at=datetime.fromtimestamp(int(fields["CreateTime"]), UTC),
            )
        )
        CALLBACKS.labels("text").inc()

    def _ignore(self, kind: tuple[str, str]) -> None:
        """LOCATION comes only when somebody opens the chat, which is no tracking; the rest is nothing to us."""
        CALLBACKS.labels("ignored").inc()
        log.info("wecom_callback_ignored", message_type=kind[0], event_type=kind[1])


class _Fields(dict[str, str]):
    """A missing element is the sender's fault and said by name."""

    def __missing__(self, key: str) -> str:
        raise ValueError(f"the element {key} is missing")


def read_fields(document: bytes) -> Mapping[str, str]:
    """The texts of the elements directly under the root. Raises ValueError for what is no safe XML."""
    try:
        root = fromstring(document, forbid_dtd=True)
    except (ParseError, DefusedXmlException) as error:
        raise ValueError(f"no XML: {type(error).__name__}") from error
    return _Fields({child.tag: (child.text or "").strip() for child in root})


def build_router(config: WeComConfig, acks: AcksIn, reports: ReportsIn, clock: Clock) -> APIRouter:
    """`/wecom/callback`, for the application's root (not under /api/v1)."""
    callback = WeComCallback(config, acks, reports, clock)
    router = APIRouter(prefix="/wecom", tags=["wecom"])

    @router.get("/callback", response_class=PlainTextResponse)
    @public(_WHY_PUBLIC)
    async def echo(
        msg_signature: _Text, timestamp: _Text, nonce: _Text, echostr: _Echo
    ) -> Response:
        """WeCom checks the address when it is saved: the bare plaintext within a second."""
        try:
            plain = callback.open(msg_signature, timestamp, nonce, echostr)
        except ForgeryError as error:
            return _refuse(error)
        return Response(plain, media_type="text/plain")

    @router.post("/callback")
    @public(_WHY_PUBLIC)
    async def receive(
        request: Request, msg_signature: _Text, timestamp: _Text, nonce: _Text
    ) -> Response:
        """A message or an event; an empty 200 after the commit."""
        body = await _read_bounded(request)
        if body is None:
            REFUSED.labels("too_large").inc()
            return problem(413, "too-large", f"a callback has at most {MAX_BODY // 1024} KiB")
        try:
            sealed = read_fields(body)["Encrypt"]
        except ValueError as error:
            REFUSED.labels("malformed").inc()
            log.warning("wecom_callback_refused", reason="malformed", detail=str(error))
            return problem(400, "malformed", str(error))
        try:
            plain = callback.open(msg_signature, timestamp, nonce, sealed)
        except ForgeryError as error:
            return _refuse(error)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await callback.take(plain)
        except TimeoutError as error:
            raise UnavailableError("the hub is too busy just now; send it again") from error
        return Response(status_code=200)

    return router


async def _read_bounded(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _refuse(error: ForgeryError) -> Response:
    REFUSED.labels(error.reason).inc()
    log.warning("wecom_callback_refused", reason=error.reason)
    return problem(
        403, "forged", "this is no callback of our WeCom app", members={"reason": error.reason}
    )
