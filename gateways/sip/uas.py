"""Requests that open something: calls to the hub, registrations, questions. And the stage of an unanswered call.

A call is authenticated first, refused where it could never work (no common codec), then written down, and only
then offered to the core: so a caller that hears ringing is always known to the next process.
"""

from dataclasses import dataclass

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.values import quick
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused
from commhub.ports.media import MediaOrder, RtpAddress
from gateways.sip import metrics, sdp
from gateways.sip.causes import status_of
from gateways.sip.core import Core
from gateways.sip.descriptions import read
from gateways.sip.dialogs import Dialog, dialog_of_invite
from gateways.sip.digest import Authenticator, Verdict
from gateways.sip.errors import MalformedError, SdpError
from gateways.sip.grammar import read_uri
from gateways.sip.keeper import AnswerKeeper
from gateways.sip.ledger import Chapter, Page, StoredInvite, Wish
from gateways.sip.legs import Answer, Asked, Cancelled, Event, Expired, HangUp, Leg
from gateways.sip.message import clean_text
from gateways.sip.methods import answer_plainly, refuse, refuse_description, refuse_interval
from gateways.sip.provisional import NO_PRACK, ReliableRinging, asks_reliably
from gateways.sip.sessions import TooShortError, agree
from gateways.sip.talk import Talk, answer_200, tell_state
from gateways.sip.talking import Talking
from gateways.sip.transactions import ServerTransaction, State, TimerHandle
from gateways.sip.trunks.line import Line

log = structlog.get_logger(__name__)

DESK_SILENT = "desk"
_OUR_FAULT = 500


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A call that may be offered to the core: who calls whom, and over which trunk (None: a phone of ours)."""

    dialog: Dialog
    caller: Endpoint
    called: str
    name: str | None = None
    line: Line | None = None
    replaced: Leg | None = None
    """The leg whose place the caller takes (RFC 3891)."""


class Reception:
    """Admits calls: digest, then a description we can speak."""

    def __init__(self, core: Core, authenticator: Authenticator) -> None:
        self._core = core
        self._authenticator = authenticator

    async def admit(self, transaction: ServerTransaction) -> Admission | None:
        """The call as the core will be offered it, or None when the INVITE was answered already."""
        account = await self.authenticate(transaction)
        if account is None or transaction.state is not State.PROCEEDING:
            return None
        name = clean_text(transaction.request.sender.name) or None
        return self.admit_known(transaction, Endpoint(Scheme.SIP, account.name), name)

    def admit_known(
        self, transaction: ServerTransaction, caller: Endpoint, name: str | None
    ) -> Admission | None:
        """The call of somebody whose identity is beyond doubt; None when the INVITE was answered already."""
        request = transaction.request
        try:
            dialog = dialog_of_invite(request, transaction.to_tag, transaction.source)
            agree(request, self._core.config)
            if request.body:
                sdp.choose(read(request.body), self._core.terms)
        except TooShortError as error:
            refuse_interval(self._core, transaction, error.min_s)
            return None
        except MalformedError as error:
            refuse(self._core, transaction, error.status, {})
            return None
        except SdpError as error:
            refuse_description(self._core, transaction, error)
            return None
        return Admission(
            dialog=dialog,
            caller=caller,
            called=called_number(request.uri),
            name=name,
        )

    async def authenticate(self, transaction: ServerTransaction) -> SipAccount | None:
        """The caller's account; None when the request was challenged or refused (§22.3)."""
        judgement = await self._authenticator.judge(
            transaction.request, transaction.source, "Proxy-Authorization"
        )
        if judgement.verdict is Verdict.THROTTLED:
            refuse(self._core, transaction, 403, {"Retry-After": str(judgement.retry_after_s)})
        elif judgement.account is None:
            stale = judgement.verdict is Verdict.STALE
            challenges = self._authenticator.challenges(
                transaction.request, transaction.source, stale=stale
            )
            headers = [("Proxy-Authenticate", challenge) for challenge in challenges]
            transaction.respond(
                transaction.request.response(407, to_tag=transaction.to_tag, headers=headers)
            )
        return judgement.account


