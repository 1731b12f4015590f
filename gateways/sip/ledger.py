"""Legs as rows, so that a dialog outlives the process (RFC 3261 §12.3 asks for nothing less).

A row is written before the message that makes the peer believe in it leaves, and deleted when the peer is done. Where
the core commits a step of the leg at that moment, the row is a part of its transaction.
"""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from commhub.domain.call import Direction
from commhub.domain.errors import DomainError
from commhub.domain.people import Endpoint
from commhub.kit.supervise import Doorbell
from commhub.kit.values import quick
from commhub.ports.edge_store import SipBinding, SipDialog
from commhub.ports.media import RtpAddress
from commhub.ports.store import Also, Store, UnitOfWork
from gateways.sip.dialogs import Dialog
from gateways.sip.errors import SipError
from gateways.sip.message import Request, parse
from gateways.sip.once import once
from gateways.sip.sdp import Local
from gateways.sip.sessions import Session
from gateways.sip.transport import Hop
from gateways.sip.trunks.numbers import Route

_LATER_S = 0.25
_IDLE_S = 60.0


class Chapter(StrEnum):
    """Where a leg stands: PLACED rings at phones, OFFERED rings here, ANSWERED waits for the ACK of our 200,
    TALKING is established, LEAVING has a BYE on its way."""

    PLACED = "placed"
    OFFERED = "offered"
    ANSWERED = "answered"
    TALKING = "talking"
    LEAVING = "leaving"


@quick
@dataclass(frozen=True, kw_only=True)
class StoredInvite:
    """An INVITE as it went over the wire, and the other end. `tag` is our tag when it came from outside. It is written
    down with each page until its answer is acknowledged, and does not change meanwhile."""

    request: Request
    hop: Hop
    tag: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "data": self._data,
            "hop": str(self.hop),
            "transport": self.hop.transport,
            "flow": self.hop.flow,
            "then": str(self.hop.then) if self.hop.then else None,
            "tag": self.tag,
        }

    @once
    def _data(self) -> str:
        return base64.b64encode(bytes(self.request)).decode()

    @classmethod
    def from_json(cls, state: Mapping[str, object]) -> "StoredInvite":
        request = parse(base64.b64decode(str(state["data"])))
        if not isinstance(request, Request):
            raise TypeError("a stored INVITE is a request")
        hop = Hop.parse(str(state["hop"]), str(state["transport"]))
        if state.get("flow"):
            then = state.get("then")
            hop = hop.as_flow(Hop.parse(str(then), hop.transport) if then else None)
        return cls(request=request, hop=hop, tag=str(state["tag"]))


