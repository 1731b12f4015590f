"""Outbound legs: from the core's order to an answered phone, or to a cause why not.

Every contact of the account is rung at once, each by an INVITE of its own; the first 200 wins, the others are
cancelled (RFC 3261 §16.7 does the same in a forking proxy). Contacts that asked for it by a lower q (§20.10) are rung
only when those before them did not answer for a while, or refused.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import UnavailableError
from commhub.ports.edge_store import SipBinding
from commhub.ports.media import MediaOrder, RtpAddress
from commhub.ports.telephony import LegOrder
from gateways.sip import sdp
from gateways.sip.causes import cause_of, detail_of, weight_of
from gateways.sip.contacts import choices, hop_of_binding, is_near
from gateways.sip.dialogs import dialog_of_answer
from gateways.sip.errors import MalformedError, SdpError, TransactionError
from gateways.sip.farewell import GivenUp
from gateways.sip.grammar import quote_string
from gateways.sip.ledger import Chapter, Page, StoredInvite
from gateways.sip.legs import (
    Asked,
    Event,
    Expired,
    HangUp,
    Leg,
    Readdressed,
    Responded,
    Unanswered,
)
from gateways.sip.message import Request, Response
from gateways.sip.methods import answer_plainly
from gateways.sip.provisional import EarlyDialogs
from gateways.sip.redirects import Redirects
from gateways.sip.registrar import Registrar
from gateways.sip.sessions import TOO_SMALL, agreed, longer_invite, proposed, request_headers
from gateways.sip.talk import Talk
from gateways.sip.talking import Talking
from gateways.sip.transactions import ClientTransaction, ServerTransaction, TimerHandle, new_tag
from gateways.sip.transport import Hop
from gateways.sip.trunks.credentials import credentials_of
from gateways.sip.versions import Offers
from gateways.sip.withdrawing import FORK_QUIET, give_up

log = structlog.get_logger(__name__)

RING_OVER = "ring"
NEXT_CHOICE = "next"
_NO_CONNECTION = 503


@dataclass(slots=True)
class _Failure:
    cause: Cause
    detail: str


class Placing:
    """Looking up the phones of an account and a place for the leg in the audio engine."""

    def __init__(self, leg: Leg, order: LegOrder, registrar: Registrar) -> None:
        self._leg = leg
        self._core = leg.core
        self._order = order
        self._registrar = registrar

    async def begin(self) -> None:
        account, bindings = await self._registrar.reach(self._order.endpoint.name)
        if account is None:
            await give_up(self._leg, Cause.NOT_FOUND, "no such SIP account")
        elif not bindings:
            await give_up(self._leg, Cause.UNREACHABLE, "no phone is registered for this account")
        else:
            await self._reserve(bindings)

    async def _reserve(self, bindings: Sequence[SipBinding]) -> None:
        order = MediaOrder(
            call_id=self._order.call_id,
            shape=self._order.shape,
            leg_id=self._leg.id,
            near_signalling=all(is_near(binding) for binding in bindings),
            # Where they are of both versions, those of IPv6 are offered a place of their own.
            ipv6=all(self._core.by_ipv6(hop_of_binding(binding).host) for binding in bindings),
        )
        try:
            address = await self._core.media.reserve(order)
        except UnavailableError as error:
            await give_up(self._leg, Cause.FAILED, f"no media worker: {error}")
            return
        redirects = Redirects(self._core, self._registrar, self._order.endpoint.name)
        # Into a room a picture is offered; a phone that has none refuses that line alone.
        pictures = self._core.pictures
        picture = await pictures.place(self._leg.id, address) if self._order.in_room else None
        ringing = Ringing(self._leg, self._order, address, bindings, redirects, picture=picture)
        await self._leg.become(ringing)

    async def handle(self, event: Event) -> None:
        """Nothing comes before `begin` is over, and by then another stage is there."""

    async def abandon(self) -> None:
        """No phone knows of the leg yet."""


class Ringing:
    """Ringing the phones of one account."""

    def __init__(
        self,
        leg: Leg,
        order: LegOrder,
        address: RtpAddress,
        bindings: Sequence[SipBinding],
        redirects: Redirects | None = None,
        *,
        page: Page | None = None,
        picture: RtpAddress | None = None,
    ) -> None:
        """`page`: these phones ring already, since a former process called them. `picture` is where theirs is received."""
        self._leg = leg
        self._core = leg.core
        self._order = order
        self._choices = choices(bindings)
        self._invites: list[StoredInvite] = []
        self._offers = Offers(
            self._core.media,
            leg.terms,
            MediaOrder(call_id=order.call_id, leg_id=leg.id, shape=order.shape),
            address,
            local=page.local if page is not None else None,
            first=page.local_sdp if page is not None and page.local is not None else None,
            picture=picture,
        )
        self._early = EarlyDialogs(leg, resumed=page is not None)
        self._redirects = redirects
        self._ringing: dict[ClientTransaction, StoredInvite] = {}
        self._failures: list[_Failure] = []
        self._has_rung = False
        self._deadline: TimerHandle | None = None
        self._following: TimerHandle | None = None
        self._readdressed: Readdressed | None = None
        if page is not None:
            self._go_on(page)

    async def begin(self) -> None:
        self._leg.is_early = True
        if self._choices:
            await self._ring_next()
        self._core.replacing.pop(self._leg.id, None)
        self._deadline = self._core.layer.scheduler.call_later(
            self._order.ring_for_s, lambda: self._leg.post(Expired(RING_OVER))
        )

    def _go_on(self, page: Page) -> None:
        self._invites += page.invites
        for invite in page.invites:
            transaction = self._core.layer.adopt_client(invite.request, invite.hop, self._leg)
            transaction.resume_proceeding()
            self._ringing[transaction] = invite

    async def _ring_next(self) -> None:
        """Ring the contacts of the next lower preference; whoever rings already goes on."""
        if self._following is not None:
            self._following.cancel()
        await self._ring(self._choices.pop(0))
        if self._choices:
            self._following = self._core.layer.scheduler.call_later(
                self._core.config.next_choice_after_s, lambda: self._leg.post(Expired(NEXT_CHOICE))
            )

    async def _ring(self, chosen: Sequence[SipBinding]) -> None:
        addressing = []
        for one in chosen:
            hop = hop_of_binding(one)
            offer = await self._offers.to(ipv6=self._core.by_ipv6(hop.host))
            addressing.append(self._addressed(self._request(one, offer), hop))
        # Most people have one phone, and nothing is gained by a task of its own for it.
        alone = len(addressing) == 1
        await self._send_all([await addressing[0]] if alone else await asyncio.gather(*addressing))

    async def _send_all(self, invites: Sequence[StoredInvite]) -> None:
        self._invites += invites
        await self._leg.write(self._page(self._invites))
        for invite in invites:
            transaction = self._core.layer.adopt_client(invite.request, invite.hop, self._leg)
            self._ringing[transaction] = invite
            transaction.start()

    async def _addressed(self, request: Request, hop: Hop) -> StoredInvite:
        try:
            hop = await self._core.way(request, hop)
        except TransactionError as error:
            # Sent all the same: that it reaches nobody is found out like for any other phone.
            log.info("sip_contact_without_address", leg_id=self._leg.id, error=str(error))
        self._core.write_via(request, hop)
        return StoredInvite(request=request, hop=hop)

    def _request(self, binding: SipBinding, offer: bytes) -> Request:
        """The INVITE to one contact."""
        to = f"sip:{binding.account}@{self._core.config.uri_host}"
        return self._invite(binding.contact, to, offer, binding.path)

    def _invite(self, uri: str, to: str, offer: bytes, path: Sequence[str] = ()) -> Request:
        """An INVITE (§13.2.1), by the proxies of `path`."""
        host = self._core.config.uri_host
        request = Request("INVITE", uri)
        headers = request.headers
        headers.setlist("Via", [""])
        if path:
            headers.setlist("Route", list(path))
        headers.set("Max-Forwards", "70")
        caller = quote_string(self._order.caller)
        headers.set("From", f"{caller} <sip:commhub@{host}>;tag={new_tag()}")
        headers.set("To", f"<{to}>")
        headers.set("Call-ID", f"{secrets.token_hex(16)}@{host}")
        headers.set("CSeq", f"{secrets.randbelow(1_000_000) + 1} INVITE")
        if replaces := self._core.replacing.get(self._leg.id):
            headers.set("Replaces", replaces)
            headers.set("Require", "replaces")
        for name, value in (*self._core.call_headers(), *request_headers(self._core.config)):
            headers.set(name, value)
        headers.set("Content-Type", "application/sdp")
        request.body = offer
        return request

    def _page(self, invites: Sequence[StoredInvite]) -> Page:
        return Page(
            leg_id=self._leg.id,
            call_id=self._order.call_id,
            chapter=Chapter.PLACED,
            invites=tuple(invites),
            address=self._offers.address,
            local=self._offers.local,
            local_sdp=self._offers.first,
        )

    async def handle(self, event: Event) -> None:
        if isinstance(event, Responded) and event.transaction in self._ringing:
            await self._responded(event.transaction, event.response, event.source)
        elif isinstance(event, Responded) and event.transaction.request.method == "PRACK":
            await self._early.heard_back(event)
        elif isinstance(event, Unanswered) and event.transaction in self._ringing:
            await self._failed(event.transaction, *_silence(event.error))
        elif isinstance(event, HangUp):
            await self._give_up(event.cause, None)
        elif isinstance(event, Expired) and event.what == RING_OVER:
            await self._give_up(Cause.NO_ANSWER, "nobody answered in time")
        elif isinstance(event, Expired) and event.what == NEXT_CHOICE and self._choices:
            await self._ring_next()
        elif isinstance(event, Readdressed):
            # The offer is out with the old address; whoever answers is told the new one at once.
            self._readdressed = event
        elif isinstance(event, Asked):
            self._asked(event.transaction)

    def _asked(self, transaction: ServerTransaction) -> None:
        """In an early dialog: an UPDATE with an offer crosses ours (RFC 3311 §5.2), one without changes nothing yet."""
        request = transaction.request
        if request.method == "UPDATE":
            transaction.refuse(491 if request.body else 200)
        elif request.method == "OPTIONS":
            answer_plainly(self._core, transaction)
        else:
            transaction.refuse(481)

    async def _responded(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        if response.status < 200:
            alone = len(self._ringing) == 1 and not self._choices
            await self._early.heard(transaction, response, source, alone=alone)
        if 180 <= response.status < 190:
            if not self._has_rung:
                self._has_rung = True
                leg_id = self._leg.id
                await self._core.tell("leg_ringing", lambda: self._core.calls.leg_ringing(leg_id))
        elif 200 <= response.status < 300:
            await self._answered(transaction, response, source)
        elif response.status == TOO_SMALL and (
            longer := longer_invite(transaction.request, response)
        ):
            del self._ringing[transaction]
            await self._send_all([await self._addressed(longer, transaction.hop)])
        elif found := await self._redirected(response, source):
            del self._ringing[transaction]
            await self._ring(found)
        elif response.status >= 300:
            # A 6xx speaks for every phone of the person (§21.6).
            await self._failed(
                transaction,
                cause_of(response.status),
                detail_of(response),
                for_all=response.status >= 600,
            )

    async def _redirected(self, response: Response, source: Hop) -> list[SipBinding]:
        """Who is to be rung instead; nobody when it is no 3xx or leads nowhere."""
        if not 300 <= response.status < 400 or self._redirects is None:
            return []
        return await self._redirects.follow(response, source)

    async def _failed(
        self, transaction: ClientTransaction, cause: Cause, detail: str, *, for_all: bool = False
    ) -> None:
        """One phone is out; `for_all`: the others need not be waited for."""
        del self._ringing[transaction]
        self._failures.append(_Failure(cause, detail))
        if not for_all and not self._ringing and self._choices:
            await self._ring_next()
        elif for_all or not self._ringing:
            best = min(self._failures, key=lambda failure: weight_of(failure.cause))
            await self._give_up(best.cause, best.detail)

    async def _answered(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        offered = transaction.request.body
        try:
            dialog = dialog_of_answer(transaction.request, response, source)
            body = self._early.body_of(response)
            agreement = sdp.accept(body, self._leg.terms, offered)
            told, before = sdp.voice_address(offered), self._offers.address
            elsewhere = await self._offers.settle(offered)
        except (MalformedError, SdpError, UnavailableError) as error:
            farewell = GivenUp(self._core, lambda: None, self._leg.line)
            transaction.hand_over(farewell)
            farewell.response_received(transaction, response, source)
            cause = Cause.NO_COMMON_CODEC if isinstance(error, SdpError) else Cause.FAILED
            await self._failed(transaction, cause, str(error))
            return
        if self._offers.address != before:
            # What was heard of the former place meanwhile is of no interest any more.
            self._readdressed = Readdressed(elsewhere) if elsewhere is not None else None
        self._leg.shown = credentials_of(transaction.request)
        self._stop_ringing(except_for=transaction)
        talk = Talk(
            dialog=self._early.continued(dialog),
            address=told,
            local=self._offers.local,
            local_sdp=offered,
            remote_sdp=body,
            held=agreement.held,
            session=agreed(
                response, self._core.config, proposed(transaction.request, self._core.config)
            ),
        )
        await self._leg.become(Talking(self._leg, talk, accepted=agreement))
        if self._readdressed is not None:
            self._leg.post(self._readdressed)

    def _stop_ringing(self, except_for: ClientTransaction | None = None) -> int:
        """Hand every other INVITE to a farewell of its own; how many there are."""
        for timer in (self._deadline, self._following):
            if timer is not None:
                timer.cancel()
        others = [transaction for transaction in self._ringing if transaction is not except_for]
        for transaction in others:
            self._withdraw(transaction)
        self._ringing = {}
        return len(others)

    def _withdraw(self, transaction: ClientTransaction) -> None:
        """Have it stop ringing behind our back."""
        quiet = Expired(FORK_QUIET)
        farewell = GivenUp(self._core, lambda: self._leg.post(quiet), self._leg.line)
        farewell.take(transaction)

    async def _give_up(self, cause: Cause, detail: str | None) -> None:
        await self._offers.leave()
        await give_up(self._leg, cause, detail, forks=self._stop_ringing())

    async def abandon(self) -> None:
        self._stop_ringing()
        await self._offers.leave()


def _silence(error: TransactionError) -> tuple[Cause, str]:
    """What an INVITE without an answer says of its phone."""
    if error.status == _NO_CONNECTION:
        return Cause.UNREACHABLE, f"503 {error}"
    return Cause.NO_ANSWER, "408 no response from the phone"
