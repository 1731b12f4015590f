"""Lanes: the legs whose packets are no G.711. A lane turns packets into 16 kHz samples with a time to hear them by,
and remembers what its leg was sent, so that its encoder can be changed without a seam (`speakers`).

Decoders keep state, so a packet is decoded when it comes, and what waits in the ring are samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridges.audio import packet_times
from bridges.audio.bands import WIDE
from bridges.audio.codecs.codec import Codec, Samples

KEPT_TICKS = 2 * packet_times.LONGEST_TICKS
"""Ticks of what was heard that are remembered: the packet under way and a whole one before it."""
NEVER = -(1 << 40)


class SampleTime:
    """RTP timestamps of any clock as a count of 16 kHz samples that never wraps: the 32 bits are unwrapped before
    they are scaled, because a third of 2^32 is no whole number."""

    def __init__(self, clock_rate: int) -> None:
        self._clock = clock_rate
        self._last: int | None = None

    def of(self, stamp: int) -> int:
        last = stamp if self._last is None else self._last
        step = ((stamp - last + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        self._last = last + step
        return self._last * WIDE.rate // self._clock


class Lane:
    """One leg's codec. `settings` are what its far end's format parameters ask of our encoder."""

    def __init__(self, codec: Codec, wanted_ptime_ms: int, fmtp: str) -> None:
        self.codec = codec
        self.ptime_ms = packet_times.fitting(wanted_ptime_ms, codec.ptimes)
        self.settings = codec.settings(fmtp)
        self._decoder = codec.decoder()
        self._time = SampleTime(codec.clock_rate)

    @property
    def kind(self) -> tuple[str, int, str]:
        """Lanes of one kind that hear the same can be sent the same."""
        return self.codec.encoding, self.ptime_ms, self.settings

    def take(self, stamp: int, payload: bytes) -> tuple[int, Samples]:
        """The packet's samples, and the time of the first. Raises UndecodableError."""
        samples = self._decoder.decode(payload)
        return self._time.of(stamp), samples


@dataclass(frozen=True, slots=True)
class Sent:
    """What each row heard in the last ticks, when it last heard something else than its whole call, since when it
    has heard without a pause, and when it last did."""

    recent: NDArray[np.int16]
    apart_at: NDArray[np.int64]
    since: NDArray[np.int64]
    last_at: NDArray[np.int64]

    def note(
        self, rows: NDArray[np.int64], heard: Samples, apart: NDArray[np.bool_], tick: int
    ) -> None:
        """Remember a tick of these rows."""
        self.recent[rows, tick % KEPT_TICKS] = heard
        self.apart_at[rows[apart]] = tick
        paused = rows[self.last_at[rows] != tick - 1]
        self.since[paused] = tick
        self.last_at[rows] = tick


class Lanes:
    """The lanes by table row."""

    def __init__(self, rows: int) -> None:
        self._lanes: dict[int, Lane] = {}
        self.sent = Sent(
            recent=np.zeros((rows, KEPT_TICKS, WIDE.frame), np.int16),
            apart_at=np.full(rows, NEVER, np.int64),
            since=np.full(rows, NEVER, np.int64),
            last_at=np.full(rows, NEVER, np.int64),
        )

    def put(self, row: int, lane: Lane) -> None:
        self._lanes[row] = lane
        self.sent.recent[row] = 0
        self.sent.apart_at[row] = NEVER
        self.sent.last_at[row] = NEVER

    def remove(self, row: int) -> None:
        self._lanes.pop(row, None)

    def of(self, row: int) -> Lane:
        return self._lanes[row]

    def find(self, row: int) -> Lane | None:
        return self._lanes.get(row)

    def history(self, row: int, tick: int) -> Samples:
        """What the row heard in the `KEPT_TICKS` ticks that end with this one."""
        order = np.arange(tick - KEPT_TICKS + 1, tick + 1) % KEPT_TICKS
        heard: Samples = self.sent.recent[row, order].reshape(-1)
        return heard
