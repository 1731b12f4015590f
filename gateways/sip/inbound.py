"""Messages from outside, each to whom it belongs: a leg's inbox, or a task of its own for what opens something.

Implements `gateways.sip.transactions.ServerUser`. Nothing here waits; whatever needs the store runs in a bounded number
of tasks, so that a storm of registrations holds up no call.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from commhub.domain.call import Direction
from commhub.kit.ids import new_id
from gateways.sip import metrics
from gateways.sip.core import Core, Routes
from gateways.sip.doorman import Doorman
from gateways.sip.errors import MalformedError
from gateways.sip.guests import Guests
from gateways.sip.legs import Acknowledged, Asked, Cancelled, LateAnswer, Leg, Stage
from gateways.sip.message import Request, Response
from gateways.sip.methods import answer_plainly, judge, refuse
from gateways.sip.registrar import Registrar
from gateways.sip.replaces import find_replaced
from gateways.sip.transactions import ServerTransaction, State
from gateways.sip.transport import Hop
from gateways.sip.trunks.arrival import Arrivals
from gateways.sip.uas import Offered, Reception
from gateways.sip.urgency import Urgency
from gateways.sip.watchers import Watchers

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Takers:
    """Who takes what opens something."""

    doorman: Doorman
    urgency: Urgency
    registrar: Registrar
    watchers: Watchers
    reception: Reception
    arrivals: Arrivals
    guests: Guests


class House(Protocol):
    """The gateway, which keeps the legs and the tasks."""

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another leg."""
        ...

    def launch(self, leg: Leg, stage: Stage) -> None:
        """Have a new leg live."""
        ...


class Inbound:
    """One per gateway. `spawn` runs work in a task of that name."""

    def __init__(
        self,
        core: Core,
        routes: Routes[Leg],
        takers: Takers,
        house: House,
        spawn: Callable[[Coroutine[None, None, None], str], None],
    ) -> None:
        self._core = core
        self._routes = routes
        self._doorman = takers.doorman
        self._urgency = takers.urgency
        self._registrar = takers.registrar
        self._watchers = takers.watchers
        self._reception = takers.reception
        self._arrivals = takers.arrivals
        self._guests = takers.guests
        self._house = house
        self._spawn = spawn
        self._pending = 0

    def request_received(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if refusal := judge(request):
            refuse(self._core, transaction, *refusal)
        elif request.recipient.tag and request.method != "REGISTER":
            self._in_dialog(transaction)
        elif request.method in ("INVITE", "REGISTER", "SUBSCRIBE") or (
            request.method == "MESSAGE" and self._core.texts is not None
        ):
            self._open_something(transaction)
        elif request.method in ("BYE", "UPDATE", "INFO", "PRACK", "NOTIFY"):
            transaction.refuse(481)
        elif request.method == "REFER":
            # Who has no call has nothing to hand on; a call is placed by an INVITE or at the desk.
            refuse(self._core, transaction, 403, {})
        else:
            answer_plainly(self._core, transaction)

    def _in_dialog(self, transaction: ServerTransaction) -> None:
        leg = self._routes.find(transaction.request)
        if transaction.request.method == "SUBSCRIBE":
            self._open_something(transaction)
        elif leg is None:
            metrics.STRAYS.labels("request").inc()
            transaction.refuse(481)
        else:
            leg.post(Asked(transaction))

    def _open_something(self, transaction: ServerTransaction) -> None:
        config = self._core.config
        is_call = transaction.request.method == "INVITE"
        # A storm of registrations must not be told from a call by luck.
        room = config.max_pending + (config.max_pending_calls if is_call else 0)
        is_full = self._pending >= room or (is_call and self._house.is_full)
        if is_full and not self._urgency.dials(transaction.request):
            metrics.OVERLOADED.inc()
            refuse(self._core, transaction, 503, {"Retry-After": "5"})
            return
        self._pending += 1
        self._spawn(self._bounded(transaction, self._work_of(transaction)), "sip-request")

    def _work_of(self, transaction: ServerTransaction) -> Coroutine[None, None, None]:
        if transaction.request.method == "INVITE":
            return self._take_call(transaction)
        if self._core.texts is not None and transaction.request.method == "MESSAGE":
            return self._core.texts.receive(transaction)
        if transaction.request.method == "SUBSCRIBE":
            return self._watchers.receive(transaction)
        return self._registrar.register(transaction)

    async def _bounded(
        self, transaction: ServerTransaction, work: Coroutine[None, None, None]
    ) -> None:
        try:
            await work
        except Exception:
            log.exception("sip_request_failed", method=transaction.request.method)
            transaction.refuse(500, Retry_After="5")
        finally:
            self._pending -= 1

    async def _take_call(self, transaction: ServerTransaction) -> None:
        line = self._arrivals.line_of(transaction)
        self._core.opening += 1
        try:
            guest = self._guests.admit(transaction.request)
            if guest is not None:
                admitted = self._reception.admit_known(transaction, guest, None)
            elif line is not None:
                admitted = await self._arrivals.admit(transaction, line)
            else:
                admitted = await self._reception.admit(transaction)
        finally:
            self._core.opening -= 1
        if admitted is None or transaction.state is not State.PROCEEDING:
            return
        if admitted.line is None and guest is None:
            # The trunk's side, or another hub's, knows no tags of ours and may not take over a call.
            try:
                replaced = find_replaced(self._routes, transaction.request)
            except MalformedError as error:
                transaction.refuse(error.status)
                return
            if replaced is not None:
                admitted = replace(admitted, replaced=replaced)
        leg = Leg(self._core, self._routes, new_id())
        leg.know(admitted.dialog)
        if admitted.line is not None:
            leg.take(admitted.line, Direction.INBOUND)
        self._house.launch(leg, Offered(leg, transaction, admitted))

    def _leg_of(self, transaction: ServerTransaction) -> Leg | None:
        """The leg that a caller's INVITE became."""
        request = transaction.request
        return self._routes.get((request.call_id, transaction.to_tag, request.sender.tag))

    def cancelled(self, transaction: ServerTransaction) -> None:
        leg = self._leg_of(transaction)
        if leg is None:
            transaction.refuse(487)
        else:
            leg.post(Cancelled())

    def ack_received(
        self, request: Request, source: Hop, transaction: ServerTransaction | None
    ) -> None:
        leg = self._routes.find(request)
        if leg is None and transaction is not None:
            # A phone that gets the To tag of its ACK wrong, but repeats the branch of its INVITE.
            leg = self._leg_of(transaction)
        if leg is None and self._doorman.is_ack_of_challenge(request):
            return
        if leg is None:
            metrics.STRAYS.labels("ack").inc()
        else:
            leg.post(Acknowledged(request))

    def answer_unacknowledged(self, transaction: ServerTransaction) -> None:
        log.info("sip_answer_unacknowledged", method=transaction.request.method)

    def stray_response(self, response: Response, source: Hop) -> None:
        key = (response.call_id, response.sender.tag, response.recipient.tag)
        leg = self._routes.get(key)
        if leg is None:
            metrics.STRAYS.labels("response").inc()
        else:
            leg.post(LateAnswer(response, source))
