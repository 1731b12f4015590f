"""What all legs share: configuration, ports, the way to send, and which dialog belongs to which leg."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import structlog

from commhub.domain.call import Cause
from commhub.kit.clock import Clock
from commhub.kit.insist import insist
from commhub.ports.inward import CallsIn, DigitsIn, ReportsIn, TransfersIn
from commhub.ports.media import MediaEngine
from commhub.ports.store import Also, Store
from gateways.sip import metrics
from gateways.sip.config import SipConfig
from gateways.sip.dialogs import Dialog, DialogKey, hop_of, nearest_hop
from gateways.sip.errors import TransactionError
from gateways.sip.grammar import Via, read_hostport, read_uri
from gateways.sip.ledger import Ledger
from gateways.sip.message import Request
from gateways.sip.pictures import Pictures
from gateways.sip.transactions import (
    ClientTransaction,
    ClientUser,
    ServerTransaction,
    TransactionLayer,
    new_branch,
)
from gateways.sip.transport import Hop, is_literal
from gateways.sip.trunks.toll import Alarm, Alarms, unheard
from gateways.sip.urgency import IsUrgent
from gateways.sip.wires import Wires, is_secure

log = structlog.get_logger(__name__)

T = TypeVar("T")

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, PRACK, INFO, REFER, NOTIFY, MESSAGE, SUBSCRIBE"
SUPPORTED = "100rel, norefersub, replaces, timer"
_VIA_BYTES = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Inward:
    """What the core takes from phones beside calls; without a part the methods of it are refused."""

    transfers: TransfersIn | None = None
    digits: DigitsIn | None = None
    reports: ReportsIn | None = None
    is_urgent: IsUrgent = lambda number: False
    """Which numbers no limit stands in the way of: emergency numbers and duty lines."""
    is_emergency: IsUrgent = lambda number: False
    """Those of them that are emergency numbers: a call to one that comes to nothing here is an alarm."""
    is_behind: Callable[[], bool] = lambda: False
    """Whether the process is behind its work: new calls are turned away meanwhile."""


NOTHING_MORE = Inward()


class Texts(Protocol):
    """Whoever takes texts (RFC 3428)."""

    async def receive(self, transaction: ServerTransaction) -> None:
        """Answer a MESSAGE, in a dialog or outside."""
        ...


class Routes(dict[DialogKey, T]):
    """Dialogs by (Call-ID, our tag, their tag)."""

    def find(self, request: Request) -> T | None:
        """Whose in-dialog request this is (RFC 3261 §12.2.2)."""
        return self.get((request.call_id, request.recipient.tag, request.sender.tag))


class Core:
    """One per gateway. `layer` and `wires` are there once the transports listen."""

    def __init__(
        self, config: SipConfig, store: Store, media: MediaEngine, calls: CallsIn, clock: Clock
    ) -> None:
        self.config = config
        self.terms = config.terms
        self.media = media
        self.calls = calls
        self.clock = clock
        self.ledger = Ledger(store)
        self.pictures = Pictures()
        self.transfers: TransfersIn | None = None
        self.digits: DigitsIn | None = None
        self.texts: Texts | None = None
        self.alarm: Alarm = unheard
        self.is_emergency: IsUrgent = NOTHING_MORE.is_emergency
        self.is_urgent: Callable[[Request], bool] = lambda _: False
        """Whether an INVITE begins a call on which a life may depend."""
        self.opening = 0
        """Calls to the hub that hear nothing yet."""
        self.replacing: dict[str, str] = {}
        """Legs that are to be placed with a Replaces (RFC 3891), by id."""
        self._layer: TransactionLayer | None = None
        self._wires: Wires | None = None

    def listen(self, layer: TransactionLayer, wires: Wires) -> None:
        """The transports are bound and their messages go through `layer`."""
        self._layer = layer
        self._wires = wires

    @property
    def layer(self) -> TransactionLayer:
        if self._layer is None:
            raise RuntimeError("the SIP gateway is not started")
        return self._layer

    @property
    def wires(self) -> Wires:
        if self._wires is None:
            raise RuntimeError("the SIP gateway is not started")
        return self._wires

    @property
    def authority(self) -> str:
        """`host:port` as peers on UDP see us."""
        return self.wires.authority()

    @property
    def user_agent(self) -> str:
        return self.config.user_agent

    def call_headers(
        self, request: Request | None = None, source: Hop | None = None
    ) -> list[tuple[str, str]]:
        """What INVITEs and their 2xx carry besides the dialog: where to reach us and what we can. The answer to a
        `request` names the transport it came by; a request of ours is given its Contact when it is sent."""
        secure = request is not None and is_secure(request)
        return [
            ("Contact", self.wires.contact(source, secure=secure)),
            ("Allow", ALLOW),
            ("Supported", SUPPORTED),
            ("User-Agent", self.user_agent),
        ]

    def write_via(self, request: Request, hop: Hop) -> None:
        """Put our Via with a new branch on top, asking for rport (RFC 3581 §3), and where the request has a Contact,
        the one by which that far end reaches us."""
        sent_by, branch = self.wires.authority(hop), new_branch()
        request.headers.set("Via", f"SIP/2.0/{hop.transport} {sent_by};branch={branch};rport")
        # As it would be read: its transaction goes by it at once.
        parameters = {"branch": branch, "rport": None}
        request.top_via = Via(hop.transport, *read_hostport(sent_by), parameters)
        if request.get("Contact"):
            request.headers.set("Contact", self.wires.contact(hop, secure=is_secure(request)))

    def by_ipv6(self, host: str) -> bool:
        """Whether the voice of a far end at `host` goes by IPv6. Where the workers have none it is offered what there is:
        many who signal by IPv6 have both."""
        return self.config.ipv6_media and ":" in host

    async def resolve(self, hop: Hop) -> Hop:
        """The hop with an address literal. Raises TransactionError for a name nobody knows."""
        return hop if is_literal(hop.host) else await self._look_up(hop)

    async def _look_up(self, hop: Hop) -> Hop:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(hop.host, hop.port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise TransactionError(f"no address for the next hop: {error}", 503) from error
        usable = [one[4][0] for one in found if one[0] in self.wires.families()]
        if not usable:
            raise TransactionError("the next hop has no address of our families", 503)
        return replace(hop, host=str(usable[0]), name=hop.name or hop.host)

    async def way(self, request: Request, hop: Hop) -> Hop:
        """By which address and transport a request goes to `hop` now: the connection its phone has opened since, the
        mapping its NAT has made since, and TCP when it is large (RFC 3261 §18.1.1). Raises TransactionError for a name nobody knows."""
        hop = await self.resolve(hop)
        if hop.flow:
            account = user_of(request.recipient.uri)
            hop = self.wires.current(hop, account, request.uri)
            return hop if self.wires.is_open(hop) else await self._registered(hop, account)
        if not hop.reliable and not request.get("Route"):
            account = user_of(request.recipient.uri)
            hop = self.wires.mappings.current(hop, account, request.uri)
        if hop.reliable:
            return hop
        return await self.wires.choose(request.size + _VIA_BYTES, hop)

    async def _registered(self, hop: Hop, account: str) -> Hop:
        """A connection that is gone, with where its phone said it listens when it registered by it: some phones name
        the port of the connection itself in their calls, where nobody listens."""
        for binding in await self.ledger.bindings_of(account):
            if (binding.received, binding.transport) == (str(hop), hop.transport):
                try:
                    return nearest_hop(hop, hop_of(binding.contact, hop.transport))
                except ValueError:
                    break
        return hop

    async def send_request(self, request: Request, hop: Hop, user: ClientUser) -> ClientTransaction:
        """Send a request in a transaction of its own. Raises TransactionError when the hop has no address."""
        hop = await self.way(request, hop)
        self.write_via(request, hop)
        return self.layer.start_client(request, hop, user)

    async def acknowledge(
        self, dialog: Dialog, body: bytes = b"", shown: Iterable[tuple[str, str]] = ()
    ) -> tuple[bytes, Hop]:
        """Send the ACK of a 2xx, a request without a transaction (RFC 3261 §13.2.2.4), with the credentials `shown` by
        its INVITE (§22.1); what was sent, for every retransmission of the 2xx."""
        _, ack = dialog.request("ACK")
        for name, value in shown:
            ack.headers.set(name, value)
        if body:
            ack.headers.set("Content-Type", "application/sdp")
            ack.body = body
        hop = await self.way(ack, dialog.hop)
        self.write_via(ack, hop)
        data = bytes(ack)
        self.layer.send(data, hop)
        return data, hop

    async def tell(self, report: str, say: Callable[[], Awaitable[None]]) -> bool:
        """Report to the core, again when it cannot commit just now. False when it never could: the desk then
        shows what it knew before, and the log says so."""

        def failed(error: Exception) -> None:
            metrics.CORE_FAILURES.labels(report).inc()
            log.error("sip_report_failed", report=report, exc_info=error)

        return await insist(say, failed)

    async def lost(self, number: str, caller: str, call_id: str, why: str) -> None:
        """A phone's call comes to nothing by a fault of ours: an alarm where it is an emergency."""
        if self.is_emergency(number):
            text = f"the emergency call of {caller} to {number} was lost in the hub ({why}): use another telephone now"
            await self.alarm(Alarms.EMERGENCY_FAILED, text, call_id or None)

    async def release(self, leg_id: str) -> None:
        """Let the media engines forget the leg; a worker that is away has forgotten it anyway."""
        await self.pictures.release(leg_id)
        try:
            await self.media.release(leg_id)
        except Exception:
            log.exception("media_release_failed", leg_id=leg_id)

    async def tell_ended(
        self, leg_id: str, cause: Cause, detail: str | None, *, also: Also | None = None
    ) -> None:
        """Tell the core that the leg is over; `also` is written with it."""
        metrics.series(metrics.LEGS_ENDED, cause.value).inc()
        await self.tell("leg_ended", lambda: self.calls.leg_ended(leg_id, cause, detail, also=also))


def respond_ok(
    core: Core, transaction: ServerTransaction, headers: Iterable[tuple[str, str]] = ()
) -> None:
    """A 200 without a body."""
    agent = ("User-Agent", core.user_agent)
    transaction.respond(
        transaction.request.response(200, to_tag=transaction.to_tag, headers=[*headers, agent])
    )


def user_of(uri: str) -> str:
    """The user a URI names; empty when it names none."""
    try:
        return read_uri(uri.partition("?")[0]).user or ""
    except ValueError:
        return ""
