"""A leg is an actor: one inbox, handled in order, so that a slow store delays only the leg that waits for it.

What a leg does with an event depends on its stage (ringing, talking, leaving); a stage handles one event and
may put another stage in its place. The transaction machines post into the inbox and never wait.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from commhub.domain.call import Cause, Direction
from commhub.kit.values import quick
from commhub.ports.media import RtpAddress
from commhub.ports.store import Also
from gateways.sip import metrics
from gateways.sip.core import Core, Routes
from gateways.sip.dialogs import Dialog, DialogKey
from gateways.sip.errors import TransactionError
from gateways.sip.inbox import Inbox
from gateways.sip.ledger import Page, Seat
from gateways.sip.message import Request, Response
from gateways.sip.sdp import Terms
from gateways.sip.transactions import ClientTransaction, ServerTransaction, TimerHandle
from gateways.sip.transport import Hop
from gateways.sip.trunks.line import Line

log = structlog.get_logger(__name__)


@quick
@dataclass(frozen=True, slots=True)
class Responded:
    """A response to a request of this leg."""

    transaction: ClientTransaction
    response: Response
    source: Hop


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request of this leg got no final response."""

    transaction: ClientTransaction
    error: TransactionError


@dataclass(frozen=True, slots=True)
class Asked:
    """A request inside the leg's dialog."""

    transaction: ServerTransaction


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The ACK of a 2xx of ours."""

    request: Request


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller gave up before anybody answered."""


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """A 2xx that no transaction waits for any more."""

    response: Response
    source: Hop


@dataclass(frozen=True, slots=True)
class HangUp:
    """The leg is to end. `told`: the core has ended it already, and need not be told again."""

    cause: Cause
    told: bool = False


@dataclass(frozen=True, slots=True)
class Readdressed:
    """The media engine receives the leg at another address now."""

    address: RtpAddress


@dataclass(frozen=True, slots=True)
class Repictured:
    """What picture the leg is to have may have changed."""


@dataclass(frozen=True, slots=True)
class KeyframeWished:
    """Somebody who is shown the leg's picture needs a whole one."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Somebody wants to know whether the far end is still there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The core wants an inbound leg answered."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A deadline of the stage passed."""

    what: str


Event = (
    Responded
    | Unanswered
    | Asked
    | Acknowledged
    | Cancelled
    | LateAnswer
    | HangUp
    | Answer
    | Probe
    | Readdressed
    | Repictured
    | KeyframeWished
    | Expired
)


class Stage(Protocol):
    """What a leg is doing. `handle` may call `leg.become` or `leg.finish`."""

    async def begin(self) -> None:
        """Called once, when the leg enters the stage."""
        ...

    async def handle(self, event: Event) -> None: ...

    async def abandon(self) -> None:
        """Something broke: leave the peer in a clean state, as well as can be."""
        ...


class Acknowledgeable(Protocol):
    """A reliable provisional response (RFC 3262)."""

    def acknowledge(self, transaction: ServerTransaction) -> None: ...

    def stop(self) -> None: ...


