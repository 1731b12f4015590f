"""The four transaction machines of RFC 3261 §17, with RFC 6026's Accepted state for INVITE.

They are plain synchronous machines: bytes go out through `send`, time comes from a `Scheduler` (the event loop
itself, or a scripted one in tests), news goes to a user object. Whoever wants to await wraps them above.
"""

import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from gateways.sip import metrics
from gateways.sip.config import TimerConfig
from gateways.sip.errors import TransactionError
from gateways.sip.message import Request, Response
from gateways.sip.transport import Hop, default_port, plain_address

COOKIE = "z9hG4bK"
TRYING_AFTER_S = 0.2

Key = tuple[str, ...]


def new_branch() -> str:
    return COOKIE + secrets.token_hex(12)


def new_tag() -> str:
    """A dialog tag: also the secret that keeps others out of the dialog (RFC 3261 §19.3), so 80 bits."""
    return secrets.token_hex(10)


class TimerHandle(Protocol):
    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """What the machines need of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> TimerHandle: ...


class State(StrEnum):
    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class ClientUser(Protocol):
    """Whoever sent a request."""

    def response_received(
        self, transaction: "ClientTransaction", response: Response, source: Hop
    ) -> None:
        """Provisional and final responses; a 2xx to an INVITE comes again with every retransmission."""
        ...

    def transaction_failed(
        self, transaction: "ClientTransaction", error: TransactionError
    ) -> None: ...


class ServerUser(Protocol):
    """Whoever answers requests."""

    def request_received(self, transaction: "ServerTransaction") -> None:
        """A new request; retransmissions never come here."""
        ...

    def cancelled(self, transaction: "ServerTransaction") -> None:
        """The caller gave up this INVITE; the CANCEL itself is answered already."""
        ...

    def ack_received(
        self, request: Request, source: Hop, transaction: "ServerTransaction | None"
    ) -> None:
        """The ACK of a 2xx; `transaction` when its branch is the INVITE's (some phones do that)."""
        ...

    def answer_unacknowledged(self, transaction: "ServerTransaction") -> None:
        """No ACK came for a final response other than 2xx (timer H)."""
        ...

    def stray_response(self, response: Response, source: Hop) -> None:
        """No transaction waits for it: a 2xx that is retransmitted late, or after a restart."""
        ...


class Layer(Protocol):
    """What the machines need of whoever keeps them (`transactions.TransactionLayer`)."""

    scheduler: Scheduler
    timers: TimerConfig
    send: Callable[[bytes, Hop], None]
    user: ServerUser

    def start_client(self, request: Request, hop: Hop, user: ClientUser) -> "ClientTransaction": ...

    def forget(self, machine: "Machine") -> None: ...


class Machine:
    """Named timers and the way out. A machine that has terminated has no timers left."""

    def __init__(self, layer: "Layer", key: Key, state: State, hop: Hop) -> None:
        self._layer = layer
        self.key = key
        self.state = state
        self._unreliable = not hop.reliable
        self._timers: dict[str, TimerHandle] = {}

    @property
    def _config(self) -> TimerConfig:
        return self._layer.timers

    def _start(self, name: str, delay: float, action: Callable[[], object]) -> None:
        self._stop(name)
        self._timers[name] = self._layer.scheduler.call_later(delay, action)

    def _stop(self, *names: str) -> None:
        for name in names:
            if timer := self._timers.pop(name, None):
                timer.cancel()

    def terminate(self) -> None:
        self._stop(*list(self._timers))
        self.state = State.TERMINATED
        self._layer.forget(self)


