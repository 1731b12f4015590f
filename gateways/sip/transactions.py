"""All transactions of one gateway, found by key (RFC 3261 §17.1.3, §17.2.3), and CANCEL, which belongs to two."""

from collections.abc import Callable

from gateways.sip import metrics
from gateways.sip.config import TimerConfig
from gateways.sip.machines import (
    COOKIE,
    ClientTransaction,
    ClientUser,
    Key,
    Machine,
    Scheduler,
    ServerTransaction,
    ServerUser,
    State,
    TimerHandle,
    method_label,
    new_branch,
    new_tag,
    reply_hop,
)
from gateways.sip.message import Request, Response
from gateways.sip.transport import DEFAULT_PORT, Hop

__all__ = [
    "ClientTransaction",
    "ClientUser",
    "Scheduler",
    "ServerTransaction",
    "ServerUser",
    "State",
    "TimerHandle",
    "TransactionLayer",
    "new_branch",
    "new_tag",
    "reply_hop",
]


def server_key(request: Request, method: str) -> Key:
    """What makes a request the same one again (§17.2.3); without the magic cookie RFC 2543's rule."""
    via = request.top_via
    branch = via.parameters.get("branch") or ""
    sent_by = f"{via.host}:{via.port or DEFAULT_PORT}"
    if branch.lower().startswith(COOKIE.lower()) and len(branch) > len(COOKIE):
        return (branch, sent_by, method)
    cseq = str(request.cseq.sequence)
    return (request.uri, request.sender.tag, request.call_id, cseq, branch, sent_by, method)


class TransactionLayer:
    """All transactions of one gateway, by key; each knows by its hop whether its transport is reliable."""

    def __init__(
        self,
        scheduler: Scheduler,
        timers: TimerConfig,
        send: Callable[[bytes, Hop], None],
        user: ServerUser,
        *,
        limit: int = 50_000,
    ) -> None:
        self.scheduler = scheduler
        self.timers = timers
        self.send = send
        self.user = user
        self._limit = limit
        self._clients: dict[Key, ClientTransaction] = {}
        self._by_connection: dict[Hop, set[ClientTransaction]] = {}
        self._servers: dict[Key, ServerTransaction] = {}

    def start_client(self, request: Request, hop: Hop, user: ClientUser) -> ClientTransaction:
        """Send a request whose top Via is written already."""
        transaction = self.adopt_client(request, hop, user)
        transaction.start()
        return transaction

    def adopt_client(self, request: Request, hop: Hop, user: ClientUser) -> ClientTransaction:
        """Know a client transaction without sending anything."""
        transaction = ClientTransaction(self, request, hop, user)
        self._clients[transaction.key] = transaction
        if hop.reliable:
            self._by_connection.setdefault(hop, set()).add(transaction)
        return transaction

    def adopt_server(self, request: Request, source: Hop) -> ServerTransaction:
        """Take up a request that a former process received and did not answer."""
        key = server_key(request, request.method)
        transaction = self._servers[key] = ServerTransaction(self, key, request, source)
        return transaction

    def receive_request(self, request: Request, source: Hop, *, whatever: bool = False) -> None:
        """Match a checked and stamped request, or make a transaction of it; `whatever`: even when there are too many."""
        metrics.series(metrics.REQUESTS, method_label(request.method)).inc()
        if request.method == "ACK":
            self._receive_ack(request, source)
            return
        key = server_key(request, request.method)
        if known := self._servers.get(key):
            known.received_again()
            return
        if len(self._servers) >= self._limit and not whatever:
            metrics.OVERLOADED.inc()
            busy = request.response(503, to_tag=new_tag(), headers=[("Retry-After", "10")])
            self.send(bytes(busy), reply_hop(request, source))
            return
        transaction = self._servers[key] = ServerTransaction(self, key, request, source)
        transaction.start()
        if request.method == "CANCEL":
            self._receive_cancel(transaction)
        else:
            self.user.request_received(transaction)

    def _receive_ack(self, request: Request, source: Hop) -> None:
        invite = self._servers.get(server_key(request, "INVITE"))
        if invite is None or not invite.acknowledged():
            self.user.ack_received(request, source, invite)

    def _receive_cancel(self, transaction: ServerTransaction) -> None:
        invite = self._servers.get(server_key(transaction.request, "INVITE"))
        if invite is None:
            transaction.refuse(481)
            return
        transaction.to_tag = invite.to_tag
        transaction.refuse(200)
        if invite.state is State.PROCEEDING:
            self.user.cancelled(invite)

    def receive_response(self, response: Response, source: Hop) -> None:
        """Match a checked response by branch and CSeq method (§17.1.3)."""
        branch = response.top_via.parameters.get("branch") or ""
        transaction = self._clients.get((branch, response.cseq.method))
        if transaction is None:
            self.user.stray_response(response, source)
        else:
            transaction.received(response, source)

    def connection_lost(self, hop: Hop, reason: str) -> None:
        """The connection to `hop` broke, or none could be opened: whoever waits for an answer by it is told."""
        for transaction in list(self._by_connection.get(hop, ())):
            transaction.connection_lost(reason)

    def forget(self, machine: Machine) -> None:
        """Drop a terminated machine."""
        if isinstance(machine, ClientTransaction):
            if self._clients.get(machine.key) is machine:
                del self._clients[machine.key]
            if (others := self._by_connection.get(machine.hop)) is not None:
                others.discard(machine)
                if not others:
                    del self._by_connection[machine.hop]
        elif self._servers.get(machine.key) is machine:
            del self._servers[machine.key]

    def close(self) -> None:
        """Stop every timer: the process ends, the peers' own timers go on."""
        for machine in [*self._clients.values(), *self._servers.values()]:
            machine.terminate()
