"""An established call leg, whoever placed it: re-INVITE and UPDATE from the phone, BYE from either side.

A phone holds and resumes by re-INVITE (RFC 3264 §8.4) or UPDATE (RFC 3311). The media engine keeps the audio; here is
only what was agreed. The row is always written before the peer is told, so a new process knows what the peer knows.
Requests that agree on nothing are `asides`' and `referrals`', the session timer is `refreshing`'s.
"""

from collections.abc import Sequence

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.kit.values import replace
from gateways.sip import sdp
from gateways.sip.acknowledging import Acknowledging
from gateways.sip.asides import Asides
from gateways.sip.core import respond_ok
from gateways.sip.errors import TransactionError
from gateways.sip.farewell import GivenUp, part
from gateways.sip.keeper import NO_ACK, AnswerKeeper
from gateways.sip.leaving import Leaving
from gateways.sip.ledger import Chapter, Page
from gateways.sip.legs import (
    Acknowledged,
    Asked,
    Event,
    Expired,
    HangUp,
    KeyframeWished,
    LateAnswer,
    Leg,
    Probe,
    Readdressed,
    Repictured,
    Responded,
    Unanswered,
)
from gateways.sip.once import once
from gateways.sip.pictures import FAST_UPDATE, MEDIA_CONTROL
from gateways.sip.proof import Proof
from gateways.sip.referrals import Referrals
from gateways.sip.refreshing import REFRESH, SESSION_OVER, Refreshing
from gateways.sip.reinvites import Reinvites
from gateways.sip.renewal import RENEW, Kept, Renewal
from gateways.sip.sessions import Again, agreed
from gateways.sip.talk import Talk, tell_state
from gateways.sip.transactions import ClientTransaction, ServerTransaction
from gateways.sip.trunks.credentials import credentials_of

log = structlog.get_logger(__name__)


