"""Texts from phones (MESSAGE, RFC 3428): what somebody types on a phone is a report.

Whoever it is addressed to, it comes to the hub, and the report says whom it named. The phone is told 202 only after the
commit, so a text that nobody has is never taken for delivered; a retry of the same message is the same report.
"""

from dataclasses import dataclass

import structlog

from commhub.domain.errors import ConflictError, InvalidError
from commhub.domain.report import Source
from commhub.kit.clock import Clock
from commhub.ports.inward import NewReport, ReportsIn
from gateways.sip import metrics
from gateways.sip.core import Core, user_of
from gateways.sip.message import Request
from gateways.sip.methods import refuse, respond
from gateways.sip.transactions import ServerTransaction
from gateways.sip.uas import Reception

log = structlog.get_logger(__name__)

CATEGORY = "other"
_TYPE = "text/plain"
_LIMIT = 2_000
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class TextIntake:
    """Implements `gateways.sip.core.Texts`."""

    def __init__(self, core: Core, reception: Reception, reports: ReportsIn, clock: Clock) -> None:
        self._core = core
        self._reception = reception
        self._reports = reports
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    async def receive(self, transaction: ServerTransaction) -> None:
        """Answer a MESSAGE: authenticated like a call, judged, committed, 202."""
        account = await self._reception.authenticate(transaction)
        if account is None:
            return
        request = transaction.request
        if request.content_type != _TYPE:
            self._refuse(transaction, 415, {"Accept": _TYPE})
            return
        text = read_text(request)
        if not text:
            self._refuse(transaction, 400, {})
        elif not self._may(account.name):
            self._refuse(
                transaction, 480, {"Retry-After": str(round(self._core.config.text_every_s))}
            )
        else:
            await self._submit(transaction, account.name, text)

    async def _submit(self, transaction: ServerTransaction, account: str, text: str) -> None:
        request = transaction.request
        report = NewReport(
            source=Source.SIP,
            # A phone that heard no answer sends the same Call-ID and number again (RFC 3261 §8.1.1).
            idempotency_key=f"{account}:{request.call_id[:200]}:{request.cseq.sequence}",
            category=CATEGORY,
            text=text,
            reporter=f"sip:{account}",
            extra={"to": user_of(request.uri)},
        )
        try:
            await self._reports.submit(report)
        except (ConflictError, InvalidError):
            self._refuse(transaction, 400, {})
        except Exception:
            log.exception("sip_text_not_taken")
            self._refuse(transaction, 503, {"Retry-After": "5"})
        else:
            metrics.TEXTS.labels("taken").inc()
            respond(self._core, transaction, 202, {})

    def _refuse(self, transaction: ServerTransaction, status: int, headers: dict[str, str]) -> None:
        metrics.TEXTS.labels("refused").inc()
        refuse(self._core, transaction, status, headers)

    def _may(self, account: str) -> bool:
        """Whether the account has not sent too many lately."""
        config, now = self._core.config, self._clock.monotonic()
        bucket = self._buckets.pop(account, None) or _Bucket(config.texts_at_once, now)
        refilled = bucket.tokens + (now - bucket.at) / config.text_every_s
        tokens = min(float(config.texts_at_once), refilled)
        self._buckets[account] = _Bucket(max(tokens - 1, 0) if tokens >= 1 else tokens, now)
        while len(self._buckets) > _REMEMBERED:
            del self._buckets[next(iter(self._buckets))]
        return tokens >= 1


def read_text(request: Request) -> str:
    """The text, fit for a screen: line feeds stay, other control characters do not. Empty for none, and for one that is
    not in the charset it claims."""
    charset = "utf-8"
    for piece in request.get("Content-Type").split(";")[1:]:
        name, _, value = piece.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    try:
        text = request.body.decode(
            charset if charset in ("us-ascii", "gb18030", "gbk") else "utf-8"
        )
    except UnicodeDecodeError:
        return ""
    return "".join(c for c in text if c.isprintable() or c == "\n")[:_LIMIT].strip()
