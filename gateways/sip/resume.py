"""Taking up the dialogs of a former process: what was established goes on, and what was ringing rings on.

The media engine is another process and kept the audio running, so nothing here touches it for legs that talk. What the
core has ended meanwhile, or was just ending when the process was killed, is hung up.
"""

from dataclasses import dataclass, field

import structlog

from commhub.domain.call import Cause, LegState
from commhub.domain.people import Endpoint, Scheme
from commhub.ports.telephony import LegOrder
from gateways.sip import sdp
from gateways.sip.farewell import GivenUp
from gateways.sip.grammar import read_uri
from gateways.sip.keeper import AnswerKeeper
from gateways.sip.leaving import Leaving
from gateways.sip.ledger import Chapter, Page
from gateways.sip.legs import Event, Expired, HangUp, Leg, Repictured, Stage
from gateways.sip.talk import Talk, answer_200
from gateways.sip.talking import Talking
from gateways.sip.transactions import ServerTransaction
from gateways.sip.trunks.dial import Dial, Otherwise
from gateways.sip.trunks.dialling import Dialling
from gateways.sip.trunks.lines import Lines
from gateways.sip.trunks.toll import Alarm
from gateways.sip.uac import Ringing
from gateways.sip.uas import Admission, Offered
from gateways.sip.withdrawing import FORK_QUIET, Withdrawing

log = structlog.get_logger(__name__)

_INTERRUPTED = "the hub was restarted while it rang"


@dataclass(frozen=True, slots=True)
class Outward:
    """What a call over lines goes on with; `heir` takes on what no line could carry."""

    lines: Lines
    alarm: Alarm
    heir: Otherwise | None


def stage_of(leg: Leg, page: Page, outward: Outward) -> Stage:
    """How the leg goes on."""
    if page.chapter is Chapter.PLACED:
        return _placed(leg, page, outward)
    if page.chapter is Chapter.OFFERED:
        return _OfferOn(leg, page) if page.wish is not None else _Decline(leg, page)
    return _Continue(leg, page)


def _placed(leg: Leg, page: Page, outward: Outward) -> Stage:
    """A leg of ours that rang."""
    if not page.invites or page.address is None:
        return _Withdraw(leg, page)
    if page.seat is None:
        return _RingOn(leg, page)
    # A line that the settings do not know any more is told to stop.
    if page.errand is None or leg.line is None:
        return _Withdraw(leg, page)
    return _DialOn(leg, page, outward)


@dataclass(slots=True)
class _Resumed:
    """Base of the stages that only set another stage going."""

    leg: Leg
    page: Page

    def __post_init__(self) -> None:
        """What must be known before the first datagram is read."""

    async def handle(self, event: Event) -> None:
        """Nothing comes before `begin` is over, and by then another stage is there."""

    async def abandon(self) -> None:
        """The row stays: the next start tries again."""


class _RingOn(_Resumed):
    """We were ringing phones of ours: whichever answers is there."""

    def __post_init__(self) -> None:
        # Now, and not when the leg's task runs: the answer may be the first datagram there is.
        leg, page = self.leg, self.page
        if page.address is None:
            raise ValueError("a leg that rings without an address")
        account = page.invites[0].request.recipient.uri
        order = LegOrder(
            call_id=page.call_id,
            leg_id=page.leg_id,
            endpoint=Endpoint(Scheme.SIP, read_uri(account).user or "?"),
        )
        self._ringing = Ringing(leg, order, page.address, [], page=page)

    async def begin(self) -> None:
        await self.leg.become(self._ringing)
        await _hang_up_if_over(self.leg)


@dataclass(slots=True)
class _DialOn(_Resumed):
    """We were ringing somebody outside: their line goes on with it, and the lines after it are still there."""

    outward: Outward
    _dialling: Dialling = field(init=False)

    def __post_init__(self) -> None:
        # Now: the answer may be the first datagram there is.
        page, outward = self.page, self.outward
        if page.address is None or page.errand is None:
            raise ValueError("a call over lines without an address or an errand")
        dial = Dial.of_errand(page, page.errand, outward.lines, outward.alarm, outward.heir)
        left = [line for name in page.errand.lines if (line := outward.lines.find(name))]
        self._dialling = Dialling(self.leg, dial, page.address, left, page=page)

    async def begin(self) -> None:
        await self.leg.become(self._dialling)
        await _hang_up_if_over(self.leg)


