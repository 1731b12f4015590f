"""Prompts in the mix: to whole calls, which also the recording hears, or to single legs, whom nobody else hears.

What is played for the same call, or the same legs, waits its turn; a loop is the ground on which the others are
played: they come first, and it goes on when they are over. A prompt that is stopped, or gives way, fades within a
tick. While nobody it is meant for is there (a leg still rings), it waits.
"""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from bridges.audio.bands import NARROW, Band
from bridges.audio.calls import CallState
from bridges.audio.events import Output, PlaybackEnded
from bridges.audio.legs import LegTable
from bridges.audio.sounds import Sound, SoundLibrary
from bridges.audio.stages import Stage
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from commhub.ports.media import Playback

log = structlog.get_logger(__name__)

GAINS_DB = (-40.0, 0.0)
_MOST = 2048
_LONGEST_QUEUE = 32

Places = NDArray[np.int64]
_Key = tuple[str, tuple[str, ...] | None]


@dataclass(slots=True, eq=False)
class _Playing:
    """`at` is where it is, in narrow samples; `level` how loud it was when the last tick ended, 0…1. `sound` is there
    when `coming` brought it."""

    playback: Playback
    coming: Future[Sound]
    gain: float
    sound: Sound | None = None
    at: int = 0
    level: float = 1.0
    stopping: bool = False

    @property
    def is_audible(self) -> bool:
        return self.at > 0 and self.level > 0

    @property
    def failure(self) -> BaseException | None:
        """Why there will be no sound; None while it may still come."""
        return self.coming.exception() if self.coming.done() else None

    def find_sound(self) -> Sound | None:
        """The sound, as soon as it has come."""
        if self.sound is None and self.coming.done() and self.coming.exception() is None:
            self.sound = self.coming.result()
        return self.sound

    def frame(self, sound: Sound, band: Band, goal: float) -> NDArray[np.int16]:
        """The samples of this tick, going from the last level to `goal`."""
        begin = self.at * (band.rate // NARROW.rate)
        piece = _piece(sound.of(band), begin, band.frame, around=self.playback.loop)
        if self.level == goal == self.gain == 1.0:
            return piece
        ramp = np.linspace(self.level, goal, band.frame, dtype=np.float32)
        return np.asarray(np.rint(piece * (ramp * np.float32(self.gain))), np.int16)

    def advance(self, sound: Sound, level: float) -> bool:
        """Let a tick pass; whether the sound is over."""
        self.level = level
        self.at += NARROW.frame
        return not self.playback.loop and self.at >= len(sound.narrow)


def _piece(
    samples: NDArray[np.int16], begin: int, count: int, *, around: bool
) -> NDArray[np.int16]:
    """`count` samples from `begin`; after the end comes the beginning again, or silence."""
    if around:
        begin %= len(samples)
    piece = samples[begin : begin + count]
    if len(piece) == count:
        return piece
    if around:
        return np.take(samples, np.arange(begin, begin + count), mode="wrap")
    return np.concatenate((piece, np.zeros(count - len(piece), np.int16)))


@dataclass(slots=True, eq=False)
class _Target:
    """Who hears it: the call, or the legs that are left of those named. `heard` is what sounded last."""

    call: CallState
    legs: set[str] | None
    once: deque[_Playing] = field(default_factory=deque)
    loop: _Playing | None = None
    heard: _Playing | None = None

    def all(self) -> Iterator[_Playing]:
        yield from self.once
        if self.loop is not None:
            yield self.loop
        if self.heard is not None and self.heard is not self.loop and self.heard not in self.once:
            yield self.heard

    def remove(self, one: _Playing) -> None:
        if one is self.loop:
            self.loop = None
        elif one in self.once:
            self.once.remove(one)
        if one is self.heard:
            self.heard = None

    def choose(self) -> tuple[_Playing, float] | None:
        """What sounds in this tick and the level it goes to; asked again in the same tick, the same. Another one is
        heard only after the last is silent."""
        wanted = next((one for one in self.once if not one.stopping), None) if self.once else None
        if wanted is None and self.loop is not None and not self.loop.stopping:
            wanted = self.loop
        if self.heard is not None and self.heard is not wanted and self.heard.is_audible:
            return self.heard, 0.0
        self.heard = wanted
        return None if wanted is None else (wanted, 1.0)


class Prompts:
    """Lives in the engine's thread; `out` lists collect what ended."""

    def __init__(self, library: SoundLibrary, legs: LegTable) -> None:
        self._library = library
        self._legs = legs
        self._targets: dict[_Key, _Target] = {}
        self._key_of: dict[str, _Key] = {}
        self._stages: tuple[Stage, ...] = ()
        self._places: dict[_Key, list[tuple[Stage, Places]]] = {}

    def close(self) -> None:
        self._library.close()

    # Orders --------------------------------------------------------------------------------------------------

    def play(self, playback: Playback, call: CallState, out: list[Output]) -> None:
        """Raises NotFoundError, InvalidError, ConflictError, UnavailableError."""
        key = (call.call_id, playback.leg_ids and tuple(sorted(set(playback.leg_ids))))
        known = self._key_of.get(playback.id)
        if known is not None:
            if known != key:
                raise ConflictError("this playback is for others", playback=playback.id)
            return
        self._check(playback, call)
        target = self._targets.get(key) or _Target(call, None if key[1] is None else set(key[1]))
        if len(self._key_of) >= _MOST or len(target.once) >= _LONGEST_QUEUE:
            raise UnavailableError("too many prompts wait to be played here")
        one = _Playing(
            playback, self._library.request(playback.prompt), 10 ** (playback.gain_db / 20)
        )
        self._targets[key], self._key_of[playback.id] = target, key
        if not playback.loop:
            target.once.append(one)
        else:
            before, target.loop = target.loop, one
            if before is not None:
                self._stop(target, before, out)
        self._place(key, target)

    def stop(self, playback_id: str, out: list[Output]) -> None:
        """An unknown one is fine."""
        key = self._key_of.get(playback_id)
        if key is None:
            return
        target = self._targets[key]
        for one in list(target.all()):
            if one.playback.id == playback_id:
                self._stop(target, one, out)

    def leg_gone(self, leg_id: str, out: list[Output]) -> None:
        """The leg ended, wherever it was."""
        for key, target in list(self._targets.items()):
            if target.legs is not None and leg_id in target.legs:
                target.legs.discard(leg_id)
                self._place(key, target)
                if not target.legs:
                    self._end_all(key, target, out)

    def call_gone(self, call_id: str, out: list[Output]) -> None:
        """The call ended; what was played to legs of it that moved away goes on."""
        key = (call_id, None)
        target = self._targets.get(key)
        if target is not None:
            self._end_all(key, target, out)

    # The tick ------------------------------------------------------------------------------------------------

    def arrange(self, stages: tuple[Stage, ...]) -> None:
        """After every new plan."""
        self._stages = stages
        self._places.clear()
        for key, target in self._targets.items():
            self._place(key, target)

    def to_calls(self) -> None:
        """Add to the totals what whole calls hear."""
        for key, where in self._places.items():
            if key[1] is None:
                _add(self._targets[key], where, to_totals=True)

    def to_legs(self, out: list[Output]) -> None:
        """Add to the mix what single legs hear, then let time pass."""
        for key, where in self._places.items():
            if key[1] is not None:
                _add(self._targets[key], where, to_totals=False)
        for key in list(self._places):
            self._advance(self._targets[key], out)

    def _advance(self, target: _Target, out: list[Output]) -> None:
        chosen = target.choose()
        if chosen is None:
            return
        one, level = chosen
        sound = one.find_sound()
        if sound is None:
            if (failure := one.failure) is not None:
                log.warning("prompt_failed", prompt=one.playback.prompt, reason=str(failure))
                self._end(target, one, "failed", out)
        elif one.advance(sound, level):
            self._end(target, one, "finished", out)
        elif one.stopping:
            self._end(target, one, "stopped", out)

    # Small things --------------------------------------------------------------------------------------------

    def _check(self, playback: Playback, call: CallState) -> None:
        low, high = GAINS_DB
        if not (math.isfinite(playback.gain_db) and low <= playback.gain_db <= high):
            raise InvalidError(f"a prompt's gain is {low:g} to {high:g} dB")
        if playback.leg_ids is None:
            return
        if not playback.leg_ids:
            raise InvalidError("a prompt is for somebody: name legs, or none for the whole call")
        for leg_id in playback.leg_ids:
            if leg_id not in call.legs:
                raise NotFoundError("this call has no such leg", leg=leg_id)
            if self._legs.find(leg_id) is None:
                raise InvalidError("a radio group hears no prompts", leg=leg_id)

    def _place(self, key: _Key, target: _Target) -> None:
        """Find where the target is in this plan: a call is in one band, legs may have moved to calls of both."""
        self._places.pop(key, None)
        where = [
            (stage, np.array(places, np.int64))
            for stage in self._stages
            if (places := _places_of(target, stage, self._legs))
        ]
        if where:
            self._places[key] = where

    def _stop(self, target: _Target, one: _Playing, out: list[Output]) -> None:
        """One that is heard fades first, and `_advance` ends it."""
        one.stopping = True
        sounds = one is target.heard and one.is_audible
        if not sounds or self._key_of[one.playback.id] not in self._places:
            self._end(target, one, "stopped", out)

    def _end(self, target: _Target, one: _Playing, reason: str, out: list[Output]) -> None:
        target.remove(one)
        key = self._key_of.pop(one.playback.id)
        out.append(PlaybackEnded(one.playback.id, one.playback.call_id, reason))
        if next(target.all(), None) is None:
            del self._targets[key]
            self._places.pop(key, None)

    def _end_all(self, key: _Key, target: _Target, out: list[Output]) -> None:
        for one in list(target.all()):
            self._end(target, one, "gone", out)


def _add(target: _Target, where: list[tuple[Stage, Places]], *, to_totals: bool) -> None:
    chosen = target.choose()
    if chosen is None:
        return
    one, level = chosen
    sound = one.find_sound()
    if sound is None:
        return
    for stage, places in where:
        into = stage.mixer.totals if to_totals else stage.mixer.mix
        frame = one.frame(sound, stage.band, level)
        if len(places) == 1:
            # Most are played to one leg, and a row by its number costs a third of rows by an array.
            line = into[places[0]]
            np.add(line, frame, out=line)
        else:
            into[places] += frame


def _places_of(target: _Target, stage: Stage, legs: LegTable) -> list[int]:
    if target.legs is None:
        place = stage.plan.place_of_call.get(target.call.index)
        return [] if place is None else [place]
    rows = [row for leg in target.legs if (row := legs.find(leg)) is not None]
    found: list[int] = np.flatnonzero(np.isin(stage.plan.rows, rows)).tolist()
    return found
