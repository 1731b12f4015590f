"""Floor (话权): who may speak in a half-duplex group. Pure: state and event in, state and effects out.

The words are MCPTT's (3GPP TS 24.380 §6.3.4, floor control server). The hub is the only arbiter. A group's
talker is an endpoint (`radio:r12`) or a bridged call (`call:ID`), whose phones speak as one participant.

Who interrupts whom: a person who presses a key interrupts a phone that is keyed by voice detection alone;
the dispatcher interrupts anybody but an emergency; an emergency interrupts everybody. `revoke` and `grant` are
the desk's own hand: they ask nobody's priority, because a person has decided. Whoever lost the floor to the
talk-time limit or to the desk is barred for a moment, so that a key held down does not take it straight back.
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
    NOT_MEMBER = "not_member"
    DISPATCHER = "dispatcher"
    RETRY_AFTER = "retry_after"


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
    """`position` counts from 1. Told at the request, and again whenever it changes (TS 24.380 §8.2.11, Floor
    Queue Position Info)."""

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


@dataclass(frozen=True, slots=True)
class Barred:
    """Until `until` a request of this participant is denied, unless it is the dispatcher's or an emergency."""

    participant: str
    until: float


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
    barred: tuple[Barred, ...] = ()
    retry_after_s: float = 3.0


FloorStep = tuple[Floor, tuple[FloorEffect, ...]]


def _grant(floor: Floor, who: Waiting, now: float) -> FloorStep:
    until = now + floor.talk_limit_s
    granted = replace(
        floor,
        talker=who.participant,
        priority=who.priority,
        until=until,
        queue=_without(floor, who.participant),
        barred=tuple(b for b in floor.barred if b.participant != who.participant),
    )
    return granted, (Granted(who.participant, until), Taken(who.participant, until))


def _without(floor: Floor, participant: str) -> tuple[Waiting, ...]:
    return tuple(w for w in floor.queue if w.participant != participant)


def _interrupts(asking: Priority, talking: Priority) -> bool:
    return asking > talking and (talking is Priority.VOX or asking >= Priority.DISPATCHER)


def _pass_on(floor: Floor, now: float) -> FloorStep:
    if floor.queue:
        return _grant(floor, floor.queue[0], now)
    return replace(floor, talker=None, until=0.0), (Idle(),)


def _bar(floor: Floor, participant: str, now: float) -> Floor:
    others = tuple(b for b in floor.barred if b.participant != participant and b.until > now)
    return replace(floor, barred=(*others, Barred(participant, now + floor.retry_after_s)))


def _is_barred(floor: Floor, who: Waiting, now: float) -> bool:
    return who.priority < Priority.DISPATCHER and any(
        b.participant == who.participant and now < b.until for b in floor.barred
    )


def _enqueue(floor: Floor, who: Waiting) -> FloorStep:
    place = next((i for i, w in enumerate(floor.queue) if w.participant == who.participant), None)
    if place is not None and floor.queue[place].priority >= who.priority:
        # Who asks again keeps the place; an impatient key does not go to the end, and a phone whose key waits
        # is not told "busy" because its voice was heard as well.
        return floor, (Queued(who.participant, place + 1),)
    if who.priority is Priority.VOX:
        # Voice detection asks again with the next word; a queue of it would only be old.
        return floor, (Denied(who.participant, FloorCause.BUSY),)
    others = _without(floor, who.participant)
    if len(others) >= floor.queue_limit:
        return floor, (Denied(who.participant, FloorCause.QUEUE_FULL),)
    ahead = sum(1 for w in others if w.priority >= who.priority)
    queue = (*others[:ahead], who, *others[ahead:])
    return replace(floor, queue=queue), (Queued(who.participant, ahead + 1),)


