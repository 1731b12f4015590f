"""What the recorder is given of a tick: the mix of each recorded call and, when asked, each leg of it alone.

Compiled when the plan is made: a tick that records is one copy per band, a tick that does not is nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridges.audio.calls import CallBook
from bridges.audio.legs import LegTable
from bridges.audio.recorder import Recorder
from bridges.audio.shaping import GroupVoice
from bridges.audio.stages import Stage
from bridges.audio.tracks import Track


@dataclass(frozen=True, slots=True)
class _Tap:
    """One band's tracks in this order: `lines` of the totals, `places` of the voices, the radio legs."""

    stage: Stage
    tracks: tuple[Track, ...]
    lines: NDArray[np.int64]
    places: NDArray[np.int64]
    radio: dict[str, int]


class RecordTaps:
    """Lives in the engine's thread."""

    def __init__(self, recorder: Recorder, calls: CallBook, legs: LegTable) -> None:
        self._recorder = recorder
        self._calls = calls
        self._legs = legs
        self._taps: list[_Tap] = []

    def arrange(self, stages: Iterable[Stage]) -> None:
        """After every new plan."""
        self._taps = [tap for stage in stages if (tap := self._tap(stage)) is not None]

    def take(self, tick: int, said: Iterable[GroupVoice]) -> None:
        """After everything was added to the totals that the whole call hears."""
        if not self._taps:
            return
        voices = list(said) if any(tap.radio for tap in self._taps) else []
        for tap in self._taps:
            self._recorder.write(tick, tap.stage.band.rate, tap.tracks, _samples(tap, voices))

    def _tap(self, stage: Stage) -> _Tap | None:
        mixed: list[Track] = []
        lines: list[int] = []
        spoken: list[Track] = []
        places: list[int] = []
        radio: list[Track] = []
        recorded = [
            (call, place)
            for call in self._calls.recorded()
            if (place := stage.plan.place_of_call.get(call.index)) is not None
        ]
        place_of_row = _places(stage) if any(call.per_leg for call, _ in recorded) else {}
        for call, line in recorded:
            mixed.append(Track(call.call_id))
            lines.append(line)
            for leg_id in sorted(call.legs) if call.per_leg else ():
                row = self._legs.find(leg_id)
                if row is None:
                    radio.append(Track(call.call_id, leg_id))
                elif row in place_of_row:
                    spoken.append(Track(call.call_id, leg_id))
                    places.append(place_of_row[row])
        if not mixed:
            return None
        before = len(mixed) + len(spoken)
        return _Tap(
            stage=stage,
            tracks=(*mixed, *spoken, *radio),
            lines=np.array(lines, np.int64),
            places=np.array(places, np.int64),
            radio={str(track.leg_id): before + n for n, track in enumerate(radio)},
        )


def _places(stage: Stage) -> dict[int, int]:
    return {int(row): place for place, row in enumerate(stage.plan.rows)}


def _samples(tap: _Tap, voices: Sequence[GroupVoice]) -> NDArray[np.int16]:
    mixer, mixed = tap.stage.mixer, len(tap.lines)
    samples = np.zeros((len(tap.tracks), tap.stage.band.frame), np.int16)
    np.clip(mixer.totals[tap.lines], -32768, 32767, out=samples[:mixed], casting="unsafe")
    samples[mixed : mixed + len(tap.places)] = mixer.voice[tap.places]
    for voice in voices:
        for leg_id in voice.legs & tap.radio.keys():
            line = samples[tap.radio[leg_id]]
            if voice.said.shape == line.shape:
                np.clip(voice.said, -32768, 32767, out=line, casting="unsafe")
    return samples