class Offered:
    """Somebody calls the hub and hears ringing. `again`: a former process told them so already."""

    def __init__(
        self,
        leg: Leg,
        transaction: ServerTransaction,
        admission: Admission,
        *,
        again: bool = False,
    ) -> None:
        self._again = again
        self._leg = leg
        self._transaction = transaction
        self._dialog = admission.dialog
        self._admission = admission
        self._replaced = admission.replaced
        self._stored = StoredInvite(
            request=transaction.request, hop=transaction.source, tag=transaction.to_tag
        )
        self._deadline: TimerHandle | None = None

    async def begin(self) -> None:
        leg, request = self._leg, self._transaction.request
        leg.core.opening += 1
        try:
            outcome = await self._offer()
        finally:
            leg.core.opening -= 1
        if isinstance(outcome, IncomingRefused):
            await self._refuse(outcome.cause)
            return
        leg.call_id = outcome.call_id
        if self._replaced is not None:
            # Nobody has to pick up: the call is there (RFC 3891 §3).
            await self._answer()
            return
        ringing = request.response(
            180,
            to_tag=self._transaction.to_tag,
            headers=leg.core.call_headers(request, self._transaction.source),
        )
        # Another process's count of reliable responses cannot be gone on with (RFC 3262 §4).
        if asks_reliably(request) and not self._again:
            leg.reliable = ReliableRinging(leg, self._transaction, ringing)
        else:
            self._transaction.respond(ringing)
        self._deadline = leg.core.layer.scheduler.call_later(
            leg.core.config.inbound_ring_s, lambda: leg.post(Expired(DESK_SILENT))
        )

    async def _offer(self) -> IncomingAccepted | IncomingRefused:
        core = self._leg.core
        incoming = IncomingCall(
            leg_id=self._leg.id,
            caller=self._admission.caller,
            called=self._admission.called,
            display_name=self._admission.name,
            is_new=not self._again,
        )
        # Without a row a crash after the core's commit would leave its leg ringing for ever.
        if self._replaced is None or core.transfers is None:
            row = await self._leg.writing(self._page())
            return await core.calls.call_offered(incoming, also=row)
        await self._leg.write(self._page())
        return await core.transfers.replace(self._replaced.id, incoming)

    def _page(self) -> Page:
        return Page(
            leg_id=self._leg.id,
            call_id=self._leg.call_id,
            chapter=Chapter.OFFERED,
            dialog=self._dialog,
            invites=(self._stored,),
            remote_sdp=self._transaction.request.body,
            wish=self._wish(),
        )

    def _wish(self) -> Wish | None:
        """None for a caller in somebody else's place (RFC 3891), who is answered at once or not at all."""
        if self._replaced is not None:
            return None
        admission = self._admission
        return Wish(admission.caller, admission.called, admission.name)

    async def handle(self, event: Event) -> None:
        if isinstance(event, Answer):
            await self._answer()
        elif isinstance(event, Cancelled):
            await self._end(487, Cause.CANCELLED, "the caller hung up")
        elif isinstance(event, HangUp):
            await self._end(status_of(event.cause), event.cause, None)
        elif isinstance(event, Expired) and event.what == DESK_SILENT:
            await self._end(480, Cause.NO_ANSWER, "nobody answered in time")
        elif isinstance(event, Expired) and event.what == NO_PRACK:
            await self._end(504, Cause.FAILED, "the caller never acknowledged our ringing")
        elif isinstance(event, Asked):
            await self._asked(event.transaction)

    async def _asked(self, transaction: ServerTransaction) -> None:
        """A BYE in the early dialog ends the call like a CANCEL (§15)."""
        if transaction.request.method == "BYE":
            transaction.refuse(200)
            await self._end(487, Cause.CANCELLED, "the caller hung up")
        elif transaction.request.method == "PRACK" and self._leg.reliable is not None:
            self._leg.reliable.acknowledge(transaction)
        elif transaction.request.method == "PRACK":
            transaction.refuse(481)
        elif transaction.request.method == "OPTIONS":
            answer_plainly(self._leg.core, transaction)
        else:
            # An UPDATE with an offer while theirs has no answer (RFC 3311 §5.2), and whatever needs a talk.
            transaction.refuse(500, Retry_After="2")

    async def _answer(self) -> None:
        core, request = self._leg.core, self._transaction.request
        local = sdp.Local.new()
        source = self._transaction.source.host
        voice = sdp.connection_host(request.body)
        agreement: sdp.Agreement | None = None
        try:
            taken = sdp.take(request.body, self._leg.terms) if request.body else None
            order = MediaOrder(
                call_id=self._leg.call_id,
                leg_id=self._leg.id,
                near_signalling=self._leg.line is None and voice == source,
                ipv6=core.by_ipv6(voice or source),
                urgent=core.is_urgent(request),
                remote=taken.remote if taken else None,
            )
            address = await core.media.reserve(order)
            picture = await self._place_of_picture(address)
            if taken:
                agreement = sdp.answer_taken(
                    taken, self._leg.terms, address, local, picture=picture
                )
                await core.pictures.settle(self._leg.id, agreement.picture)
        except UnavailableError as error:
            await self._end(_OUR_FAULT, Cause.FAILED, f"no media worker: {error}")
            return
        except (SdpError, InvalidError) as error:
            await self._end(488, Cause.NO_COMMON_CODEC, str(error))
            return
        self._stop_waiting()
        body = agreement.body if agreement else None
        talk = Talk(
            dialog=self._dialog,
            address=address,
            local=local,
            local_sdp=body or sdp.offer(self._leg.terms, address, local, picture=picture),
            remote_sdp=request.body,
            held=agreement.held if agreement else False,
            invite=self._stored,
            session=agree(request, core.config),
        )
        if not await self._put_on_record(talk, agreement):
            await self._end(_OUR_FAULT, Cause.FAILED, "the call could not be put on record")
            return
        self._transaction.respond(
            answer_200(self._leg, self._transaction, talk.local_sdp, talk.session)
        )
        keeper = AnswerKeeper(self._leg, self._transaction)
        await self._leg.become(Talking(self._leg, talk, keeper=keeper))
        if self._replaced is not None:
            self._replaced.post(HangUp(Cause.TRANSFERRED))

    async def _place_of_picture(self, voice: RtpAddress) -> RtpAddress | None:
        """Where the caller's picture is received, if they offer one, or leave the offer to us."""
        pictures, body = self._leg.core.pictures, self._transaction.request.body
        if self._leg.line is not None:
            return None
        if not body:
            return await pictures.place(self._leg.id, voice)
        return await pictures.place_for(self._leg.id, body, self._leg.terms, voice)

    async def _put_on_record(self, talk: Talk, agreement: sdp.Agreement | None) -> bool:
        """The row before the 200. With their description the core is told at once, else when the ACK brings it."""
        page = talk.page(self._leg, Chapter.ANSWERED)
        if agreement is None:
            await self._leg.write(page)
            return True
        return await tell_state(self._leg, agreement, also=await self._leg.writing(page))

    async def _refuse(self, cause: Cause) -> None:
        """The core does not want the call: it never was a leg."""
        self._transaction.refuse(status_of(cause))
        metrics.series(metrics.LEGS_ENDED, cause.value).inc()
        await self._leave()

    async def _end(self, status: int, cause: Cause, detail: str | None) -> None:
        self._stop_waiting()
        self._transaction.refuse(status)
        if status == _OUR_FAULT:
            await self._lost(detail or "internal error")
        await self._leg.core.release(self._leg.id)
        await self._leg.core.tell_ended(self._leg.id, cause, detail)
        await self._leave()

    async def _leave(self) -> None:
        core = self._leg.core
        core.ledger.delete_later(self._leg.id)
        self._leg.finish()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._leg.reliable is not None:
            self._leg.reliable.stop()

    async def abandon(self) -> None:
        self._stop_waiting()
        self._transaction.refuse(_OUR_FAULT)
        await self._lost("internal error")

    async def _lost(self, why: str) -> None:
        admission, leg = self._admission, self._leg
        await leg.core.lost(admission.called, str(admission.caller), leg.call_id, why)


def called_number(uri: str) -> str:
    """Whom a Request-URI names: the user part, without visual separators for a tel URI. Empty when it has none."""
    try:
        return clean_text(read_uri(uri).user or "", limit=128)
    except ValueError:
        return ""