@dataclass(frozen=True, slots=True)
class Seat:
    """Which trunk a leg is on, who called whom, and when it is hung up at the latest."""

    line: str
    direction: Direction
    until: datetime | None = None

    def to_json(self) -> dict[str, object]:
        until = self.until.isoformat() if self.until else None
        return {"line": self.line, "direction": self.direction.value, "until": until}

    @classmethod
    def from_json(cls, state: object) -> "Seat | None":
        """What `to_json` wrote; None for a leg that is on none."""
        if not isinstance(state, Mapping):
            return None
        until = state["until"]
        return cls(
            str(state["line"]),
            Direction(str(state["direction"])),
            datetime.fromisoformat(str(until)) if until else None,
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """Who dials whom, as the core was (or was going to be) told."""

    caller: Endpoint
    called: str
    name: str | None = None

    def to_json(self) -> dict[str, object]:
        return {"caller": str(self.caller), "called": self.called, "name": self.name}

    @classmethod
    def from_json(cls, state: object) -> "Wish | None":
        """What `to_json` wrote; None for a leg that we placed."""
        if not isinstance(state, Mapping):
            return None
        name = state["name"]
        caller = Endpoint.parse(str(state["caller"]))
        return cls(caller, str(state["called"]), None if name is None else str(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A call to the outside that nobody has answered yet. `lines` are those still to be tried, `until` is when it has rung
    long enough; `has_heir`: somebody takes the order on when no line could."""

    endpoint: Endpoint
    caller: str
    placed_by: str
    ring_for_s: float
    route: Route
    lines: tuple[str, ...]
    until: datetime
    has_heir: bool

    def to_json(self) -> dict[str, object]:
        return {
            "endpoint": str(self.endpoint),
            "caller": self.caller,
            "placed_by": self.placed_by,
            "ring_for_s": self.ring_for_s,
            "route": self.route.to_json(),
            "lines": list(self.lines),
            "until": self.until.isoformat(),
            "has_heir": self.has_heir,
        }

    @classmethod
    def from_json(cls, state: object) -> "Errand | None":
        """What `to_json` wrote; None for a leg that rings at a phone of ours."""
        if not isinstance(state, Mapping):
            return None
        return cls(
            endpoint=Endpoint.parse(str(state["endpoint"])),
            caller=str(state["caller"]),
            placed_by=str(state["placed_by"]),
            ring_for_s=float(state["ring_for_s"]),
            route=Route.from_json(state["route"]),
            lines=tuple(str(name) for name in state["lines"]),
            until=datetime.fromisoformat(str(state["until"])),
            has_heir=bool(state["has_heir"]),
        )


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything of a leg that a new process needs. `local_sdp` and `remote_sdp` are the bodies last agreed
    (empty before); `address` is where the media engine receives the leg; `wish` is an unanswered caller's, `errand` that
    of a call over lines that rings."""

    leg_id: str
    call_id: str
    chapter: Chapter
    dialog: Dialog | None = None
    invites: tuple[StoredInvite, ...] = ()
    address: RtpAddress | None = None
    local: Local | None = None
    local_sdp: bytes = field(default=b"", repr=False)
    remote_sdp: bytes = field(default=b"", repr=False)
    held: bool = False
    session: Session | None = None
    seat: Seat | None = None
    wish: Wish | None = None
    errand: Errand | None = None

    def to_row(self) -> SipDialog:
        state: dict[str, object] = {
            "chapter": self.chapter.value,
            "dialog": self.dialog.to_json() if self.dialog else None,
            "invites": [invite.to_json() for invite in self.invites],
            "address": [self.address.host, self.address.port] if self.address else None,
            "local": [self.local.session_id, self.local.version] if self.local else None,
            "local_sdp": self.local_sdp.decode("utf-8", "replace"),
            "remote_sdp": self.remote_sdp.decode("utf-8", "replace"),
            "held": self.held,
            "session": self.session.to_json() if self.session else None,
            "seat": self.seat.to_json() if self.seat else None,
            "wish": self.wish.to_json() if self.wish else None,
            "errand": self.errand.to_json() if self.errand else None,
        }
        return SipDialog(leg_id=self.leg_id, call_id=self.call_id, state=state)

    @classmethod
    def from_row(cls, row: SipDialog) -> "Page":
        """Raises UnreadablePageError for a row that this version cannot take up."""
        try:
            return _read(row)
        except (KeyError, TypeError, ValueError, SipError, DomainError) as error:
            raise UnreadablePageError(f"stored dialog: {error!r}") from error


class UnreadablePageError(SipError):
    """A stored dialog that this version does not understand."""


def _read(row: SipDialog) -> Page:
    state = row.state
    dialog, invites = state["dialog"], state["invites"]
    address, local = state["address"], state["local"]
    return Page(
        leg_id=row.leg_id,
        call_id=row.call_id,
        chapter=Chapter(str(state["chapter"])),
        dialog=Dialog.from_json(dialog) if isinstance(dialog, Mapping) else None,
        invites=tuple(StoredInvite.from_json(i) for i in invites if isinstance(i, Mapping))
        if isinstance(invites, list | tuple)
        else (),
        address=RtpAddress(str(address[0]), int(address[1]))
        if isinstance(address, list | tuple)
        else None,
        local=Local(int(local[0]), int(local[1])) if isinstance(local, list | tuple) else None,
        local_sdp=str(state["local_sdp"]).encode(),
        remote_sdp=str(state["remote_sdp"]).encode(),
        held=bool(state["held"]),
        session=Session.from_json(state.get("session")),
        seat=Seat.from_json(state.get("seat")),
        wish=Wish.from_json(state.get("wish")),
        errand=Errand.from_json(state.get("errand")),
    )


class Ledger:
    """The pages in the store. What a peer is about to be told is written before it is told, in a transaction of its
    own or in that of the core's step (`putting`, `deleting`). What only saves a new process an extra question may wait
    a moment (`put_later`, `delete_later`) and is written together with whatever else waits: `run` does that."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, Page | None] = {}
        self._under_way: dict[str, Page | None] = {}
        self._knock = Doorbell()
        self._done = Doorbell()

    async def put(self, page: Page) -> None:
        also = await self.putting(page)
        async with self._store.begin() as uow:
            await also(uow)

    async def delete(self, leg_id: str) -> None:
        also = await self.deleting(leg_id)
        async with self._store.begin() as uow:
            await also(uow)

    async def putting(self, page: Page) -> Also:
        """The page as a part of somebody else's transaction; it takes the place of one that waits."""
        await self._overtake(page.leg_id)
        row = page.to_row()

        async def put(uow: UnitOfWork) -> None:
            await uow.sip.put_dialog(row)

        return put

    async def deleting(self, leg_id: str) -> Also:
        """The end of a page as a part of somebody else's transaction."""
        await self._overtake(leg_id)

        async def delete(uow: UnitOfWork) -> None:
            await uow.sip.delete_dialog(leg_id)

        return delete

    async def _overtake(self, leg_id: str) -> None:
        """Nothing older of this leg may be written after what is written now."""
        self._waiting.pop(leg_id, None)
        while leg_id in self._under_way:
            await self._done.wait(_LATER_S)

    def put_later(self, page: Page) -> None:
        """Write the page within a second or so. Losing it must only cost the peer a repetition."""
        self._waiting[page.leg_id] = page
        self._knock.ring()

    def delete_later(self, leg_id: str) -> None:
        """Take the page out within a second or so: that of a leg which is over for the core and for its peer."""
        self._waiting[leg_id] = None
        self._knock.ring()

    async def run(self) -> None:
        """Write what may wait, until cancelled."""
        while True:
            await self._knock.wait(_IDLE_S)
            await asyncio.sleep(_LATER_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits, in one transaction; what cannot be written waits on. Raises what the store says."""
        self._under_way, self._waiting = self._waiting, {}
        try:
            if self._under_way:
                async with self._store.begin() as uow:
                    for leg_id, page in self._under_way.items():
                        if page is None:
                            await uow.sip.delete_dialog(leg_id)
                        else:
                            await uow.sip.put_dialog(page.to_row())
        except BaseException:
            self._waiting = self._under_way | self._waiting
            self._knock.ring()
            raise
        finally:
            self._under_way = {}
            self._done.ring()

    async def bindings_of(self, account: str) -> Sequence[SipBinding]:
        """What the phones of an account have registered."""
        async with self._store.read() as uow:
            return await uow.sip.bindings_of(account)

    async def rows(self) -> list[SipDialog]:
        async with self._store.read() as uow:
            return list(await uow.sip.dialogs())
