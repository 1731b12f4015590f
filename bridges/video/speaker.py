"""Who speaks in a room, from the levels that microphones send with their packets (RFC 6464), and the spotlight over it.
Phones, radios and encoders send none: of them the audio engine hears who speaks, and control passes it on (`told`).

A picture that jumps with every cough is worse than one that comes late. So a voice counts by how much of the last second it was
there, a new speaker must be clearly ahead of the present one, and everyone keeps the picture for a while. Silence changes nothing.
Levels in dBov (−127 is silence, 0 the loudest); times in seconds, monotonic.
"""

from collections import deque
from dataclasses import dataclass, field

_VOICE_DBOV = -50.0
_WINDOW_S = 1.0
_FRAME_S = 0.02
_ENOUGH_S = 0.3
"""Of voice in the window; a cough or a door is shorter."""
_AHEAD = 1.5
"""How much more voice than the present speaker's, weighted by loudness."""
_HOLD_S = 2.0
_SOURCES_LIMIT = 512
_TOLD_LASTS_S = 3.0
"""What was told is said again each second while it is true; so long it holds when whoever tells is gone."""
_LEVELS_LAST_S = 2.0
"""After its last packet with a level a microphone counts as one that sends none."""
_FORGOTTEN_AFTER_S = 60.0
"""A voice that was told of, and is not any more, by whoever should have said that it left."""


@dataclass(frozen=True, slots=True)
class _Told:
    """Speaks without a pause since then, as was last said `at`."""

    level: float
    since: float
    at: float


@dataclass(slots=True)
class _Voice:
    """The loud moments of one source in the last second; with no levels of its own, what was told of it."""

    moments: deque[tuple[float, float]] = field(default_factory=deque)
    last_at: float = 0.0
    heard_at: float | None = None
    told: _Told | None = None
    told_at: float | None = None
    level: float = -127.0

    def score(self, now: float) -> tuple[float, float]:
        """Seconds of voice in the window, and the same weighted by how far it is above the threshold."""
        while self.moments and self.moments[0][0] <= now - _WINDOW_S:
            self.moments.popleft()
        spoken = len(self.moments) * _FRAME_S
        weight = sum(_weight(level) for _, level in self.moments) * _FRAME_S
        told = self.told
        if told is None or now - told.at > _TOLD_LASTS_S or self.sends_levels(now):
            return spoken, weight
        spoken = min(now - told.since, _WINDOW_S)
        return spoken, spoken * _weight(told.level)

    def sends_levels(self, now: float) -> bool:
        return self.heard_at is not None and now - self.heard_at < _LEVELS_LAST_S

    def is_forgotten(self, now: float) -> bool:
        """Whether nothing is known of it but what was told long ago."""
        is_old = self.told_at is not None and now - self.told_at > _FORGOTTEN_AFTER_S
        return is_old and self.heard_at is None


def _weight(level: float) -> float:
    return 1 + (level - _VOICE_DBOV) / 40


