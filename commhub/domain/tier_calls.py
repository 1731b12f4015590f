"""Calls between hubs: the leg of one that is a call of the other, and who may have a terminal both can call (双接入). Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from commhub.domain.people import Endpoint, Scheme
from commhub.domain.tier import Relation

SHARES_ITSELF: Final = frozenset({Scheme.RADIO, Scheme.ROOM})
"""What takes part in several calls at once: a talk group, whose floor decides who is heard, and a room."""


class CallWeight(StrEnum):
    """How much a call may ask for, the heaviest last. A phone's own call is ORDINARY."""

    ORDINARY = "ordinary"
    DISPATCHER = "dispatcher"
    EMERGENCY = "emergency"

    @property
    def rank(self) -> int:
        return list(CallWeight).index(self)


EMERGENCY_LEVEL: Final = 1
"""Calls about an incident of this level (特别重大) are emergencies."""


def weight_of(placed_by: str, level: int | None) -> CallWeight:
    """A call's weight, by who placed it (`user:li`, `phone:1001`) and the level of its incident."""
    if level is not None and level <= EMERGENCY_LEVEL:
        return CallWeight.EMERGENCY
    return CallWeight.DISPATCHER if placed_by.startswith("user:") else CallWeight.ORDINARY


@dataclass(frozen=True, slots=True)
class Claim:
    """One call's claim to a terminal of this hub. `of` is what the hub whose call it is is to us, None: it is ours."""

    weight: CallWeight
    of: Relation | None = None


_RANKS = {Relation.LOWER: 0, None: 1, Relation.UPPER: 2}


def takes_over(asking: Claim, holding: Claim) -> bool:
    """Whether a terminal that talks in a call is taken from it. An emergency takes it from anything less; a dispatcher from
    a call of a hub below, or an ordinary one of the same; a lower hub takes nothing of ours, and nobody what is as heavy and as high."""
    if asking.weight is CallWeight.ORDINARY or asking.of is Relation.LOWER:
        return False
    emergency = asking.weight is CallWeight.EMERGENCY, holding.weight is CallWeight.EMERGENCY
    if emergency[0] != emergency[1]:
        return emergency[0]
    above, below = _RANKS[asking.of], _RANKS[holding.of]
    return above > below or (above == below and asking.weight.rank > holding.weight.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLeg:
    """A neighbour's call in a call of ours: `leg_id` is our leg to their hub, `their_leg` the leg of theirs that it is the other end
    of, `endpoint` what of ours they asked for. It stays on record when the call is over."""

    leg_id: str
    peer: str
    their_leg: str
    endpoint: Endpoint
    weight: CallWeight
    agreed_at: datetime
    by: str
