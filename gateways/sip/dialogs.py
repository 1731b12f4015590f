"""Dialogs (RFC 3261 §12): frozen state, the requests made from it, and its JSON form for the store."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter

from commhub.kit.values import quick, replace
from gateways.sip.errors import MalformedError
from gateways.sip.grammar import NameAddr, quote_string, read_uri
from gateways.sip.message import Request, Response
from gateways.sip.transport import Hop, default_port, plain_address

DialogKey = tuple[str, str, str]

_LONGEST_REMEMBERED = 200

AHEAD = 100
"""More requests than anybody has to number before an answer: how far whoever does not know the last number goes on
(§12.2.2: a gap is no error)."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """One side of a dialog. `local` and `remote` are addresses without their tags; `learned` is where the
    peer's messages come from, kept because its Contact may be an address behind a NAT; `invite_seq` is the
    CSeq of our INVITE, which its ACK repeats."""

    call_id: str
    local: str
    local_tag: str
    remote: str
    remote_tag: str
    target: str
    learned: str
    transport: str = "UDP"
    routes: tuple[str, ...] = ()
    local_seq: int = 0
    remote_seq: int | None = None
    invite_seq: int = 0
    direct: bool = True

    @property
    def key(self) -> DialogKey:
        return (self.call_id, self.local_tag, self.remote_tag)

    @property
    def hop(self) -> Hop:
        """Where the next request goes: the first route, else the remote target; a target that names another
        address than the one the peer speaks from, with no proxy between, is behind a NAT. A peer that speaks over a
        connection is answered by it (RFC 5626 §5.3), whatever its Contact says."""
        if self.routes:
            return hop_of(NameAddr.read(self.routes[0]).uri, self.transport)
        target = hop_of(self.target, self.transport)
        if not self.direct:
            return target
        return nearest_hop(Hop.parse(self.learned, self.transport), target)

    def request(self, method: str) -> tuple["Dialog", Request]:
        """The next request inside the dialog (§12.2.1.1), without its Via; and the dialog that sent it.
        An ACK repeats the number of the INVITE."""
        advanced = self if method == "ACK" else replace(self, local_seq=self.local_seq + 1)
        number = self.invite_seq if method == "ACK" else advanced.local_seq
        uri, routes = self.target, list(self.routes)
        if routes and "lr" not in read_uri(NameAddr.read(routes[0]).uri).parameters:
            # A strict router of RFC 2543 wants itself in the Request-URI (§12.2.1.1).
            uri = NameAddr.read(routes.pop(0)).uri
            routes.append(f"<{self.target}>")
        request = Request(method, uri)
        headers = request.headers
        headers.setlist("Via", [""])
        if routes:
            headers.setlist("Route", routes)
        headers.set("Max-Forwards", "70")
        headers.set("From", f"{self.local};tag={self.local_tag}")
        headers.set("To", self.remote + (f";tag={self.remote_tag}" if self.remote_tag else ""))
        headers.set("Call-ID", self.call_id)
        headers.set("CSeq", f"{number} {method}")
        return advanced, request

    def heard(self, request: Request, source: Hop) -> "Dialog":
        """The dialog after an in-dialog request that is in order: its number, and for a target refresh
        (INVITE, UPDATE) the new Contact. Raises MalformedError."""
        changed = replace(self, remote_seq=request.cseq.sequence, learned=str(source))
        if request.method in ("INVITE", "UPDATE") and (contacts := request.addresses("Contact")):
            changed = _leading(replace(changed, target=checked_target(contacts[0].uri)))
        return changed

    def answered(self, response: Response, source: Hop) -> "Dialog":
        """The dialog after a 2xx to our re-INVITE, which may name a new target (§12.2.1.2). Raises MalformedError."""
        changed = replace(self, learned=str(source))
        if contacts := response.addresses("Contact"):
            changed = _leading(replace(changed, target=checked_target(contacts[0].uri)))
        return changed

    def to_json(self) -> dict[str, object]:
        return dict(zip(_DIALOG_FIELDS, _values_of(self), strict=True))

    @classmethod
    def from_json(cls, state: Mapping[str, object]) -> "Dialog":
        """What `to_json` wrote. Raises KeyError or TypeError for anything else."""
        known: dict[str, object] = dict(state)
        routes = known.pop("routes")
        if not isinstance(routes, list | tuple):
            raise TypeError("routes are a list")
        return cls(**known, routes=tuple(str(route) for route in routes))  # type: ignore[arg-type]  # JSON of our own making


_DIALOG_FIELDS = tuple(one.name for one in fields(Dialog))
_values_of = attrgetter(*_DIALOG_FIELDS)


def dialog_of_answer(invite: Request, response: Response, source: Hop) -> Dialog:
    """Our dialog from a 2xx (or a provisional response with a tag) to our INVITE (§12.1.2).
    Raises MalformedError, for example without a Contact."""
    contacts = response.addresses("Contact")
    if not contacts:
        raise MalformedError("a 2xx without a Contact")
    dialog = Dialog(
        call_id=invite.call_id,
        local=without_tag(invite.sender),
        local_tag=invite.sender.tag,
        remote=without_tag(invite.recipient),
        remote_tag=response.recipient.tag,
        target=checked_target(contacts[0].uri),
        learned=str(source),
        transport=source.transport,
        routes=tuple(reversed(_record_route(response))),
        local_seq=invite.cseq.sequence,
        invite_seq=invite.cseq.sequence,
    )
    return _leading(dialog)


def dialog_of_invite(invite: Request, local_tag: str, source: Hop) -> Dialog:
    """Our dialog from a peer's INVITE that we answer with `local_tag` (§12.1.1). Raises MalformedError."""
    contacts = invite.addresses("Contact")
    if not contacts:
        raise MalformedError("an INVITE without a Contact")
    vias = sum(value.count(",") + 1 for value in invite.headers.getlist("Via"))
    dialog = Dialog(
        call_id=invite.call_id,
        local=without_tag(invite.recipient),
        local_tag=local_tag,
        remote=without_tag(invite.sender),
        remote_tag=invite.sender.tag,
        target=checked_target(contacts[0].uri),
        learned=str(source),
        transport=source.transport,
        routes=tuple(_record_route(invite)),
        remote_seq=invite.cseq.sequence,
        direct=vias == 1,
    )
    return _leading(dialog)


