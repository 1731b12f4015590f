"""Ending what nobody is interested in any more: forks that lost, INVITEs given up, dialogs of a late 200.

These run on the machines alone, without a leg, because the leg has moved on; `done` tells when the peer is quiet.
"""

import asyncio
from collections.abc import Callable

import structlog

from gateways.sip.core import Core
from gateways.sip.dialogs import Dialog, dialog_of_answer
from gateways.sip.errors import MalformedError, SipError, TransactionError
from gateways.sip.message import Response
from gateways.sip.transactions import ClientTransaction, State
from gateways.sip.transport import Hop
from gateways.sip.trunks.credentials import credentials_of

log = structlog.get_logger(__name__)


class Ignored:
    """The user of a request whose outcome changes nothing (CANCEL, a BYE of courtesy)."""

    def __init__(self, done: Callable[[], None] | None = None) -> None:
        self._done = done

    def response_received(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        del transaction, source
        if response.is_final and self._done is not None:
            self._done()

    def transaction_failed(self, transaction: ClientTransaction, error: TransactionError) -> None:
        del transaction
        log.info("sip_farewell_unanswered", error=str(error))
        if self._done is not None:
            self._done()


class GivenUp:
    """The user of an INVITE that was given up: CANCEL as soon as that is allowed (RFC 3261 §9.1); a 200 that
    crossed it is acknowledged and hung up."""

    def __init__(self, core: Core, done: Callable[[], None]) -> None:
        self._core = core
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
    core: Core, transaction: ClientTransaction, response: Response, source: Hop, *, bye: bool = True
) -> None:
    """ACK a 200 that is not wanted and hang up its dialog (RFC 3261 §9.1, §13.2.2.4). Never raises SipError."""
    try:
        dialog = dialog_of_answer(transaction.request, response, source)
        await core.acknowledge(dialog, shown=credentials_of(transaction.request))
        if bye:
            await hang_up(core, dialog)
    except (SipError, ValueError) as error:
        log.warning("sip_late_answer_unreadable", error=str(error))


async def hang_up(core: Core, dialog: Dialog) -> None:
    """Send a BYE and not wait for it. Raises TransactionError."""
    _, bye = dialog.request("BYE")
    try:
        await core.send_request(bye, dialog.hop, Ignored())
    except MalformedError as error:
        raise TransactionError(str(error)) from error
