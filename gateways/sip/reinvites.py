"""What the far end wants described anew: its re-INVITE (RFC 3261 §14.2), its UPDATE (RFC 3311), and the ACK that brings its
answer to an offer in our 200.

A phone holds and resumes so (RFC 3264 §8.4). The row is written before our 200 leaves.
"""

from typing import Protocol

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.kit.values import replace
from gateways.sip import sdp
from gateways.sip.errors import MalformedError, SdpError
from gateways.sip.keeper import AnswerKeeper
from gateways.sip.ledger import Page
from gateways.sip.legs import Leg
from gateways.sip.message import Request
from gateways.sip.methods import refuse_description, refuse_interval
from gateways.sip.sessions import TooShortError, agree
from gateways.sip.talk import Conversation, Talk, answer_200, tell_state
from gateways.sip.transactions import ServerTransaction


class Describing(Conversation, Protocol):
    """An established leg whose description may change."""

    @property
    def is_asking(self) -> bool:
        """Whether an offer of ours waits for its answer."""
        ...

    def change(self, talk: Talk) -> None:
        """This is agreed from now on."""
        ...

    def page(self) -> Page: ...

    async def write(self) -> None:
        """Have what is agreed on record."""
        ...

    def alive(self) -> None:
        """The session timer begins anew."""
        ...


class Reinvites:
    """Those of one leg. `keeper` resends our last 200 until its ACK."""

    def __init__(self, leg: Leg, keeper: AnswerKeeper | None) -> None:
        self._leg = leg
        self._core = leg.core
        self.keeper = keeper
        self._offered_in_200 = False

    @property
    def waits(self) -> bool:
        """Whether a 200 of ours has no ACK yet."""
        return self.keeper is not None

    def stop(self) -> None:
        """Send our 200 no more."""
        if self.keeper is not None:
            self.keeper.stop()
            self.keeper = None

    async def asked(self, talking: Describing, transaction: ServerTransaction) -> None:
        """A re-INVITE (§14.2) or UPDATE (RFC 3311 §5.2): another description, another target, a refreshed timer."""
        request = transaction.request
        if busy := self._busy_for(talking, request):
            transaction.refuse(busy, **({"Retry_After": "1"} if busy == 500 else {}))
            return
        try:
            dialog = talking.talk.dialog.heard(request, transaction.source)
            session = agree(request, self._core.config, talking.talk.session)
        except TooShortError as error:
            refuse_interval(self._core, transaction, error.min_s)
            return
        except MalformedError as error:
            transaction.refuse(error.status)
            return
        talk = replace(talking.talk, dialog=dialog, session=session)
        if request.body:
            await self._redescribed(talking, transaction, replace(talk, local=talk.local.next()))
        elif request.method == "INVITE":
            await self._offer_again(talking, transaction, replace(talk, local=talk.local.next()))
        else:
            talking.change(talk)
            await self._accept(talking, transaction, b"")

    def _busy_for(self, talking: Describing, request: Request) -> int | None:
        """Why a description cannot be agreed on just now: an INVITE of theirs without ACK (500, §14.2), an offer of
        ours without answer (491: both will ask again, one of them first)."""
        if request.method == "INVITE" and self.keeper is not None:
            return 500
        if not request.body and request.method == "UPDATE":
            return None
        waiting = self.keeper is not None and (self._offered_in_200 or not talking.talk.remote_sdp)
        return 491 if talking.is_asking or waiting else None

    async def _redescribed(
        self, talking: Describing, transaction: ServerTransaction, talk: Talk
    ) -> None:
        request = transaction.request
        pictures = self._core.pictures
        picture = await pictures.place_for(
            self._leg.id, request.body, self._leg.terms, talk.address
        )
        try:
            agreement = sdp.answer(
                request.body,
                self._leg.terms,
                talk.address,
                talk.local,
                talk.local_sdp,
                picture=picture,
            )
            await self._core.media.connect(self._leg.id, agreement.remote)
        except (SdpError, InvalidError) as error:
            refuse_description(self._core, transaction, error)
            return
        except UnavailableError:
            transaction.refuse(500, Retry_After="5")
            return
        await pictures.settle(self._leg.id, agreement.picture)
        body = agreement.body or b""
        talking.change(replace(talk, local_sdp=body, remote_sdp=request.body, held=agreement.held))
        await self._accept(talking, transaction, body)
        await tell_state(self._leg, agreement)

    async def _offer_again(
        self, talking: Describing, transaction: ServerTransaction, talk: Talk
    ) -> None:
        """A re-INVITE without a body asks for our offer; the ACK brings their answer (§14.2)."""
        picture = sdp.picture_address(talk.local_sdp)
        body = sdp.offer(self._leg.terms, talk.address, talk.local, talk.local_sdp, picture=picture)
        talking.change(replace(talk, local_sdp=body))
        self._offered_in_200 = True
        await self._accept(talking, transaction, body)

    async def _accept(
        self, talking: Describing, transaction: ServerTransaction, body: bytes
    ) -> None:
        """Answer 200 with our description; to an INVITE again and again until the ACK (§13.3.1.4)."""
        await talking.write()
        transaction.respond(answer_200(self._leg, transaction, body, talking.talk.session))
        if transaction.is_invite:
            self.keeper = AnswerKeeper(self._leg, transaction)
        talking.alive()

    async def acknowledged(self, talking: Describing, body: bytes) -> None:
        """The ACK of our 200."""
        if self.keeper is None:
            return
        self.stop()
        first = talking.talk.invite is not None
        talking.change(replace(talking.talk, invite=None))
        if body and (self._offered_in_200 or first):
            await self._answered_in_ack(talking, body)
        elif first:
            # Without it a new process would send its 200 again, and the phone its ACK (§13.3.1.4).
            self._leg.write_later(talking.page())

    async def _answered_in_ack(self, talking: Describing, body: bytes) -> None:
        self._offered_in_200 = False
        try:
            agreement = sdp.accept(body, self._leg.terms, talking.talk.local_sdp)
            await self._core.media.connect(self._leg.id, agreement.remote)
        except (SdpError, InvalidError, UnavailableError) as error:
            await talking.hang_up(Cause.NO_COMMON_CODEC, str(error))
            return
        await self._core.pictures.settle(self._leg.id, agreement.picture)
        talking.change(replace(talking.talk, remote_sdp=body, held=agreement.held))
        await talking.write()
        await tell_state(self._leg, agreement)
