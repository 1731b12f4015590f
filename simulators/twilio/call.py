"""One call: it rings, is answered, does what the hub's TwiML says, and reports how it went."""

import asyncio
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from simulators.twilio.model import Memory, Record
from simulators.twilio.stream import Person, Stream
from simulators.twilio.webhook import Webhooks

FINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
# doc: at most so many documents follow each other without end; here so that a loop ends.
_MOST_DOCUMENTS = 500
_EVENT_OF = {"queued": "initiated", "ringing": "ringing", "in-progress": "answered"}


class Ended(Exception):  # noqa: N818 - the ordinary end of a call
    """The call is over with this status."""


class SentElsewhere(Exception):  # noqa: N818 - an order, not an error
    """The REST API gave the call another document to follow."""


class Call:
    """`run` is its whole life. `person` is who the hub talks with."""

    def __init__(self, record: Record, memory: Memory, webhooks: Webhooks, tone: float) -> None:
        self.record = record
        self.person = Person(tone)
        self.stream: Stream | None = None
        self.ended_streams: list[str] = []
        self._memory = memory
        self._webhooks = webhooks
        self._sequence = 0
        self._answered = asyncio.Event()
        self._interrupt = asyncio.Event()
        self._is_finished = False
        self._elsewhere = ""
        self._final = "completed"
        self._sip_code = ""
        self._reports: asyncio.Queue[tuple[str, dict[str, str]] | None] = asyncio.Queue()

    @property
    def is_over(self) -> bool:
        return self.record.status in FINAL

    # --- told by the API and the page ----------------------------------------------------------------------

    def pick_up(self) -> None:
        self._answered.set()

    def finish(self, status: str = "completed") -> None:
        """The call ends now, whoever wanted it."""
        self._final = status
        self._is_finished = True
        self._interrupt.set()

    def send_to(self, url: str) -> None:
        """doc: whatever it does now ends, and what this URL says comes next."""
        self._elsewhere = url
        self._interrupt.set()

    def as_json(self, frequencies: list[float]) -> dict[str, Any]:
        stream = self.stream
        return {
            "sid": self.record.sid,
            "from": self.record.caller,
            "to": self.record.called,
            "status": self.record.status,
            "streaming": stream is not None,
            "streams": self.record.streams,
            "ended_streams": self.ended_streams,
            "talking": self.person.talking,
            "packets": self.person.packets,
            "marks": stream.marks if stream else 0,
            "clears": stream.clears if stream else 0,
            "heard": self.person.meter.levels(frequencies),
        }

    # --- its life ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        reporting = asyncio.create_task(self._report(), name="reports")
        try:
            if self.record.direction == "inbound":
                await self._come_in()
            else:
                await self._go_out()
        except Ended as ended:
            self._move(str(ended))
        finally:
            self._reports.put_nowait(None)
            await reporting

    async def _go_out(self) -> None:
        """doc: queued, ringing, in-progress; or busy, no-answer, failed, canceled."""
        self._move("queued")
        self._move("ringing")
        behaviour = self._memory.behaviour(self.record.called)
        if behaviour == "failed":
            self._sip_code = "404"
        if behaviour in ("busy", "failed"):
            raise Ended(behaviour)
        if behaviour == "answer":
            self._answered.set()
        if behaviour == "no-answer" or not await self._either(
            self._answered, self.record.timeout_s
        ):
            raise Ended("no-answer")
        self._move("in-progress")
        await self._follow(self.record.url)
        raise Ended("completed")

    async def _come_in(self) -> None:
        """doc: the number's voice URL is asked while the caller hears ringing."""
        self.record.status = "ringing"
        await self._follow(self.record.url)
        raise Ended("completed")

    async def _either(self, event: asyncio.Event, seconds: float) -> bool:
        """Whether the event came within the time. Raises Ended when the call ended first."""
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self._interrupt.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._check()
        return event.is_set()

    def _check(self) -> None:
        if self._is_finished:
            ringing = self.record.status in ("queued", "ringing")
            # doc: a call that ends while it rings is canceled; an incoming one assumed no-answer.
            inbound = self.record.direction == "inbound"
            raise Ended(("no-answer" if inbound else "canceled") if ringing else self._final)
        if self._elsewhere:
            raise SentElsewhere

    async def _fetch(self, url: str) -> Element:
        """The next document. doc: without one the call ends (11200)."""
        self.record.documents += 1
        if self.record.documents > _MOST_DOCUMENTS:
            raise Ended("failed")
        asking = asyncio.create_task(self._webhooks.post(url, self._fields()))
        over = asyncio.create_task(self._interrupt.wait())
        await asyncio.wait((asking, over), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not asking.done():
            asking.cancel()
        self._check()
        answer = asking.result()
        if answer is None or answer.status_code != 200:
            raise Ended("failed" if self.record.status == "ringing" else "completed")
        root: Element = fromstring(answer.text)
        return root

    async def _follow(self, url: str) -> None:
        """doc: verb by verb; Redirect throws the rest away, as the REST API does from outside."""
        document: Element | None = None
        while url or document is not None:
            try:
                if document is None or url:
                    document, url = await self._fetch(url), ""
                else:
                    document = await self._verbs(document)
            except SentElsewhere:
                url, self._elsewhere = self._elsewhere, ""
                if not self._is_finished:
                    self._interrupt.clear()

    async def _verbs(self, document: Element) -> Element | None:
        for verb in document:
            match verb.tag:
                case "Reject":
                    raise Ended("busy" if verb.get("reason") == "busy" else "no-answer")
                case "Hangup":
                    raise Ended("completed")
                case "Redirect":
                    return await self._fetch(verb.text or "")
                case "Pause":
                    # doc: a leading pause does not pick up; assumed: neither does the redirect after it.
                    await self._either(asyncio.Event(), float(verb.get("length", "1")))
                case "Connect":
                    self._move("in-progress")
                    await self._connect(verb)
                case _:
                    raise Ended("failed")
        return None

    async def _connect(self, verb: Element) -> None:
        """doc: the verbs after Connect follow when the hub closes the socket; assumed: also when it breaks."""
        [noun] = verb
        parameters = {p.get("name", ""): p.get("value", "") for p in noun.iter("Parameter")}
        stream = Stream(self._memory.account, self.record, self.person, parameters)
        self.stream = stream
        self.record.streams += 1
        try:
            self.ended_streams.append(await stream.run(noun.get("url", ""), self._interrupt))
        finally:
            self.stream = None
        self._check()

    # --- what it reports -----------------------------------------------------------------------------------

    def _move(self, status: str) -> None:
        if self.record.status == status and status != "queued":
            return
        self.record.status = status
        event = "completed" if status in FINAL else _EVENT_OF[status]
        # doc: the end is always reported, the rest when it was asked for.
        if self.record.status_url and (event == "completed" or event in self.record.events):
            fields = self._fields()
            fields["SequenceNumber"] = str(self._sequence)
            fields["CallbackSource"] = "call-progress-events"
            if self._sip_code:
                fields["SipResponseCode"] = self._sip_code
            self._sequence += 1
            self._reports.put_nowait((self.record.status_url, fields))

    def _fields(self) -> dict[str, str]:
        record = self.record
        return {
            "AccountSid": self._memory.account.sid,
            "ApiVersion": "2010-04-01",
            "CallSid": record.sid,
            "CallStatus": record.status,
            "Direction": record.direction,
            "From": record.caller,
            "To": record.called,
            # doc: what is unknown is there and empty.
            "CallerName": "",
        }

    async def _report(self) -> None:
        """Status callbacks, one after another so that a test is not left to chance; with faults when asked."""
        while (report := await self._reports.get()) is not None:
            faults = self._memory.faults
            if faults.lose_callbacks > 0:
                faults.lose_callbacks -= 1
                continue
            await self._webhooks.post(*report)
            if faults.double_callbacks:
                await self._webhooks.post(*report)