def _leading(dialog: Dialog) -> Dialog:
    """The dialog, if its next request has a way at all. Behind a proxy the far end may name a transport we do not
    speak. Raises MalformedError."""
    try:
        _ = dialog.hop
    except ValueError as error:
        raise MalformedError(f"Contact: {error}") from error
    return dialog


def checked_target(uri: str) -> str:
    """A Contact we can send to, without the headers a URI may carry. Raises MalformedError."""
    target = uri.partition("?")[0]
    try:
        scheme = read_uri(target).scheme
    except ValueError as error:
        raise MalformedError(f"Contact: {error}") from error
    if scheme == "tel":
        raise MalformedError("Contact: a tel URI names no place to send to")
    return target


def hop_of(uri: str, transport: str) -> Hop:
    """Where a sip or sips URI is reached (RFC 3263 §4.1 without its DNS records): by TLS for sips, else by what it
    names, else by the `transport` its owner speaks. Raises ValueError."""
    return (_known_hop if len(uri) <= _LONGEST_REMEMBERED else _hop_of)(uri, transport)


def _hop_of(uri: str, transport: str) -> Hop:
    parsed = read_uri(uri)
    named = (parsed.parameters.get("transport") or "").upper()
    if parsed.scheme == "sips":
        transport = "TLS"
    elif named:
        if named not in ("UDP", "TCP", "TLS"):
            raise ValueError(f"«{named[:16]}» is no transport this hub speaks")
        transport = named
    return Hop(plain_address(parsed.host), parsed.port or default_port(transport), transport)


# A dialog asks for its hop with every request, and its phone's is the same in all of them.
_known_hop = lru_cache(maxsize=4096)(_hop_of)


def nearest_hop(learned: Hop, target: Hop) -> Hop:
    """Between where a peer speaks from and where it says it is reached, with nobody between: by its connection while
    there is one; over UDP its own address, unless a NAT shows another (RFC 3581)."""
    near = target.host == learned.host
    if learned.reliable:
        return learned.as_flow(target if near else None)
    return target if near else learned


def without_tag(address: NameAddr) -> str:
    """A From or To as its header text, without parameters."""
    name = f"{quote_string(address.name)} " if address.name else ""
    return f"{name}<{address.uri}>"


def _record_route(message: Request | Response) -> list[str]:
    routes = []
    for address in message.addresses("Record-Route"):
        try:
            read_uri(address.uri)
        except ValueError as error:
            raise MalformedError(f"Record-Route: {error}") from error
        routes.append(f"<{address.uri}>")
    return routes
