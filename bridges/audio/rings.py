"""Jitter rings: voice waits here, by the tick at which it will be heard.

The RTP timestamp says when a sample was spoken (RFC 3550 §5.1), so a packet is filed under the tick at which
that moment is due, whatever its order, size or the gaps of silence suppression before it. One ring serves all
legs: plane `tick % SLOTS` holds what every leg says at that tick, and playing out is one gather of one plane.

How long packets should wait is watched by `depth.Waits`; moving a leg's time line by whole frames is `delay`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridges.audio.counts import Counts
from bridges.audio.depth import Waits
from bridges.audio.g711 import FRAME, SILENCE, Law
from bridges.audio.legs import Rows

SLOTS = 16
"""Ticks a voice can wait: 320 ms."""
_LOST_AFTER = 10
"""Ticks without a packet after which the next one begins anew."""
_LATE_RUN = 3
"""Ticks in a row whose packets came too late for any depth: begin anew."""
AWRY_LIMIT = 256
"""Packets a tick that are filed one by one out of a batch."""
_NEVER = -(1 << 40)

Unit = np.uint8 | np.int16
Units = NDArray[Any]
"""Of `Unit`s: bytes of G.711, or linear samples."""


class Rings:
    """The rings of `rows` legs. A leg's `depth` is how many ticks its packets wait on arrival.

    What waits are units of one sample: bytes of G.711 (the default), or linear samples. A tick plays `frame` of
    them, and timestamps count them.
    """

    def __init__(
        self,
        rows: int,
        depth: int,
        counts: Counts,
        *,
        frame: int = FRAME,
        dtype: type[Unit] = np.uint8,
    ) -> None:
        self._counts = counts
        self.frame = frame
        """Samples a tick."""
        self._dtype = dtype
        self._voice: Units = np.zeros((SLOTS, rows, frame), dtype)
        self._due = np.full((SLOTS, rows), _NEVER, np.int64)
        self._silence: Units = np.full(rows, self._silence_of(Law.PCMU), dtype)
        self._default_depth = depth
        self._least = np.full(rows, depth, np.int64)
        # The (unwrapped) timestamp of the first sample of tick 0.
        self._zero = np.zeros(rows, np.int64)
        self._last_put = np.full(rows, _NEVER, np.int64)
        self._late_run = np.zeros(rows, np.int64)
        self._late_tick = np.full(rows, _NEVER, np.int64)
        self.waits = Waits(rows)
        self.too_short: dict[int, int] = {}
        """Rows that need so many frames more of delay, between words that were heard already."""
        self.on_reset: Callable[[int], None] = lambda _: None

    def _silence_of(self, law: Law) -> int:
        return SILENCE[law] if self._dtype is np.uint8 else 0

    def reset(self, row: int, law: Law = Law.PCMU, depth: int | None = None) -> None:
        """Forget what the row holds; its next packet begins anew."""
        self._due[:, row] = _NEVER
        self._silence[row] = self._silence_of(law)
        self._last_put[row] = _NEVER
        self._late_run[row] = 0
        self._least[row] = self._default_depth if depth is None else depth
        self.waits.clear(row, int(self._least[row]))
        self.too_short.pop(row, None)
        self.on_reset(row)

    def begin_anew(self, row: int) -> None:
        """Let the row's next packet be the origin of a new time line; what waits is still heard."""
        self._last_put[row] = _NEVER
        self.waits.clear(row, int(self._least[row]))

    def put_frames(self, rows: Rows, timestamps: Rows, payloads: Units, tick: int) -> None:
        """File 20 ms packets (n×frame), at most all that arrived since the last tick."""
        fresh = tick - self._last_put[rows] > _LOST_AFTER
        if fresh.any():
            self._begin(rows[fresh], timestamps[fresh], tick)
        ahead = self._samples_ahead(rows, timestamps, tick)
        slots_ahead, part = np.divmod(ahead, self.frame)
        awry = (ahead < 0) | (slots_ahead >= SLOTS - 1) | (part != 0)
        if not awry.any():
            self._file(rows, slots_ahead, payloads, tick)
            return
        # The plain ones first: a crooked one may move the time line, and what is filed moves with it.
        plain, odd = np.flatnonzero(~awry), np.flatnonzero(awry)
        self._file(rows[plain], slots_ahead[plain], payloads[plain], tick)
        self._counts.late += max(0, len(odd) - AWRY_LIMIT)
        for i in odd[:AWRY_LIMIT]:
            self.put(int(rows[i]), int(timestamps[i]), payloads[i], tick)

    def _file(self, rows: Rows, slots_ahead: Rows, payloads: Units, tick: int) -> None:
        due = slots_ahead + tick
        planes = due % SLOTS
        self._counts.duplicate += int(np.count_nonzero(self._due[planes, rows] == due))
        self._voice[planes, rows] = payloads
        self._due[planes, rows] = due
        self._last_put[rows] = tick
        self._late_run[rows] = 0
        self.waits.note(rows, slots_ahead)

    def put(self, row: int, timestamp: int, payload: bytes | Units, tick: int) -> None:
        """File one packet of any length: other ptimes, odd timestamps, radio frames."""
        samples = np.frombuffer(payload, self._dtype)
        if tick - self._last_put[row] > _LOST_AFTER:
            self._begin(np.array([row]), np.array([timestamp]), tick)
        ahead = self._ahead_of(row, timestamp, tick)
        if ahead < 0:
            ahead = self._late(row, ahead, tick)
            if ahead < 0 and self._late_run[row] < _LATE_RUN:
                self._counts.late += 1
                return
        elif ahead % self.frame and self._runs_dry(row, tick):
            # After a pause the sender's time need not be a multiple of a frame away.
            self._late_run[row] = _LATE_RUN
        if self._late_run[row] >= _LATE_RUN or ahead + len(samples) > (SLOTS - 1) * self.frame:
            self._counts.resynced += 1
            self._begin(np.array([row]), np.array([timestamp]), tick)
            ahead = self._ahead_of(row, timestamp, tick)
        self._late_run[row] = 0
        self._last_put[row] = tick
        self.waits.note(np.array([row]), np.array([ahead // self.frame]))
        self._write(row, ahead, samples, tick)

    def read(self, rows: Rows, tick: int, out: Units) -> NDArray[np.bool_]:
        """Copy what the rows say at `tick` into `out` (silence where nothing is); returns who says nothing."""
        plane = tick % SLOTS
        np.take(self._voice[plane], rows, axis=0, out=out, mode="clip")
        missing: NDArray[np.bool_] = self._due[plane, rows] != tick
        if missing.any():
            out[missing] = self._silence[rows[missing], None]
        return missing

    def holds(self, rows: Rows, tick: int) -> NDArray[np.bool_]:
        """Which rows have something to say at `tick`."""
        held: NDArray[np.bool_] = self._due[tick % SLOTS, rows] == tick
        return held

    def goes_on(self, rows: Rows, tick: int) -> NDArray[np.bool_]:
        """Which rows have something to say after `tick`."""
        return np.asarray((self._due[:, rows] > tick).any(axis=0))

    def turn_of(self, row: int, timestamp: int, tick: int) -> int:
        """The tick at which what was said at `timestamp` is heard; this one, if that is past or far away."""
        ahead = self._ahead_of(row, timestamp, tick) // self.frame
        return tick + ahead if 0 < ahead < SLOTS else tick

    def peek(self, rows: Rows, tick: int) -> Units:
        """What the rows say at `tick`, for rows that hold it."""
        units: Units = self._voice[tick % SLOTS, rows]
        return units

    def delay(self, rows: Rows, frames: int, tick: int) -> None:
        """Have the rows' words heard `frames` ticks later (earlier, if negative); what was heard before `tick` stays
        said."""
        due = self._due[:, rows]
        due[due < tick] = _NEVER
        self._due[:, rows] = np.roll(due, frames, axis=0) + frames
        self._voice[:, rows] = np.roll(self._voice[:, rows], frames, axis=0)
        self._zero[rows] -= self.frame * frames
        self.waits.moved(rows, frames)

    def _late(self, row: int, ahead: int, tick: int) -> int:
        """A packet came after its turn. Wait longer from now on if that helps; returns how many samples ahead it is
        then."""
        self._late_run[row] += self._late_tick[row] != tick
        self._late_tick[row] = tick
        lateness = -(ahead // self.frame)
        frames = self.waits.late(row, lateness, tick)
        if not frames:
            return ahead
        due = self._due[:, row]
        if frames < lateness or ((due > tick - lateness) & (due < tick)).any():
            # Later words were heard already, so this packet is lost, and time is made between the next ones.
            self.too_short[row] = max(frames, self.too_short.get(row, 0))
            return ahead
        self.delay(np.array([row]), frames, tick)
        return ahead + frames * self.frame

    def _begin(self, rows: Rows, timestamps: Rows, tick: int) -> None:
        """Make the lowest timestamp of each row the one that is due after the row's usual wait."""
        for row in np.unique(rows):
            mine = timestamps[rows == row]
            offsets = _wrap(mine - mine[0])
            first = int(mine[0] + offsets.min())
            self._zero[row] = first - self.frame * (tick + self.waits.first(int(row)))
            self._last_put[row] = tick
            self._late_run[row] = 0

    def _samples_ahead(self, rows: Rows, timestamps: Rows, tick: int) -> Rows:
        return _wrap(timestamps - self._zero[rows] - self.frame * tick)

    def _ahead_of(self, row: int, timestamp: int, tick: int) -> int:
        return int(_wrap(np.int64(timestamp) - self._zero[row] - self.frame * tick))

    def _runs_dry(self, row: int, tick: int) -> bool:
        return bool((self._due[:, row] < tick).all())

    def _write(self, row: int, ahead: int, samples: Units, tick: int) -> None:
        while len(samples):
            slots_ahead, offset = divmod(ahead, self.frame)
            due = tick + slots_ahead
            plane = due % SLOTS
            piece = samples[: self.frame - offset]
            if self._due[plane, row] != due:
                self._due[plane, row] = due
                self._voice[plane, row] = self._silence[row]
            self._voice[plane, row, offset : offset + len(piece)] = piece
            samples = samples[len(piece) :]
            ahead += len(piece)


def _wrap(difference: Rows) -> Rows:
    """A difference of 32-bit timestamps as a signed number (serial number arithmetic, RFC 1982)."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000
