"""The floors of all radio groups: `domain.floor` decides, here its effects become messages.

A floor's talker is told by a talk id that comes with the grant and stands in each of its frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from bridges.audio.calls import CallState
from bridges.audio.config import AudioConfig
from bridges.audio.counts import Counts
from bridges.audio.events import FloorAnswer, FloorMoved, FloorState, Output
from bridges.audio.mixer import QUIETEST_DBOV
from bridges.audio.vox import Vox
from commhub.domain import floor as arbiter
from commhub.domain.device import is_safe_id
from commhub.domain.errors import InvalidError, UnavailableError
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

log = structlog.get_logger(__name__)

MAX_GROUPS = 1024
RADIO = "radio:"
CALL = "call:"
_PRIORITIES = {"normal": Priority.NORMAL, "emergency": Priority.EMERGENCY}


@dataclass(slots=True, eq=False)
class Member:
    """A call in a group. `legs` are the ids of the legs by which it joined, usually one."""

    call: CallState
    vox: Vox
    legs: set[str] = field(default_factory=set)
    key_down: bool = False
    ask_at: float = 0.0
    muted: bool = False
    received: int = 0
    sent: int = 0
    level: float = QUIETEST_DBOV

    @property
    def participant(self) -> str:
        return CALL + self.call.call_id


@dataclass(slots=True, eq=False)
class Group:
    """`air` is the leg row and call index of the voice on the air, while a call is there to hear it.
    `heard_at` is when the talker was last heard, `sequence` numbers the frames of a call that talks,
    `playing` is the talk id of the radio that was last on the air."""

    floor: Floor
    talk_id: int
    members: dict[str, Member] = field(default_factory=dict)
    air: tuple[int, int] | None = None
    heard_at: float = 0.0
    sequence: int = 0
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
        if op == "request":
            self.ask(group, RADIO + device_id, priority, now, out)
        else:
            self.give_back(group, RADIO + device_id, now, out)

    def device_left(self, device_id: str, now: float, out: list[Output]) -> None:
        for group in self.groups.values():
            self._apply(group, arbiter.leave(group.floor, RADIO + device_id, now), now, out)

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
        group.floor, effects = step
        if any(isinstance(effect, Taken) for effect in effects):
            group.talk_id = (group.talk_id + 1) & 0xFFFFFFFF
            group.sequence = 0
            group.heard_at = now
        for effect in effects:
            self._tell(group, effect, now, out)

    def _tell(self, group: Group, effect: FloorEffect, now: float, out: list[Output]) -> None:
        name, calls = group.name, tuple(group.members)
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
                out.append(FloorMoved(name, "revoked", participant, calls))
            case Taken(talker):
                out.append(FloorState(name, {"state": "taken", "talker": talker, **grant}))
                out.append(FloorMoved(name, "taken", talker, calls))
            case Idle():
                out.append(FloorState(name, {"state": "idle"}))
                out.append(FloorMoved(name, "idle", None, calls))


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
