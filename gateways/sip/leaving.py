"""The end of an established leg that we hang up: our BYE, and the row until the phone has answered it."""

from dataclasses import replace

from commhub.domain.call import Cause
from gateways.sip import metrics
from gateways.sip.core import respond_ok
from gateways.sip.errors import SipError
from gateways.sip.farewell import part
from gateways.sip.keeper import NO_ACK, AnswerKeeper
from gateways.sip.ledger import Chapter
from gateways.sip.legs import Acknowledged, Asked, Event, Expired, Leg, Responded, Unanswered
from gateways.sip.proof import Proof
from gateways.sip.talk import Talk, say_bye
from gateways.sip.transactions import ServerTransaction


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
        *,
        told: bool = False,
    ) -> None:
        """`cause` None: a former process has done all but the BYE. `told`: the core has ended the leg by itself."""
        self._leg = leg
        self._core = leg.core
        self._talk = talk
        self._keeper = keeper
        self._cause = cause
        self._detail = detail
        self._told = told
        self._proof = Proof(leg.line)

    async def begin(self) -> None:
        self._leg.know(self._talk.dialog)
        self._leg.is_leaving = True
        if self._cause is not None and not self._is_on_record:
            page = self._talk.page(self._leg, Chapter.LEAVING)
            await self._core.tell("row", lambda: self._leg.write(page))
        if self._keeper is None:
            await self._say_bye()
        if self._cause is None:
            return
        await self._core.release(self._leg.id)
        if self._told:
            metrics.series(metrics.LEGS_ENDED, self._cause.value).inc()
        else:
            await self._core.tell_ended(self._leg.id, self._cause, self._detail)

    @property
    def _is_on_record(self) -> bool:
        """Whether a new process would find out from the core that the leg has ended (`resume`)."""
        return self._told and self._core.transfers is not None

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
            if is_bye and event.response.is_final and not await self._says_it_again(event):
                await self._leave()
        elif isinstance(event, Unanswered) and event.transaction.request.method == "BYE":
            await self._leave()

    async def _asked(self, transaction: ServerTransaction) -> None:
        """Their BYE crossed ours: both are done (§15)."""
        if transaction.request.method != "BYE":
            transaction.refuse(481)
            return
        respond_ok(self._core, transaction)
        await self._leave()

    async def _says_it_again(self, event: Responded) -> bool:
        """Whether a trunk wants our BYE with credentials, and gets it so."""
        if self._leg.line is None:
            return False
        last = event.transaction.request.cseq.sequence
        again = self._proof.again(event, replace(self._talk.dialog, local_seq=last))
        if again is None:
            return False
        dialog, bye = again
        try:
            now = await self._core.send_request(bye, dialog.hop, self._leg)
        except (SipError, ValueError):
            return False
        self._proof.sent_again(event.transaction, now)
        return True

    async def _leave(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
        self._core.ledger.delete_later(self._leg.id)
        self._leg.finish()

    async def abandon(self) -> None:
        await part(self._core, self._talk.dialog, self._leg.line)
