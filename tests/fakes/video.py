"""A picture engine that forwards nothing and remembers its orders, and rooms that let in whom the test says."""

import itertools

from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError, UnavailableError
from commhub.ports.media import RtpAddress
from commhub.ports.rooms import Admission, RoomRight
from commhub.ports.video import Answered, VideoCodec, VideoStatus


class FakeVideo:
    """`sessions` are those it has, each with its last order; `placed` where the sound of each goes; `orders` all of them."""

    def __init__(self):
        self.sessions = {}
        self.placed = {}
        self.orders = []
        self.unavailable = False
        self.refuses = None
        self.agrees_to_sound = True
        self._ports = itertools.count(41_000)
        self._lines = {}
        self.plain = {}
        self.offered = {}
        self._plain_ports = itertools.count(42_000, 2)

    def _check(self):
        if self.unavailable:
            raise UnavailableError("no video worker is there")
        if self.refuses:
            raise InvalidError(self.refuses)

    async def publish(self, order, offer):
        return self._answer(order, offer)

    async def view(self, order, offer):
        return self._answer(order, offer)

    def _answer(self, order, offer):
        self._check()
        self.orders.append((type(order).__name__, order, offer))
        self.sessions[order.session_id] = order
        sound = order.sound if self.agrees_to_sound else None
        self.placed[order.session_id] = sound
        return Answered(
            sdp=f"v=0\r\no=- {len(self.orders)} 1 IN IP4 127.0.0.1\r\n",
            audio=sound.audio if sound else None,
            audio_from=self._from(sound),
            codec=VideoCodec.H264,
        )

    def _from(self, sound):
        if sound is None:
            return None
        port = self._lines.setdefault(sound.leg_id, next(self._ports))
        return RtpAddress("127.0.0.1", port)

    async def offer_push(self, order):
        self._check()
        self.orders.append(("offer_push", order))
        self.offered[order.session_id] = order
        return f"v=0\r\no=- {len(self.orders)} 1 IN IP4 127.0.0.1\r\n"

    async def push_answered(self, session_id, answer):
        self._check()
        if session_id not in self.offered:
            raise NotFoundError("no offer of this push waits for an answer")
        if not answer.startswith("v=0"):
            raise InvalidError("this is no session description (RFC 8866)")
        self.orders.append(("push_answered", session_id, answer))
        self.sessions[session_id] = self.offered.pop(session_id)

    async def offer_watch(self, order):
        self._check()
        self.orders.append(("offer_watch", order))
        self.offered[order.session_id] = order
        return f"v=0\r\no=- {len(self.orders)} 1 IN IP4 127.0.0.1\r\n"

    async def watch_answered(self, session_id, answer):
        await self.push_answered(session_id, answer)

    async def place_sound(self, session_id, sound):
        self._check()
        if session_id not in self.sessions:
            raise NotFoundError("no such session")
        self.placed[session_id] = sound
        return self._from(sound)

    async def show(self, session_id, source_id, best):
        self._check()
        if session_id not in self.sessions:
            raise NotFoundError("no such session")
        self.orders.append(("show", session_id, source_id, best))

    async def mute(self, source_id, muted):
        self._check()
        self.orders.append(("mute", source_id, muted))

    async def spotlight(self, room_id, source_id):
        self._check()
        self.orders.append(("spotlight", room_id, source_id))

    async def voice(self, room_id, source_id, level_dbov):
        self._check()
        self.orders.append(("voice", room_id, source_id, level_dbov))

    async def left(self, room_id, source_id):
        self._check()
        self.orders.append(("left", room_id, source_id))

    async def request_keyframe(self, source_id):
        self._check()
        self.orders.append(("request_keyframe", source_id))

    async def record(self, source_id, on):
        self._check()
        self.orders.append(("record", source_id, on))

    async def release(self, session_id):
        self._check()
        self.orders.append(("release", session_id))
        self.sessions.pop(session_id, None)
        self.plain.pop(session_id, None)
        self.offered.pop(session_id, None)

    async def reserve_plain(self, order):
        self._check()
        self.orders.append(("reserve_plain", order))
        self.sessions[order.session_id] = order
        return self.plain.setdefault(
            order.session_id, RtpAddress("127.0.0.1", next(self._plain_ports))
        )

    async def connect_plain(self, session_id, remote):
        self._check()
        if session_id not in self.plain:
            raise NotFoundError("no such session")
        self.orders.append(("connect_plain", session_id, remote))

    async def refresh(self, session_id):
        self._check()
        self.orders.append(("refresh", session_id))

    async def ingest(self, order):
        self._check()
        self.orders.append(("ingest", order))
        self.sessions[order.session_id] = order

    async def status(self):
        self._check()
        return VideoStatus(worker="fake", boot_id="1", sessions=tuple(self.sessions))


class FakeRooms:
    """Implements RoomsIn: one participant per token or account, seated in the call the test gives (`seats`: by participant)."""

    def __init__(self, *rooms):
        self.rooms = set(rooms)
        self.asked = []
        self.waiting = set()
        self.removed = set()
        self.sessions = {}
        self.closed = []
        self.seats = {}
        self.may_talk = self.may_hear = True
        self.make_seat = None

    async def is_room(self, room):
        return room in self.rooms

    async def admit(self, asking):
        self.asked.append(asking)
        if asking.room not in self.rooms:
            raise NotFoundError("no such room")
        if asking.token is not None and not asking.token.allows(asking.right):
            raise NotAllowedError("not with this token")
        who = asking.token.participant_id if asking.token else asking.principal.name
        if who in self.removed:
            raise NotAllowedError("you were removed")
        views = asking.right is RoomRight.VIEW
        return Admission(
            room_id=asking.room,
            participant_id=who,
            name=who,
            source_id=asking.source if views else f"{who}-{asking.source}",
            layer=asking.layer,
            may_talk=self.may_talk and not views,
            may_hear=self.may_hear,
            waiting=who in self.waiting,
        )

    async def seat(self, room_id, participant_id):
        if participant_id not in self.seats:
            self.seats[participant_id] = await self.make_seat(participant_id)
        return self.seats[participant_id]

    async def session_opened(self, session):
        if session.participant_id in self.removed:
            raise NotAllowedError("you were removed")
        self.sessions[session.session_id] = session

    async def session_closed(self, session_id, reason):
        if self.sessions.pop(session_id, None):
            self.closed.append((session_id, reason))

    async def find_session(self, session_id):
        if session_id not in self.sessions:
            raise NotFoundError("this session is over")
        return self.sessions[session_id]

    async def sessions_of(self, leg_id):
        return [one for one in self.sessions.values() if one.leg_id == leg_id]

    # commhub.ports.video.VideoIn, as far as sessions go ---------------------------------------------------------

    async def session_lost(self, session_id, reason):
        await self.session_closed(session_id, reason)

    async def engine_came(self, boot_id):
        self.boot_id = boot_id
