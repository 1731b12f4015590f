"""Floor (话权): who may speak in a half-duplex group. Pure: state and event in, state and effects out.

The words are MCPTT's (3GPP TS 24.380 §6.3.4, floor control server). The hub is the only arbiter. A group's
talker is an endpoint (`radio:r12`) or a bridged call (`call:ID`), whose phones speak as one participant.

Who interrupts whom: a person who presses a key interrupts a phone that is keyed by voice detection alone;
the dispatcher interrupts anybody but an emergency; an emergency interrupts everybody.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Priority(IntEnum):
    """Floor priority, higher wins. VOX is a phone in a call: keyed by its voice, by nobody's hand."""

    VOX = 0
    NORMAL = 1
    DISPATCHER = 2
    EMERGENCY = 3


class FloorCause(StrEnum):
    """Why a request was denied or a floor revoked."""

    BUSY = "busy"
    QUEUE_FULL = "queue_full"
    PREEMPTED = "preempted"
    TALK_LIMIT = "talk_limit"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Granted:
    participant: str
    until: float


@dataclass(frozen=True, slots=True)
class Denied:
    participant: str
    cause: FloorCause


@dataclass(frozen=True, slots=True)
class Queued:
    """`position` counts from 1."""

    participant: str
    position: int


@dataclass(frozen=True, slots=True)
class Revoked:
    participant: str
    cause: FloorCause


@dataclass(frozen=True, slots=True)
class Taken:
    """Told to the whole group (and retained, for late entry)."""

    talker: str
    until: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Told to the whole group: nobody has the floor."""


FloorEffect = Granted | Denied | Queued | Revoked | Taken | Idle


@dataclass(frozen=True, slots=True)
class Waiting:
    participant: str
    priority: Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """`until` is the engine clock's time (seconds) at which the talk-time limit revokes the floor."""

    group: str
    talker: str | None = None
    priority: Priority = Priority.NORMAL
    until: float = 0.0
    queue: tuple[Waiting, ...] = ()
    talk_limit_s: float = 60.0
    queue_limit: int = 8


FloorStep = tuple[Floor, tuple[FloorEffect, ...]]


def _grant(floor: Floor, who: Waiting, now: float) -> FloorStep:
    until = now + floor.talk_limit_s
    rest = tuple(w for w in floor.queue if w.participant != who.participant)
    granted = replace(floor, talker=who.participant, priority=who.priority, until=until, queue=rest)
    return granted, (Granted(who.participant, until), Taken(who.participant, until))


def _interrupts(asking: Priority, talking: Priority) -> bool:
    return asking > talking and (talking is Priority.VOX or asking >= Priority.DISPATCHER)


def _pass_on(floor: Floor, now: float) -> FloorStep:
    if floor.queue:
        return _grant(floor, floor.queue[0], now)
    return replace(floor, talker=None, until=0.0), (Idle(),)


def _enqueue(floor: Floor, who: Waiting) -> FloorStep:
    if who.priority is Priority.VOX:
        # Voice detection asks again with the next word; a queue of it would only be old.
        return floor, (Denied(who.participant, FloorCause.BUSY),)
    place = next((i for i, w in enumerate(floor.queue) if w.participant == who.participant), None)
    if place is not None and floor.queue[place].priority >= who.priority:
        # Who asks again keeps the place; an impatient key does not go to the end.
        return floor, (Queued(who.participant, place + 1),)
    others = tuple(w for w in floor.queue if w.participant != who.participant)
    if len(others) >= floor.queue_limit:
        return floor, (Denied(who.participant, FloorCause.QUEUE_FULL),)
    ahead = sum(1 for w in others if w.priority >= who.priority)
    queue = (*others[:ahead], who, *others[ahead:])
    return replace(floor, queue=queue), (Queued(who.participant, ahead + 1),)


def request(floor: Floor, participant: str, priority: Priority, now: float) -> FloorStep:
    """Ask for the floor. Asking again while one has it renews nothing and answers the same grant; a higher
    priority counts from then on (a phone keyed by voice whose key the dispatcher then presses)."""
    who = Waiting(participant, priority)
    if floor.talker is None:
        return _grant(floor, who, now)
    if floor.talker == participant:
        raised = replace(floor, priority=max(priority, floor.priority))
        return raised, (Granted(participant, floor.until),)
    if _interrupts(priority, floor.priority):
        loser = floor.talker
        floor, effects = _grant(floor, who, now)
        return floor, (Revoked(loser, FloorCause.PREEMPTED), *effects)
    return _enqueue(floor, who)


def release(floor: Floor, participant: str, now: float) -> FloorStep:
    """Give the floor back, or leave the queue. Releasing what one does not have changes nothing."""
    if floor.talker == participant:
        return _pass_on(floor, now)
    queue = tuple(w for w in floor.queue if w.participant != participant)
    return replace(floor, queue=queue), ()


def leave(floor: Floor, participant: str, now: float) -> FloorStep:
    """The participant is gone (its last will, the end of its call)."""
    return release(floor, participant, now)


def advance(floor: Floor, now: float) -> FloorStep:
    """Let time pass: at the talk-time limit the floor goes to the next in the queue, or idle."""
    if floor.talker is None or now < floor.until:
        return floor, ()
    loser = floor.talker
    floor, effects = _pass_on(floor, now)
    return floor, (Revoked(loser, FloorCause.TALK_LIMIT), *effects)