def _tell_positions(before: Floor, step: FloorStep) -> FloorStep:
    """Add the new position of everybody who was waiting before and now waits at another place."""
    floor, effects = step
    was = {w.participant: place for place, w in enumerate(before.queue)}
    told = {effect.participant for effect in effects if isinstance(effect, Queued)}
    moved = tuple(
        Queued(w.participant, place + 1)
        for place, w in enumerate(floor.queue)
        if w.participant not in told and was.get(w.participant, place) != place
    )
    return floor, (*effects, *moved)


def request(floor: Floor, participant: str, priority: Priority, now: float) -> FloorStep:
    """Ask for the floor. Asking again while one has it renews nothing and answers the same grant; a higher
    priority counts from then on (a phone keyed by voice whose key the dispatcher then presses)."""
    return _tell_positions(floor, _request(floor, Waiting(participant, priority), now))


def _request(floor: Floor, who: Waiting, now: float) -> FloorStep:
    if floor.talker == who.participant:
        raised = replace(floor, priority=max(who.priority, floor.priority))
        return raised, (Granted(who.participant, floor.until),)
    if _is_barred(floor, who, now):
        return floor, (Denied(who.participant, FloorCause.RETRY_AFTER),)
    if floor.talker is None:
        return _grant(floor, who, now)
    if _interrupts(who.priority, floor.priority):
        loser = floor.talker
        floor, effects = _grant(floor, who, now)
        return floor, (Revoked(loser, FloorCause.PREEMPTED), *effects)
    return _enqueue(floor, who)


def promote(floor: Floor, participant: str, priority: Priority, now: float) -> FloorStep:
    """The hub has learnt that the participant's words weigh more (its SOS is open): a talker is no longer
    interrupted by less, and who waits moves forward or interrupts. Who neither talks nor waits asks nothing."""
    waits = any(w.participant == participant and w.priority < priority for w in floor.queue)
    if floor.talker == participant:
        return replace(floor, priority=max(priority, floor.priority)), ()
    return request(floor, participant, priority, now) if waits else (floor, ())


def release(floor: Floor, participant: str, now: float) -> FloorStep:
    """Give the floor back, or leave the queue. Releasing what one does not have changes nothing."""
    if floor.talker == participant:
        step = _pass_on(floor, now)
    else:
        step = replace(floor, queue=_without(floor, participant)), ()
    return _tell_positions(floor, step)


def leave(floor: Floor, participant: str, now: float) -> FloorStep:
    """The participant is gone (its last will, the end of its call)."""
    return release(floor, participant, now)


def revoke(floor: Floor, participant: str, cause: FloorCause, now: float) -> FloorStep:
    """Take the floor, or the place in the queue, away from a participant, whatever its priority, and bar it for
    a moment. Who has neither loses nothing."""
    if floor.talker == participant:
        after, effects = _pass_on(_bar(floor, participant, now), now)
        return _tell_positions(floor, (after, (Revoked(participant, cause), *effects)))
    if any(w.participant == participant for w in floor.queue):
        after = replace(_bar(floor, participant, now), queue=_without(floor, participant))
        return _tell_positions(floor, (after, (Denied(participant, cause),)))
    return floor, ()


def grant(floor: Floor, participant: str, now: float) -> FloorStep:
    """The desk gives the floor to a participant, waiting or not, whoever has it now and whatever its priority.
    It talks with the priority it waited with."""
    if floor.talker == participant:
        return floor, (Granted(participant, floor.until),)
    waited = next((w for w in floor.queue if w.participant == participant), None)
    after, effects = _grant(floor, waited or Waiting(participant, Priority.NORMAL), now)
    if floor.talker is not None:
        effects = (Revoked(floor.talker, FloorCause.DISPATCHER), *effects)
    return _tell_positions(floor, (after, effects))


def advance(floor: Floor, now: float) -> FloorStep:
    """Let time pass: at the talk-time limit the floor goes to the next in the queue, or idle."""
    if floor.talker is None or now < floor.until:
        return floor, ()
    return revoke(floor, floor.talker, FloorCause.TALK_LIMIT, now)
