"""Ending what nobody is interested in any more: forks that lost, INVITEs given up, dialogs of a late 200.

These run on the machines alone, without a leg, because the leg has moved on, perhaps to another trunk: so they are told
which one the INVITE went to. `done` tells when the peer is quiet.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from gateways.sip.core import Core
from gateways.sip.dialogs import AHEAD, Dialog, dialog_of_answer
from gateways.sip.errors import SipError, TransactionError
from gateways.sip.legs import Responded
from gateways.sip.message import Request, Response
from gateways.sip.proof import Proof
from gateways.sip.transactions import ClientTransaction, State
from gateways.sip.transport import Hop
from gateways.sip.trunks.credentials import credentials_of
from gateways.sip.trunks.line import Line

log = structlog.get_logger(__name__)


class Ignored:
    """The user of a CANCEL, whose outcome changes nothing; nobody may ask for its credentials (RFC 3261 §22.1)."""

    def response_received(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        """Nothing follows."""

    def transaction_failed(self, transaction: ClientTransaction, error: TransactionError) -> None:
        del transaction
        log.info("sip_farewell_unanswered", error=str(error))


class GivenUp:
    """The user of an INVITE that was given up: CANCEL as soon as that is allowed (RFC 3261 §9.1); a 200 that
    crossed it is acknowledged and hung up."""

    def __init__(self, core: Core, done: Callable[[], None], line: Line | None) -> None:
        """`line` is the trunk it went to; None for a phone of our own."""
        self._core = core
        self._line = line
        self._when_done: Callable[[], None] | None = done
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: set[str] = set()

    def take(self, transaction: ClientTransaction) -> None:
        """Take over an INVITE in whatever state it is."""
        transaction.hand_over(self)
        if transaction.state is State.PROCEEDING:
            transaction.cancel(Ignored())
        elif transaction.state is not State.CALLING:
            self._done()

    def response_received(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        if not response.is_final:
            transaction.cancel(Ignored())
        elif response.status >= 300:
            self._done()
        else:
            self._refuse(transaction, response, source)

    def transaction_failed(self, transaction: ClientTransaction, error: TransactionError) -> None:
        del transaction, error
        self._done()

    def _done(self) -> None:
        when_done, self._when_done = self._when_done, None
        if when_done is not None:
            when_done()

    def _refuse(self, transaction: ClientTransaction, response: Response, source: Hop) -> None:
        tag = response.recipient.tag
        task = asyncio.create_task(
            say_goodbye(
                self._core,
                self._line,
                transaction,
                response,
                source,
                bye=tag not in self._answers,
            ),
            name="sip-late-answer",
        )
        self._answers.add(tag)
        self._tasks.add(task)

        def quiet(finished: asyncio.Task[None]) -> None:
            self._tasks.discard(finished)
            self._done()

        task.add_done_callback(quiet)


async def say_goodbye(
    core: Core,
    line: Line | None,
    transaction: ClientTransaction,
    response: Response,
    source: Hop,
    *,
    bye: bool = True,
) -> None:
    """ACK a 200 that is not wanted and hang up its dialog (RFC 3261 §9.1, §13.2.2.4). Never raises SipError."""
    try:
        dialog = dialog_of_answer(transaction.request, response, source)
        await core.acknowledge(dialog, shown=credentials_of(transaction.request))
    except (SipError, ValueError) as error:
        log.warning("sip_late_answer_unreadable", error=str(error))
        return
    if bye:
        # Its early part may have numbered PRACKs.
        await part(core, replace(dialog, local_seq=dialog.local_seq + AHEAD), line)


async def part(core: Core, dialog: Dialog, line: Line | None) -> None:
    """Send a BYE whose outcome changes nothing, and not wait for it. Never raises SipError."""
    dialog, bye = dialog.request("BYE")
    if line is not None:
        line.credentials.sign(bye)
    await Parting(core, dialog, line).send(bye)


class Parting:
    """The user of a BYE that no leg waits for: where its trunk asks for credentials it goes out once more with them, or
    the far end would go on talking to nobody."""

    def __init__(self, core: Core, dialog: Dialog, line: Line | None) -> None:
        self._core = core
        self._dialog = dialog
        self._proof = Proof(line)
        self._task: asyncio.Task[None] | None = None

    async def send(self, bye: Request, former: ClientTransaction | None = None) -> None:
        """`former` was challenged, and this answers it. Never raises SipError."""
        try:
            now = await self._core.send_request(bye, self._dialog.hop, self)
        except (SipError, ValueError) as error:
            log.warning("sip_bye_not_sent", error=str(error))
            return
        if former is not None:
            self._proof.sent_again(former, now)

    def response_received(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        again = self._proof.again(Responded(transaction, response, source), self._dialog)
        if again is not None:
            self._dialog, bye = again
            self._task = asyncio.create_task(self.send(bye, transaction), name="sip-parting")

    def transaction_failed(self, transaction: ClientTransaction, error: TransactionError) -> None:
        del transaction
        log.info("sip_farewell_unanswered", error=str(error))
