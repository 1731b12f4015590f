"""One connection between two hubs, the same at both ends once both have said hello.

Messages go out in the order of the outbox, at most a window ahead of their answers; those of the peer are taken in their
order, several in one commit when several are there, and none is answered before it is committed. Questions are worked on
beside them. A link never mends anything: it ends with its reason, and the next one begins where the rows say.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TypeVar

import structlog

from commhub.domain.errors import DomainError, UnavailableError
from commhub.domain.tier import MessageState, TierMessage
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.supervise import Doorbell
from commhub.ports.tiers import Body, PeerAnswer, TierIn, TierOutbox, TierRefusedError
from gateways.tiers.config import TierConfig
from gateways.tiers.errors import Code, GoneError, LinkDownError
from gateways.tiers.frames import (
    Frame,
    body_of,
    decode,
    encode,
    message_frame,
    message_of,
    number_of,
    text_of,
    unreadable,
)
from gateways.tiers.hello import Pipe, Theirs, goodbye
from gateways.tiers.inbox import Inbox
from gateways.tiers.metrics import FRAMES

log = structlog.get_logger(__name__)

R = TypeVar("R")

_BATCH = 100
_TRIES = 5


class Link:
    """A connection on which both have said hello. `run` until it ends, always by a LinkDownError."""

    def __init__(
        self,
        config: TierConfig,
        peer: str,
        pipe: Pipe,
        inward: TierIn,
        outbox: TierOutbox,
        clock: Clock,
        theirs: Theirs,
        our_key: str = "",
    ) -> None:
        self._config = config
        self.peer = peer
        self.our_key = our_key
        self._pipe = pipe
        self._inward = inward
        self._outbox = outbox
        self._clock = clock
        self._epoch = theirs.epoch
        self._reached = theirs.reached
        self.skew_s = theirs.skew_s
        self.rtt_s: float | None = None
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(config.frames)
        self._inbox = Inbox()
        self._bell = Doorbell()
        self._window = asyncio.Semaphore(config.window)
        self._unanswered: set[str] = set()
        self._questions: dict[str, asyncio.Future[Body]] = {}
        self._asking = asyncio.Semaphore(config.asks)
        self._ended: asyncio.Future[LinkDownError] = asyncio.get_running_loop().create_future()
        self._heard_at = clock.monotonic()

    # --- for who holds it --------------------------------------------------------------------------------

    async def run(self) -> LinkDownError:
        """Carry frames until the link ends; why it did."""
        why = LinkDownError(Code.GONE, f"the connection to {self.peer} is lost")
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._write, self._read, self._work, self._say, self._beat, self._end):
                    tasks.create_task(work(), name=f"tier-{self.peer}-{work.__name__}")
        except* GoneError:
            pass
        except* LinkDownError as group:
            why = _first(group)
        finally:
            for waiting in self._questions.values():
                waiting.cancel()
        await self._over(why)
        return why

    def wake(self) -> None:
        self._bell.ring()

    def end(self, code: str, reason: str) -> None:
        """Have it end, and the peer told why."""
        if not self._ended.done():
            self._ended.set_result(LinkDownError(code, reason))

    async def ask(self, kind: str, body: Body, timeout_s: float) -> Body:
        """Raises UnavailableError or TierRefusedError."""
        question = new_id()
        answer: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._questions[question] = answer
        try:
            self._queue({"t": "ask", "id": question, "kind": kind, "body": body})
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise UnavailableError(f"{self.peer} gave no answer within {timeout_s:.0f} s") from None
        except asyncio.CancelledError:
            if answer.cancelled():
                raise UnavailableError(f"the link to {self.peer} was lost") from None
            raise
        finally:
            del self._questions[question]

    def tell(self, kind: str, body: Body) -> None:
        self._queue({"t": "tell", "kind": kind, "body": body})

    # --- out ---------------------------------------------------------------------------------------------

    def _queue(self, frame: Frame) -> None:
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.end(Code.TOO_SLOW, f"{self._config.frames} frames wait to be taken by {self.peer}")

    async def _write(self) -> None:
        while True:
            frame = await self._frames.get()
            try:
                async with asyncio.timeout(self._config.silence_s):
                    await self._pipe.send(encode(frame))
            except TimeoutError:
                raise LinkDownError(Code.TOO_SLOW, f"{self.peer} takes nothing") from None
            FRAMES.labels("out", frame["t"]).inc()

    async def _say(self) -> None:
        """Messages, from the oldest that is not settled. What another process of this hub queued is found by looking."""
        said = 0
        while True:
            batch = await self._outbox.waiting(self.peer, said, _BATCH)
            for prev, message in batch:
                await self._window.acquire()
                self._unanswered.add(message.id)
                self._queue(message_frame(message, prev))
                said = message.seq
            if len(batch) < _BATCH:
                await self._bell.wait(self._config.look_every_s)

    async def _beat(self) -> None:
        while True:
            silent_s = self._clock.monotonic() - self._heard_at
            if silent_s > self._config.silence_s:
                raise LinkDownError(Code.SILENT, f"nothing came for {silent_s:.0f} s")
            self._queue({"t": "beat", "at": self._clock.monotonic()})
            await asyncio.sleep(self._config.beat_s)

    async def _end(self) -> None:
        raise await self._ended

    async def _over(self, why: LinkDownError) -> None:
        """Tell the peer, as far as it still listens, and close."""
        try:
            async with asyncio.timeout(2.0):
                if not why.theirs and why.code != Code.GONE:
                    bye = {"t": "bye", "code": why.code, "reason": why.reason}
                    await self._pipe.send(encode(bye))
                await self._pipe.close(1000, why.code)
        except (GoneError, TimeoutError):
            log.debug("tier_goodbye_not_heard", peer=self.peer)

    # --- in ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Hand on what comes. Heartbeats are answered at once, however much there is to commit."""
        try:
            while True:
                text = await self._pipe.receive()
                frame = decode(text)
                self._heard_at = self._clock.monotonic()
                kind = str(frame["t"])
                FRAMES.labels("in", kind if kind in _KNOWN else "unknown").inc()
                match kind:
                    case "beat":
                        self._queue({"t": "beaten", "at": frame.get("at")})
                    case "beaten":
                        self._measure(frame.get("at"))
                    case _:
                        await self._inbox.put(frame, len(text))
        except (GoneError, LinkDownError) as error:
            await self._inbox.end(error)

    async def _work(self) -> None:
        """What came, in its order; messages that follow each other go together, and so do answers."""
        async with asyncio.TaskGroup() as answers:
            while True:
                for kind, frames in groupby(await self._inbox.take(), _goes_as):
                    match kind:
                        case "msg":
                            await self._take(list(frames))
                        case "answers":
                            await self._settle(list(frames))
                        case _:
                            for frame in frames:
                                await self._follow(frame, answers)

    async def _follow(self, frame: Frame, answers: asyncio.TaskGroup) -> None:
        match frame["t"]:
            case "ask":
                await self._asking.acquire()
                answers.create_task(self._answer(frame))
            case "answer":
                self._resolve(frame)
            case "tell":
                kind, body = text_of(frame, "kind"), body_of(frame)
                await self._inward.told(self.peer, kind[:64], body)
            case "bye":
                raise goodbye(frame)
            case other:
                # A later version may say more; what must be understood is a message or a question.
                log.debug("tier_frame_unknown", peer=self.peer, kind=str(other)[:32])

    async def _take(self, frames: Sequence[Frame]) -> None:
        """Have them taken, each answered once it is committed. Raises LinkDownError, for the first that is no message of this link after
        those before it were taken."""
        messages: list[TierMessage] = []
        fault: LinkDownError | None = None
        try:
            for frame in frames:
                messages.append(self._message(frame))  # noqa: PERF401 - what was before a fault is kept
        except LinkDownError as error:
            fault = error
        while messages:
            taking = partial(self._inward.arrived, self.peer, self._epoch, messages)
            taken = await self._patiently(taking)
            for one in taken:
                self._queue(_answer_to(one))
            del messages[: len(taken)]
        if fault is not None:
            raise fault

    def _message(self, frame: Frame) -> TierMessage:
        """Raises LinkDownError."""
        message_id, seq = text_of(frame, "id"), number_of(frame, "seq")
        if number_of(frame, "prev") > self._reached:
            raise LinkDownError(
                Code.OUT_OF_ORDER,
                f"message {seq} came, and what was before it never did: send from {self._reached}",
            )
        self._reached = max(self._reached, seq)
        try:
            return message_of(frame, self.peer)
        except LinkDownError as error:
            # It would come again for ever; what is behind it is not to wait for it.
            return unreadable(message_id, self.peer, seq, self._clock.now(), error)

    async def _settle(self, frames: Sequence[Frame]) -> None:
        answers = [_answer_of(frame) for frame in frames]
        await self._patiently(lambda: self._inward.settled(self.peer, answers))
        for answer in answers:
            if answer.message_id in self._unanswered:
                self._unanswered.discard(answer.message_id)
                self._window.release()

    async def _patiently(self, work: Callable[[], Awaitable[R]]) -> R:
        """A store that is busy for a moment is no reason to lose the link; one that stays so is."""
        for attempt in range(_TRIES):
            try:
                return await work()
            except UnavailableError as error:
                log.warning("tier_store_busy", peer=self.peer, attempt=attempt, reason=str(error))
                await asyncio.sleep(0.2 * 2**attempt)
        raise LinkDownError(Code.FAULT, "the store of this hub is not to be had just now")

    async def _answer(self, frame: Frame) -> None:
        question = text_of(frame, "id")
        try:
            answer: Mapping[str, object] = {
                "body": await self._inward.asked(
                    self.peer, text_of(frame, "kind")[:64], body_of(frame)
                )
            }
        except DomainError as error:
            answer = {"code": error.code, "reason": str(error)}
        except LinkDownError:
            raise
        except Exception:  # a fault of ours in one question must not cost the link
            log.exception("tier_ask_failed", peer=self.peer)
            answer = {"code": "fault", "reason": "the other hub has a fault; its log says which"}
        finally:
            self._asking.release()
        self._queue({"t": "answer", "id": question, **answer})

    def _resolve(self, frame: Frame) -> None:
        waiting = self._questions.get(text_of(frame, "id"))
        if waiting is None or waiting.done():
            return
        if "code" in frame:
            code, reason = str(frame["code"])[:64], str(frame.get("reason", ""))[:500]
            waiting.set_exception(
                UnavailableError(reason)
                if code == UnavailableError.code
                else TierRefusedError(reason, code=code, peer=self.peer)
            )
        else:
            waiting.set_result(body_of(frame))

    def _measure(self, sent: object) -> None:
        if isinstance(sent, int | float):
            self.rtt_s = max(0.0, self._clock.monotonic() - sent)


_KNOWN = frozenset({"msg", "done", "refused", "ask", "answer", "tell", "beat", "beaten", "bye"})


def _goes_as(frame: Frame) -> str:
    kind = str(frame["t"])
    return "answers" if kind in ("done", "refused") else kind


def _answer_to(taken: TierMessage) -> Frame:
    if taken.state is MessageState.APPLIED:
        return {"t": "done", "id": taken.id}
    return {"t": "refused", "id": taken.id, "code": taken.code, "reason": taken.reason}


def _answer_of(frame: Frame) -> PeerAnswer:
    """Raises LinkDownError."""
    if frame["t"] == "done":
        return PeerAnswer(text_of(frame, "id"))
    code, reason = text_of(frame, "code")[:64], str(frame.get("reason", ""))[:500]
    return PeerAnswer(text_of(frame, "id"), code, reason)


def _first(group: BaseExceptionGroup[LinkDownError]) -> LinkDownError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("a group has a member")
