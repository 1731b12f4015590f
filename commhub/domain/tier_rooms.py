"""Rooms in common (级联): a meeting that two hubs have joined, whose pictures come and go over the peering between them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from commhub.domain.errors import IllegalMoveError
from commhub.domain.tier import Relation

MAX_HOPS: Final = 4
"""Hubs a picture may pass: community, street, district, city, and one above."""


class CascadeState(StrEnum):
    """ASKED until the other hub has its half of the room; DOWN while the link is."""

    ASKED = "asked"
    JOINED = "joined"
    DOWN = "down"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomCascade:
    """级联: our room joined with a peer's. `their_room` is its id there, `participant_id` as whom the peer takes part in ours. `hubs` are
    those whom the join brings into the room: the peer, and who is joined with it beyond; `beyond` whom the peer is still to be told to invite, one
    behind the other. `reason` says why it is not JOINED."""

    room_id: str
    peer: str
    relation: Relation
    state: CascadeState
    created_at: datetime
    created_by: str
    their_room: str | None = None
    participant_id: str | None = None
    hubs: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def goes_on(self) -> bool:
        return self.state is not CascadeState.ENDED

    @property
    def is_to_be_asked(self) -> bool:
        """Whether the peer has not answered yet: at all, or whom it was to invite."""
        is_there = self.state is CascadeState.JOINED
        return self.state is CascadeState.ASKED or (is_there and bool(self.beyond))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSource:
    """A source of another hub in a room of ours. `origin` is its name over all hubs (`HUB/SOURCE_ID`), `via` the hubs it passed, the origin
    first; `wanted` the layer we asked the peer for, None: nothing flows. `refused` is why the peer does not send it."""

    source_id: str
    room_id: str
    peer: str
    origin: str
    via: tuple[str, ...]
    their_source: str
    wanted: int | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """A source of ours that flows to a peer (`platform:NAME`: to a platform): one push, however many watch there. Its id is the push's
    session at the picture engine. `layer` is what was asked for, `sent` what the way there has room for (None: nothing), which
    takes about `kbps` of it."""

    id: str
    room_id: str
    source_id: str
    peer: str
    url: str
    layer: int
    asked_at: datetime
    sent: int | None = None
    kbps: int = 0
    error: str | None = None


def check_via(via: tuple[str, ...], us: str) -> tuple[str, ...]:
    """The way of a source with us at its end. Raises IllegalMoveError for a loop, or when it came too far."""
    if us in via:
        raise IllegalMoveError("this picture has passed here already: a loop", via=list(via))
    if len(via) >= MAX_HOPS:
        raise IllegalMoveError(f"this picture has passed {len(via)} hubs already", via=list(via))
    return (*via, us)
