"""Texts to phones (MESSAGE, RFC 3428 §4): a channel of the dispatch model, beside the one that rings them.

Every phone of an account is told, as every one would ring; one that takes the text is enough. It says that the phone has
it, not that anybody has read it: only an acknowledgement stops a clock. What somebody types in answer is a report (`texts.py`).
"""

import asyncio

from commhub.domain.errors import UnavailableError
from commhub.domain.people import Endpoint
from commhub.domain.plain_text import plain_text
from commhub.ports.channels import Outcome, Outgoing, Refused, Sent, TryLater, Unknown
from commhub.ports.edge_store import SipBinding
from gateways.sip import metrics
from gateways.sip.awaiting import answer_to
from gateways.sip.causes import detail_of
from gateways.sip.contacts import hop_of_binding
from gateways.sip.core import Core
from gateways.sip.errors import TransactionError
from gateways.sip.message import Request, Response
from gateways.sip.registrar import Registrar

SIP_TEXT = "sip_text"
# A request outside a call is no larger than 1,300 bytes (RFC 3428 §8); its head takes about a third of that.
MOST_BYTES = 900
_WITHIN_S = 10.0
_TIMED_OUT = 408
# 482: the phone was told already, by a sending of which we heard no answer (RFC 3261 §8.2.2.2).
_HAS_IT = 482
_LATER = frozenset({408, 480, 486, 487, 491, 600})
# Of the errors of servers, those that will be the same tomorrow.
_NEVER = frozenset({501, 505})
_BEST_FIRST = (Sent, Unknown, TryLater, Refused)


class SipTextChannel:
    """Implements `commhub.ports.channels.Channel`. It is made before the edge is, and sends nothing until `connect`."""

    name = SIP_TEXT

    def __init__(self) -> None:
        self._edge: tuple[Core, Registrar] | None = None

    def connect(self, core: Core, registrar: Registrar) -> None:
        self._edge = (core, registrar)

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Tell every phone of the account. A retry is the same message to a phone that had it."""
        if self._edge is None:
            return TryLater(reason="the SIP edge is not started yet")
        core, registrar = self._edge
        endpoint = Endpoint.parse(outgoing.delivery.recipient)
        if endpoint.hub is not None:
            return Refused(reason="texts do not go to phones of other hubs")
        try:
            account, bindings = await registrar.reach(endpoint.name)
        except UnavailableError as error:
            return TryLater(reason=str(error))
        if account is None:
            return Refused(reason="no such SIP account")
        if not bindings:
            return TryLater(reason="no phone is registered for this account")
        text = plain_text(outgoing.message, MOST_BYTES, outgoing.message.link).encode()
        requests = [_request(core, one, outgoing.delivery.id, text) for one in bindings]
        outcomes = await asyncio.gather(
            *(_tell(core, request, one) for request, one in zip(requests, bindings, strict=True))
        )
        best = min(outcomes, key=lambda outcome: _BEST_FIRST.index(type(outcome)))
        metrics.TEXTS_SENT.labels(type(best).__name__.lower()).inc()
        return best


def _request(core: Core, binding: SipBinding, delivery_id: str, text: bytes) -> Request:
    """The MESSAGE to one phone. The same delivery has the same Call-ID, tag and number: a phone that had it knows it again."""
    host = core.config.uri_host
    request = Request("MESSAGE", binding.contact, body=text)
    fields = request.headers
    fields.set("Via", "")
    if binding.path:
        fields.setlist("Route", list(binding.path))
    fields.set("Max-Forwards", "70")
    fields.set("From", f"<sip:commhub@{host}>;tag={delivery_id}")
    fields.set("To", f"<sip:{binding.account}@{host}>")
    fields.set("Call-ID", f"{delivery_id}@{host}")
    fields.set("CSeq", "1 MESSAGE")
    fields.set("User-Agent", core.user_agent)
    fields.set("Content-Type", "text/plain;charset=UTF-8")
    return request


async def _tell(core: Core, request: Request, binding: SipBinding) -> Outcome:
    try:
        response = await answer_to(core, request, hop_of_binding(binding), _WITHIN_S)
    except TransactionError as error:
        if error.status == _TIMED_OUT:
            return Unknown(reason="the phone did not say whether it has the text")
        return TryLater(reason=str(error))
    return _outcome_of(response)


def _outcome_of(response: Response) -> Outcome:
    status, detail = response.status, detail_of(response)
    if status < 300 or status == _HAS_IT:
        return Sent()
    if status in _LATER or (500 <= status < 600 and status not in (501, 505)):
        return TryLater(reason=detail, after_s=_pause(response))
    return Refused(reason=detail)


def _pause(response: Response) -> float | None:
    """Its Retry-After (RFC 3261 §20.33), in seconds, when it is a number."""
    text = response.get("Retry-After").partition(";")[0].partition("(")[0].strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