class Leg:
    """One leg's actor. Implements `transactions.ClientUser`."""

    def __init__(self, core: Core, routes: "Routes[Leg]", leg_id: str, call_id: str = "") -> None:
        self.core = core
        self.id = leg_id
        self.call_id = call_id
        self._routes = routes
        self._inbox: Inbox[Event] = Inbox()
        self._stage: Stage | None = None
        self._known: set[tuple[str, str, str]] = set()
        self._over = False
        self.line: Line | None = None
        """The trunk it is on; None for a phone of our own."""
        self._seat: Seat | None = None
        self._last: TimerHandle | None = None
        self.reliable: Acknowledgeable | None = None
        """Our ringing that waits for its PRACK."""
        self.is_confirmed = False
        """Whether its dialog is established: what a Replaces may ask (RFC 3891 §3)."""
        self.is_leaving = False
        self.is_early = False
        """Whether it is ours and rings."""
        self.shown: Sequence[tuple[str, str]] = ()
        """The credentials of the INVITE that was answered: its ACK repeats them (RFC 3261 §22.1)."""

    # --- from the machines ---------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Queue an event; never waits."""
        self._inbox.put(event)

    def response_received(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        self.post(Responded(transaction, response, source))

    def transaction_failed(self, transaction: ClientTransaction, error: TransactionError) -> None:
        self.post(Unanswered(transaction, error))

    # --- for the stages ------------------------------------------------------------------------------------

    async def become(self, stage: Stage) -> None:
        """Enter another stage."""
        self._stage = stage
        await stage.begin()

    def know(self, dialog: Dialog) -> None:
        """Have the requests of this dialog come to this leg."""
        self._known.add(dialog.key)
        self._routes[dialog.key] = self

    def settle(self, dialog: Dialog) -> None:
        """One dialog is left of those that were tried; requests of the others belong to nobody any more."""
        for key in self._known - {dialog.key}:
            if self._routes.get(key) is self:
                del self._routes[key]
        self._known.clear()
        self.know(dialog)

    def other(self, key: DialogKey) -> "Leg | None":
        """Another leg of this edge, by its dialog; not one that is on its way out."""
        found = self._routes.get(key)
        return None if found is self or found is None or found.is_leaving else found

    async def send(self, request: Request, hop: Hop) -> ClientTransaction:
        """Send a request inside the dialog, to a trunk with credentials where its last challenge still holds (RFC 3261
        §22). Its outcome comes to the inbox. Raises TransactionError."""
        if self.line is not None:
            self.line.credentials.sign(request)
        return await self.core.send_request(request, hop, self)

    async def write(self, page: Page) -> None:
        """Have the page on record."""
        await self.core.ledger.put(self._seated(page))

    async def writing(self, page: Page) -> Also:
        """The page as a part of a step of the core."""
        return await self.core.ledger.putting(self._seated(page))

    def write_later(self, page: Page) -> None:
        """Have the page on record soon: see `Ledger.put_later`."""
        self.core.ledger.put_later(self._seated(page))

    def _seated(self, page: Page) -> Page:
        return page if self._seat is None else replace(page, seat=self._seat)

    @property
    def terms(self) -> Terms:
        """What descriptions are agreed to with this far end."""
        common = self.core.terms
        return common if self.line is None else self.line.terms(common)

    def take(self, line: Line, direction: Direction) -> None:
        """Be on a trunk, and on no other."""
        self._leave_line()
        self.line = line
        self._seat = Seat(line.name, direction)
        line.enter(self.id, direction)

    def sit(self, seat: Seat, line: Line | None) -> None:
        """Be where a former process had the leg; the settings may not know the trunk any more."""
        self._seat = seat
        if line is not None:
            self.line = line
            line.enter(self.id, seat.direction)
        if seat.until is not None:
            self._end_at(seat.until)

    def end_after(self, seconds: float) -> None:
        """Hang up then, whoever talks: nobody notices a line that is left open."""
        if self._seat is not None:
            until = self.core.clock.now() + timedelta(seconds=seconds)
            self._seat = replace(self._seat, until=until)
            self._end_at(until)

    def _end_at(self, until: datetime) -> None:
        left_s = (until - self.core.clock.now()).total_seconds()
        self._last = self.core.layer.scheduler.call_later(
            max(left_s, 0.0), lambda: self.post(HangUp(Cause.NOT_ALLOWED))
        )

    def _leave_line(self) -> None:
        if self.line is not None:
            self.line.leave(self.id)

    def finish(self) -> None:
        """The peer is done with; nothing more is handled."""
        self._over = True

    # --- the actor -----------------------------------------------------------------------------------------

    def start_with(self, stage: Stage) -> None:
        """The first stage, which `run` enters. No argument of a coroutine that lives as long as the call: it would keep
        the stage, and the INVITE with it."""
        self._stage = stage

    async def run(self) -> None:
        """Handle events until a stage finishes. Cancelling leaves the peer and the row as they are."""
        metrics.LEGS.inc()
        try:
            await self._live()
        finally:
            metrics.LEGS.dec()
            self._leave_line()
            if self._last is not None:
                self._last.cancel()
            for key in self._known:
                self._routes.pop(key, None)
            # It holds this leg: a ring is left to the garbage collector, whose walks stop the process.
            self._stage = None

    async def _live(self) -> None:
        try:
            if self._stage is not None:
                await self._stage.begin()
            while not self._over:
                await self._take(await self._inbox.take())
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("sip_leg_failed", leg_id=self.id)
            await self._break_off()

    async def _take(self, event: Event) -> None:
        if self._stage is not None:
            await self._stage.handle(event)

    async def _break_off(self) -> None:
        """A bug or a store that is gone must not leave a phone ringing or a leg shown as live."""
        try:
            if self._stage is not None:
                await self._stage.abandon()
        except Exception:
            log.exception("sip_leg_abandon_failed", leg_id=self.id)
        await self.core.release(self.id)
        await self.core.tell_ended(self.id, Cause.FAILED, "internal error of the SIP gateway")
        await self.core.tell("row", lambda: self.core.ledger.delete(self.id))
