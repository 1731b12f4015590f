"""Who speaks, of the legs somebody wants to know it of: the phones and radios of a meeting, whose far ends tell no levels.

A voice is what stands out of its own background for some tenths of a second: the floor of each leg follows its quietest
moments down at once and up slowly, so that a fan or a noisy line is nobody, and never so high that a long word would be
its own background. Told are beginning and end, and while it lasts a sign of life now and then: a bounded number of events
whatever is said.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bridges.audio.events import Output, VoiceHeard
from bridges.audio.groups import RadioGroups
from bridges.audio.legs import LegTable
from bridges.audio.mixer import QUIETEST_DBOV, levels_dbov
from bridges.audio.stages import Stage

EVERY_TICKS = 2
AGAIN_S = 1.0
"""Between two signs of life of one who goes on speaking."""
_STEP_S = EVERY_TICKS * 0.02
_QUIETEST_VOICE_DBOV = -50.0
_OVER_FLOOR_DB = 8.0
_FLOORS_DBOV = (-70.0, -40.0)
_FLOOR_RISES_DB = 0.5 * _STEP_S
_FADE = 0.1
"""What one look weighs in the share of the last moments that were loud: a time constant of 0.4 s."""
_BEGINS, _ENDS = 0.6, 0.1
"""Shares at which somebody begins to speak (0.4 s of voice) and has ended (0.9 s of silence after it)."""

_VOICE = np.dtype(
    [("floor", "f8"), ("level", "f8"), ("share", "f8"), ("told_at", "f8"), ("speaks", "?")]
)
Levels = NDArray[np.float64]


class SpeechWatch:
    """Belongs to the engine's thread. `arrange` follows each new plan."""

    def __init__(self, legs: LegTable, groups: RadioGroups) -> None:
        self._legs = legs
        self._groups = groups
        self._ids: list[str] = []
        self._places: list[tuple[Stage, NDArray[np.int64], NDArray[np.int64]]] = []
        self._on_air: list[tuple[int, str]] = []
        self._voices = np.zeros(0, _VOICE)

    def __len__(self) -> int:
        return len(self._ids)

    def watch(self, leg_id: str) -> None:
        """Tell of this leg from now on; again nothing changes."""
        if leg_id not in self._ids:
            self._resize([*self._ids, leg_id])

    def forget(self, leg_id: str) -> None:
        if leg_id in self._ids:
            self._resize([one for one in self._ids if one != leg_id])

    def arrange(self, stages: Iterable[Stage]) -> None:
        """Find the watched legs' places in the plans of these stages; those of groups have none."""
        number = {self._legs.find(leg_id): n for n, leg_id in enumerate(self._ids)}
        self._on_air = [
            (n, leg_id) for n, leg_id in enumerate(self._ids) if self._legs.find(leg_id) is None
        ]
        self._places = []
        for stage in stages if self._ids else ():
            places = [place for place, row in enumerate(stage.plan.rows.tolist()) if row in number]
            if places:
                numbers = [number[row] for row in stage.plan.rows[places].tolist()]
                self._places.append((stage, np.array(places), np.array(numbers)))

    def look(self, tick: int, now: float, out: list[Output]) -> None:
        """Hear what the places say in this tick, and tell who began, ended or goes on."""
        if not self._ids or tick % EVERY_TICKS:
            return
        voices, levels = self._voices, self._measure()
        floor = np.minimum(levels, voices["floor"] + _FLOOR_RISES_DB)
        voices["floor"] = np.clip(floor, *_FLOORS_DBOV)
        loud = levels > np.maximum(voices["floor"] + _OVER_FLOOR_DB, _QUIETEST_VOICE_DBOV)
        voices["level"] += np.where(loud, (levels - voices["level"]) * _FADE, 0.0)
        voices["share"] += (loud - voices["share"]) * _FADE
        speaks = np.where(voices["speaks"], voices["share"] > _ENDS, voices["share"] > _BEGINS)
        goes_on = speaks & (now - voices["told_at"] >= AGAIN_S)
        due = np.flatnonzero((speaks != voices["speaks"]) | goes_on)
        voices["speaks"], voices["told_at"][due] = speaks, now
        for n in due.tolist():
            level = round(float(voices["level"][n]), 1) if speaks[n] else QUIETEST_DBOV
            out.append(VoiceHeard(self._ids[n], bool(speaks[n]), level))

    def _measure(self) -> Levels:
        levels = np.full(len(self._ids), QUIETEST_DBOV)
        for stage, places, numbers in self._places:
            levels[numbers] = levels_dbov(stage.mixer.voice[places])
        for n, leg_id in self._on_air:
            levels[n] = self._groups.level_of(leg_id)
        return levels

    def _resize(self, ids: Sequence[str]) -> None:
        """Take these legs for the watched ones; what is known of those that stay goes on."""
        before, known = {leg_id: n for n, leg_id in enumerate(self._ids)}, self._voices
        self._voices = np.zeros(len(ids), _VOICE)
        self._voices["floor"], self._voices["level"] = _FLOORS_DBOV[0], _QUIETEST_VOICE_DBOV
        for n, leg_id in enumerate(ids):
            if leg_id in before:
                self._voices[n] = known[before[leg_id]]
        self._ids = list(ids)
        self._legs.changed = True
