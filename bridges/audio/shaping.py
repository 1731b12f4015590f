"""Shapes: what the desk makes of single legs, between what they say and what they hear.

Most legs are plain and cost nothing here: a shape is compiled into places when the plan is made, and a plan without
shapes has no work to do. `speak` comes before the calls are summed (gain, mute, and a whisper taken out of the sum),
`hear` after each leg's own voice was subtracted (who hears less, who is whispered to, who is deaf). A radio group is
a leg without a place; what its shape means is done where the group is mixed (`groups`), with `spoken_to`.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridges.audio.gain import Gains
from bridges.audio.legs import LegTable
from bridges.audio.mixer import Mixer, Samples, Totals
from bridges.audio.plan import Plan
from commhub.domain.errors import InvalidError
from commhub.ports.media import PLAIN, LegShape

Places = NDArray[np.int64]
GAIN_DB = 20.0
TARGETS_DBOV = (-40.0, -6.0)
_MOST_NAMES = 256


@dataclass(frozen=True, slots=True)
class GroupVoice:
    """What a radio group says in this tick to the call of that index, in which it has those legs."""

    call: int
    legs: frozenset[str]
    said: Totals
    shape: LegShape


class Shapes:
    """What was ordered, by leg id; a plain leg is not in here."""

    def __init__(self, capacity: int) -> None:
        self._shapes: dict[str, LegShape] = {}
        self._gains = Gains(capacity)

    def of(self, leg_id: str) -> LegShape:
        return self._shapes.get(leg_id, PLAIN)

    def put(self, leg_id: str, shape: LegShape) -> bool:
        """Take the shape; False when the leg has it already. Raises InvalidError for numbers out of range."""
        check(shape)
        if shape == self.of(leg_id):
            return False
        if shape == PLAIN:
            del self._shapes[leg_id]
        else:
            self._shapes[leg_id] = shape
        return True

    def forget(self, leg_id: str) -> None:
        self._shapes.pop(leg_id, None)

    def begin(self, leg_id: str, row: int, shape: LegShape) -> None:
        """A new leg has the row from now on, and begins with that shape."""
        self._gains.reset(row)
        self.put(leg_id, shape)

    def shaper(self, plan: Plan, mixer: Mixer, legs: LegTable) -> "Shaper | None":
        """The shapes as places of the plan; None when all its legs are plain."""
        if not self._shapes:
            return None
        place_of_row = {int(row): place for place, row in enumerate(plan.rows)}
        placed: dict[str, int] = {}
        for leg_id in self._shapes:
            row = legs.find(leg_id)
            if row is not None and row in place_of_row:
                placed[leg_id] = place_of_row[row]
        # A group has no row, and may be in a call of any band.
        groups = [leg_id for leg_id in self._shapes if legs.find(leg_id) is None]
        if not placed and not groups:
            return None
        return Shaper(plan, mixer, legs, self, placed, self._gains)


def check(shape: LegShape) -> None:
    """Raises InvalidError."""
    low, high = TARGETS_DBOV
    if not (math.isfinite(shape.gain_db) and abs(shape.gain_db) <= GAIN_DB):
        raise InvalidError(f"a leg's gain is −{GAIN_DB:g} to +{GAIN_DB:g} dB")
    if not (math.isfinite(shape.target_dbov) and low <= shape.target_dbov <= high):
        raise InvalidError(f"the target of an automatic gain is {low:g} to {high:g} dBov")
    if len(shape.hears or ()) > _MOST_NAMES or len(shape.whispers_to) > _MOST_NAMES:
        raise InvalidError(f"a shape names at most {_MOST_NAMES} legs")


def reaches(
    speaker: LegShape, speaking: Collection[str], listener: LegShape, listening: Collection[str]
) -> bool:
    """Whether one radio group of a call is heard by another, by their shapes and their legs."""
    if speaker.muted or listener.deaf:
        return False
    if speaker.whispers_to:
        return not set(speaker.whispers_to).isdisjoint(listening)
    return listener.hears is None or not set(listener.hears).isdisjoint(speaking)


def amplified(said: Totals, shape: LegShape) -> Totals:
    """What a group says with its leg's fixed gain. An automatic gain is for single voices; many speak here."""
    if not shape.gain_db:
        return said
    louder: Totals = np.rint(said * 10 ** (shape.gain_db / 20)).astype(np.int32)
    return louder


@dataclass(slots=True)
class _Whisper:
    """A voice out of the sum: `to` are the places that alone hear it, `names` all legs it is meant for."""

    place: int
    line: int
    to: Places
    names: frozenset[str]
    voice: Samples


