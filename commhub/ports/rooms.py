"""How an edge that speaks WHIP or WHEP gets somebody into a room (会议), and what rooms gets from that edge.

An edge knows offers, answers and tokens; who may come in, as whom, and what of a room they may send, see and hear is
decided by `RoomsIn`. The order of things for one offer:

1. the edge reads the credentials: a room token (`RoomToken`, signed by the edge's `RoomTokens`), or a principal;
2. `RoomsIn.admit` decides. Nothing is counted as begun yet;
3. when the offer has sound and the admission allows it, `RoomsIn.seat` gives the participant's leg (`room:PARTICIPANT_ID`)
   in the room's call; the driver of that leg (`gateways/webrtc`) connects it when the sound is there;
4. the edge has the picture engine answer, and says `RoomsIn.session_opened`: from then on the session is a row;
5. its end is `RoomsIn.session_closed` (a DELETE), or `VideoIn.session_lost` from the engine.

All of it raises `commhub.domain.errors`: NotFoundError for a room, source or session nobody has or that is over, NotAllowedError
for what a token or a role does not allow (revoked invitations, a locked room), ConflictError when a limit is reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from commhub.domain.account import Principal
from commhub.ports.video import Layer


class RoomRight(StrEnum):
    """What a token allows in its room. HOST includes the other two."""

    PUBLISH = "publish"
    VIEW = "view"
    HOST = "host"


CAMERA = "camera"
SCREEN = "screen"
"""What a publisher calls its own sources; any other name is a source's id, for example a body camera's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomToken:
    """What a room token says. `id` is the maker's name for it, by which it can be revoked (an invitation); with `participant_id`
    it admits as that participant, with `source_id` or `layer` to nothing else than that. `expires_at` is in seconds of
    Unix time, `made_by` the actor who is answerable."""

    id: str
    room_id: str
    rights: tuple[RoomRight, ...]
    expires_at: int
    made_by: str
    participant_id: str | None = None
    source_id: str | None = None
    layer: Layer | None = None

    def allows(self, right: RoomRight) -> bool:
        return right in self.rights or RoomRight.HOST in self.rights


class RoomTokens(Protocol):
    """Makes room tokens, for guest links, encoders and cameras. They are stored nowhere."""

    def sign(self, token: RoomToken) -> str:
        """The token as text, for `Authorization: Bearer` or the fragment of a link."""
        ...

    def read(self, text: str) -> RoomToken | None:
        """The token, when we signed it and its time is not over; None for anything else."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Somebody's offer to publish into a room, or to view. Either a `token` (read and in time, but perhaps revoked, and of
    whichever room) or a `principal`. `source` is CAMERA, SCREEN or a source's id for who publishes, a source's id or SPEAKER
    for who views; `layer` what a publisher sends as one stream, or the best a viewer wants."""

    room: str
    right: RoomRight
    source: str
    token: RoomToken | None = None
    principal: Principal | None = None
    layer: Layer = Layer.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who comes in. `waiting`: not yet, they are in the waiting room (等候室), and nothing else here counts until the host lets them
    in. `source_id` is what the picture engine calls the source (SPEAKER stays SPEAKER). `layer` is what is published, or
    the best a viewer gets. `own_sound`: the picture's own sound goes with it to whoever watches, and there is no other. With none
    of `may_talk`, `may_hear` and `own_sound` there is no sound."""

    room_id: str
    participant_id: str
    name: str
    source_id: str
    layer: Layer = Layer.MAIN
    may_talk: bool = False
    may_hear: bool = False
    own_sound: bool = False
    is_screen: bool = False
    max_kbps: int = 8_000
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The participant's leg, endpoint `room:PARTICIPANT_ID`, in the room's call."""

    call_id: str
    leg_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSession:
    """One WHIP or WHEP resource. `leg_id` is the leg whose sound it carries, if any: a participant's sessions share one."""

    session_id: str
    room_id: str
    participant_id: str
    right: RoomRight
    source_id: str
    layer: Layer = Layer.MAIN
    leg_id: str | None = None


class RoomsIn(Protocol):
    """What rooms decides and keeps for the edge. Orders about sessions are idempotent."""

    async def is_room(self, room: str) -> bool:
        """Whether this is the id of a room, live or over; what else comes to /whip is a leg's id."""
        ...

    async def admit(self, asking: Asking) -> Admission:
        """Decide, and make the participant and its source known. Asking again gives the same participant."""
        ...

    async def seat(self, room_id: str, participant_id: str) -> Seat:
        """The participant's live leg in the room's call; a new one, placed by its driver, when there is none."""
        ...

    async def session_opened(self, session: RoomSession) -> None:
        """The far end has its answer; the session is a row from now on. Said again after a restart of its ICE, and when a view
        shows another source or layer."""
        ...

    async def session_closed(self, session_id: str, reason: str) -> None:
        """The far end said goodbye (`left`), or nothing came of it. Unknown ones are fine."""
        ...

    async def find_session(self, session_id: str) -> RoomSession:
        """Raises NotFoundError for one that is over."""
        ...

    async def sessions_of(self, leg_id: str) -> Sequence[RoomSession]:
        """The live sessions that carry the leg's sound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomPicture:
    """What of the picture of a phone's leg there is to be in the room its call belongs to. `source_id` is what the picture engine
    calls it. `waits`: its participant is in the waiting room (等候室), so nothing is shown either way. `may_show` False: it
    only looks."""

    room_id: str
    participant_id: str
    source_id: str
    waits: bool = False
    may_show: bool = True


class RoomPictures(Protocol):
    """What rooms decide and keep of the pictures of phones (SIP video). The session has the leg's id."""

    async def picture_of(self, leg_id: str) -> RoomPicture | None:
        """None for a leg that is no participant's of an open meeting (not yet, or not any more)."""
        ...

    async def picture_agreed(self, leg_id: str, picture: RoomPicture, *, sends: bool) -> None:
        """Both sides have agreed to it; said again after every change. `sends` False: the far end shows nothing."""
        ...

    async def picture_over(self, leg_id: str, reason: str) -> None:
        """There is none any more. Unknown ones are fine."""
        ...
