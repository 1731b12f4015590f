"""An established call leg, whoever placed it: re-INVITEs from the phone, BYE from either side.

A phone holds and resumes by re-INVITE (RFC 3264 §8.4). The media engine keeps the audio; here is only what was
agreed. The row is always written before the peer is told, so a new process knows what the peer knows.
"""

from dataclasses import replace

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError, UnavailableError
from gateways.sip import sdp
from gateways.sip.core import respond_ok
from gateways.sip.errors import MalformedError, SdpError, TransactionError
from gateways.sip.keeper import NO_ACK, AnswerKeeper
from gateways.sip.leaving import Leaving
from gateways.sip.ledger import Chapter
from gateways.sip.legs import (
    Acknowledged,
    Asked,
    Event,
    Expired,
    HangUp,
    LateAnswer,
    Leg,
    Readdressed,
    Responded,
    Unanswered,
)
from gateways.sip.message import Response
from gateways.sip.methods import answer_plainly, refuse_description
from gateways.sip.renewal import RENEW, Renewal
from gateways.sip.talk import Talk, answer_200, say_bye
from gateways.sip.transactions import ServerTransaction
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)


class Talking:
    """The established stage. `accepted` is what the phone's 200 agreed to (outbound legs); `agreed` is what our
    own 200 agreed to and `keeper` resends it until its ACK (inbound legs). A leg that is taken up after a restart
    has none of them: the core and the media engine know already."""

    def __init__(
        self,
        leg: Leg,
        talk: Talk,
        *,
        accepted: sdp.Agreement | None = None,
        agreed: sdp.Agreement | None = None,
        keeper: AnswerKeeper | None = None,
    ) -> None:
        self._leg = leg
        self._core = leg.core
        self._talk = talk
        self._accepted = accepted
        self._agreed = agreed
        self._keeper = keeper
        self._offered_in_200 = False
        self._ack: tuple[bytes, Hop] | None = None
        self._renewal = Renewal(leg)

    async def begin(self) -> None:
        self._leg.know(self._talk.dialog)
        if self._agreed is not None:
            await self._tell_state(self._agreed)
        if self._accepted is None:
            return
        # The row first: once the ACK is out the phone holds a dialog that a new process must know.
        await self._write()
        try:
            self._ack = await self._core.acknowledge(self._talk.dialog)
            await self._core.media.connect(self._leg.id, self._accepted.remote)
        except InvalidError as error:
            await self._hang_up(Cause.NO_COMMON_CODEC, str(error))
            return
        except (UnavailableError, TransactionError) as error:
            await self._hang_up(Cause.FAILED, str(error))
            return
        await self._tell_state(self._accepted)

    async def handle(self, event: Event) -> None:
        if isinstance(event, Asked):
            await self._asked(event.transaction)
        elif isinstance(event, Acknowledged):
            await self._acknowledged(event.request.body)
        elif isinstance(event, HangUp):
            await self._hang_up(event.cause, None)
        elif isinstance(event, Readdressed):
            self._renewal.want(event.address, self._talk)
            await self._renew()
        elif isinstance(event, Responded | Unanswered) and self._renewal.asked(event.transaction):
            await self._renewed(event)
        elif isinstance(event, Responded | LateAnswer):
            await self._answered_again(event.response)
        elif isinstance(event, Expired) and event.what == NO_ACK:
            self._stop_keeping()
            await self._hang_up(Cause.FAILED, "the phone never acknowledged our answer")
        elif isinstance(event, Expired) and event.what == RENEW:
            await self._renew()

    async def abandon(self) -> None:
        await say_bye(self._leg, self._talk.dialog)

    # --- their requests --------------------------------------------------------------------------------------

    async def _asked(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        last = self._talk.dialog.remote_seq
        if last is not None and request.cseq.sequence <= last:
            # Out of order (§12.2.2); a true retransmission never gets past its transaction.
            transaction.refuse(500)
        elif request.method == "BYE":
            await self._end_by_peer(transaction)
        elif request.method == "INVITE":
            await self._reinvited(transaction)
        else:
            answer_plainly(self._core, transaction)

    async def _end_by_peer(self, transaction: ServerTransaction) -> None:
        self._stop_keeping()
        await self._core.release(self._leg.id)
        await self._core.tell_ended(self._leg.id, Cause.HUNG_UP, None)
        await self._core.tell("row", lambda: self._core.ledger.delete(self._leg.id))
        respond_ok(self._core, transaction)
        self._leg.finish()

    async def _reinvited(self, transaction: ServerTransaction) -> None:
        if self._keeper is not None:
            # Our last answer is not acknowledged yet (§14.2).
            transaction.refuse(500, Retry_After="1")
            return
        if self._renewal.is_under_way:
            # Both ask at once: both will ask again, one of them first (§14.2).
            transaction.refuse(491)
            return
        request = transaction.request
        try:
            dialog = self._talk.dialog.heard(request, transaction.source)
        except MalformedError as error:
            transaction.refuse(error.status)
            return
        local = self._talk.local.next()
        if not request.body:
            await self._offer_again(transaction, replace(self._talk, dialog=dialog, local=local))
            return
        try:
            agreement = sdp.answer(
                request.body,
                self._core.config.terms,
                self._talk.address,
                local,
                self._talk.local_sdp,
            )
            await self._core.media.connect(self._leg.id, agreement.remote)
        except (SdpError, InvalidError) as error:
            refuse_description(self._core, transaction, error)
            return
        except UnavailableError:
            transaction.refuse(500, Retry_After="5")
            return
        self._talk = replace(
            self._talk,
            dialog=dialog,
            local=local,
            local_sdp=agreement.body or b"",
            remote_sdp=request.body,
            held=agreement.held,
        )
        await self._accept(transaction)
        await self._tell_state(agreement)

    async def _offer_again(self, transaction: ServerTransaction, talk: Talk) -> None:
        """A re-INVITE without a body asks for our offer; the ACK brings their answer (§14.2)."""
        body = sdp.offer(self._core.config.terms, talk.address, talk.local, talk.local_sdp)
        self._talk = replace(talk, local_sdp=body)
        self._offered_in_200 = True
        await self._accept(transaction)

    async def _accept(self, transaction: ServerTransaction) -> None:
        """Answer 200 with our description, again and again until the ACK (§13.3.1.4)."""
        await self._write()
        transaction.respond(answer_200(self._leg, transaction, self._talk.local_sdp))
        self._keeper = AnswerKeeper(self._leg, transaction)

    async def _acknowledged(self, body: bytes) -> None:
        if self._keeper is None:
            return
        self._stop_keeping()
        first = self._talk.invite is not None
        self._talk = replace(self._talk, invite=None)
        if body and (self._offered_in_200 or first):
            await self._answered_in_ack(body)
        elif first:
            await self._write()
        await self._renew()

    async def _answered_in_ack(self, body: bytes) -> None:
        self._offered_in_200 = False
        try:
            agreement = sdp.accept(body, self._core.config.terms, self._talk.local_sdp)
            await self._core.media.connect(self._leg.id, agreement.remote)
        except (SdpError, InvalidError, UnavailableError) as error:
            await self._hang_up(Cause.NO_COMMON_CODEC, str(error))
            return
        self._talk = replace(self._talk, remote_sdp=body, held=agreement.held)
        await self._write()
        await self._tell_state(agreement)

    async def _answered_again(self, response: Response) -> None:
        """Their 200 came again: our ACK was lost (§13.2.2.4)."""
        ours = response.recipient.tag == self._talk.dialog.remote_tag
        if not 200 <= response.status < 300 or not ours or response.cseq.method != "INVITE":
            return
        if self._ack is not None:
            self._core.layer.send(*self._ack)
            return
        try:
            self._ack = await self._core.acknowledge(self._talk.dialog)
        except TransactionError as error:
            log.warning("sip_ack_failed", leg_id=self._leg.id, error=str(error))

    # --- our wishes ------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Ask the phone to send elsewhere, once nothing else is being agreed on."""
        if self._keeper is not None or not self._renewal.is_due:
            return
        self._talk = self._renewal.prepare(self._talk)
        await self._write()
        try:
            await self._renewal.ask(self._talk)
        except TransactionError as error:
            await self._hang_up(Cause.MEDIA_LOST, str(error))

    async def _renewed(self, event: Responded | Unanswered) -> None:
        outcome = self._renewal.outcome_of(event, self._talk)
        if outcome is None:
            return
        if isinstance(outcome, str):
            await self._hang_up(Cause.MEDIA_LOST, outcome)
            return
        self._talk, agreement = outcome
        await self._write()
        try:
            self._ack = await self._core.acknowledge(self._talk.dialog)
            await self._core.media.connect(self._leg.id, agreement.remote)
        except (InvalidError, UnavailableError, TransactionError) as error:
            await self._hang_up(Cause.MEDIA_LOST, str(error))
            return
        await self._tell_state(agreement)
        await self._renew()

    async def _hang_up(self, cause: Cause, detail: str | None) -> None:
        await self._leg.become(Leaving(self._leg, self._talk, self._keeper, cause, detail))

    async def _tell_state(self, agreement: sdp.Agreement) -> None:
        leg_id, calls = self._leg.id, self._core.calls
        codec = agreement.remote.audio.encoding
        await self._core.tell("leg_connected", lambda: calls.leg_connected(leg_id, codec))
        if agreement.held:
            await self._core.tell("leg_held", lambda: calls.leg_held(leg_id))

    async def _write(self) -> None:
        chapter = Chapter.ANSWERED if self._talk.invite else Chapter.TALKING
        await self._leg.write(self._talk.page(self._leg, chapter))

    def _stop_keeping(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None
