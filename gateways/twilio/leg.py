"""One telephone leg: what Twilio asks and reports of it, in order, and what it is answered.

Every change is written before Twilio is answered by it, under the leg's lock; the lock is never held while somebody
is waited for. A leg that waits for Twilio (to ring, to come back after a stream) is watched: Twilio's silence is
answered by asking Twilio, so a lost callback costs seconds and no leg is left behind.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import DomainError
from gateways.twilio import twiml
from gateways.twilio.causes import FINAL, cause_of_end, cause_of_error
from gateways.twilio.desk import Desk
from gateways.twilio.errors import ForgeryError, NoAnswerError, TwilioError
from gateways.twilio.ledger import Chapter, Page
from gateways.twilio.messages import Start
from gateways.twilio.metrics import STREAMS
from gateways.twilio.stream import MediaStream, Socket
from gateways.twilio.tickets import Ticket
from gateways.twilio.trunk import AUDIO, Trunk

log = structlog.get_logger(__name__)

_RESUME_LIFE_S = 86_400
_LOOKS = 4
_STOPPED_S = 1.0
_LOST_S = 0.1
_AGAIN_S = 2.0
# A caller who still hears ringing asks again soon, and is then turned away without being picked up.
_REJECT_S = 4.0
_GOODBYE_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0)
_RING_GRACE_S = 15.0


class Leg:
    """`page` is what is stored. `run` lives as long as the leg does."""

    def __init__(self, desk: Desk, page: Page, *, ring_for_s: float = 45.0) -> None:
        self._desk = desk
        self.page = page
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._touched = asyncio.Event()
        self._done = asyncio.Event()
        self._stream: MediaStream | None = None
        self._trunk: Trunk | None = None
        self._stopped = False
        self._lost = page.chapter is Chapter.TALKING
        self._refusal = Cause.CALL_ENDED
        self._unanswered = False
        self._in_vain = 0
        self._born = desk.clock.monotonic()
        inbound = page.chapter is Chapter.OFFERED
        self._ring_until = self._born + (
            desk.config.inbound_ring_s if inbound else ring_for_s + _RING_GRACE_S
        )

    @property
    def id(self) -> str:
        return self.page.leg_id

    @property
    def is_streaming(self) -> bool:
        return self._stream is not None

    async def _write(self, **changes: object) -> None:
        page = replace(self.page, **changes)  # type: ignore[arg-type]  # the fields' own types
        await self._desk.ledger.put(page)
        self.page = page
        self._changed.set()
        self._touched.set()

    # --- our wishes ----------------------------------------------------------------------------------------

    async def dial(self, ring_for_s: float) -> None:
        """Ask Twilio to ring the number."""
        desk, base = self._desk, self._desk.config.public_url
        try:
            sid = await desk.api.call(
                self.page.number,
                url=twiml.url_with(base, "/twilio/voice", leg=self.id) + twiml.RETRIES,
                status_url=twiml.url_with(base, "/twilio/status", leg=self.id) + twiml.RETRIES,
                ring_for_s=ring_for_s,
            )
        except TwilioError as error:
            # Without an answer the phone may ring all the same, and Twilio's first report will name the call.
            may_ring = isinstance(error, NoAnswerError) and error.sent
            await self.end(cause_of_error(error), str(error), tell_twilio=may_ring)
            return
        async with self._lock:
            await self._write(call_sid=sid)

    async def answer(self) -> None:
        """The caller may come in: its next question is answered with a stream."""
        async with self._lock:
            if self.page.chapter is Chapter.OFFERED:
                await self._write(chapter=Chapter.ANSWERED)

    async def end(self, cause: Cause, detail: str | None, *, tell_twilio: bool = True) -> None:
        """End the leg for the core, and make Twilio end its call (which has, when `tell_twilio` is False)."""
        async with self._lock:
            if self._done.is_set() or self.page.chapter is Chapter.LEAVING:
                if not tell_twilio:
                    self._done.set()
                return
            self._refusal = cause
            self._unanswered = self.page.chapter is Chapter.OFFERED
            if tell_twilio:
                page = replace(self.page, chapter=Chapter.LEAVING)
                await self._desk.tell("row", lambda: self._desk.ledger.put(page))
                self.page = page
            else:
                self._done.set()
            self._changed.set()
            self._touched.set()
        if self._stream is not None:
            self._stream.stop()
        await self._desk.release(self.id)
        await self._desk.tell_ended(self.id, cause, detail)

    # --- Twilio's questions --------------------------------------------------------------------------------

    async def what_now(self, sid: str, generation: int | None) -> str:
        """The TwiML for the call. `generation` is that of the ticket it showed, None when it comes first.

        A caller that nobody answered yet is held for a while, so that it hears its own network's ringing. Raises
        ForgeryError for a question that was answered before.
        """
        await self._claim(sid)
        if self.page.chapter is Chapter.OFFERED:
            await self._hold()
        async with self._lock:
            if self._done.is_set():
                return self._farewell()
            match self.page.chapter:
                case Chapter.OFFERED:
                    self._touched.set()
                    return twiml.ring_on(self._resume_url())
                case Chapter.LEAVING:
                    return self._farewell()
                case Chapter.PLACED | Chapter.ANSWERED:
                    await self._write(chapter=Chapter.TALKING, generation=1, used=False)
                case Chapter.TALKING:
                    await self._allow_again(generation)
            return twiml.connect(
                self._desk.config.stream_url, self._stream_ticket(), self._resume_url()
            )

    async def _claim(self, sid: str) -> None:
        """The leg's call is this one; raises ForgeryError when it is another."""
        async with self._lock:
            if self.page.call_sid is None:
                await self._write(call_sid=sid)
        if self.page.call_sid != sid:
            raise ForgeryError("another_call")

    async def _allow_again(self, generation: int | None) -> None:
        """The stream before this one was lost, or its TwiML never arrived (Twilio asks again)."""
        current = self.page.generation
        before = (None, 0) if current == 1 else (current - 1,)
        if generation in before and not self.page.used:
            return
        if generation != current:
            raise ForgeryError("replayed")
        await self._write(generation=current + 1, used=False)

    async def _hold(self) -> None:
        self._touched.set()
        try:
            async with asyncio.timeout(self._desk.config.hold_answer_s):
                while self.page.chapter is Chapter.OFFERED and not self._done.is_set():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def _farewell(self) -> str:
        """What ends the call without our asking for it; a call that was never picked up stays that way."""
        busy = self._refusal in (Cause.BUSY, Cause.DECLINED, Cause.DESK)
        return twiml.reject(busy=busy) if self._unanswered else twiml.hang_up()

    def _stream_ticket(self) -> str:
        return self._ticket("stream", self._desk.config.ticket_life_s)

    def _resume_url(self) -> str:
        ticket = self._ticket("resume", _RESUME_LIFE_S)
        base = self._desk.config.public_url
        return twiml.url_with(base, "/twilio/voice/resume", leg=self.id, ticket=ticket)

    def _ticket(self, purpose: str, life_s: float) -> str:
        page = self.page
        expires = int(self._desk.clock.now().timestamp() + life_s)
        sid = page.call_sid or ""
        return self._desk.tickets.write(Ticket(purpose, self.id, sid, page.generation, expires))

    # --- Twilio's reports ----------------------------------------------------------------------------------

    async def reported(self, sid: str, status: str, fields: Mapping[str, str]) -> None:
        """A status callback. They may come twice and out of order; `SequenceNumber` says which is newer."""
        await self._claim(sid)
        if status in FINAL:
            await self._ended_there(status, fields)
            return
        number = fields.get("SequenceNumber", "")
        sequence = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else -1
        async with self._lock:
            if sequence <= self.page.sequence or self._done.is_set():
                return
            # Not worth a write of its own: after a restart an old report may count once more, which changes nothing.
            self.page = replace(self.page, sequence=sequence)
            self._touched.set()
            ringing = status == "ringing" and self.page.chapter is Chapter.PLACED
        if ringing:
            await self._desk.tell("leg_ringing", lambda: self._desk.calls.leg_ringing(self.id))

    async def _ended_there(self, status: str, fields: Mapping[str, str]) -> None:
        cause, detail = cause_of_end(status, fields)
        if self.page.chapter is Chapter.OFFERED:
            cause, detail = Cause.CANCELLED, "the caller hung up"
        await self.end(cause, detail, tell_twilio=False)

    # --- the stream ----------------------------------------------------------------------------------------

    async def carry(self, ticket: Ticket, start: Start, socket: Socket) -> None:
        """Be the leg's voice until the stream is over; one that was there gives way. Raises ForgeryError."""
        stream = await self._admit(ticket, start, socket)
        STREAMS.inc()
        try:
            await self._carry(stream)
        finally:
            STREAMS.dec()
            if self._stream is stream:
                self._stream = self._trunk = None
                self._lost = not self._stopped
            self._touched.set()

    async def _admit(self, ticket: Ticket, start: Start, socket: Socket) -> MediaStream:
        async with self._lock:
            page = self.page
            if page.chapter is not Chapter.TALKING or self._done.is_set():
                raise ForgeryError("no_such_leg")
            if start.call_sid != page.call_sid or ticket.call_sid != page.call_sid:
                raise ForgeryError("another_call")
            if page.used or ticket.generation != page.generation:
                raise ForgeryError("replayed")
            await self._write(used=True)
            if self._stream is not None:
                self._stream.stop()
            self._stopped = self._lost = False
            self._stream = MediaStream(socket, start, self._desk.config, self._desk.clock)
            return self._stream

    async def _carry(self, stream: MediaStream) -> None:
        desk = self._desk
        order = await desk.ledger.order_of(self.id)
        if order is None:
            await self.end(Cause.CALL_ENDED, None)
            return
        try:
            async with Trunk(desk.media, order, stream.hear, desk.clock) as trunk:
                await desk.tell(
                    "leg_connected", lambda: desk.calls.leg_connected(self.id, AUDIO.encoding)
                )
                self._in_vain, self._trunk = 0, trunk
                self._stopped = await stream.run(trunk)
        except (DomainError, OSError) as error:
            # Closing the socket makes Twilio ask what to do next, by when a worker may be there.
            log.warning("twilio_stream_without_engine", leg_id=self.id, reason=str(error))
            self._in_vain += 1
            if self._in_vain >= _LOOKS:
                await self.end(Cause.MEDIA_LOST, "no media worker took the stream")

    def find_engine(self) -> bool:
        """The engine has lost or moved the leg: go where it is now. False when no call is there to carry."""
        if self.page.chapter is not Chapter.TALKING or self._done.is_set():
            return False
        if self._trunk is not None:
            self._trunk.look_again()
        # Without a stream the next one will find it.
        return True

    # --- the watch -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Watch over the leg until Twilio is done with it, then forget its row."""
        looks = 0
        while not self._done.is_set() and self.page.chapter is not Chapter.LEAVING:
            if await self._heard_within(self._patience()):
                looks = 0
            else:
                looks += 1
                await self._look(looks)
        if not self._done.is_set():
            await self._say_goodbye()
        await self._desk.tell("row", lambda: self._desk.ledger.delete(self.id))

    def _patience(self) -> float | None:
        """How long Twilio may say nothing; None: while the stream runs, for ever."""
        if self._stream is not None:
            return None
        if self.page.chapter in (Chapter.PLACED, Chapter.OFFERED):
            rest = self._ring_until - self._desk.clock.monotonic()
            return max(0.0, min(rest, self._desk.config.resume_within_s))
        if self._stopped or self._lost:
            # Where no worker took the last stream, the next one waits a little longer.
            return _STOPPED_S if self._stopped else _LOST_S + _AGAIN_S * self._in_vain
        return self._desk.config.resume_within_s / _LOOKS

    async def _heard_within(self, patience: float | None) -> bool:
        self._touched.clear()
        try:
            async with asyncio.timeout(patience):
                await self._touched.wait()
        except TimeoutError:
            return False
        return True

    async def _look(self, looks: int) -> None:
        """Twilio was silent: ask it, fetch a call back whose stream was lost, and give up on what does not come."""
        stopped, self._stopped, self._lost = self._stopped, False, False
        page = self.page
        status = await self._status(page.call_sid)
        if self.page is not page or self.is_streaming:
            return
        over_time = self._desk.clock.monotonic() >= self._ring_until
        if status in FINAL:
            await self._ended_there(status, {})
        elif page.chapter in (Chapter.PLACED, Chapter.OFFERED):
            if over_time and page.call_sid is None:
                await self.end(Cause.FAILED, "Twilio never said what became of the call")
            elif over_time:
                await self.end(Cause.NO_ANSWER, "nobody answered in time")
        elif looks >= _LOOKS:
            await self.end(Cause.MEDIA_LOST, "the stream was lost and did not come back")
        elif not stopped:
            await self._fetch_back(page.call_sid)

    async def _fetch_back(self, sid: str | None) -> None:
        try:
            if sid is not None and not await self._desk.api.fetch_back(sid, self._resume_url()):
                await self._ended_there("completed", {})
        except TwilioError as error:
            log.warning("twilio_call_not_fetched_back", leg_id=self.id, reason=str(error))

    async def _status(self, sid: str | None) -> str:
        if sid is None:
            return "unknown"
        try:
            return await self._desk.api.status(sid)
        except TwilioError as error:
            log.warning("twilio_not_asked", leg_id=self.id, reason=str(error))
            return "unknown"

    async def _say_goodbye(self) -> None:
        """Make Twilio end the call. It may also ask what to do next, and is told the same."""
        if self.page.call_sid is None:
            # The dialling is still under way, or Twilio never said what became of it.
            await self._heard_within(self._desk.config.request_timeout_s)
        for pause in (_REJECT_S, *_GOODBYE_S) if self._unanswered else _GOODBYE_S:
            sid = self.page.call_sid
            if sid is None or await self._done_within(pause):
                return
            try:
                await self._desk.api.complete(sid)
            except TwilioError as error:
                log.warning("twilio_not_hung_up", leg_id=self.id, reason=str(error))
                if not error.retryable:
                    return
            else:
                return
        log.error("twilio_call_left_behind", leg_id=self.id)

    async def _done_within(self, seconds: float) -> bool:
        if seconds:
            try:
                async with asyncio.timeout(seconds):
                    await self._done.wait()
            except TimeoutError:
                return False
        return self._done.is_set()
