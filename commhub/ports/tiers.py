"""How hubs of neighbouring tiers talk, seen from the core. The wire is `gateways/tiers`, written down in `docs/protocols/tiers.md`.

Three ways to say something to a peer:
- a durable **message** (`uow.peerings.queue`, then `TierLinks.wake`): committed with its cause, delivered once however often the
  link breaks, in the order of commits; what the peer refuses comes back with its reason and stops nothing behind it;
- an **ask**: a question with an answer, now or not at all (ring that radio, let me into that room);
- a **tell**: a state that the next one replaces (who is online, who speaks); lost with the link, said anew when it comes back.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from commhub.domain.errors import DomainError
from commhub.domain.tier import Peering, TierMessage
from commhub.ports.store import UnitOfWork

Body = Mapping[str, object]


class TierRefusedError(DomainError):
    """The peer understood and refuses. `details["code"]` is its code."""

    code = "tier-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How the link to a peer is. `reason` why it is down, in words, and `code` by the name of its kind (`clock-off`); `waiting` messages to them that are not settled; `rtt_s` of the last
    heartbeat; `skew_s` how far its clock is from ours."""

    peer: str
    up: bool
    reason: str | None = None
    code: str | None = None
    waiting: int = 0
    rtt_s: float | None = None
    skew_s: float | None = None


class TierLinks(Protocol):
    """The links to all peers (outward)."""

    def wake(self, peer: str | None = None) -> None:
        """There is something in the outbox (of that peer). Losing this call loses nothing."""
        ...

    def state_of(self, peer: str) -> LinkState: ...

    def knows(self, peer: str) -> bool:
        """Whether there is a peering of that name, as far as it is known yet."""
        ...

    async def ask(self, peer: str, kind: str, body: Body, timeout_s: float = 10.0) -> Body:
        """Raises UnavailableError (no link, or no answer in time: it may have been done), TierRefusedError."""
        ...

    def tell(self, peer: str, kind: str, body: Body) -> bool:
        """False when there is no link."""
        ...

    def drop(self, peer: str, reason: str) -> None:
        """Close the link at once (the peering was revoked). It does not come back unless the peering does."""
        ...

    def dial(self, peer: str) -> None:
        """Begin, or begin anew, to keep a link to an upper peer."""
        ...


Applied = Callable[[UnitOfWork, Peering, TierMessage], Awaitable[None]]
"""Carries out a durable message in the transaction that notes it as taken. A DomainError refuses it: its code and text go back."""

Settled = Callable[[UnitOfWork, TierMessage], Awaitable[None]]
"""What follows here once the peer has applied our message, or refused it (its state, code and reason say), in the transaction that notes it."""

Answers = Callable[[Peering, Body], Awaitable[Body]]
"""Answers an ask. A DomainError goes back as a refusal."""

Hears = Callable[[Peering, Body], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What a peer answered to one of our messages: applied, or refused with `code` and `reason`."""

    message_id: str
    code: str | None = None
    reason: str | None = None


class TierOutbox(Protocol):
    """What is to be said to peers, for the links to read (commhub/tiers implements it)."""

    async def epoch(self) -> str:
        """The name of our outbox's sequence; another one after a database was put back."""
        ...

    async def waiting(self, peer: str, after: int, limit: int) -> Sequence[tuple[int, TierMessage]]:
        """Messages that are not settled, in their order, each with the `seq` of the one before it to that peer."""
        ...

    async def how_many_wait(self, peer: str) -> int: ...

    async def peerings(self) -> Sequence[Peering]:
        """All neighbours, revoked ones too."""
        ...

    async def peering(self, peer: str) -> Peering | None: ...

    async def keys_told(self, peer: str, keys: tuple[str, ...]) -> None:
        """The peer proved itself and named the keys it is known by from now on."""
        ...

    async def met(self, peer: str, name: str, sip: str | None) -> None:
        """What the peer's hello said of itself: its name for people, and where its phones' edge is."""
        ...


class TierKeys(Protocol):
    """This hub's keys: Ed25519, base64 without padding."""

    @property
    def public(self) -> tuple[str, ...]:
        """The newest first; two while a new one gets round."""
        ...

    @property
    def is_renewing(self) -> bool: ...

    def renew(self) -> str:
        """Make the next key; the present one signs on. Twice is once."""
        ...

    def promote(self) -> None:
        """Sign with the next one, and forget the old one."""
        ...


class PairingCall(Protocol):
    """Shows a ticket at the upper hub."""

    async def __call__(self, url: str, body: Body) -> Body:
        """Raises UnavailableError (nobody answers), TierRefusedError (it says no), InvalidError (it is no hub)."""
        ...


class PairingIn(Protocol):
    """The upper hub's half of pairing."""

    async def accept(self, body: Body) -> Body:
        """Pair with the hub that shows a good ticket. Shown again by the same hub with the same key it is answered alike.
        Raises NotAllowedError, InvalidError, ConflictError."""
        ...


class TierIn(Protocol):
    """What a link hands inward. Features register for kinds (`incident.…`, `room.…`, `call.…`); an unknown kind is refused."""

    async def arrived(
        self, peer: str, epoch: str, messages: Sequence[TierMessage]
    ) -> Sequence[TierMessage]:
        """Take messages that came one after the other: the first of them, at least one and as many as go together, each
        with its state (APPLIED, or REFUSED with code and reason). Committed when it returns; the rest is to be handed in
        again. One that was taken before is answered as then and changes nothing, one that is REFUSED already (it could not
        be read) is refused with what it says. Raises UnavailableError: none of them was taken."""
        ...

    async def reached(self, peer: str) -> tuple[str, int]:
        """The epoch of the peer's outbox and how far it was taken here; ("", 0) before the first message."""
        ...

    async def settled(self, peer: str, answers: Sequence[PeerAnswer]) -> None:
        """The peer has applied our messages, or refused them. Committed when it returns. Raises UnavailableError."""
        ...

    async def asked(self, peer: str, kind: str, body: Body) -> Body:
        """Raises DomainError."""
        ...

    async def told(self, peer: str, kind: str, body: Body) -> None: ...

    async def link_moved(self, peer: str, up: bool, reason: str | None) -> None:
        """The link came up (after both said how far they are) or went down."""
        ...


class TierWords(Protocol):
    """Where features register what they understand (commhub/tiers implements it, wiring hands it around)."""

    def on_message(self, kind: str, apply: Applied) -> None: ...
    def on_settled(self, kind: str, follow: Settled) -> None: ...
    def on_ask(self, kind: str, answer: Answers) -> None: ...
    def on_tell(self, kind: str, hear: Hears) -> None: ...
    def on_link(self, moved: Callable[[Peering, bool], Awaitable[None]]) -> None:
        """Called after a link came up or went down; what is told anew is told then."""
        ...