@dataclass(frozen=True, slots=True)
class _Listener:
    """A place that hears `names` only: `unheard` are the places taken out of its mix."""

    place: int
    line: int
    unheard: Places
    names: frozenset[str]


class Shaper:
    """The work of one plan's shapes in a tick."""

    def __init__(
        self,
        plan: Plan,
        mixer: Mixer,
        legs: LegTable,
        shapes: Shapes,
        placed: dict[str, int],
        gains: Gains,
    ) -> None:
        self._plan = plan
        self._mixer = mixer
        self._legs = legs
        self._shapes = shapes
        wanted = {place: shapes.of(leg_id) for leg_id, place in placed.items()}
        self._muted = _places(wanted, lambda shape: shape.muted)
        self._deaf = _places(wanted, lambda shape: shape.deaf)
        self._gain = gains.stage(
            plan.rows,
            {place: one for place, one in wanted.items() if one.limit or one.gain_db},
        )
        self._whispers = [
            self._whisper(place, one.whispers_to)
            for place, one in wanted.items()
            if one.whispers_to and not one.muted
        ]
        self._listeners = [
            self._listener(place, one.hears)
            for place, one in wanted.items()
            if one.hears is not None and not one.deaf
        ]

    def speak(self) -> None:
        """Shape what places say, before it is summed."""
        voice = self._mixer.voice
        if self._gain is not None:
            self._gain.apply(voice, self._mixer.missing)
        for whisper in self._whispers:
            whisper.voice[:] = voice[whisper.place]
            voice[whisper.place] = 0
        if len(self._muted):
            voice[self._muted] = 0

    def hear(self, groups: Iterable[GroupVoice]) -> None:
        """Shape what places hear; `groups` is what radio groups add to their calls."""
        voice, mix = self._mixer.voice, self._mixer.mix
        for one in self._listeners:
            mix[one.place] -= voice[one.unheard].sum(axis=0, dtype=np.int32)
        for group in groups:
            line = self._plan.place_of_call.get(group.call)
            if line is not None:
                self._hear_group(group, line)
        for whisper in self._whispers:
            mix[whisper.to] += whisper.voice
        if len(self._deaf):
            mix[self._deaf] = 0

    def _hear_group(self, group: GroupVoice, line: int) -> None:
        mix, whispered = self._mixer.mix, group.shape.whispers_to
        for name in whispered:
            place = self._place_of(name, line)
            if place is not None:
                mix[place] += group.said
        if not whispered:
            for one in self._listeners:
                if one.line == line and not group.legs & one.names:
                    mix[one.place] -= group.said

    def spoken_to(self, legs: frozenset[str], shape: LegShape, line: int, said: Totals) -> Totals:
        """What a group (by its legs and its shape) hears of the call on `line`, whose phones say `said`
        together."""
        if shape.hears is not None:
            unheard = self._unheard(line, frozenset(shape.hears))
            said = said - self._mixer.voice[unheard].sum(axis=0, dtype=np.int32)
        for whisper in self._whispers:
            if whisper.line == line and whisper.names & legs:
                said = said + whisper.voice
        return said

    def _place_of(self, leg_id: str, line: int) -> int | None:
        """The place of a leg in the call on `line`."""
        for place in np.flatnonzero(self._plan.line == line).tolist():
            if self._legs.id_of(int(self._plan.rows[place])) == leg_id:
                return int(place)
        return None

    def _whisper(self, place: int, names: tuple[str, ...]) -> _Whisper:
        line = int(self._plan.line[place])
        to = [found for name in names if (found := self._place_of(name, line)) is not None]
        return _Whisper(
            place,
            line,
            np.array([one for one in to if one != place], np.int64),
            frozenset(names),
            np.zeros(self._mixer.voice.shape[1], np.int16),
        )

    def _listener(self, place: int, names: tuple[str, ...]) -> _Listener:
        line = int(self._plan.line[place])
        unheard = self._unheard(line, frozenset(names))
        return _Listener(place, line, unheard[unheard != place], frozenset(names))

    def _unheard(self, line: int, names: frozenset[str]) -> Places:
        places = np.flatnonzero(self._plan.line == line)
        keep = [self._legs.id_of(int(row)) not in names for row in self._plan.rows[places]]
        return places[keep]


def _places(wanted: dict[int, LegShape], has: Callable[[LegShape], bool]) -> Places:
    def those() -> Iterator[int]:
        return (place for place, shape in wanted.items() if has(shape))

    return np.fromiter(those(), np.int64)
