"""One layer of a source as it arrives: cached, counted, made into runs that go out, and what is missing of it.

Nothing here knows views. A stream that begins its numbers anew (another SSRC, another encoder behind the same one) gets
a new origin, and every view waits for its next key frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from bridges.transport.sealing import RtpBatch
from bridges.video.cache import LONGEST_PAYLOAD, PacketCache
from bridges.video.codecs.numbers import UNNUMBERED, Number, NumberReader, Numbers
from bridges.video.codecs.picture import Picture
from bridges.video.counts import VideoCounts
from bridges.video.intake import Intake, Run, extended_near
from bridges.video.meters import Rates
from bridges.video.missing import Missing
from bridges.video.reception import Reception
from commhub.ports.video import Layer

_FAR_BEHIND_LIMIT = 16
"""Packets in a row behind the cache before the stream is taken for a new one (RFC 3550 A.1 asks for two)."""
_origins = count(1)

Inspect = Callable[[memoryview], tuple[Picture, Number]]


@dataclass(frozen=True, slots=True)
class Portion:
    """Packets that go out together: a run, and where they stand in the cache. `key_at` is the first extended number of
    a key frame that begins in it, None without."""

    run: Run
    slots: NDArray[np.intp]
    key_at: int | None = None


class Track:
    """A layer. `inspect` reads its codec's payloads; `numbered`: its codec numbers pictures."""

    def __init__(
        self, layer: Layer, inspect: Inspect, counts: VideoCounts, *, numbered: bool
    ) -> None:
        self.layer = layer
        self.numbered = numbered
        self.cache = PacketCache()
        self.reception = Reception()
        self.missing = Missing()
        self.pending: list[Portion] = []
        self.key_at: int | None = None
        """The first packet of the latest key frame."""
        self.key_seen_at = 0.0
        self.rates = Rates()
        self.width = self.height = 0
        self.frames = 0
        self.octets = 0
        self._inspect = inspect
        self._counts = counts
        self._intake = Intake(next(_origins))
        self._reader = NumberReader()
        self._picture_timestamp = -1
        self._picture_first = 0
        self._far_behind = 0

    @property
    def origin(self) -> int:
        return self._intake.origin

    @property
    def highest(self) -> int:
        """The highest extended number so far; −1 before the first packet."""
        return -1 if self._intake.highest is None else self._intake.highest

    def restart(self) -> None:
        """What comes now is another stream, though of the same layer."""
        self._intake = Intake(next(_origins))
        self._reader = NumberReader()
        self.cache.extended[:] = -1
        self.missing.clear()
        self.reception = Reception()
        self.pending.clear()
        self.key_at = None
        self._picture_timestamp = -1
        self._far_behind = 0
        self._counts.restarts += 1

    def take(self, batch: RtpBatch, now: float, *, repaired: bool = False) -> None:
        """Packets of the layer's stream in the order they came; `repaired`: they came as RTX (RFC 4588)."""
        before = self.highest
        sequences: list[int] = []
        timestamps: list[int] = []
        slots: list[int] = []
        numbers: list[Number] = []
        key_at: int | None = None
        for sequence, timestamp, marker, payload in _packets(batch, self._counts, repaired):
            extended = self._place(sequence, max(self.highest, before))
            if extended is None:
                continue
            before = max(before, extended)
            picture, number = self._inspect(payload.data) if len(payload) else (None, UNNUMBERED)
            number = self._reader.extend(number)
            slot = self.cache.put(extended, payload, timestamp, marker=marker, number=number)
            if picture is not None and self._begins_key(picture, timestamp, extended):
                key_at, self.key_seen_at = self._picture_first, now
            sequences.append(sequence)
            timestamps.append(timestamp)
            slots.append(slot)
            numbers.append(number)
            self.octets += len(payload)
            self.missing.arrived(extended)
        if slots:
            self._make_portions(sequences, timestamps, slots, numbers, key_at, now, repaired)

    def _place(self, sequence: int, highest: int) -> int | None:
        """The extended number of a packet that is wanted."""
        if highest < 0:
            return sequence + 0x10000
        extended = extended_near(sequence, highest)
        if extended <= highest - self.cache.capacity:
            self._counts.too_late += 1
            self._far_behind += 1
            if self._far_behind >= _FAR_BEHIND_LIMIT:
                self.restart()
            return None
        self._far_behind = 0
        if self.cache.holds(extended):
            self._counts.duplicate += 1
            return None
        return extended

    def _begins_key(self, picture: Picture, timestamp: int, extended: int) -> bool:
        """Follow where pictures begin; True when this packet shows that a key frame does."""
        if timestamp != self._picture_timestamp:
            if not picture.start:
                return False
            self._picture_timestamp, self._picture_first = timestamp, extended
            self.frames += 1
        if picture.width:
            self.width, self.height = picture.width, picture.height
        if not picture.key or self.key_at == self._picture_first:
            return False
        self.key_at = self._picture_first
        return True

    def _make_portions(
        self,
        sequences: list[int],
        timestamps: list[int],
        slots: list[int],
        numbers: list[Number],
        key_at: int | None,
        now: float,
        repaired: bool,
    ) -> None:
        was_highest = self.highest
        runs = self._intake.take(
            np.array(sequences, np.uint16),
            np.array(timestamps, np.uint32),
            Numbers.of(numbers) if self.numbered else None,
        )
        if repaired:
            self._counts.recovered += len(slots)
        else:
            self._counts.received += len(slots)
            self.reception.take(len(slots), self.highest, runs[-1].newest, now)
        if was_highest >= 0:
            self.missing.noticed(was_highest, self.highest, self.cache.holds, now)
        index = np.array(slots, np.intp)
        at = 0
        for run in runs:
            end = at + len(run.sequences)
            begins = key_at if key_at is not None and run.first <= key_at <= run.last else None
            self.pending.append(Portion(run, index[at:end], begins))
            at = end


def _packets(
    batch: RtpBatch, counts: VideoCounts, repaired: bool
) -> Iterator[tuple[int, int, bool, NDArray[np.uint8]]]:
    """Sequence number, timestamp, marker and payload of each; RTX as what it repairs."""
    for row, size in zip(batch.rows.tolist(), batch.sizes.tolist(), strict=True):
        packet = batch.data[row]
        head = packet[:16].tobytes()
        start = 12 + 4 * (head[0] & 0x0F)
        if head[0] & 0x10 and start + 4 <= size:
            start += 4 + 4 * (int(packet[start + 2]) << 8 | int(packet[start + 3]))
        end = size - (int(packet[size - 1]) if head[0] & 0x20 else 0)
        sequence = head[2] << 8 | head[3]
        if repaired:
            # A probe repairs nothing: RTX without an original.
            if end - start <= 2:
                continue
            sequence = int(packet[start]) << 8 | int(packet[start + 1])
            start += 2
        if start > size or end < start or end - start > LONGEST_PAYLOAD:
            counts.shapeless += 1
            continue
        timestamp = int.from_bytes(head[4:8], "big")
        yield sequence, timestamp, bool(head[1] & 0x80), packet[start:end]
