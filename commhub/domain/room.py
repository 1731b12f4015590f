"""Room (会议): people, phones, radios and cameras that see and hear each other, bound to an incident or free.

A room *has* a call, in which all its sound is mixed; its pictures are sources (画面源). A participant (参会方) stays the same
over all comings and goings; what of the outside carries it at a moment is a leg of the call and the sessions of the
picture engine. Legal moves are the tables below, as for incidents and legs.
"""

import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from commhub.domain.errors import IllegalMoveError, InvalidError
from commhub.domain.people import Endpoint, Scheme


class RoomMode(StrEnum):
    """MEETING is people who talk. WALL (视频墙) and LIVE (a camera's live view) are pictures to look at: nobody waits, and
    who looks is on the audit, not on the timeline."""

    MEETING = "meeting"
    WALL = "wall"
    LIVE = "live"


class RoomState(StrEnum):
    """ENDED is for ever: who wants to meet again opens another room."""

    OPEN = "open"
    ENDED = "ended"


class ParticipantKind(StrEnum):
    """What a participant is to us. TIER is another hub."""

    USER = "user"
    GUEST = "guest"
    PHONE = "phone"
    RADIO = "radio"
    CAMERA = "camera"
    TIER = "tier"


class RoomRole(StrEnum):
    """HOST (主持人) controls the room, PRESENTER speaks and shows, VIEWER hears and sees."""

    HOST = "host"
    PRESENTER = "presenter"
    VIEWER = "viewer"


class ParticipantState(StrEnum):
    """INVITED may come, WAITING is in the waiting room (等候室), JOINED is there, LEFT may come back, REMOVED may not."""

    INVITED = "invited"
    WAITING = "waiting"
    JOINED = "joined"
    LEFT = "left"
    REMOVED = "removed"


class SourceKind(StrEnum):
    """Where a picture comes from."""

    CAMERA = "camera"
    SCREEN = "screen"
    BODYCAM = "bodycam"
    SIP = "sip"
    RTSP = "rtsp"
    TIER = "tier"


class SourceState(StrEnum):
    """IDLE sends nothing and can be started, STARTING was asked to send, LIVE is seen, ENDED is history."""

    IDLE = "idle"
    STARTING = "starting"
    LIVE = "live"
    ENDED = "ended"


class SessionRight(StrEnum):
    """What one session of the picture engine carries."""

    PUBLISH = "publish"
    VIEW = "view"


_P, _S = ParticipantState, SourceState

PARTICIPANT_MOVES: dict[ParticipantState, frozenset[ParticipantState]] = {
    _P.INVITED: frozenset({_P.WAITING, _P.JOINED, _P.LEFT, _P.REMOVED}),
    _P.WAITING: frozenset({_P.INVITED, _P.JOINED, _P.LEFT, _P.REMOVED}),
    _P.JOINED: frozenset({_P.LEFT, _P.REMOVED, _P.WAITING}),
    _P.LEFT: frozenset({_P.JOINED, _P.WAITING, _P.INVITED, _P.REMOVED}),
    # Only the host's word brings somebody back.
    _P.REMOVED: frozenset({_P.INVITED}),
}

SOURCE_MOVES: dict[SourceState, frozenset[SourceState]] = {
    _S.IDLE: frozenset({_S.STARTING, _S.LIVE, _S.ENDED}),
    _S.STARTING: frozenset({_S.LIVE, _S.IDLE, _S.ENDED}),
    _S.LIVE: frozenset({_S.IDLE, _S.STARTING, _S.ENDED}),
    # A participant who comes back shows the same camera again; another hub's is idle until somebody here looks.
    _S.ENDED: frozenset({_S.IDLE, _S.STARTING, _S.LIVE}),
}