class _OfferOn(_Resumed):
    """A caller hears ringing: it goes on, and an answer finds them."""

    def __post_init__(self) -> None:
        # Now: a CANCEL may be the first datagram there is.
        self._transaction = _adopted(self.leg, self.page)

    async def begin(self) -> None:
        dialog, wish = self.page.dialog, self.page.wish
        if dialog is None or wish is None:
            raise ValueError("a stored caller without a dialog or a wish")
        admission = Admission(
            dialog=dialog,
            caller=wish.caller,
            called=wish.called,
            name=wish.name,
            line=self.leg.line,
        )
        # The core knows the leg by its id; one that never came so far is offered now.
        offered = Offered(self.leg, self._transaction, admission, again=True)
        await self.leg.become(offered)


class _Withdraw(_Resumed):
    """We were ringing somebody whom we cannot go on ringing: CANCEL it; a 200 that comes all the same is hung up (RFC 3261
    §9.1). Seconds have passed, so a CANCEL cannot overtake its INVITE even where no provisional response was seen."""

    async def begin(self) -> None:
        leg, core = self.leg, self.leg.core
        for invite in self.page.invites:
            farewell = GivenUp(core, lambda: leg.post(Expired(FORK_QUIET)), leg.line)
            transaction = core.layer.adopt_client(invite.request, invite.hop, farewell)
            transaction.resume_proceeding()
            farewell.take(transaction)
        await core.release(leg.id)
        await core.tell_ended(leg.id, Cause.FAILED, _INTERRUPTED)
        await leg.become(Withdrawing(leg, len(self.page.invites)))


class _Decline(_Resumed):
    """A caller that cannot be taken up: tell it that nobody will answer."""

    async def begin(self) -> None:
        core = self.leg.core
        _adopted(self.leg, self.page).refuse(480)
        await core.release(self.leg.id)
        await core.tell_ended(self.leg.id, Cause.FAILED, _INTERRUPTED)
        await core.tell("row", lambda: core.ledger.delete(self.leg.id))
        self.leg.finish()


class _Continue(_Resumed):
    """The dialog is established, or its BYE was on the way."""

    async def begin(self) -> None:
        talk, keeper = self._talk(), None
        if self.leg.core.pictures.resumed(self.leg.id, talk.local_sdp):
            # The picture engine may have been restarted as well.
            self.leg.post(Repictured())
        if self.page.chapter is Chapter.LEAVING:
            await self.leg.become(Leaving(self.leg, talk))
            return
        if self.page.chapter is Chapter.ANSWERED:
            # The caller may not have heard our 200.
            transaction = _adopted(self.leg, self.page)
            transaction.respond(answer_200(self.leg, transaction, talk.local_sdp, talk.session))
            keeper = AnswerKeeper(self.leg, transaction)
        await self.leg.become(Talking(self.leg, talk, keeper=keeper))
        await _hang_up_if_over(self.leg)

    def _talk(self) -> Talk:
        page = self.page
        if page.dialog is None or page.address is None:
            raise ValueError("a stored talk without a dialog or an address")
        return Talk(
            dialog=page.dialog,
            address=page.address,
            local=page.local or sdp.Local.new(),
            local_sdp=page.local_sdp,
            remote_sdp=page.remote_sdp,
            held=page.held,
            session=page.session,
            invite=page.invites[0] if page.invites else None,
        )


async def _hang_up_if_over(leg: Leg) -> None:
    """The core may have ended the leg without our having said so to the phone."""
    transfers = leg.core.transfers
    if transfers is None:
        return
    known = await transfers.state_of(leg.id)
    if known is not None and known[0] is LegState.ENDED:
        leg.post(HangUp(known[1] or Cause.CALL_ENDED, told=True))


def _adopted(leg: Leg, page: Page) -> ServerTransaction:
    """The INVITE of a caller, as a transaction again."""
    stored = page.invites[0]
    transaction = leg.core.layer.adopt_server(stored.request, stored.hop)
    transaction.to_tag = stored.tag
    return transaction
