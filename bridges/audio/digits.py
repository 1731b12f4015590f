"""Digits sent to a leg, as keys pressed on a telephone: telephone-events (RFC 4733) where the far end takes them,
else the tones themselves (ITU-T Q.23), in place of what the leg would hear.

A digit takes `_TONE_TICKS` and the pause after it `_PAUSE_TICKS`, both well above what any receiver needs (ITU-T
Q.24: 40 ms each). Events go beside the voice with the
timestamp of their begin; the last packet goes three times (RFC 4733 §2.5.1.4).
"""

import struct
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bridges.audio.bands import TICK_MS
from bridges.audio.legs import NONE, LegTable
from bridges.audio.outbox import Outbox
from bridges.audio.rtp import DIGITS
from bridges.audio.stages import Stage
from commhub.domain.errors import ConflictError, InvalidError

MOST = 64
"""Digits that may wait for one leg."""
_TONE_TICKS = 5
_PAUSE_TICKS = 4
_END_REPEATS = 2
_VOLUME = 10
"""−10 dBm0."""
_AMPLITUDE = 32767 * 10 ** (-13 / 20)
"""Of each of the two tones."""
_LOW = (697, 770, 852, 941)
_HIGH = (1209, 1336, 1477, 1633)
_KEYPAD = "123A456B789C*0#D"


@dataclass(slots=True)
class _Dialling:
    """One leg's digits. `age` counts the ticks of the first one, `stamp` is when it began."""

    waiting: deque[str] = field(default_factory=deque)
    age: int = 0
    stamp: int = 0


class Digits:
    """All legs that are sent digits."""

    def __init__(self, legs: LegTable) -> None:
        self._legs = legs
        self._dialling: dict[int, _Dialling] = {}

    def send(self, row: int, digits: str) -> None:
        """Send them after those already waiting. Raises InvalidError, ConflictError."""
        wanted = digits.upper()
        if not wanted or set(wanted) - set(DIGITS):
            raise InvalidError("digits are 0 to 9, *, # and A to D")
        if not (self._legs.connected[row] and self._legs.receives[row]):
            raise ConflictError("the leg takes nothing now", leg=self._legs.id_of(row))
        dialling = self._dialling.get(row, _Dialling())
        if len(dialling.waiting) + len(wanted) > MOST:
            raise InvalidError(f"more than {MOST} digits at once")
        dialling.waiting.extend(wanted)
        self._dialling[row] = dialling

    def forget(self, row: int) -> None:
        self._dialling.pop(row, None)

    def sound(self, stages: tuple[Stage, ...]) -> None:
        """Put tones into the mix of the legs without telephone-events."""
        for row, dialling in self._dialling.items():
            if self._legs.dtmf_type[row] != NONE or dialling.age >= _TONE_TICKS:
                continue
            for stage in stages:
                for place in np.flatnonzero(stage.plan.rows == row):
                    size, rate = stage.band.frame, stage.band.rate
                    stage.mixer.mix[place] = _tone(dialling.waiting[0], dialling.age, size, rate)

    def tell(self, tick: int, outbox: Outbox) -> None:
        """Send the tick's events, and go on to the next digit where one is over; once a tick."""
        legs = self._legs
        for row, dialling in list(self._dialling.items()):
            if not legs.receives[row]:
                # Put on hold in the middle: the rest would come out of nowhere when it is taken off.
                del self._dialling[row]
                continue
            if dialling.age == 0:
                since = tick * int(legs.clock[row]) * TICK_MS // 1000
                dialling.stamp = int(legs.out_zero[row]) + since
            if legs.dtmf_type[row] != NONE:
                self._tell(row, dialling, outbox)
            dialling.age += 1
            if dialling.age == _TONE_TICKS + _PAUSE_TICKS:
                dialling.waiting.popleft()
                dialling.age = 0
                if not dialling.waiting:
                    del self._dialling[row]

    def _tell(self, row: int, dialling: _Dialling, outbox: Outbox) -> None:
        if dialling.age >= _TONE_TICKS + _END_REPEATS:
            return
        lasted = min(dialling.age + 1, _TONE_TICKS)
        flags = (0x80 if lasted == _TONE_TICKS else 0) | _VOLUME
        frame = int(self._legs.dtmf_clock[row]) * TICK_MS // 1000
        code = DIGITS.index(dialling.waiting[0])
        payload = struct.pack("!BBH", code, flags, lasted * frame)
        outbox.put_event(row, payload, dialling.stamp, marked=dialling.age == 0)


def _tone(digit: str, age: int, size: int, rate: int) -> NDArray[np.int32]:
    key = _KEYPAD.index(digit)
    times = (np.arange(size) + age * size) / rate
    both = sum(np.sin(2 * np.pi * f * times) for f in (_LOW[key // 4], _HIGH[key % 4]))
    return np.asarray(_AMPLITUDE * both, np.int32)
