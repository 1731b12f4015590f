"""Outbound legs over lines: one line after the other until somebody answers for the person that was called.

It is the ringing of a phone (`uac.Ringing`) with lines in the place of contacts: what a line says of itself (busy
inside, out of service, silent) sends the call to the next one, what it says of the person called is the answer.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from commhub.domain.call import Cause, Direction
from commhub.domain.errors import UnavailableError
from commhub.ports.media import RtpAddress
from gateways.sip.causes import cause_of, detail_of
from gateways.sip.errors import TransactionError
from gateways.sip.ledger import Errand, Page, StoredInvite
from gateways.sip.legs import Event, Expired, Leg, Unanswered
from gateways.sip.message import Request, Response
from gateways.sip.sessions import TOO_SMALL, request_headers
from gateways.sip.transactions import ClientTransaction, TimerHandle, new_tag
from gateways.sip.transport import Hop
from gateways.sip.trunks import metrics
from gateways.sip.trunks.asking import ABSENT
from gateways.sip.trunks.credentials import CHALLENGES, MOST_ANSWERS, once_more
from gateways.sip.trunks.dial import Dial, nobody_left, place_of, why_none
from gateways.sip.trunks.identity import write_caller
from gateways.sip.trunks.line import Line
from gateways.sip.trunks.toll import Alarms
from gateways.sip.uac import RING_OVER, Ringing
from gateways.sip.withdrawing import FORK_QUIET, give_up

log = structlog.get_logger(__name__)

PATIENCE = "line-"
# What is said of the person called, and would be said over any line.
_OF_THE_CALLED = frozenset({404, 410, 415, 480, 484, 485, 486, 487, 488, 600, 603, 604, 606})
# In an emergency only these: somebody there has heard of the call and refused it as it is.
_OF_THE_CENTRE = frozenset({486, 487, 600, 603})


class Choosing:
    """Choosing lines, and a place for the leg in the audio engine."""

    def __init__(self, leg: Leg, dial: Dial) -> None:
        self._leg = leg
        self._dial = dial

    async def begin(self) -> None:
        route, order = self._dial.route, self._dial.order
        lines = self._dial.lines.in_order(route.via, emergency=route.emergency)
        if not lines:
            await nobody_left(self._leg, self._dial, Cause.UNREACHABLE, why_none(self._dial))
            return
        try:
            address = await self._leg.core.media.reserve(place_of(order, route))
        except UnavailableError as error:
            await nobody_left(self._leg, self._dial, Cause.FAILED, f"no media worker: {error}")
            return
        await self._leg.become(Dialling(self._leg, self._dial, address, lines))

    async def handle(self, event: Event) -> None:
        """Nothing comes before `begin` is over, and by then another stage is there."""

    async def abandon(self) -> None:
        """Nobody knows of the leg yet."""


class Dialling(Ringing):
    """Ringing over one line at a time."""

    def __init__(
        self,
        leg: Leg,
        dial: Dial,
        address: RtpAddress,
        lines: list[Line],
        *,
        page: Page | None = None,
    ) -> None:
        """`page`: a former process was ringing over the leg's line, and `lines` are those after it."""
        super().__init__(leg, dial.order, address, (), page=page)
        self._dial = dial
        rings_for = timedelta(seconds=dial.order.ring_for_s)
        self._until = self._core.clock.now() + rings_for
        if page is not None and page.errand is not None and not dial.route.emergency:
            self._until = page.errand.until
        self._waiting = lines
        self._places: list[Hop] = []
        self._hop: Hop | None = None
        self._answers = 0
        self._withdrawn = 0
        self._patience: TimerHandle | None = None
        self._waits = 0

    async def begin(self) -> None:
        self._leg.is_early = True
        # First, because the last line may fail before this returns.
        left_s = (self._until - self._core.clock.now()).total_seconds()
        self._deadline = self._core.layer.scheduler.call_later(
            max(left_s, 0.0), lambda: self._leg.post(Expired(RING_OVER))
        )
        if self._ringing:
            self._ask_again()
        else:
            await self._ring_next()

    def _go_on(self, page: Page) -> None:
        """Know the INVITE of a former process before the first datagram is read."""
        for invite in page.invites:
            self._ringing[self._core.layer.adopt_client(invite.request, invite.hop, self._leg)] = (
                invite
            )

    def _ask_again(self) -> None:
        """The same INVITE with its branch: a line that knows it says again what it said last (RFC 3261 §17.2.1), one that
        never got it, or has lost it, begins now, and one that is dead is found out."""
        for transaction in self._ringing:
            transaction.start()
        if self._waiting or self._dial.otherwise is not None:
            # With nobody else to try there is nothing to gain by losing patience with one that may ring.
            self._wait_for(self._line)

    def _page(self, invites: Sequence[StoredInvite]) -> Page:
        dial, order = self._dial, self._order
        errand = Errand(
            endpoint=order.endpoint,
            caller=order.caller,
            placed_by=order.placed_by,
            ring_for_s=order.ring_for_s,
            route=dial.route,
            lines=tuple(line.name for line in self._waiting),
            until=self._until,
            has_heir=dial.otherwise is not None,
        )
        return replace(super()._page(invites), errand=errand)

    @property
    def _line(self) -> Line:
        line = self._leg.line
        if line is None:
            raise RuntimeError("a leg that dials out is on a line")
        return line

    async def _ring_next(self) -> None:
        """Try the next line; the one before has nothing of the call any more, or is being withdrawn."""
        line = self._waiting.pop(0)
        self._leg.take(line, Direction.OUTBOUND)
        try:
            self._places = await self._dial.lines.places(line)
        except TransactionError as error:
            await self._line_failed(Cause.UNREACHABLE, str(error), absent=True)
            return
        await self._ring_next_place()

    async def _ring_next_place(self) -> None:
        """Try the next place of the line, with an INVITE of its own (RFC 3263 §4.3)."""
        line, self._answers = self._line, 0
        hop = self._places.pop(0)
        try:
            await self._receive_beside(hop)
        except UnavailableError as error:
            await self._line_failed(Cause.FAILED, f"no media worker: {error}", absent=False)
            return
        request = self._outside_request(line)
        line.credentials.sign(request)
        await self._try(request, hop)

    async def _receive_beside(self, hop: Hop) -> None:
        """Have our address for the voice be of the IP version of `hop`. Raises UnavailableError."""
        by_ipv6 = self._core.by_ipv6(hop.host)
        address = self._offers.address
        if by_ipv6 != (":" in address.host):
            await self._core.release(self._leg.id)
            order = place_of(self._order, self._dial.route, ipv6=by_ipv6)
            address = await self._core.media.reserve(order)
        self._offers.begin_anew(self._leg.terms, address)

    async def _try(self, request: Request, hop: Hop) -> None:
        """By the transport that was agreed with the line's owner, however large the request."""
        line, self._hop = self._line, hop
        self._core.write_via(request, hop)
        invite = StoredInvite(request=request, hop=hop)
        self._invites = [*self._ringing.values(), invite]
        await self._leg.write(self._page(self._invites))
        transaction = self._core.layer.adopt_client(request, hop, self._leg)
        self._ringing[transaction] = invite
        transaction.start()
        self._wait_for(line)

    def _outside_request(self, line: Line) -> Request:
        """The INVITE to a line (§13.2.1), in the same Call-ID family of none before it."""
        number, host = self._dial.route.number, self._core.config.uri_host
        request = Request("INVITE", line.uri_of(number))
        headers = request.headers
        headers.setlist("Via", [""])
        headers.set("Max-Forwards", "70")
        write_caller(request, line, self._order.caller, new_tag())
        headers.set("To", f"<{line.uri_of(number)}>")
        headers.set("Call-ID", f"{secrets.token_hex(16)}@{host}")
        headers.set("CSeq", f"{secrets.randbelow(1_000_000) + 1} INVITE")
        for name, value in (*self._core.call_headers(), *request_headers(self._core.config)):
            headers.set(name, value)
        headers.set("Content-Type", "application/sdp")
        request.body = self._offers.first
        return request

    # --- what comes back -------------------------------------------------------------------------------------

    async def handle(self, event: Event) -> None:
        if isinstance(event, Unanswered) and event.transaction in self._ringing:
            del self._ringing[event.transaction]
            await self._line_failed(Cause.NO_ANSWER, str(event.error), absent=True)
        elif isinstance(event, Expired) and event.what.startswith(PATIENCE):
            # One that ran out in the moment of an answer is of no interest any more.
            if self._patience is not None and event.what == f"{PATIENCE}{self._waits}":
                await self._lose_patience()
        elif isinstance(event, Expired) and event.what == FORK_QUIET:
            self._withdrawn -= 1
        else:
            await super().handle(event)

    async def _responded(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        self._stop_waiting()
        line = self._line
        if response.status in CHALLENGES:
            await self._challenged(transaction, response)
            return
        if response.status > 100:
            # Whoever lets it ring has looked at them, and a PRACK has to show them before there is a final answer.
            line.credentials.accepted(transaction.request)
        if response.status < 300 or response.status == TOO_SMALL:
            await self._dial.lines.heard(line)
            await super()._responded(transaction, response, source)
            return
        final = _OF_THE_CENTRE if self._dial.route.emergency else _OF_THE_CALLED
        if response.status in final:
            metrics.ATTEMPTS.labels(line.name, "refused").inc()
            await super()._responded(transaction, response, source)
            return
        del self._ringing[transaction]
        # A line that redirects (3xx) is not followed: whoever owns it would choose whom we pay for.
        absent = response.status in ABSENT
        await self._line_failed(cause_of(response.status), detail_of(response), absent=absent)

    async def _challenged(self, transaction: ClientTransaction, response: Response) -> None:
        """The same INVITE once more with credentials: a new transaction, the next CSeq (§22.2, §8.1.3.5)."""
        del self._ringing[transaction]
        line = self._line
        again = once_more(transaction.request, transaction.request.cseq.sequence + 1)
        self._answers += 1
        why = "the far end asks for credentials again and again"
        if self._answers <= MOST_ANSWERS:
            why = line.credentials.answer(transaction.request, response, again) or ""
        if why:
            await self._line_failed(Cause.NOT_ALLOWED, f"{response.status}: {why}", absent=False)
        else:
            await self._try(again, transaction.hop)

    async def _lose_patience(self) -> None:
        """Not even a 100: the line is as good as dead. Should it come to life after all, it is told to stop."""
        for transaction in list(self._ringing):
            self._withdrawn += 1
            self._withdraw(transaction)
        self._ringing = {}
        wait = self._line.config.patience_s
        await self._line_failed(Cause.NO_ANSWER, f"nothing heard for {wait:g} s", absent=True)

    async def _line_failed(self, cause: Cause, detail: str, *, absent: bool) -> None:
        """The line could not carry the call: on to the next."""
        self._stop_waiting()
        line = self._line
        metrics.ATTEMPTS.labels(line.name, "absent" if absent else "failed").inc()
        log.warning("sip_line_failed", leg_id=self._leg.id, trunk=line.name, reason=detail)
        if absent and self._hop is not None:
            self._dial.lines.misses(line, self._hop)
        if absent and self._places:
            await self._ring_next_place()
            return
        if absent:
            await self._dial.lines.missed(line, detail)
        self._places, self._hop = [], None
        if self._waiting:
            await self._ring_next()
            return
        # What the last line said is what the caller learns; the log has the others.
        self._stop_ringing()
        await nobody_left(
            self._leg, self._dial, cause, f"{line.name}: {detail}", forks=self._withdrawn
        )

    async def _answered(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        metrics.ATTEMPTS.labels(self._line.name, "answered").inc()
        if self._dial.route.emergency:
            metrics.EMERGENCIES.labels("answered").inc()
        elif self._dial.route.longest_s:
            self._leg.end_after(self._dial.route.longest_s)
        await super()._answered(transaction, response, source)
        if self._dial.route.emergency and self._leg.is_leaving:
            metrics.EMERGENCIES.labels("failed").inc()
            text = f"the call to {self._dial.route.number} was answered and could not be connected: use another telephone now"
            await self._dial.alarm(Alarms.EMERGENCY_FAILED, text, self._order.call_id)

    async def _give_up(self, cause: Cause, detail: str | None) -> None:
        self._stop_waiting()
        forks = self._stop_ringing() + self._withdrawn
        if self._dial.route.emergency:
            metrics.EMERGENCIES.labels(cause.value).inc()
            # Without a detail whoever called for help has hung up themselves.
            if detail is not None:
                text = f"the call to {self._dial.route.number} was not answered ({detail}): use another telephone now"
                await self._dial.alarm(Alarms.EMERGENCY_FAILED, text, self._order.call_id)
        await give_up(self._leg, cause, detail, forks=forks)

    async def abandon(self) -> None:
        self._stop_waiting()
        await super().abandon()

    # --- patience --------------------------------------------------------------------------------------------

    def _wait_for(self, line: Line) -> None:
        self._stop_waiting()
        self._waits += 1
        over = Expired(f"{PATIENCE}{self._waits}")
        self._patience = self._core.layer.scheduler.call_later(
            line.config.patience_s, lambda: self._leg.post(over)
        )

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
