"""Taking up the dialogs of a former process: what was established goes on, what was ringing is cleaned up.

The media engine is another process and kept the audio running, so nothing here touches it for legs that talk.
"""

from dataclasses import dataclass

import structlog

from commhub.domain.call import Cause
from gateways.sip import sdp
from gateways.sip.farewell import GivenUp
from gateways.sip.keeper import AnswerKeeper
from gateways.sip.leaving import Leaving
from gateways.sip.ledger import Chapter, Page
from gateways.sip.legs import Event, Expired, Leg, Stage
from gateways.sip.talk import Talk, answer_200
from gateways.sip.talking import Talking
from gateways.sip.transactions import ServerTransaction
from gateways.sip.uac import FORK_QUIET, Withdrawing

log = structlog.get_logger(__name__)

_INTERRUPTED = "the hub was restarted while it rang"


def stage_of(leg: Leg, page: Page) -> Stage:
    """How the leg goes on."""
    if page.chapter is Chapter.PLACED:
        return _Withdraw(leg, page)
    if page.chapter is Chapter.OFFERED:
        return _Decline(leg, page)
    return _Continue(leg, page)


@dataclass(slots=True)
class _Resumed:
    """Base of the stages that only set another stage going."""

    leg: Leg
    page: Page

    async def handle(self, event: Event) -> None:
        """Nothing comes before `begin` is over, and by then another stage is there."""

    async def abandon(self) -> None:
        """The row stays: the next start tries again."""


class _Withdraw(_Resumed):
    """We were ringing a phone: CANCEL it; a 200 that comes all the same is hung up (RFC 3261 §9.1). Seconds
    have passed, so a CANCEL cannot overtake its INVITE even where no provisional response was seen."""

    async def begin(self) -> None:
        leg, core = self.leg, self.leg.core
        for invite in self.page.invites:
            farewell = GivenUp(core, lambda: leg.post(Expired(FORK_QUIET)))
            transaction = core.layer.adopt_client(invite.request, invite.hop, farewell)
            transaction.resume_proceeding()
            farewell.take(transaction)
        await core.release(leg.id)
        await core.tell_ended(leg.id, Cause.FAILED, _INTERRUPTED)
        await leg.become(Withdrawing(leg, len(self.page.invites)))


class _Decline(_Resumed):
    """A caller heard ringing: tell it that nobody will answer."""

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
        if self.page.chapter is Chapter.LEAVING:
            await self.leg.become(Leaving(self.leg, talk))
            return
        if self.page.chapter is Chapter.ANSWERED:
            # The caller may not have heard our 200.
            transaction = _adopted(self.leg, self.page)
            transaction.respond(answer_200(self.leg, transaction, talk.local_sdp, talk.session))
            keeper = AnswerKeeper(self.leg, transaction)
        await self.leg.become(Talking(self.leg, talk, keeper=keeper))

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


def _adopted(leg: Leg, page: Page) -> ServerTransaction:
    """The INVITE of a caller, as a transaction again."""
    stored = page.invites[0]
    transaction = leg.core.layer.adopt_server(stored.request, stored.hop)
    transaction.to_tag = stored.tag
    return transaction