class ClientTransaction(Machine):
    """INVITE (§17.1.1) or any other request (§17.1.2); the method decides."""

    def __init__(self, layer: "Layer", request: Request, hop: Hop, user: ClientUser) -> None:
        self.is_invite = request.method == "INVITE"
        branch = str(request.top_via.parameters.get("branch"))
        state = State.CALLING if self.is_invite else State.TRYING
        super().__init__(layer, (branch, request.method), state, hop)
        self.request = request
        self.hop = hop
        self.data = bytes(request)
        self._user = user
        self._is_cancelled = False
        self._was_repeated = False

    def start(self) -> None:
        """Send it; not when it was answered already: a former process had sent the same request."""
        if self.state not in (State.CALLING, State.TRYING):
            return
        self._layer.send(self.data, self.hop)
        if self._unreliable:
            self._resend_after(self._config.t1_s)
        self._start("give_up", self._config.timeout_s, self._timed_out)

    def hand_over(self, user: ClientUser) -> None:
        """Let somebody else hear of what comes."""
        self._user = user

    def resume_proceeding(self) -> None:
        """Take up an INVITE that a former process sent and that was ringing."""
        self.state = State.PROCEEDING

    def _resend_after(self, delay: float) -> None:
        def resend() -> None:
            metrics.RETRANSMISSIONS.labels("request").inc()
            self._layer.send(self.data, self.hop)
            following = delay * 2
            if not self.is_invite:
                slow = self.state is State.PROCEEDING
                following = self._config.t2_s if slow else min(following, self._config.t2_s)
            self._resend_after(following)

        self._start("resend", delay, resend)

    def _timed_out(self) -> None:
        self.terminate()
        self._user.transaction_failed(self, TransactionError("no response in time"))

    def connection_lost(self, reason: str) -> None:
        """The connection to `hop` broke, or none could be opened (§17.1.4). A request nobody has answered goes out
        once more where another connection can be opened: the peer may have closed an idle one just then, and
        knows the branch if it had heard us. A ringing INVITE waits on: its answer may come over a new
        connection (§18.2.2)."""
        if self.state not in (State.CALLING, State.TRYING):
            return
        if not self._was_repeated and (not self.hop.flow or self.hop.then is not None):
            self._was_repeated = True
            self._layer.send(self.data, self.hop)
            return
        self.terminate()
        self._user.transaction_failed(self, TransactionError(reason, 503))

    def received(self, response: Response, source: Hop) -> None:
        if self.is_invite:
            self._invite_response(response, source)
        else:
            self._other_response(response, source)

    def _invite_response(self, response: Response, source: Hop) -> None:
        if self.state in (State.CALLING, State.PROCEEDING):
            self._stop("resend")
            if not response.is_final:
                self.state = State.PROCEEDING
                self._stop("give_up")
            elif response.status < 300:
                self.state = State.ACCEPTED
                self._start("give_up", self._config.timeout_s, self.terminate)
            else:
                self.state = State.COMPLETED
                self._acknowledge(response)
                linger = self._config.linger_s if self._unreliable else 0.0
                self._start("give_up", linger, self.terminate)
            self._user.response_received(self, response, source)
        elif self.state is State.ACCEPTED and 200 <= response.status < 300:
            self._user.response_received(self, response, source)
        elif self.state is State.COMPLETED and response.status >= 300:
            metrics.ABSORBED.inc()
            self._acknowledge(response)

    def _other_response(self, response: Response, source: Hop) -> None:
        if self.state is State.COMPLETED:
            metrics.ABSORBED.inc()
            return
        if response.is_final:
            self.state = State.COMPLETED
            self._stop("resend", "give_up")
            linger = self._config.t4_s if self._unreliable else 0.0
            self._start("linger", linger, self.terminate)
        else:
            self.state = State.PROCEEDING
        self._user.response_received(self, response, source)

    def _acknowledge(self, response: Response) -> None:
        """The ACK of a refusal belongs to this transaction (§17.1.1.3)."""
        self._layer.send(bytes(follow_up(self.request, "ACK", response)), self.hop)

    def cancel(self, user: ClientUser) -> None:
        """Send CANCEL once (§9.1). Only when a provisional response came and no final one did."""
        if self.state is State.PROCEEDING and not self._is_cancelled:
            self._is_cancelled = True
            self._layer.start_client(follow_up(self.request, "CANCEL"), self.hop, user)
            # The peer may know nothing of the INVITE any more: then nobody would ever end it (§9.1).
            self._start("give_up", self._config.timeout_s, self._timed_out)


def follow_up(invite: Request, method: str, response: Response | None = None) -> Request:
    """The CANCEL of an INVITE, or the ACK of its refusal: same branch, same route (§9.1, §17.1.1.3)."""
    request = Request(method, invite.uri)
    request.headers.set("Via", invite.headers.getlist("Via")[0])
    for name in ("Route", "From", "To", "Call-ID"):
        if values := invite.headers.getlist(name):
            request.headers.setlist(name, values)
    if response is not None:
        request.headers.set("To", response.get("To"))
    request.headers.set("CSeq", f"{invite.cseq.sequence} {method}")
    request.headers.set("Max-Forwards", "70")
    return request


