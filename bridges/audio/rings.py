"""Jitter rings: voice waits here, by the tick at which it will be heard.

The RTP timestamp says when a sample was spoken (RFC 3550 §5.1), so a packet is filed under the tick at which
that moment is due, whatever its order, size or the gaps of silence suppression before it. One ring serves all
legs: plane `tick % SLOTS` holds what every leg says at that tick, and playing out is one gather of one plane.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridges.audio.counts import Counts
from bridges.audio.g711 import FRAME, SILENCE, Law

SLOTS = 16
"""Ticks a voice can wait: 320 ms."""
_LOST_AFTER = 10
"""Ticks without a packet after which the next one begins anew."""
_LATE_RUN = 3
"""Ticks in a row whose packets came too late: the path has become longer, so begin anew. A burst after a stall is
one such tick, and the path is as long as before."""
_DRIFT_WINDOW = 64
"""Ticks over which a leg's shortest wait is watched."""
_NEVER = -(1 << 40)

Rows = NDArray[np.int64]
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
        self._frame = frame
        self._dtype = dtype
        self._voice: Units = np.zeros((SLOTS, rows, frame), dtype)
        self._due = np.full((SLOTS, rows), _NEVER, np.int64)
        self._silence: Units = np.full(rows, self._silence_of(Law.PCMU), dtype)
        self._depth = np.full(rows, depth, np.int64)
        self._default_depth = depth
        # The (unwrapped) timestamp of the first sample of tick 0.
        self._zero = np.zeros(rows, np.int64)
        self._last_put = np.full(rows, _NEVER, np.int64)
        self._late_run = np.zeros(rows, np.int64)
        self._late_tick = np.full(rows, _NEVER, np.int64)
        self._shortest_wait = np.full(rows, SLOTS, np.int64)

    def _silence_of(self, law: Law) -> int:
        return SILENCE[law] if self._dtype is np.uint8 else 0

    def reset(self, row: int, law: Law = Law.PCMU, depth: int | None = None) -> None:
        """Forget what the row holds; its next packet begins anew."""
        self._due[:, row] = _NEVER
        self._silence[row] = self._silence_of(law)
        self._depth[row] = self._default_depth if depth is None else depth
        self._last_put[row] = _NEVER
        self._late_run[row] = 0
        self._shortest_wait[row] = SLOTS

    def begin_anew(self, row: int) -> None:
        """Let the row's next packet be the origin of a new time line; what waits is still heard."""
        self._last_put[row] = _NEVER

    def put_frames(self, rows: Rows, timestamps: Rows, payloads: Units, tick: int) -> None:
        """File 20 ms packets (n×frame), at most all that arrived since the last tick."""
        fresh = tick - self._last_put[rows] > _LOST_AFTER
        if fresh.any():
            self._begin(rows[fresh], timestamps[fresh], tick)
        ahead = self._samples_ahead(rows, timestamps, tick)
        slots_ahead, part = np.divmod(ahead, self._frame)
        awry = (ahead < 0) | (slots_ahead >= SLOTS - 1) | (part != 0)
        if awry.any():
            for i in np.flatnonzero(awry):
                self.put(int(rows[i]), int(timestamps[i]), payloads[i], tick)
            plain = ~awry
            rows, slots_ahead, payloads = rows[plain], slots_ahead[plain], payloads[plain]
        due = slots_ahead + tick
        planes = due % SLOTS
        self._counts.duplicate += int(np.count_nonzero(self._due[planes, rows] == due))
        self._voice[planes, rows] = payloads
        self._due[planes, rows] = due
        self._last_put[rows] = tick
        self._late_run[rows] = 0
        np.minimum(self._shortest_wait[rows], slots_ahead, out=slots_ahead)
        self._shortest_wait[rows] = slots_ahead

    def put(self, row: int, timestamp: int, payload: bytes | Units, tick: int) -> None:
        """File one packet of any length: other ptimes, odd timestamps, radio frames."""
        samples = np.frombuffer(payload, self._dtype)
        if tick - self._last_put[row] > _LOST_AFTER:
            self._begin(np.array([row]), np.array([timestamp]), tick)
        ahead = self._ahead_of(row, timestamp, tick)
        if ahead < 0:
            self._late_run[row] += self._late_tick[row] != tick
            self._late_tick[row] = tick
            if self._late_run[row] < _LATE_RUN:
                self._counts.late += 1
                return
        elif ahead % self._frame and self._runs_dry(row, tick):
            # After a pause the sender's time need not be a multiple of a frame away.
            self._late_run[row] = _LATE_RUN
        if self._late_run[row] >= _LATE_RUN or ahead + len(samples) > (SLOTS - 1) * self._frame:
            self._counts.resynced += 1
            self._begin(np.array([row]), np.array([timestamp]), tick)
            ahead = self._ahead_of(row, timestamp, tick)
        self._late_run[row] = 0
        self._last_put[row] = tick
        self._shortest_wait[row] = min(self._shortest_wait[row], ahead // self._frame)
        self._write(row, ahead, samples, tick)

    def read(self, rows: Rows, tick: int, out: Units) -> NDArray[np.bool_]:
        """Copy what the rows say at `tick` into `out` (silence where nothing is); returns who says nothing."""
        plane = tick % SLOTS
        np.take(self._voice[plane], rows, axis=0, out=out, mode="clip")
        missing: NDArray[np.bool_] = self._due[plane, rows] != tick
        if missing.any():
            out[missing] = self._silence[rows[missing], None]
            self._counts.concealed += int(
                np.count_nonzero(tick - self._last_put[rows[missing]] <= _LOST_AFTER)
            )
        if tick % _DRIFT_WINDOW == 0:
            self._shorten(rows)
        return missing

    def _begin(self, rows: Rows, timestamps: Rows, tick: int) -> None:
        """Make the lowest timestamp of each row the one that is due `depth` ticks from now."""
        for row in np.unique(rows):
            mine = timestamps[rows == row]
            offsets = _wrap(mine - mine[0])
            first = int(mine[0] + offsets.min())
            self._zero[row] = first - self._frame * (tick + self._depth[row])
            self._last_put[row] = tick
            self._late_run[row] = 0
            self._shortest_wait[row] = SLOTS

    def _samples_ahead(self, rows: Rows, timestamps: Rows, tick: int) -> Rows:
        return _wrap(timestamps - self._zero[rows] - self._frame * tick)

    def _ahead_of(self, row: int, timestamp: int, tick: int) -> int:
        return int(_wrap(np.int64(timestamp) - self._zero[row] - self._frame * tick))

    def _runs_dry(self, row: int, tick: int) -> bool:
        return bool((self._due[:, row] < tick).all())

    def _write(self, row: int, ahead: int, samples: Units, tick: int) -> None:
        while len(samples):
            slots_ahead, offset = divmod(ahead, self._frame)
            due = tick + slots_ahead
            plane = due % SLOTS
            piece = samples[: self._frame - offset]
            if self._due[plane, row] != due:
                self._due[plane, row] = due
                self._voice[plane, row] = self._silence[row]
            self._voice[plane, row, offset : offset + len(piece)] = piece
            samples = samples[len(piece) :]
            ahead += len(piece)

    def _shorten(self, rows: Rows) -> None:
        """Bring back legs whose every packet waited too long: a burst at the start, or a fast clock."""
        waits, depths = self._shortest_wait[rows], self._depth[rows]
        slow = (waits > depths + 1) & (waits < SLOTS)
        if slow.any():
            self._zero[rows[slow]] += self._frame * (waits[slow] - depths[slow])
            self._counts.resynced += int(np.count_nonzero(slow))
        self._shortest_wait[rows] = SLOTS


def _wrap(difference: Rows) -> Rows:
    """A difference of 32-bit timestamps as a signed number (serial number arithmetic, RFC 1982)."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000
