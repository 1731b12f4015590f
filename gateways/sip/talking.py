"""An established call leg, whoever placed it: re-INVITEs from the phone, BYE from either side.

A phone holds and resumes by re-INVITE (RFC 3264 §8.4). The media engine keeps the audio; here is only what was
agreed. The row is always written before the peer is told, so a new process knows what the peer knows.
"""

from dataclasses import dataclass, field, replace

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.ports.media import RtpAddress
from gateways.sip import sdp
from gateways.sip.core import respond_ok
from gateways.sip.dialogs import Dialog
from gateways.sip.errors import MalformedError, SdpError, SipError, TransactionError
from gateways.sip.keeper import NO_ACK, AnswerKeeper
from gateways.sip.ledger import Chapter, Page, StoredInvite
from gateways.sip.legs import (
    Acknowledged,
    Asked,
    Event,
    Expired,
    HangUp,
    LateAnswer,
    Leg,
    Responded,
    Unanswered,
)
from gateways.sip.message import Response
from gateways.sip.methods import answer_plainly, refuse_description
from gateways.sip.transactions import ServerTransaction
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What is agreed; the descriptions may hold keys of SRTP, so no repr shows them. `invite` is the caller's
    INVITE as long as its 200 has no ACK."""

    dialog: Dialog
    address: RtpAddress
    local: sdp.Local
    local_sdp: bytes = field(repr=False)
    remote_sdp: bytes = field(repr=False)
    held: bool = False
    invite: StoredInvite | None = None

    def page(self, leg: Leg, chapter: Chapter) -> Page:
        return Page(
            leg_id=leg.id,
            call_id=leg.call_id,
            chapter=chapter,
            dialog=self.dialog,
            invites=(self.invite,) if self.invite else (),
            address=self.address,
            local=self.local,
            local_sdp=self.local_sdp,
            remote_sdp=self.remote_sdp,
            held=self.held,
        )


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
        elif isinstance(event, Responded | LateAnswer):
            await self._answered_again(event.response)
        elif isinstance(event, Expired) and event.what == NO_ACK:
            self._stop_keeping()
            await self._hang_up(Cause.FAILED, "the phone never acknowledged our answer")

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
        except SdpError as error:
            refuse_description(self._core, transaction, error)
            return
        except InvalidError as error:
            refuse_description(self._core, transaction, SdpError(str(error)))
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


class Leaving:
    """The leg has ended for the core; the row stays until the phone has answered our BYE. While our 200 is not
    acknowledged no BYE may be sent (§15), so it waits for the ACK or its timeout."""

    def __init__(
        self,
        leg: Leg,
        talk: Talk,
        keeper: AnswerKeeper | None = None,
        cause: Cause | None = None,
        detail: str | None = None,
    ) -> None:
        self._leg = leg
        self._core = leg.core
        self._talk = talk
        self._keeper = keeper
        self._cause = cause
        self._detail = detail

    async def begin(self) -> None:
        """`cause` None: a former process has told the core already."""
        self._leg.know(self._talk.dialog)
        if self._cause is not None:
            page = self._talk.page(self._leg, Chapter.LEAVING)
            await self._core.tell("row", lambda: self._leg.write(page))
        if self._keeper is None:
            await self._say_bye()
        if self._cause is not None:
            await self._core.release(self._leg.id)
            await self._core.tell_ended(self._leg.id, self._cause, self._detail)

    async def _say_bye(self) -> None:
        self._keeper = None
        if not await say_bye(self._leg, self._talk.dialog):
            await self._leave()

    async def handle(self, event: Event) -> None:
        if isinstance(event, Asked):
            await self._asked(event.transaction)
        elif isinstance(event, Acknowledged) and self._keeper is not None:
            self._keeper.stop()
            await self._say_bye()
        elif isinstance(event, Expired) and event.what == NO_ACK:
            await self._say_bye()
        elif isinstance(event, Responded):
            is_bye = event.transaction.request.method == "BYE"
            if is_bye and event.response.is_final:
                await self._leave()
        elif isinstance(event, Unanswered):
            await self._leave()

    async def _asked(self, transaction: ServerTransaction) -> None:
        """Their BYE crossed ours: both are done (§15)."""
        if transaction.request.method != "BYE":
            transaction.refuse(481)
            return
        respond_ok(self._core, transaction)
        await self._leave()

    async def _leave(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
        await self._core.tell("row", lambda: self._core.ledger.delete(self._leg.id))
        self._leg.finish()

    async def abandon(self) -> None:
        await say_bye(self._leg, self._talk.dialog)


async def say_bye(leg: Leg, dialog: Dialog) -> bool:
    """Send the BYE of a leg; its outcome comes to the inbox. False when it could not be sent."""
    _, bye = dialog.request("BYE")
    try:
        await leg.core.send_request(bye, dialog.hop, leg)
    except (SipError, ValueError) as error:
        log.warning("sip_bye_not_sent", leg_id=leg.id, error=str(error))
        return False
    return True


def answer_200(leg: Leg, transaction: ServerTransaction, body: bytes) -> Response:
    """The 200 to an INVITE with our description; Record-Route is what makes the dialog's route (§12.1.1)."""
    routes = transaction.request.headers.getlist("Record-Route")
    headers = [
        *(("Record-Route", route) for route in routes),
        *leg.core.call_headers(),
        ("Content-Type", "application/sdp"),
    ]
    return transaction.request.response(200, to_tag=transaction.to_tag, headers=headers, body=body)