_KINDS = {
    Scheme.SIP: ParticipantKind.PHONE,
    Scheme.TEL: ParticipantKind.PHONE,
    Scheme.RADIO: ParticipantKind.RADIO,
    Scheme.CAMERA: ParticipantKind.CAMERA,
    Scheme.DESK: ParticipantKind.USER,
    Scheme.WECOM: ParticipantKind.GUEST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """`number` is what people call it by; `dial` what they dial for it, with the hub's prefix, as long as the room is open. `locked`: nobody new comes in. `lobby`: who is no host waits to be let in. `spotlight` is the source that
    SPEAKER shows. `device` is the camera whose standing live view this is. `end_proposed_at`: its incident was closed.
    `recording`: every source is recorded as long as it is live."""

    id: str
    number: str
    name: str
    created_at: datetime
    created_by: str
    dial: str | None = None
    mode: RoomMode = RoomMode.MEETING
    state: RoomState = RoomState.OPEN
    incident_id: str | None = None
    call_id: str | None = None
    device: str | None = None
    locked: bool = False
    lobby: bool = False
    drill: bool = False
    recording: bool = False
    spotlight: str | None = None
    end_proposed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.state is RoomState.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """`account` is the actor (`user:li`) who signs in as this one, `endpoint` the address that is rung as this one. `admitted`:
    the waiting room is behind them. `sound_muted` and `picture_muted` are the host's word. `leg_id` is its leg of the
    room's call; `present_s` the seconds of all its visits that are over."""

    id: str
    room_id: str
    kind: ParticipantKind
    name: str
    created_at: datetime
    role: RoomRole = RoomRole.PRESENTER
    state: ParticipantState = ParticipantState.INVITED
    account: str | None = None
    endpoint: Endpoint | None = None
    unit_id: str | None = None
    admitted: bool = False
    hand_raised: bool = False
    sound_muted: bool = False
    picture_muted: bool = False
    leg_id: str | None = None
    first_joined_at: datetime | None = None
    joined_at: datetime | None = None
    left_at: datetime | None = None
    present_s: float = 0.0

    def attended_s(self, now: datetime) -> float:
        """Seconds in the room so far."""
        here = self.state is ParticipantState.JOINED and self.joined_at is not None
        since = (now - self.joined_at).total_seconds() if here and self.joined_at else 0.0
        return round(self.present_s + since, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A picture in a room. `device` is the fleet's id of a body camera, `unit_id` the department it belongs to, `wanted_at` when
    somebody last watched it or asked for it: a camera that nobody watches is stopped some time after that."""

    id: str
    room_id: str
    participant_id: str
    kind: SourceKind
    label: str
    created_at: datetime
    state: SourceState = SourceState.IDLE
    codec: str | None = None
    layers: tuple[str, ...] = ()
    muted: bool = False
    device: str | None = None
    unit_id: str | None = None
    wanted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def comes_back(self) -> bool:
        """Whether it is ours to start again: a camera of the fleet, one that is pulled, one of another hub; others offer it
        anew."""
        return self.device is not None or self.kind in {SourceKind.RTSP, SourceKind.TIER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """One layer of a camera that the picture engine fetches by RTSP; its id is that of the session it makes. `url` may hold a password,
    so it is kept sealed (`kit.sealing`), in no repr, and forgotten with the source."""

    id: str
    room_id: str
    source_id: str
    url: str = field(repr=False)
    layer: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One WHIP or WHEP resource of a participant. `leg_id` is the leg whose sound it carries."""

    id: str
    room_id: str
    participant_id: str
    right: SessionRight
    source_id: str
    opened_at: datetime
    layer: int = 0
    leg_id: str | None = None
    closed_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """One guest link (邀请链接): to one participant, until it expires or is revoked. Its id is the token's."""

    id: str
    room_id: str
    participant_id: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    sent_to: str | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


S = TypeVar("S", bound=StrEnum)


def check(moves: dict[S, frozenset[S]], before: S, after: S, what: str) -> None:
    """Raises IllegalMoveError for a move no table has."""
    if after not in moves[before]:
        raise IllegalMoveError(f"a {what} that is {before} cannot become {after}", stage=before)


def move_participant(one: Participant, state: ParticipantState, at: datetime) -> Participant:
    """The participant in its new state, the same one when it is there already. Raises IllegalMoveError."""
    if one.state is state:
        return one
    check(PARTICIPANT_MOVES, one.state, state, "participant")
    match state:
        case ParticipantState.JOINED:
            first = one.first_joined_at or at
            return replace(one, state=state, admitted=True, first_joined_at=first, joined_at=at)
        case ParticipantState.LEFT | ParticipantState.REMOVED | ParticipantState.WAITING:
            gone = one.state is ParticipantState.JOINED
            return replace(
                one,
                state=state,
                present_s=one.attended_s(at),
                left_at=at if gone else one.left_at,
                hand_raised=False,
                admitted=one.admitted and state is ParticipantState.LEFT,
            )
        case _:
            return replace(one, state=state)


def move_source(source: Source, state: SourceState, at: datetime) -> Source:
    """The source in its new state, the same one when it is there already. Raises IllegalMoveError."""
    if source.state is state:
        return source
    check(SOURCE_MOVES, source.state, state, "source")
    live = state is SourceState.LIVE
    return replace(
        source,
        state=state,
        started_at=at if live else source.started_at,
        ended_at=at if state is SourceState.ENDED else None,
    )


def may_enter(room: Room, one: Participant) -> bool:
    """Whether the door is open for this participant: a locked room lets back in whoever was in it, and hosts."""
    if not room.is_open or one.state is ParticipantState.REMOVED:
        return False
    return not room.locked or one.role is RoomRole.HOST or one.first_joined_at is not None


def must_wait(room: Room, one: Participant) -> bool:
    """Whether the waiting room comes first."""
    return room.lobby and not one.admitted and one.role is not RoomRole.HOST


MAX_NAME = 64
_MARKS_IN_A_ROW = 2


def clean_name(text: str) -> str:
    """A name that a stranger chose, fit to stand beside others: composed (NFC), on one line, of what can be seen, and nothing that turns
    the direction of writing or climbs out of its line. Raises InvalidError when nothing is left, or more than MAX_NAME characters."""
    kept: list[str] = []
    marks = 0
    for sign in unicodedata.normalize("NFC", text):
        category = unicodedata.category(sign)
        marks = marks + 1 if category.startswith("M") else 0
        if sign.isspace():
            kept.append(" ")
        elif not category.startswith("C") and marks <= _MARKS_IN_A_ROW:
            kept.append(sign)
    name = " ".join("".join(kept).split())
    if not any(unicodedata.category(sign)[0] in "LN" for sign in name):
        raise InvalidError("a name has a letter or a digit")
    if len(name) > MAX_NAME:
        raise InvalidError(f"a name has at most {MAX_NAME} characters")
    return name


def kind_of(endpoint: Endpoint) -> ParticipantKind:
    """What somebody at this address is in a room."""
    return _KINDS.get(endpoint.scheme, ParticipantKind.TIER)
