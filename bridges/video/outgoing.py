"""Sessions for which we offer: what a push, which sends, and a watch, which is sent, have in common.

Here is what an offer becomes: it waits for its answer, is taken up, lives and is lost; and the controlling side of ICE
(`transport.checking`). What flows, and which way, is the kind's own.

Each session has a UDP port of its own beside the worker's. Two streams between one port here and one port there could not be told
apart at either end, because both know a connection by its addresses; and two hubs that offer to each other would meet just so.
Nothing has to be opened for it: its first packet goes outward.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from bridges.transport.checking import Checking
from bridges.transport.peer import Deliver, DeliverBatch, Peer
from bridges.transport.port import WebRtcPort
from bridges.transport.sdp import OfferedCodec, PushAnswer, PushOffer
from bridges.transport.stun import Credentials
from commhub.domain.errors import ConflictError, NotFoundError, UnavailableError
from commhub.kit.clock import Clock

OUTGOING_LIMIT = 64
"""Sessions of one kind at one worker."""
_ANSWER_S = 60.0


@dataclass(eq=False, slots=True, kw_only=True)
class OutgoingSession:
    """One offer of ours and what came of it. `offered_at` is monotonic, in seconds; `answer` the SDP it was taken up with."""

    id: str
    port: WebRtcPort
    offered_at: float
    credentials: Credentials = field(default_factory=Credentials)
    answer: str = ""
    peer: Peer | None = None


S = TypeVar("S", bound=OutgoingSession)


class OutgoingSessions(ABC, Generic[S]):
    """All of one kind at a worker. An id is offered anew while its session lives: that ends when the new answer is taken up."""

    kind: ClassVar[str]
    """As people are told of it: a push, to push."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offered: dict[str, S] = {}
        self._live: dict[str, S] = {}
        self._beside: WebRtcPort | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def use(self, port: WebRtcPort) -> None:
        """The worker's port, whose address and certificate these have, too."""
        self._beside = port

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._live, *self._offered)))

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._live or session_id in self._offered

    def release(self, session_id: str) -> None:
        """End a session; an unknown one is fine."""
        self._forget_offer(session_id)
        session = self._live.get(session_id)
        if session is not None:
            self._drop(session)

    async def close(self) -> None:
        for session_id in self.ids:
            self.release(session_id)
        if self._ending:
            await asyncio.wait(self._ending)

    def look(self) -> None:
        """Now and then: who is gone, and what was never answered."""
        for session in list(self._live.values()):
            if session.peer is not None and session.peer.has_failed:
                self._lose(session, "failed")
        now = self._clock.monotonic()
        for session in list(self._offered.values()):
            if now - session.offered_at > _ANSWER_S:
                self._forget_offer(session.id)
                self._unanswered(session)

    # What a kind says of its own ------------------------------------------------------------------------------

    @abstractmethod
    def _make_port(self, beside: WebRtcPort) -> WebRtcPort:
        """A port that is not open yet, on any number, which tells `_vanished`."""

    @abstractmethod
    def _stop(self, session: S) -> None:
        """End what flows."""

    @abstractmethod
    def _lost(self, session: S, reason: str) -> None:
        """It went without a goodbye and has ended; tell whom it concerns."""

    @abstractmethod
    def _unanswered(self, session: S) -> None:
        """Nobody answered this offer in time, and it is forgotten."""

    # From an offer to its end ---------------------------------------------------------------------------------

    def _port_for(self, session_id: str) -> WebRtcPort:
        """An open port for an offer, which takes the place of an earlier one of that id. Raises ConflictError when there are too
        many, UnavailableError without a port."""
        if session_id not in self and len(self.ids) >= OUTGOING_LIMIT:
            raise ConflictError(f"a worker can {self.kind} at most {OUTGOING_LIMIT} streams")
        self._forget_offer(session_id)
        if self._beside is None:
            raise UnavailableError("this worker has no WebRTC port")
        port = self._make_port(self._beside)
        try:
            port.begin()
        except OSError as error:
            raise UnavailableError(f"no UDP port for a {self.kind}: {error.strerror}") from error
        return port

    def _offer_of(self, session: S, codecs: Sequence[OfferedCodec]) -> PushOffer:
        return PushOffer(
            credentials=session.credentials,
            fingerprints=session.port.current_certificate().getFingerprints(),
            address=session.port.address,
            codecs=tuple(codecs),
        )

    def _waiting(self, session_id: str, text: str) -> S | None:
        """The offer that this answers, None when it was taken up with the same answer before. Raises NotFoundError."""
        session = self._offered.get(session_id)
        if session is None:
            known = self._live.get(session_id)
            if known is None or known.answer != text:
                raise NotFoundError(f"no offer of this {self.kind} waits for an answer")
        return session

    def _take_up(self, session: S, text: str) -> None:
        """The offer was answered: from now on this is the session of its id."""
        del self._offered[session.id]
        before = self._live.get(session.id)
        if before is not None:
            self._drop(before)
        session.answer = text
        self._live[session.id] = session

    def _connect(
        self,
        session: S,
        answer: PushAnswer,
        *,
        deliver_rtcp: Deliver,
        deliver_batch: DeliverBatch | None = None,
    ) -> Peer:
        """Begin to ask for a path. Raises UnavailableError."""
        peer = session.port.open(
            answer.dtls,
            is_server=answer.we_are_server,
            deliver_rtcp=deliver_rtcp,
            deliver_batch=deliver_batch,
            checking=Checking(session.credentials, answer.ice, self._clock.monotonic()),
        )
        session.peer = peer
        return peer

    def _vanished(self, peer: Peer) -> None:
        """Its port has given a far end up."""
        gone = next((one for one in self._live.values() if one.peer is peer), None)
        if gone is not None:
            self._lose(gone, "vanished")

    def _lose(self, session: S, reason: str) -> None:
        self._drop(session)
        self._lost(session, reason)

    def _drop(self, session: S) -> None:
        if self._live.get(session.id) is session:
            del self._live[session.id]
        self._stop(session)
        self._end(session.port)

    def _forget_offer(self, session_id: str) -> None:
        session = self._offered.pop(session_id, None)
        if session is not None:
            self._end(session.port)

    def _end(self, port: WebRtcPort) -> None:
        task = asyncio.create_task(port.end(), name=f"{self.kind}-end")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
