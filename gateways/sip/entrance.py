"""From bytes to a message that somebody has to look at: what is too much is dropped unread, what is no SIP is answered or
dropped, what comes while we are behind is turned away, what brings no credentials is challenged; everything else goes to the transactions (RFC 3261 §18.1.2, §18.2.1).

Nothing that comes over the wire may raise into the loop.
"""

import structlog

from commhub.kit.clock import Clock
from gateways.sip import metrics
from gateways.sip.core import Core
from gateways.sip.doorman import Doorman
from gateways.sip.errors import MalformedError
from gateways.sip.framing import FramingError
from gateways.sip.gate import Gate
from gateways.sip.guard import SourceErrors
from gateways.sip.message import (
    Request,
    Response,
    check_request,
    check_response,
    clean_text,
    parse,
)
from gateways.sip.methods import malformed_answer
from gateways.sip.shedding import Shedding
from gateways.sip.transactions import reply_hop
from gateways.sip.transport import Hop
from gateways.sip.urgency import Urgency

log = structlog.get_logger(__name__)


class Entrance:
    """What `wires.Wires` hands its messages to. It is closed until the dialogs of a former process are known: an
    unknown one would be told 481, and whoever is not heard asks again."""

    def __init__(
        self,
        core: Core,
        gate: Gate,
        doorman: Doorman,
        shedding: Shedding,
        urgency: Urgency,
        clock: Clock,
    ) -> None:
        self._core = core
        self._gate = gate
        self._doorman = doorman
        self._shedding = shedding
        self._urgency = urgency
        self._errors = SourceErrors(clock)
        self.is_open = False

    def errors_of(self, host: str) -> int:
        """How many malformed messages came from an address."""
        return self._errors.count(host)

    def receive(self, data: bytes, source: Hop) -> None:
        """One datagram, or one message of a stream."""
        if not self.is_open or not data.strip(b"\r\n\0 "):
            # Not ready yet (the peer retransmits), or a keep-alive (RFC 5626 §3.5.1).
            return
        if not self._gate.admits(source, data):
            self._core.wires.hang_up_on(source)
            return
        try:
            message = parse(data, self._core.config.max_message_bytes)
            if isinstance(message, Request):
                self._receive_request(message, source)
            else:
                self._receive_response(message, source)
        except MalformedError as error:
            self._malformed(error, source)
        except Exception:
            log.exception("sip_message_failed")
            metrics.MALFORMED.labels("failed").inc()

    def _receive_request(self, request: Request, source: Hop) -> None:
        check_request(request)
        if request.method == "ACK":
            # Nothing is ever sent back to one, so its Via needs no stamp.
            self._core.layer.receive_request(request, source)
            return
        request.stamp(source.host, source.port)
        answer = self._shedding.refusal(request, source) or self._doorman.challenge(request, source)
        if answer is not None:
            self._core.wires.send(bytes(answer), reply_hop(request, source))
        else:
            whatever = self._urgency.dials(request)
            self._core.layer.receive_request(request, source, whatever=whatever)

    def _receive_response(self, response: Response, source: Hop) -> None:
        check_response(response)
        via = response.top_via
        if not self._core.wires.is_ours(via.host, via.port, via.transport):
            # Not an answer to anything we sent (§18.1.2).
            metrics.STRAYS.labels("response").inc()
            return
        self._core.layer.receive_response(response, source)

    def unreadable(self, error: FramingError, source: Hop) -> None:
        """A stream that ends here; 400 for the message at fault, when its head says to whom (§18.3)."""
        flaw = MalformedError(str(error))
        try:
            message = parse(error.head)
            flaw.request = message if isinstance(message, Request) else None
        except MalformedError as worse:
            flaw = worse
        self._malformed(flaw, source)

    def lost(self, hop: Hop, reason: str) -> None:
        """A connection broke, or none could be opened: nobody need wait for timer B or F (§17.1.4)."""
        if self.is_open:
            self._core.layer.connection_lost(hop, reason)

    def _malformed(self, error: MalformedError, source: Hop) -> None:
        may_answer = self._errors.note(source.host)
        answer = None
        if may_answer and error.request is not None:
            answer = _answer_to(error.request, error, source)
        if answer is None:
            metrics.MALFORMED.labels("dropped").inc()
            if may_answer:
                # Rubbish comes in floods, and is not fit for a log as it is.
                log.info("sip_malformed", reason=clean_text(str(error)))
            return
        metrics.MALFORMED.labels("answered").inc()
        self._core.wires.send(*answer)


def _answer_to(request: Request, error: MalformedError, source: Hop) -> tuple[bytes, Hop] | None:
    try:
        request.stamp(source.host, source.port)
        hop = reply_hop(request, source)
    except (MalformedError, ValueError):
        # Its Via is at fault: it goes back as it came, to where it came from (RFC 4475 §3.1.2.1, §3.1.2.16).
        hop = source
    answer = malformed_answer(request, error)
    return (answer, hop) if answer else None