class ServerTransaction(Machine):
    """INVITE (§17.2.1) or any other request (§17.2.2)."""

    def __init__(self, layer: "Layer", key: Key, request: Request, source: Hop) -> None:
        self.is_invite = request.method == "INVITE"
        super().__init__(layer, key, State.PROCEEDING if self.is_invite else State.TRYING, source)
        self.request = request
        self.source = source
        self.to_tag = new_tag()
        self._reply_to = reply_hop(request, source)
        self._last: bytes | None = None

    def start(self) -> None:
        if self.is_invite:
            self._start("trying", TRYING_AFTER_S, lambda: self.respond(self.request.response(100)))

    def respond(self, response: Response) -> None:
        """Send a response; after a final one further responses are ignored (§17.2)."""
        if self.state not in (State.PROCEEDING, State.TRYING):
            return
        self._stop("trying")
        self._last = bytes(response)
        if response.is_final:
            metrics.series(
                metrics.RESPONSES, method_label(self.request.method), str(response.status)
            ).inc()
            self._enter_final(response)
        else:
            self.state = State.PROCEEDING
        self._layer.send(self._last, self._reply_to)

    def refuse(self, status: int, **extra: str) -> None:
        """A final response without a body. `extra` are headers, «_» for «-»."""
        headers = [(name.replace("_", "-"), value) for name, value in extra.items()]
        self.respond(self.request.response(status, to_tag=self.to_tag, headers=headers))

    def resend(self) -> None:
        """Send the last response again: the user does so with a 2xx until its ACK (§13.3.1.4)."""
        if self._last is not None:
            metrics.RETRANSMISSIONS.labels("response").inc()
            self._layer.send(self._last, self._reply_to)

    def _enter_final(self, response: Response) -> None:
        if not self.is_invite:
            self.state = State.COMPLETED
            self._start("linger", self._config.timeout_s if self._unreliable else 0, self.terminate)
        elif response.status < 300:
            self.state = State.ACCEPTED
            self._start("linger", self._config.timeout_s, self.terminate)
        else:
            self.state = State.COMPLETED
            if self._unreliable:
                self._resend_after(self._config.t1_s)
            self._start("give_up", self._config.timeout_s, self._unacknowledged)

    def _resend_after(self, delay: float) -> None:
        def resend() -> None:
            self.resend()
            self._resend_after(min(delay * 2, self._config.t2_s))

        self._start("resend", delay, resend)

    def _unacknowledged(self) -> None:
        self.terminate()
        self._layer.user.answer_unacknowledged(self)

    def received_again(self) -> None:
        """The request was retransmitted: answer from memory, act on nothing."""
        metrics.ABSORBED.inc()
        if self._last is not None and self.state in (State.PROCEEDING, State.COMPLETED):
            self._layer.send(self._last, self._reply_to)

    def acknowledged(self) -> bool:
        """An ACK with this branch came. True when it ends a refusal here, False when it is a 2xx's."""
        if self.state is State.COMPLETED:
            self.state = State.CONFIRMED
            self._stop("resend", "give_up")
            self._start("linger", self._config.t4_s if self._unreliable else 0.0, self.terminate)
        return self.state is not State.ACCEPTED


def reply_hop(request: Request, source: Hop) -> Hop:
    """Where a response goes (§18.2.2, RFC 3581 §4): the source address, and its port when `rport` was asked
    for or when the sender's own idea of its address is wrong (a NAT without rport). Over a stream: the connection
    the request came by, and when that is gone one to the port of its Via."""
    via = request.top_via
    named = Hop(source.host, via.port or default_port(source.transport), source.transport)
    if source.reliable:
        return source.as_flow(named)
    if "rport" in via.parameters or plain_address(via.host) != source.host:
        return source
    return named


def method_label(method: str) -> str:
    """A method fit to be a label: peers may invent any number of methods."""
    known = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "INFO", "UPDATE", "MESSAGE")
    return method if method in known else "other"
