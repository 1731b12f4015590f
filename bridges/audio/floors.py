"""The floors of all radio groups: `domain.floor` decides, here its effects become messages.

A floor's talker is told by a talk id that comes with the grant and stands in each of its frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from bridges.audio.airwaves import Air
from bridges.audio.calls import CallState
from bridges.audio.config import AudioConfig
from bridges.audio.counts import Counts
from bridges.audio.events import FloorAnswer, FloorMoved, FloorState, Output
from bridges.audio.mixer import QUIETEST_DBOV, Totals
from bridges.audio.roster import Roster
from bridges.audio.vox import Vox
from commhub.domain import floor as arbiter
from commhub.domain.device import is_safe_id
from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError, UnavailableError
from commhub.domain.floor import (
    Denied,
    Floor,
    FloorCause,
    FloorEffect,
    FloorStep,
    Granted,
    Idle,
    Priority,
    Queued,
    Revoked,
    Taken,
)
from commhub.ports.media import PLAIN, FloorAction, LegShape, RadioStanding

log = structlog.get_logger(__name__)

MAX_GROUPS = 1024
RADIO = "radio:"
CALL = "call:"
_PRIORITIES = {"normal": Priority.NORMAL, "emergency": Priority.EMERGENCY}


@dataclass(slots=True, eq=False)
class Member:
    """A call in a group. `legs` are the ids of the legs by which it joined, usually one. `told_to_stop`: its floor
    was taken away, so its phones must fall silent before their voice keys the group again. `said` is what the group says to the
    call in this tick, shaped by `shape`."""

    call: CallState
    vox: Vox
    legs: set[str] = field(default_factory=set)
    key_down: bool = False
    ask_at: float = 0.0
    told_to_stop: bool = False
    shape: LegShape = PLAIN
    said: Totals | None = None
    received: int = 0
    sent: int = 0
    level: float = QUIETEST_DBOV

    @property
    def participant(self) -> str:
        return CALL + self.call.call_id


@dataclass(slots=True, eq=False)
class Group:
    """`air` is the voice on the air, while a call is there to hear it.
    `heard_at` is when the talker was last heard,
    `playing` is the talk id of the radio that was last on the air."""

    floor: Floor
    talk_id: int
    members: dict[str, Member] = field(default_factory=dict)
    air: Air | None = None
    heard_at: float = 0.0
    playing: int | None = None

    @property
    def name(self) -> str:
        return self.floor.group


class Floors:
    """Groups by name, made at their first use. `out` lists collect what there is to tell."""

    def __init__(self, config: AudioConfig, counts: Counts, first_talk_id: int) -> None:
        self._config = config
        self._counts = counts
        self._first_talk_id = first_talk_id
        self._roster = Roster()
        self.groups: dict[str, Group] = {}

    def open(self, name: str, out: list[Output]) -> Group:
        """The group. A new one's state is published, over what a dead worker may have left retained.

        Raises InvalidError for an unsafe name, UnavailableError when there are too many.
        """
        group = self.groups.get(name)
        if group is None:
            if not is_safe_id(name):
                raise InvalidError("a group's name is letters, digits, dot, dash and underscore")
            self._make_room()
            floor = Floor(group=name, talk_limit_s=self._config.talk_limit_s)
            group = self.groups[name] = Group(floor, self._first_talk_id)
            out.append(FloorState(name, {"state": "idle"}))
        return group

    def ask(
        self, group: Group, participant: str, priority: Priority, now: float, out: list[Output]
    ) -> None:
        self._apply(group, arbiter.request(group.floor, participant, priority, now), now, out)

    def give_back(self, group: Group, participant: str, now: float, out: list[Output]) -> None:
        """The participant releases the floor, leaves the queue, or both by leaving altogether."""
        self._apply(group, arbiter.release(group.floor, participant, now), now, out)

    def device_message(
        self, device_id: str, message: Mapping[str, object], now: float, out: list[Output]
    ) -> None:
        """{"op": "request"|"release", "group": …, "priority"?: "normal"|"emergency"}; else counted and logged."""
        try:
            op, name, priority = _read(message)
            group = self.open(name, out)
        except (InvalidError, UnavailableError) as error:
            log.warning("floor_message_refused", device=device_id, reason=str(error))
            self._counts.radio_malformed += 1
            return
        participant = RADIO + device_id
        if op == "release":
            self.give_back(group, participant, now, out)
        elif self._roster.is_member(device_id, group.name):
            self.ask(group, participant, self._roster.priority(device_id, priority), now, out)
        else:
            self._counts.floor_strangers += 1
            self._tell(group, Denied(participant, FloorCause.NOT_MEMBER), now, out)

    def device_left(self, device_id: str, now: float, out: list[Output]) -> None:
        for group in self.groups.values():
            self._apply(group, arbiter.leave(group.floor, RADIO + device_id, now), now, out)

    def enroll(
        self, radios: Sequence[RadioStanding], whole: bool, now: float, out: list[Output]
    ) -> None:
        """Who is who from now on: strangers lose their floors and places, an SOS that opened is heard first."""
        self._roster.update(radios, whole)
        emergencies = {RADIO + device for device in self._roster.emergencies()}
        for group in self.groups.values():
            for participant in _participants(group.floor):
                device_id = participant.removeprefix(RADIO)
                if participant in emergencies:
                    step = arbiter.promote(group.floor, participant, Priority.EMERGENCY, now)
                    self._apply(group, step, now, out)
                elif not self._roster.is_member(device_id, group.name):
                    self.revoke(group, participant, FloorCause.NOT_MEMBER, now, out)

    def command(
        self, name: str, action: FloorAction, participant: str | None, now: float, out: list[Output]
    ) -> None:
        """The desk's own hand. Raises NotFoundError, NotAllowedError, InvalidError."""
        group = self.groups.get(name)
        if group is None:
            raise NotFoundError("nobody has used this group's floor", group=name)
        if action is FloorAction.REVOKE:
            loser = participant or group.floor.talker
            if loser is not None:
                self.revoke(group, loser, FloorCause.DISPATCHER, now, out)
            return
        if participant is None or not participant.startswith(RADIO):
            raise InvalidError("the floor is given to a radio; a call takes it with its key")
        if not self._roster.is_member(participant.removeprefix(RADIO), name):
            raise NotAllowedError("this radio is no member of the group", group=name)
        self._apply(group, arbiter.grant(group.floor, participant, now), now, out)

    def revoke(
        self, group: Group, participant: str, cause: FloorCause, now: float, out: list[Output]
    ) -> None:
        """Take the floor or the place in the queue away."""
        self._apply(group, arbiter.revoke(group.floor, participant, cause, now), now, out)

    def advance(self, now: float, out: list[Output]) -> None:
        """Let time pass: the talk limit, and radios that have the floor and say nothing (TS 24.380 T1)."""
        for group in self.groups.values():
            self._apply(group, arbiter.advance(group.floor, now), now, out)
            talker = group.floor.talker
            quiet_s = now - group.heard_at
            if talker and talker.startswith(RADIO) and quiet_s > self._config.talker_silence_s:
                floor, effects = arbiter.leave(group.floor, talker, now)
                self._apply(group, (floor, (Revoked(talker, FloorCause.LEFT), *effects)), now, out)

    def _make_room(self) -> None:
        if len(self.groups) < MAX_GROUPS:
            return
        for group in self.groups.values():
            if not group.members and group.floor.talker is None:
                del self.groups[group.name]
                return
        raise UnavailableError("this media worker has no room for another radio group")

    def _apply(self, group: Group, step: FloorStep, now: float, out: list[Output]) -> None:
        before = group.floor.queue
        group.floor, effects = step
        if any(isinstance(effect, Taken) for effect in effects):
            group.talk_id = (group.talk_id + 1) & 0xFFFFFFFF
            group.heard_at = now
        for effect in effects:
            self._tell(group, effect, now, out)
        if group.floor.queue != before and not any(isinstance(e, Taken | Idle) for e in effects):
            out.append(_moved(group, "queue", group.floor.talker))

    def _tell(self, group: Group, effect: FloorEffect, now: float, out: list[Output]) -> None:
        name = group.name
        grant = {"talk_id": group.talk_id, "limit_s": round(group.floor.until - now, 3)}
        match effect:
            case Granted(participant):
                _answer(name, participant, {"op": "granted", **grant}, out)
            case Denied(participant, cause):
                _answer(name, participant, {"op": "denied", "cause": cause.value}, out)
            case Queued(participant, position):
                _answer(name, participant, {"op": "queued", "position": position}, out)
            case Revoked(participant, cause):
                _answer(name, participant, {"op": "revoked", "cause": cause.value}, out)
                _stop(group, participant, cause)
                out.append(_moved(group, "revoked", participant, cause.value))
            case Taken(talker):
                out.append(FloorState(name, {"state": "taken", "talker": talker, **grant}))
                out.append(_moved(group, "taken", talker))
            case Idle():
                out.append(FloorState(name, {"state": "idle"}))
                out.append(_moved(group, "idle", None))


