"""Call (通话) with Legs (通话方): one audio mix of unlike endpoints, a bridged call.

A leg fails alone: one busy phone does not end the call. A call ends when the desk ends it, when no leg is
left that a person could hang up, or when of two or more connected legs only one is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from commhub.domain.errors import IllegalMoveError
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.values import quick, replace


class LegState(StrEnum):
    """REQUESTED is a committed wish; CALLING has left the hub; RINGING came back from the far end."""

    REQUESTED = "requested"
    CALLING = "calling"
    RINGING = "ringing"
    CONNECTED = "connected"
    HELD = "held"
    ENDED = "ended"


class Cause(StrEnum):
    """Why a leg ended, in words a dispatcher can act on. The SIP status behind it is kept beside it."""

    HUNG_UP = "hung_up"
    CANCELLED = "cancelled"
    DESK = "desk"
    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    NO_COMMON_CODEC = "no_common_codec"
    MEDIA_LOST = "media_lost"
    TRANSFERRED = "transferred"
    PREEMPTED = "preempted"
    CALL_ENDED = "call_ended"
    FAILED = "failed"


class Entry(StrEnum):
    """How the desk enters a call: as one more who talks, into somebody else's talk (强插), only listening (监听), or
    heard by some alone (密语). The last three are interventions, and on record as such."""

    TALK = "talk"
    BARGE_IN = "barge_in"
    LISTEN = "listen"
    WHISPER = "whisper"


class Direction(StrEnum):
    """Who placed the leg, seen from the hub."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


LEG_MOVES: dict[LegState, frozenset[LegState]] = {
    LegState.REQUESTED: frozenset(
        {LegState.CALLING, LegState.RINGING, LegState.CONNECTED, LegState.ENDED}
    ),
    LegState.CALLING: frozenset({LegState.RINGING, LegState.CONNECTED, LegState.ENDED}),
    LegState.RINGING: frozenset({LegState.CONNECTED, LegState.ENDED}),
    LegState.CONNECTED: frozenset({LegState.HELD, LegState.ENDED}),
    LegState.HELD: frozenset({LegState.CONNECTED, LegState.ENDED}),
    LegState.ENDED: frozenset(),
}

TALKING = frozenset({LegState.CONNECTED, LegState.HELD})
# Groups that stay on the air whether anybody is in the call or not.
_NOBODY_HANGS_UP = frozenset({Scheme.RADIO})


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """`codec` is the RTP encoding name (RFC 3551) once media is agreed.

    `held` is the desk's hold: the leg neither hears nor is heard. (The state HELD is the far end's own.)
    `listen_only` hears all and is heard by nobody; `whispers_to` are the ids of the legs that alone hear it; `gain_db`
    −20…+20, with `auto_gain` its speech is brought to one level. `score` is how well it could be heard, once it ended.
    """

    id: str
    call_id: str
    endpoint: Endpoint
    created_at: datetime
    direction: Direction = Direction.OUTBOUND
    state: LegState = LegState.REQUESTED
    name: str | None = None
    codec: str | None = None
    muted: bool = False
    held: bool = False
    listen_only: bool = False
    whispers_to: tuple[str, ...] = ()
    gain_db: float = 0.0
    auto_gain: bool = False
    connected_at: datetime | None = None
    ended_at: datetime | None = None
    cause: Cause | None = None
    detail: str | None = None
    score: float | None = None

    @property
    def is_live(self) -> bool:
        return self.state is not LegState.ENDED


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`had_two` remembers that two legs were connected at once, so that a last one left ends the call.
    `recording_legs`: with the mixed recording, one of each leg. `line` is the duty line it came in on, or calls back;
    `room_id` the room whose sound this is: it lives as long as the room does, and who dials in is answered at once."""

    id: str
    created_at: datetime
    created_by: str
    incident_id: str | None = None
    title: str | None = None
    line: str | None = None
    room_id: str | None = None
    worker: str | None = None
    recording: bool = False
    recording_legs: bool = False
    had_two: bool = False
    ended_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        return self.ended_at is None


def move_leg(
    leg: Leg,
    state: LegState,
    at: datetime,
    *,
    cause: Cause | None = None,
    detail: str | None = None,
) -> Leg:
    """Return the leg in its new state; the same leg when it is there already (a retry).

    Raises IllegalMoveError, for example for a leg that ended.
    """
    if leg.state is state:
        return leg
    if state not in LEG_MOVES[leg.state]:
        raise IllegalMoveError(f"a leg that is {leg.state} cannot become {state}", stage=leg.state)
    return replace(
        leg,
        state=state,
        connected_at=leg.connected_at or (at if state is LegState.CONNECTED else None),
        ended_at=at if state is LegState.ENDED else None,
        cause=cause if state is LegState.ENDED else None,
        detail=detail or leg.detail,
    )


def is_over(call: Call, legs: Sequence[Leg]) -> bool:
    """Whether the call should end by itself, given all its legs. Who only listens keeps nobody on the line."""
    if call.room_id is not None:
        return False
    live = [leg for leg in legs if leg.is_live and not leg.listen_only]
    if _caller_is_gone(call, legs, live):
        return True
    if not any(leg.endpoint.scheme not in _NOBODY_HANGS_UP for leg in live):
        # A call of groups alone (a patch) lives until the desk ends it.
        return not live or any(leg.endpoint.scheme not in _NOBODY_HANGS_UP for leg in legs)
    if len(live) > 1:
        return False
    # Whoever called in and still hears ringing has nobody left to answer, unless a duty line's queue does.
    unanswered = live[0].direction is Direction.INBOUND and live[0].state not in TALKING
    return call.had_two or (unanswered and len(legs) > 1 and call.line is None)


def _caller_is_gone(call: Call, legs: Sequence[Leg], live: Sequence[Leg]) -> bool:
    """Whether whoever called in gave up before anybody was there to talk with: then nobody need be rung any more."""
    callers = [leg for leg in legs if leg.direction is Direction.INBOUND]
    if call.had_two or not callers or any(leg.is_live for leg in callers):
        return False
    return call.line is not None or not any(leg.state in TALKING for leg in live)
