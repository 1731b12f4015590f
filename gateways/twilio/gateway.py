"""The Twilio edge as wiring sees it: one async context manager that is also the leg driver of `tel:` endpoints.

It keeps the legs and finds whom a request is about; what a request does to a leg is the leg's affair.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog

from commhub.domain.call import Cause
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.inward import CallsIn, IncomingCall, IncomingRefused
from commhub.ports.media import MediaEngine, RtpAddress
from commhub.ports.store import Store
from commhub.ports.telephony import LegOrder
from gateways.twilio import twiml
from gateways.twilio.api import TwilioApi
from gateways.twilio.causes import FINAL
from gateways.twilio.config import TwilioConfig
from gateways.twilio.desk import Desk
from gateways.twilio.errors import ForgeryError, TwilioError, UnreadablePageError
from gateways.twilio.ledger import Chapter, Page
from gateways.twilio.leg import Leg
from gateways.twilio.messages import Start
from gateways.twilio.numbers import RefusedNumber, admit
from gateways.twilio.stream import Socket

log = structlog.get_logger(__name__)

_CALL_SID = re.compile(r"CA[0-9a-f]{32}")
_NUMBER = re.compile(r"\+[0-9]{3,15}")
_REMEMBERED = 10_000
_LONGEST_NAME = 80


class TwilioGateway:
    """The `commhub.ports.telephony.LegDriver` of `tel:`, `Recovering` and `Readdressing`, and what `routes` asks.

    Entering takes up the legs of a former process. Leaving keeps calls as they are: Twilio comes back by the
    redirect of each call's TwiML.
    """

    def __init__(
        self,
        config: TwilioConfig,
        store: Store,
        media: MediaEngine,
        calls: CallsIn,
        clock: Clock,
        api: TwilioApi | None = None,
    ) -> None:
        self._desk = Desk(config, store, media, calls, clock, api or TwilioApi(config))
        self._config = config
        self._legs: dict[str, Leg] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._stack = AsyncExitStack()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def config(self) -> TwilioConfig:
        return self._config

    @property
    def legs(self) -> int:
        """How many legs this edge carries now, ringing and leaving ones too."""
        return len(self._legs)

    # --- life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        await self._stack.enter_async_context(self._desk.api)
        try:
            await self._resume()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._stack.aclose()

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(self._guarded(work, name), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    @staticmethod
    async def _guarded(work: Coroutine[None, None, None], name: str) -> None:
        try:
            await work
        except Exception:  # supervisor: one leg's failure takes no other leg down
            log.exception("twilio_task_failed", task=name)

    async def _resume(self) -> None:
        for row in await self._desk.ledger.rows():
            try:
                page = Page.from_row(row)
            except UnreadablePageError as error:
                log.error("twilio_leg_not_resumed", leg_id=row.leg_id, reason=str(error))  # noqa: TRY400 - the reason says it
                await self._desk.tell_ended(row.leg_id, Cause.FAILED, "its state was lost")
                await self._desk.ledger.delete(row.leg_id)
                continue
            self._launch(Leg(self._desk, page))
        if self._legs:
            log.info("twilio_legs_resumed", legs=len(self._legs))

    def _launch(self, leg: Leg) -> None:
        self._legs[leg.id] = leg
        self._spawn(self._run(leg), f"twilio-leg-{leg.id}")

    async def _run(self, leg: Leg) -> None:
        try:
            await leg.run()
        finally:
            del self._legs[leg.id]
            self._ended[leg.id] = None
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)

    # --- commhub.ports.telephony.LegDriver -----------------------------------------------------------------

    async def place(self, order: LegOrder) -> None:
        """Begin to ring a number; returns once the leg would survive a restart."""
        if order.leg_id in self._legs or order.leg_id in self._ended:
            return
        number = admit(order.endpoint.name, self._config.allowed_prefixes)
        if isinstance(number, RefusedNumber):
            await self._desk.tell_ended(order.leg_id, Cause.NOT_ALLOWED, number.why)
            return
        if len(self._legs) >= self._config.max_legs:
            await self._desk.tell_ended(order.leg_id, Cause.FAILED, "all lines to Twilio are taken")
            return
        page = Page(leg_id=order.leg_id, chapter=Chapter.PLACED, number=number)
        leg = Leg(self._desk, page, ring_for_s=order.ring_for_s)
        self._legs[leg.id] = leg
        try:
            await self._desk.ledger.put(page)
        except BaseException:
            del self._legs[leg.id]
            raise
        self._launch(leg)
        self._spawn(leg.dial(order.ring_for_s), f"twilio-dial-{leg.id}")

    async def answer(self, leg_id: str) -> None:
        """The caller of an inbound leg gets its stream."""
        if leg := self._legs.get(leg_id):
            await leg.answer()

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        """End the call at Twilio, ringing or talking, and the leg at the engine."""
        if leg := self._legs.get(leg_id):
            await leg.end(cause, None)

    # --- commhub.ports.telephony.Recovering, Readdressing --------------------------------------------------

    async def recover(self, leg_id: str) -> bool:
        """Set the leg up anew at the engine; its far end hears nothing of that but a gap."""
        leg = self._legs.get(leg_id)
        return leg is not None and leg.find_engine()

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        """Our own socket is the far end of the leg's RTP, so nobody else need be told."""
        del address
        if leg := self._legs.get(leg_id):
            leg.find_engine()

    # --- what Twilio asks and reports (routes) -------------------------------------------------------------

    async def voice(self, fields: Mapping[str, str], leg_id: str | None) -> str:
        """The TwiML of a call that was answered (`leg_id` names ours) or that comes in. Raises ForgeryError."""
        sid = call_sid_of(fields)
        if leg_id is not None:
            return await self._what_now(leg_id, sid, None)
        known = self._of_call(sid)
        if known is not None:
            return await known.what_now(sid, None)
        return await self._take_call(sid, fields)

    async def resume(self, fields: Mapping[str, str], leg_id: str, ticket: str) -> str:
        """The TwiML of a call whose stream ended, or that still rings here. Raises ForgeryError."""
        sid = call_sid_of(fields)
        shown = self._desk.tickets.read(ticket, "resume", self._desk.clock.now().timestamp())
        if (shown.leg_id, shown.call_sid) != (leg_id, sid):
            raise ForgeryError("another_call")
        return await self._what_now(leg_id, sid, shown.generation)

    async def _what_now(self, leg_id: str, sid: str, generation: int | None) -> str:
        leg = self._legs.get(leg_id)
        return await leg.what_now(sid, generation) if leg is not None else twiml.hang_up()

    async def _take_call(self, sid: str, fields: Mapping[str, str]) -> str:
        if len(self._legs) >= self._config.max_legs:
            return twiml.reject(busy=True)
        caller, called = fields.get("From", ""), fields.get("To", "")
        page = Page(leg_id=new_id(), chapter=Chapter.OFFERED, number=called[:64], call_sid=sid)
        leg = Leg(self._desk, page)
        self._legs[leg.id] = leg
        try:
            await self._refuse_replay(sid)
            # Without a row a crash after the core's commit would leave its leg ringing for ever.
            await self._desk.ledger.put(page)
            outcome = await self._desk.calls.call_offered(
                IncomingCall(
                    leg_id=leg.id,
                    # A withheld number is a word such as «anonymous», or nothing.
                    caller=Endpoint(
                        Scheme.TEL, caller if _NUMBER.fullmatch(caller) else "anonymous"
                    ),
                    called=self._config.inbound.get(called, called),
                    display_name=_clean(fields.get("CallerName", "")),
                )
            )
        except ForgeryError:
            del self._legs[leg.id]
            raise
        except BaseException:
            del self._legs[leg.id]
            self._spawn(self._forget(leg.id), f"twilio-forget-{leg.id}")
            raise
        if isinstance(outcome, IncomingRefused):
            del self._legs[leg.id]
            await self._desk.ledger.delete(leg.id)
            return twiml.reject(busy=outcome.cause is Cause.BUSY)
        self._launch(leg)
        return await leg.what_now(sid, None)

    async def _refuse_replay(self, sid: str) -> None:
        """Raises ForgeryError when the call that comes in has ended: somebody kept a signed request, or it is late."""
        try:
            status = await self._desk.api.status(sid)
        except TwilioError as error:
            # A caller counts more than a doubt that only whoever reads our traffic could use.
            log.warning("twilio_not_asked", reason=str(error))
            return
        if status in FINAL:
            raise ForgeryError("replayed")

    async def _forget(self, leg_id: str) -> None:
        """A caller that could not be taken in: the core may know it all the same."""
        await self._desk.tell_ended(leg_id, Cause.FAILED, "the hub could not take the call")
        await self._desk.tell("row", lambda: self._desk.ledger.delete(leg_id))

    async def status(self, fields: Mapping[str, str], leg_id: str | None) -> None:
        """A call's progress. Raises ForgeryError."""
        sid, status = call_sid_of(fields), fields.get("CallStatus", "")
        leg = self._legs.get(leg_id) if leg_id is not None else self._of_call(sid)
        if leg is not None:
            await leg.reported(sid, status, fields)
        elif leg_id is not None and status not in FINAL:
            # We gave up on this call before Twilio told us its name.
            self._spawn(self._end_unwanted(sid), "twilio-unwanted")

    def _of_call(self, sid: str) -> Leg | None:
        return next((leg for leg in self._legs.values() if leg.page.call_sid == sid), None)

    async def _end_unwanted(self, sid: str) -> None:
        try:
            await self._desk.api.complete(sid)
        except TwilioError as error:
            log.warning("twilio_not_hung_up", reason=str(error))

    async def carry(self, start: Start, socket: Socket) -> None:
        """Be a leg's voice on a socket that said `start`; returns when it is over. Raises ForgeryError."""
        if start.account_sid != self._config.account_sid:
            raise ForgeryError("another_account")
        now = self._desk.clock.now().timestamp()
        ticket = self._desk.tickets.read(start.ticket, "stream", now)
        leg = self._legs.get(ticket.leg_id)
        if leg is None:
            raise ForgeryError("no_such_leg")
        await leg.carry(ticket, start, socket)


def call_sid_of(fields: Mapping[str, str]) -> str:
    """The call a webhook is about. Raises ForgeryError for what is no SID."""
    sid = fields.get("CallSid", "")
    if not _CALL_SID.fullmatch(sid):
        raise ForgeryError("no_call")
    return sid


def _clean(text: str) -> str | None:
    shown = "".join(c for c in text if c.isprintable()).strip()
    return shown[:_LONGEST_NAME] or None