def _moved(group: Group, event: str, talker: str | None, cause: str | None = None) -> FloorMoved:
    queue = tuple(waiting.participant for waiting in group.floor.queue)
    return FloorMoved(group.name, event, talker, tuple(group.members), cause, queue)


def _participants(floor: Floor) -> list[str]:
    """The radios that talk or wait."""
    everybody = [floor.talker, *(waiting.participant for waiting in floor.queue)]
    return [one for one in everybody if one is not None and one.startswith(RADIO)]


def _stop(group: Group, participant: str, cause: FloorCause) -> None:
    """A call that talked too long, or was told to stop, must let go before it keys again; one that was only
    interrupted goes on afterwards."""
    member = group.members.get(participant.removeprefix(CALL))
    if member is not None and cause is not FloorCause.PREEMPTED:
        member.key_down = False
        member.told_to_stop = True


def _read(message: Mapping[str, object]) -> tuple[str, str, Priority]:
    """Operation, group and priority. Raises InvalidError."""
    op, name = message.get("op"), message.get("group")
    priority = _PRIORITIES.get(str(message.get("priority", "normal")))
    if not isinstance(name, str) or op not in {"request", "release"} or priority is None:
        raise InvalidError("no floor message")
    return str(op), name, priority


def _answer(group: str, participant: str, message: Mapping[str, object], out: list[Output]) -> None:
    """Radios are told; a call's floor shows in `FloorMoved`."""
    if participant.startswith(RADIO):
        device_id = participant.removeprefix(RADIO)
        out.append(FloorAnswer(device_id, {**message, "group": group}))
