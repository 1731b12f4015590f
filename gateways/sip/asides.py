"""Requests inside a dialog that agree on nothing: OPTIONS (RFC 3261 §11), INFO with digits (RFC 6086's legacy use)
or a wish for a whole picture (RFC 5168), a
text (RFC 3428), and what belongs to nothing we began."""

from gateways.sip import metrics
from gateways.sip.core import ALLOW, respond_ok
from gateways.sip.legs import Leg
from gateways.sip.methods import answer_plainly, refuse
from gateways.sip.pictures import MEDIA_CONTROL, wants_update
from gateways.sip.transactions import ServerTransaction

DTMF_RELAY = "application/dtmf-relay"
DTMF = "application/dtmf"
_KEYS = frozenset("0123456789*#ABCD")
# The events of RFC 4733 §3.2 by their number, as some phones write them.
_BY_NUMBER = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}


class Asides:
    """Answers what needs the dialog and nothing of its state."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._core = leg.core

    async def answer(self, transaction: ServerTransaction) -> None:
        match transaction.request.method:
            case "INFO":
                await self._info(transaction)
            case "MESSAGE":
                await self._message(transaction)
            case "PRACK" if self._leg.reliable is not None:
                # Our 200 overtook it.
                self._leg.reliable.acknowledge(transaction)
            case "PRACK" | "NOTIFY":
                # No reliable answer of ours waits (RFC 3262 §3), and we subscribe to nothing (RFC 6665 §4.1.3).
                transaction.refuse(481)
            case _:
                answer_plainly(self._core, transaction)

    async def _message(self, transaction: ServerTransaction) -> None:
        if self._core.texts is None:
            refuse(self._core, transaction, 405, {"Allow": ALLOW})
        else:
            await self._core.texts.receive(transaction)

    async def _info(self, transaction: ServerTransaction) -> None:
        """A key pressed (200), or nothing at all (200: some phones ask so whether we live)."""
        request = transaction.request
        if not request.body:
            respond_ok(self._core, transaction)
            return
        if request.content_type == MEDIA_CONTROL:
            await self._media_control(transaction)
            return
        if request.content_type not in (DTMF_RELAY, DTMF):
            accepted = f"{DTMF_RELAY}, {DTMF}, {MEDIA_CONTROL}"
            refuse(self._core, transaction, 415, {"Accept": accepted})
            return
        digit = read_digit(request.content_type, request.body)
        if digit is None:
            metrics.DIGITS.labels("unreadable").inc()
            refuse(self._core, transaction, 400, {})
            return
        metrics.DIGITS.labels("info").inc()
        leg_id, digits = self._leg.id, self._core.digits
        if digits is not None:
            await self._core.tell("dtmf", lambda: digits.dtmf_received(leg_id, digit))
        respond_ok(self._core, transaction)

    async def _media_control(self, transaction: ServerTransaction) -> None:
        """A wish for a whole picture (RFC 5168 §5); whatever else it says is read and left (§6)."""
        if wants_update(transaction.request.body):
            await self._core.pictures.refresh(self._leg.id)
        respond_ok(self._core, transaction)


def read_digit(content_type: str, body: bytes) -> str | None:
    """The key of an INFO: `Signal=5` in a dtmf-relay, the body itself otherwise. None when it names none."""
    text = body[:256].decode("ascii", "replace")
    if content_type == DTMF_RELAY:
        pairs = (line.partition("=") for line in text.replace("\r", "\n").split("\n"))
        found = {name.strip().lower(): value.strip() for name, _, value in pairs}
        text = found.get("signal", "")
    key = text.strip().upper()
    key = _BY_NUMBER.get(key, key)
    return key if key in _KEYS else None
