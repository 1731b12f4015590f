"""Reliable provisional responses (RFC 3262), from both sides: our 180 where a caller requires it, and the PRACK for what a
phone sends us reliably. With them the early dialogs of our own INVITEs, and what is heard before the answer.
"""

import secrets
from dataclasses import dataclass, replace

import structlog

from commhub.domain.errors import InvalidError, UnavailableError
from gateways.sip import metrics, sdp
from gateways.sip.core import respond_ok
from gateways.sip.dialogs import AHEAD, Dialog, dialog_of_answer
from gateways.sip.errors import MalformedError, SdpError, TransactionError
from gateways.sip.legs import Expired, Leg, Responded
from gateways.sip.message import Request, Response
from gateways.sip.proof import Proof
from gateways.sip.transactions import ClientTransaction, ServerTransaction, TimerHandle
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)

RELIABLE = "100rel"
NO_PRACK = "prack"


class ReliableRinging:
    """A 180 of ours that is sent again until its PRACK (§3): at T1, doubling; after 64·T1 `Expired(NO_PRACK)`."""

    def __init__(self, leg: Leg, transaction: ServerTransaction, response: Response) -> None:
        self._leg = leg
        self._transaction = transaction
        self._timers = leg.core.config.timers
        self._scheduler = leg.core.layer.scheduler
        self._rseq = secrets.randbelow(2**31 - 1) + 1
        self._resend: TimerHandle | None = None
        response.headers.set("Require", RELIABLE)
        response.headers.set("RSeq", str(self._rseq))
        transaction.respond(response)
        self._give_up = self._scheduler.call_later(self._timers.timeout_s, self._expire)
        self._again_after(self._timers.t1_s)

    def _again_after(self, delay: float) -> None:
        def again() -> None:
            self._transaction.resend()
            self._again_after(delay * 2)

        self._resend = self._scheduler.call_later(delay, again)

    def _expire(self) -> None:
        self.stop()
        self._leg.post(Expired(NO_PRACK))

    def stop(self) -> None:
        """A PRACK or a final response took its place."""
        self._give_up.cancel()
        if self._resend is not None:
            self._resend.cancel()

    def acknowledge(self, transaction: ServerTransaction) -> None:
        """Answer a PRACK: 200 for ours, else 481 (§3)."""
        cseq = self._transaction.request.cseq.sequence
        if transaction.request.get("RAck").split() != [str(self._rseq), str(cseq), "INVITE"]:
            transaction.refuse(481)
            return
        self.stop()
        respond_ok(self._leg.core, transaction)


@dataclass(slots=True)
class _Early:
    """One early dialog, with what it shows to its trunk; `rseq` is the last reliable response of it, `answer` what it said of
    its voice."""

    dialog: Dialog
    proof: Proof
    rseq: int | None = None
    answer: bytes = b""


class EarlyDialogs:
    """What the phones of one ringing leg say before they answer (RFC 3261 §13.2.2.1). Early media is heard by the call
    when a single phone is rung: an announcement of the network («this number is not in service») is for whoever
    called. Nothing is sent to it, so nobody is heard there before the answer."""

    def __init__(self, leg: Leg, *, resumed: bool = False) -> None:
        """`resumed`: a former process has numbered requests (PRACK) in these dialogs, and nobody knows how many."""
        self._leg = leg
        self._ahead = AHEAD if resumed else 0
        self._core = leg.core
        self._known: dict[tuple[str, str], _Early] = {}
        self._is_heard = False

    async def heard(
        self, transaction: ClientTransaction, response: Response, source: Hop, *, alone: bool
    ) -> None:
        """A provisional response; `alone`: no other phone is rung."""
        tag = response.recipient.tag
        if response.status == 100 or not tag:
            return
        key = (response.call_id, tag)
        early = self._known.get(key)
        if early is None:
            try:
                dialog = dialog_of_answer(transaction.request, response, source)
            except MalformedError:
                # Without a Contact it is a sign of life, no dialog.
                return
            early = self._known[key] = _Early(self._numbered(dialog), Proof(self._leg.line))
            self._leg.know(dialog)
        if not await self._acknowledge(early, response):
            return
        if response.body and not early.answer:
            early.answer = response.body
            if alone:
                await self._listen(response.body, transaction.request.body)

    async def _acknowledge(self, early: _Early, response: Response) -> bool:
        """PRACK a reliable response (§4); False when it was seen before or comes out of order."""
        if RELIABLE not in response.tokens("Require"):
            return True
        try:
            rseq = response.number("RSeq")
        except MalformedError:
            rseq = None
        if rseq is None or (early.rseq is not None and rseq != early.rseq + 1):
            return False
        early.rseq = rseq
        early.dialog, prack = early.dialog.request("PRACK")
        prack.headers.set("RAck", f"{rseq} {response.cseq.sequence} INVITE")
        try:
            await self._leg.send(prack, early.dialog.hop)
        except (TransactionError, ValueError) as error:
            log.info("sip_prack_not_sent", leg_id=self._leg.id, error=str(error))
        return True

    async def heard_back(self, event: Responded) -> None:
        """What became of a PRACK: a trunk that asks for our credentials gets it once more with them, or it would send its
        response again and again and never answer."""
        prack = event.transaction.request
        early = self._known.get((prack.call_id, prack.recipient.tag))
        again = early.proof.again(event, early.dialog) if early is not None else None
        if early is None or again is None:
            return
        early.dialog, signed = again
        try:
            now = await self._core.send_request(signed, early.dialog.hop, self._leg)
        except (TransactionError, ValueError) as error:
            log.info("sip_prack_not_sent", leg_id=self._leg.id, error=str(error))
            return
        early.proof.sent_again(event.transaction, now)

    async def _listen(self, body: bytes, offered: bytes) -> None:
        if self._is_heard or not self._core.config.early_media:
            return
        try:
            agreement = sdp.accept(body, self._leg.terms, offered)
            remote = replace(agreement.remote, receives=False)
            await self._core.media.connect(self._leg.id, remote)
        except (SdpError, InvalidError, UnavailableError) as error:
            log.info("sip_early_media_not_heard", leg_id=self._leg.id, reason=str(error))
            return
        self._is_heard = True
        metrics.EARLY_MEDIA.inc()

    def body_of(self, response: Response) -> bytes:
        """The answer to our offer: a 2xx repeats none that came reliably (RFC 3262 §5, RFC 6337 §3.1.1)."""
        early = self._known.get((response.call_id, response.recipient.tag))
        return response.body or (early.answer if early else b"")

    def continued(self, dialog: Dialog) -> Dialog:
        """The dialog of a 2xx, with the numbers its early part has used."""
        early = self._known.get((dialog.call_id, dialog.remote_tag))
        if early is None:
            return self._numbered(dialog)
        if early.dialog.local_seq <= dialog.local_seq:
            return dialog
        return replace(dialog, local_seq=early.dialog.local_seq)

    def _numbered(self, dialog: Dialog) -> Dialog:
        """The dialog with the next number that nobody has used in it (RFC 3261 §12.2.1.1)."""
        return replace(dialog, local_seq=dialog.local_seq + self._ahead) if self._ahead else dialog


def asks_reliably(request: Request) -> bool:
    """Whether a caller insists on reliable provisional responses (§3)."""
    return RELIABLE in request.tokens("Require")