class Talking:
    """The established stage. `accepted` is what the phone's 200 agreed to (outbound legs): the core hears of it here.
    `keeper` resends our own 200 until its ACK (inbound legs). A leg that is taken up after a restart needs nothing."""

    def __init__(
        self,
        leg: Leg,
        talk: Talk,
        *,
        accepted: sdp.Agreement | None = None,
        keeper: AnswerKeeper | None = None,
    ) -> None:
        self._leg = leg
        self._core = leg.core
        self._talk = talk
        self._refreshing = Refreshing(leg)
        self._referrals = Referrals(leg)
        self._accepted = accepted
        self._reinvites = Reinvites(leg, keeper)
        self._ack = Acknowledging(leg)
        self._renewal = Renewal(leg)
        self._proof = Proof(leg.line)

    # Few legs ever need these.

    @once
    def _asides(self) -> Asides:
        return Asides(self._leg)

    @once
    def _forks(self) -> GivenUp:
        return GivenUp(self._core, lambda: None, self._leg.line)

    @property
    def leg(self) -> Leg:
        return self._leg

    @property
    def talk(self) -> Talk:
        return self._talk

    @property
    def is_asking(self) -> bool:
        return self._renewal.is_under_way

    def change(self, talk: Talk) -> None:
        self._talk = talk

    def alive(self) -> None:
        self._refreshing.start(self._talk.session)

    async def begin(self) -> None:
        self._leg.settle(self._talk.dialog)
        self._leg.is_confirmed, self._leg.is_early = True, False
        self._refreshing.start(self._talk.session)
        if self._accepted is None:
            return
        # The row before the ACK: once that is out the phone holds a dialog that a new process must know.
        try:
            await self._core.media.connect(self._leg.id, self._accepted.remote)
            await self._core.pictures.settle(self._leg.id, self._accepted.picture)
            row = await self._leg.writing(self.page())
            on_record = await tell_state(self._leg, self._accepted, also=row)
            await self._ack.send(self._talk.dialog)
        except InvalidError as error:
            await self._turn_away(Cause.NO_COMMON_CODEC, str(error))
            return
        except UnavailableError as error:
            await self._turn_away(Cause.FAILED, str(error))
            return
        except TransactionError as error:
            await self.hang_up(Cause.FAILED, str(error))
            return
        if not on_record:
            await self.hang_up(Cause.FAILED, "the call could not be put on record")

    async def _turn_away(self, cause: Cause, detail: str) -> None:
        """Nobody can talk with a phone that has answered: its 200 wants an ACK all the same (§13.2.2.4)."""
        await self.write()
        try:
            await self._ack.send(self._talk.dialog)
        except TransactionError as error:
            log.info("sip_ack_not_sent", leg_id=self._leg.id, error=str(error))
        await self.hang_up(cause, detail)

    async def handle(self, event: Event) -> None:
        if isinstance(event, Asked):
            await self._asked(event.transaction)
        elif isinstance(event, Acknowledged):
            await self._reinvites.acknowledged(self, event.request.body)
            await self._renew()
        elif isinstance(event, HangUp):
            await self.hang_up(event.cause, None, told=event.told)
        elif isinstance(event, Readdressed):
            self._renewal.want(event.address, self._talk)
            await self._renew()
        elif isinstance(event, Responded | Unanswered):
            await self._heard_back(event)
        elif isinstance(event, LateAnswer):
            await self._ack.again(self._talk.dialog, event.response)
        elif isinstance(event, Repictured | KeyframeWished):
            await (self._repicture() if isinstance(event, Repictured) else self._ask_keyframe())
        elif isinstance(event, Probe):
            await self._probe()
        elif isinstance(event, Expired):
            await self._expired(event.what)

    async def _heard_back(self, event: Responded | Unanswered) -> None:
        """What came of a request of ours."""
        transaction = event.transaction
        if isinstance(event, Responded) and await self._proved(event):
            return
        if self._renewal.asked(transaction):
            await self._renewed(event)
        elif self._refreshing.asked(transaction):
            await self._refreshed(event)
        elif self._referrals.asked(transaction):
            self._referrals.heard_back(event)
        elif isinstance(event, Responded) and transaction.is_invite:
            if event.response.recipient.tag != self._talk.dialog.remote_tag:
                # Another fork answered too (§13.2.2.4).
                self._forks.response_received(transaction, event.response, event.source)
            else:
                await self._ack.again(self._talk.dialog, event.response)

    async def _proved(self, event: Responded) -> bool:
        """Whether our request was challenged, and is under way again with credentials."""
        again = self._proof.again(event, self._talk.dialog)
        if again is None:
            return False
        dialog, request = again
        self._talk = replace(self._talk, dialog=dialog)
        await self.write()
        try:
            now = await self._core.send_request(request, dialog.hop, self._leg)
        except TransactionError:
            # Then the challenge is the answer.
            return False
        for asker in (self._proof, self._renewal, self._refreshing):
            asker.sent_again(event.transaction, now)
        return True

    async def _expired(self, what: str) -> None:
        if what == NO_ACK:
            self._reinvites.stop()
            await self.hang_up(Cause.FAILED, "the phone never acknowledged our answer")
        elif what == RENEW:
            await self._renew()
        elif what == REFRESH:
            await self._refresh()
        elif what == SESSION_OVER:
            await self.hang_up(Cause.MEDIA_LOST, "nobody refreshed the session (RFC 4028)")
        else:
            await self._referrals.expired(self, what)

    async def abandon(self) -> None:
        self._stop()
        await part(self._core, self._talk.dialog, self._leg.line)

    # --- their requests --------------------------------------------------------------------------------------

    async def _asked(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        last = self._talk.dialog.remote_seq
        if last is not None and request.cseq.sequence <= last:
            # Out of order (§12.2.2); a true retransmission never gets past its transaction.
            transaction.refuse(500)
        elif request.method == "BYE":
            await self._end_by_peer(transaction)
        elif request.method in ("INVITE", "UPDATE"):
            await self._reinvites.asked(self, transaction)
        elif request.method == "REFER":
            await self._referrals.asked_for(self, transaction)
        else:
            await self._asides.answer(transaction)

    async def _end_by_peer(self, transaction: ServerTransaction) -> None:
        self._stop()
        await self._core.release(self._leg.id)
        row = await self._core.ledger.deleting(self._leg.id)
        await self._core.tell_ended(self._leg.id, Cause.HUNG_UP, None, also=row)
        respond_ok(self._core, transaction)
        self._leg.finish()

    # --- our wishes ------------------------------------------------------------------------------------------

    async def ask(
        self, method: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> ClientTransaction:
        """Send a request inside the dialog; its outcome comes to the inbox. Raises TransactionError."""
        dialog, request = self._talk.dialog.request(method)
        for name, value in headers:
            request.headers.add(name, value)
        request.body = body
        self._talk = replace(self._talk, dialog=dialog)
        await self.write()
        return await self._leg.send(request, dialog.hop)

    async def _probe(self) -> None:
        try:
            await self._refreshing.probe(self)
        except TransactionError as error:
            await self.hang_up(Cause.MEDIA_LOST, str(error))

    async def _refresh(self) -> None:
        """Refresh the session, unless something is being agreed on, which refreshes it as well."""
        if self._reinvites.waits or self._renewal.is_under_way:
            self._refreshing.later(self._talk.session)
            return
        try:
            if await self._refreshing.refresh(self):
                return
        except TransactionError as error:
            log.info("sip_refresh_not_sent", leg_id=self._leg.id, error=str(error))
            self._refreshing.later(self._talk.session)
            return
        self._renewal.want_refresh()
        await self._renew()

    async def _refreshed(self, event: Responded | Unanswered) -> None:
        """What came of an UPDATE or a probe."""
        outcome = self._refreshing.outcome_of(event, self._talk.session)
        if isinstance(outcome, str):
            await self.hang_up(Cause.MEDIA_LOST, outcome)
        elif isinstance(outcome, Again):
            await self._ask_again(outcome)
        elif outcome is not None:
            self._talk = replace(self._talk, session=outcome)
            await self.write()
            self._refreshing.start(self._talk.session)

    async def _ask_again(self, wish: Again) -> None:
        """Our request was refused for its timer, or for its method."""
        self._talk = replace(self._talk, session=wish.session)
        if self._renewal.is_due:
            await self._renew()
        else:
            await self._refresh()

    async def _renew(self) -> None:
        """Ask the phone to send elsewhere, once nothing else is being agreed on."""
        if self._reinvites.waits or not self._renewal.is_due:
            return
        self._talk = self._renewal.prepare(self._talk)
        await self.write()
        try:
            await self._renewal.ask(self._talk)
        except TransactionError as error:
            await self.hang_up(Cause.MEDIA_LOST, str(error))

    async def _renewed(self, event: Responded | Unanswered) -> None:
        outcome = self._renewal.outcome_of(event, self._talk)
        if outcome is None:
            self._refreshing.later(self._talk.session)
            return
        if isinstance(outcome, Again):
            await self._ask_again(outcome)
            return
        if isinstance(outcome, Kept):
            await self._stay_as_before(outcome)
            return
        if isinstance(outcome, str):
            await self.hang_up(Cause.MEDIA_LOST, outcome)
            return
        talk, agreement = outcome
        if isinstance(event, Responded):
            self._leg.shown = credentials_of(event.transaction.request)
            session = agreed(event.response, self._core.config, talk.session)
            talk = replace(talk, session=session)
        self._talk = talk
        await self.write()
        try:
            await self._ack.send(self._talk.dialog)
            await self._core.media.connect(self._leg.id, agreement.remote)
        except (InvalidError, UnavailableError, TransactionError) as error:
            await self.hang_up(Cause.MEDIA_LOST, str(error))
            return
        await self._core.pictures.settle(self._leg.id, agreement.picture)
        await tell_state(self._leg, agreement)
        self._refreshing.start(self._talk.session)
        await self._renew()

    # --- pictures --------------------------------------------------------------------------------------------

    async def _repicture(self) -> None:
        """The room, or the picture engine, may have changed: whoever showed or offered a picture is asked to send it where it is
        received now."""
        talk, pictures = self._talk, self._core.pictures
        shown = sdp.picture_address(talk.local_sdp)
        if self._leg.line is not None:
            return
        if shown is None and not sdp.wants_picture(talk.remote_sdp, self._leg.terms):
            return
        place = await pictures.place(self._leg.id, talk.address)
        if place == shown:
            await pictures.settle(self._leg.id, sdp.agreed_picture(talk.local_sdp, talk.remote_sdp))
        if place is None or place == shown:
            return
        self._renewal.want_picture(place)
        await self._renew()

    async def _stay_as_before(self, kept: Kept) -> None:
        self._talk = replace(self._talk, local_sdp=kept.local_sdp)
        await self.write()
        agreed = sdp.agreed_picture(self._talk.local_sdp, self._talk.remote_sdp)
        await self._core.pictures.settle(self._leg.id, agreed)
        self._refreshing.later(self._talk.session)

    async def _ask_keyframe(self) -> None:
        """By INFO (RFC 5168 §5); whoever knows no such body refuses it, and nothing else happens."""
        try:
            await self.ask("INFO", [("Content-Type", MEDIA_CONTROL)], FAST_UPDATE)
        except TransactionError as error:
            log.info("sip_keyframe_not_asked", leg_id=self._leg.id, error=str(error))

    async def hang_up(self, cause: Cause, detail: str | None, *, told: bool = False) -> None:
        """Say BYE. `told`: the core has ended the leg already."""
        self._refreshing.stop()
        self._referrals.stop()
        leaving = Leaving(self._leg, self._talk, self._reinvites.keeper, cause, detail, told=told)
        await self._leg.become(leaving)

    async def write(self) -> None:
        await self._leg.write(self.page())

    def page(self) -> Page:
        chapter = Chapter.ANSWERED if self._talk.invite else Chapter.TALKING
        return self._talk.page(self._leg, chapter)

    def _stop(self) -> None:
        self._reinvites.stop()
        self._refreshing.stop()
        self._referrals.stop()
