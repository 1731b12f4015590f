"""Tier (层级): street, district and city hubs that work as one system, and what they share. Pure data and legal moves.

A peering joins two hubs. It says which of them is above: an upper tier may command what a lower one shares with it,
a lower never an upper's (`ORDERS`). What they share of an incident is a `Share`, what one asks of the other with a
deadline a `CheckIn` (吹哨报到) or a `Supervision` (督办); both hubs keep the same row under the same id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from commhub.domain.errors import IllegalMoveError, NotAllowedError
from commhub.domain.people import Endpoint


class Tier(StrEnum):
    """街道 · 区 · 市."""

    STREET = "street"
    DISTRICT = "district"
    CITY = "city"


class Relation(StrEnum):
    """What the peer is to us."""

    UPPER = "upper"
    LOWER = "lower"


class PeeringState(StrEnum):
    """REVOKED is for ever: who is to come back is paired anew."""

    ACTIVE = "active"
    REVOKED = "revoked"


SCHEMA: Final = 1
"""The version of what hubs say to each other; a hub refuses what is newer than its own."""

MAX_SKEW: Final = timedelta(minutes=2)
"""How far a peer's clock may be from ours: deadlines and timelines of both would else contradict each other."""

_RANK: Mapping[Tier, int] = {tier: place for place, tier in enumerate(Tier)}


def relation_of(ours: Tier, theirs: Tier) -> Relation | None:
    """What a hub of that tier is to us; None between equals, which do not pair."""
    if ours is theirs:
        return None
    return Relation.UPPER if _RANK[theirs] > _RANK[ours] else Relation.LOWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Peering:
    """One neighbour. `peer` is its hub's name, `url` where we dial (an upper one only: the lower hub dials out), `keys` the
    Ed25519 public keys it signs with, base64, the newest first (two while it rotates). `sip` is where its phones' edge
    listens («host:port;transport=…»), `uplink_kbps` what pictures may take together on the way to it (0: no bound).
    `came_up_at` and `went_down_at` are the last changes of the link."""

    peer: str
    name: str
    tier: Tier
    relation: Relation
    paired_at: datetime
    paired_by: str
    keys: tuple[str, ...]
    url: str | None = None
    sip: str | None = None
    uplink_kbps: int = 0
    state: PeeringState = PeeringState.ACTIVE
    came_up_at: datetime | None = None
    went_down_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        return self.state is PeeringState.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingTicket:
    """A one-time permission to pair, made at the upper hub. `secret_hash` is SHA-256 of what the lower hub shows."""

    id: str
    peer: str
    secret_hash: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None = None


class Order(StrEnum):
    """What one hub may ask of another, durable or at once."""

    REPORT_UP = "report_up"
    ASSIGN_DOWN = "assign_down"
    RETURN = "return"
    WHISTLE = "whistle"
    SUPERVISE = "supervise"
    CALL_SHARED = "call_shared"
    SEE_SHARED = "see_shared"
    COMMAND_SHARED = "command_shared"
    ROLL_CALL = "roll_call"
    JOIN_ROOM = "join_room"


ORDERS: Mapping[Relation, frozenset[Order]] = {
    Relation.UPPER: frozenset(
        {
            Order.ASSIGN_DOWN,
            Order.RETURN,
            Order.SUPERVISE,
            Order.CALL_SHARED,
            Order.SEE_SHARED,
            Order.COMMAND_SHARED,
            Order.ROLL_CALL,
            Order.JOIN_ROOM,
        }
    ),
    Relation.LOWER: frozenset(
        {
            Order.REPORT_UP,
            Order.RETURN,
            Order.WHISTLE,
            Order.CALL_SHARED,
            Order.SEE_SHARED,
            Order.JOIN_ROOM,
        }
    ),
}
"""What a peer that stands so to us may ask of us. Asking us to call or show what we share is everybody's; commanding is not."""


def check_order(peering: Peering, order: Order) -> None:
    """Raises NotAllowedError when the peer may not ask that of us."""
    if not peering.is_active:
        raise NotAllowedError(f"the peering with {peering.peer} is revoked", peer=peering.peer)
    if order not in ORDERS[peering.relation]:
        raise NotAllowedError(
            f"{peering.peer} is {_ABOVE[peering.relation]} us and may not {order.replace('_', ' ')}",
            peer=peering.peer,
            order=order,
        )


_ABOVE = {Relation.UPPER: "above", Relation.LOWER: "below"}


# --- what is shared of an incident -----------------------------------------------------------------------


class ShareKind(StrEnum):
    """Why both hubs have the incident: 逐级上报, 派发, 吹哨."""

    REPORTED_UP = "reported_up"
    ASSIGNED_DOWN = "assigned_down"
    WHISTLED = "whistled"


class ShareState(StrEnum):
    """OFFERED: committed here, not yet taken there; HELD: both have it; RETURNED (退回): the other side gave it back, with a
    reason; REFUSED: the other hub could not take it, and said why; ENDED: settled."""

    OFFERED = "offered"
    HELD = "held"
    RETURNED = "returned"
    REFUSED = "refused"
    ENDED = "ended"


