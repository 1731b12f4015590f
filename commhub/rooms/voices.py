"""Who speaks in meetings, of those whose far end tells no levels: phones, radios, encoders. Implements `ports.inside.RoomVoices`.

The media engine hears them, the picture engine decides who is shown and tells of it as of anybody; here is only who
is whose. What is remembered is of the moment: after a restart the follower finds the legs again, and the next second tells
who speaks.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from commhub.domain.errors import DomainError
from commhub.domain.room import Participant, ParticipantState, SourceKind, SourceState
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store
from commhub.ports.video import VideoEngine
from commhub.rooms.legs import is_hub

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Voice:
    """A leg that is to be watched. `name` is what the picture engine was told of it, while and after it spoke."""

    room_id: str
    participant_id: str
    name: str | None = None
    speaks: bool = False
    is_watched: bool = False


def talkers(people: Iterable[Participant]) -> dict[str, str]:
    """The legs of those who are in the room, and whose each is. A hub's is that of all its people: it says itself who speaks."""
    return {
        one.leg_id: one.id
        for one in people
        if one.leg_id is not None and one.state is ParticipantState.JOINED and not is_hub(one)
    }


class Voices:
    """Those of all rooms."""

    def __init__(self, store: Store, media: MediaEngine, video: VideoEngine) -> None:
        self._store = store
        self._media = media
        self._video = video
        self._voices: dict[str, _Voice] = {}
        self.heard: Callable[[str, str, float | None], None] = lambda room_id, name, level: None
        """Told of a room, who speaks there and how loud, each second."""

    async def attend(self, room_id: str, talking: Mapping[str, str]) -> None:
        """These legs, and no others, are in the room now: have them watched. One that could not be is tried again the next
        time."""
        gone = [
            leg_id
            for leg_id, voice in self._voices.items()
            if voice.room_id == room_id and talking.get(leg_id) != voice.participant_id
        ]
        for leg_id in gone:
            voice = self._voices.pop(leg_id)
            if voice.name is not None:
                leaving = self._video.left(voice.room_id, voice.name)
                await _attempt("left", leg_id, leaving)
        for leg_id, participant_id in talking.items():
            # It may be heard before the order is answered.
            voice = self._voices.setdefault(leg_id, _Voice(room_id, participant_id))
            if not voice.is_watched:
                watching = self._media.watch(leg_id, True)
                voice.is_watched = await _attempt("watch", leg_id, watching)

    def engine_came(self) -> None:
        """A media worker came (back) and may have forgotten what was watched."""
        for voice in self._voices.values():
            voice.is_watched = False

    async def voice_heard(self, leg_id: str, level_dbov: float | None) -> None:
        """See `ports.inside.RoomVoices`."""
        voice = self._voices.get(leg_id)
        if voice is not None:
            await _attempt("voice", leg_id, self._tell(voice, level_dbov))

    async def _tell(self, voice: _Voice, level_dbov: float | None) -> None:
        if level_dbov is None and voice.name is None:
            return
        if not voice.speaks and level_dbov is not None:
            name = await self._name_of(voice)
            if voice.name not in (None, name):
                await self._video.left(voice.room_id, str(voice.name))
            voice.name = name
        voice.speaks = level_dbov is not None
        self.heard(voice.room_id, str(voice.name), level_dbov)
        await self._video.voice(voice.room_id, str(voice.name), level_dbov)

    async def _name_of(self, voice: _Voice) -> str:
        """The picture of whoever speaks; of one without a picture who they are."""
        async with self._store.read() as uow:
            sources = await uow.rooms.sources_of(voice.room_id)
        own = (
            source.id
            for source in sources
            if source.participant_id == voice.participant_id
            and source.state is SourceState.LIVE
            and source.kind is not SourceKind.SCREEN
        )
        return next(own, voice.participant_id)


async def _attempt(what: str, leg_id: str, work: Awaitable[None]) -> bool:
    """Whether it was done. Who speaks is of the moment: what fails is said again soon, and no call suffers."""
    try:
        await work
    except DomainError as error:
        log.info("voice_not_told", order=what, leg_id=leg_id, code=error.code, reason=str(error))
        return False
    return True