class Speakers:
    """Those of one room."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}
        self._speaker: str | None = None
        self._since = 0.0
        self._spotlight: str | None = None

    @property
    def shown(self) -> str | None:
        """Whose picture SPEAKER is: the spotlight, else the last who spoke; None as long as nobody did."""
        return self._spotlight if self._spotlight is not None else self._speaker

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to remember of the room."""
        return not self._voices and self._spotlight is None

    def heard(self, source_id: str, level_dbov: float, now: float) -> None:
        """A packet's level; of a muted microphone none should come."""
        voice = self._voice(source_id)
        if voice is None:
            return
        voice.level, voice.heard_at = level_dbov, now
        if level_dbov > _VOICE_DBOV and now - voice.last_at >= _FRAME_S / 2:
            # More packets a second than frames would be a way to the picture.
            voice.moments.append((now, min(level_dbov, 0.0)))
            voice.last_at = now

    def told(self, source_id: str, level_dbov: float | None, now: float) -> None:
        """Somebody speaks, so loud, as was heard elsewhere; None: no longer."""
        voice = self._voice(source_id)
        if voice is None:
            return
        before, voice.told, voice.told_at = voice.told, None, now
        if level_dbov is not None:
            # Before it was told it had been heard for long enough.
            since = now - _ENOUGH_S if before is None else before.since
            voice.told = _Told(min(max(level_dbov, _VOICE_DBOV), 0.0), since, now)
        if not voice.sends_levels(now):
            voice.level = -127.0 if level_dbov is None else level_dbov

    def _voice(self, source_id: str) -> _Voice | None:
        """What is remembered of a source; None when that is enough of others."""
        if source_id not in self._voices and len(self._voices) >= _SOURCES_LIMIT:
            return None
        return self._voices.setdefault(source_id, _Voice())

    def level(self, source_id: str) -> float:
        """The last level of a source, −127 for one that was not heard."""
        voice = self._voices.get(source_id)
        return -127.0 if voice is None else voice.level

    def spotlight(self, source_id: str | None) -> bool:
        """Show one source whoever speaks, or (None) whoever speaks; whether that changes what is shown."""
        before = self.shown
        self._spotlight = source_id
        return self.shown != before

    def gone(self, source_id: str) -> bool:
        """A source is there no more; whether that changes what is shown."""
        before = self.shown
        self._voices.pop(source_id, None)
        if self._speaker == source_id:
            self._speaker = None
            self._since = 0.0
        if self._spotlight == source_id:
            self._spotlight = None
        return self.shown != before

    def decide(self, now: float) -> bool:
        """Look again, a few times a second; whether somebody else is shown now."""
        before = self.shown
        for source_id in [one for one, voice in self._voices.items() if voice.is_forgotten(now)]:
            del self._voices[source_id]
        current = 0.0
        if self._speaker is not None and self._speaker in self._voices:
            current = self._voices[self._speaker].score(now)[1]
        if self._speaker is not None and now - self._since < _HOLD_S:
            return False
        loudest, most = None, 0.0
        for source_id, voice in self._voices.items():
            spoken, weight = voice.score(now)
            if source_id != self._speaker and spoken >= _ENOUGH_S and weight > most:
                loudest, most = source_id, weight
        if loudest is not None and most > current * _AHEAD:
            self._speaker, self._since = loudest, now
        return self.shown != before


class SpeakersOfRooms:
    """Those of all rooms of a worker; a room nobody is heard in any more is forgotten."""

    def __init__(self) -> None:
        self._rooms: dict[str, Speakers] = {}

    def shown(self, room_id: str) -> str | None:
        room = self._rooms.get(room_id)
        return None if room is None else room.shown

    def heard(self, room_id: str, source_id: str, level_dbov: float, now: float) -> None:
        self._rooms.setdefault(room_id, Speakers()).heard(source_id, level_dbov, now)

    def told(self, room_id: str, source_id: str, level_dbov: float | None, now: float) -> None:
        """See `Speakers.told`. Of a room nobody was heard in, silence is no news."""
        if level_dbov is not None or room_id in self._rooms:
            self._rooms.setdefault(room_id, Speakers()).told(source_id, level_dbov, now)

    def level(self, room_id: str, source_id: str) -> float:
        room = self._rooms.get(room_id)
        return -127.0 if room is None else room.level(source_id)

    def spotlight(self, room_id: str, source_id: str | None) -> bool:
        """Whether that changes what is shown in the room."""
        if source_id is None and room_id not in self._rooms:
            return False
        return self._rooms.setdefault(room_id, Speakers()).spotlight(source_id)

    def gone(self, room_id: str, source_id: str) -> bool:
        """Whether that changes what is shown in the room."""
        room = self._rooms.get(room_id)
        if room is None:
            return False
        is_other = room.gone(source_id)
        if room.is_idle:
            del self._rooms[room_id]
        return is_other

    def decide(self, now: float) -> list[str]:
        """The rooms in which somebody else is shown now."""
        moved = [room_id for room_id, room in self._rooms.items() if room.decide(now)]
        self._rooms = {one: room for one, room in self._rooms.items() if not room.is_idle}
        return moved