SHARE_MOVES: Mapping[ShareState, frozenset[ShareState]] = {
    ShareState.OFFERED: frozenset(
        {ShareState.HELD, ShareState.REFUSED, ShareState.RETURNED, ShareState.ENDED}
    ),
    ShareState.HELD: frozenset({ShareState.RETURNED, ShareState.ENDED}),
    # What was given back or settled may be given again.
    ShareState.RETURNED: frozenset({ShareState.OFFERED, ShareState.HELD, ShareState.ENDED}),
    ShareState.REFUSED: frozenset({ShareState.OFFERED, ShareState.ENDED}),
    ShareState.ENDED: frozenset({ShareState.OFFERED, ShareState.HELD}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One incident in common with one peer. `given`: we gave it to them. `their_*` are what their hub last said of it: its number there,
    its stage, who has it, and its clocks (name → deadline, ISO 8601). `told_seq` is how far our timeline has been told to them.
    `turn` counts how often it was given, by whichever side: by it both know which of two words that crossed counts."""

    incident_id: str
    peer: str
    kind: ShareKind
    given: bool
    state: ShareState
    created_at: datetime
    updated_at: datetime
    by: str
    note: str | None = None
    their_number: str | None = None
    their_stage: str | None = None
    their_unit: str | None = None
    their_person: str | None = None
    their_clocks: Mapping[str, object] = field(default_factory=dict)
    told_seq: int = 0
    turn: int = 0

    @property
    def is_open(self) -> bool:
        return self.state in {ShareState.OFFERED, ShareState.HELD, ShareState.RETURNED}


def move_share(share: Share, state: ShareState, at: datetime, note: str | None = None) -> Share:
    """The share in its new state, the same one when it is there already. Raises IllegalMoveError."""
    if share.state is state:
        return share
    if state not in SHARE_MOVES[share.state]:
        raise IllegalMoveError(
            f"what is shared with {share.peer} is {share.state}, so it cannot become {state}",
            stage=share.state,
        )
    return replace(share, state=state, updated_at=at, note=note if note is not None else share.note)


# --- deadlines between hubs ------------------------------------------------------------------------------


class CheckInState(StrEnum):
    """CALLED (吹哨) until they check in (报到); NO_SHOW (未到) at the deadline, and LATE when they came after all."""

    CALLED = "called"
    CHECKED_IN = "checked_in"
    NO_SHOW = "no_show"
    LATE = "late"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    """One department that was whistled for. `peer` is the other hub of it, `given`: we whistled. `unit_id` is the department's id
    at the hub it belongs to."""

    id: str
    incident_id: str
    peer: str
    given: bool
    unit_id: str
    unit: str
    called_at: datetime
    called_by: str
    due_at: datetime
    state: CheckInState = CheckInState.CALLED
    came_at: datetime | None = None
    by: str | None = None
    note: str | None = None

    @property
    def waits(self) -> bool:
        return self.state is CheckInState.CALLED


class SupervisionState(StrEnum):
    """OPEN until it is answered (反馈); OVERDUE at its deadline, which an answer still settles; LIFTED by who ordered it."""

    OPEN = "open"
    OVERDUE = "overdue"
    ANSWERED = "answered"
    LIFTED = "lifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """督办: an upper tier wants something done, or said, by then. `given`: we ordered it."""

    id: str
    incident_id: str
    peer: str
    given: bool
    text: str
    ordered_at: datetime
    ordered_by: str
    due_at: datetime
    state: SupervisionState = SupervisionState.OPEN
    answered_at: datetime | None = None
    answered_by: str | None = None
    answer: str | None = None

    @property
    def waits(self) -> bool:
        return self.state in {SupervisionState.OPEN, SupervisionState.OVERDUE}


# --- what is said ----------------------------------------------------------------------------------------


class MessageState(StrEnum):
    """WAITING until the peer has applied it or refused it; the reason stays with it."""

    WAITING = "waiting"
    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TierMessage:
    """One durable message of the outbox. `seq` ascends in the outbox, and with it what one peer is told; `id` is what it is
    known by at both ends. `body` is JSON, read by `kind` and `schema`."""

    id: str
    peer: str
    kind: str
    body: Mapping[str, object]
    created_at: datetime
    incident_id: str | None = None
    schema: int = SCHEMA
    seq: int = 0
    state: MessageState = MessageState.WAITING
    code: str | None = None
    reason: str | None = None


# --- the directory in common -----------------------------------------------------------------------------


class ShareRight(StrEnum):
    """What the other hub may do with what we share. A lower tier is never given COMMAND of an upper's (`check_order`)."""

    CALL = "call"
    SEE = "see"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What of ours a peer may address: `subject` is an endpoint (`radio:r12`, `room:…`), a responder (`responder:ID`) or a department
    (`unit:ID`). `peer` «*»: all of them."""

    id: str
    peer: str
    subject: str
    label: str
    rights: frozenset[ShareRight]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a peer shares with us, as it last said. `endpoint` is set for what can be called or seen, with the hub's name in it
    (`radio:r12@street-a`)."""

    peer: str
    subject: str
    label: str
    rights: frozenset[ShareRight]
    updated_at: datetime
    endpoint: Endpoint | None = None
    unit: str | None = None
    online: bool = False

    @property
    def address(self) -> str:
        return f"{self.subject}@{self.peer}"
