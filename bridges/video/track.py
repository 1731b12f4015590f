"""One layer of a source as it arrives: cached, counted, made into runs that go out, and what is missing of it.

Nothing here knows views. A stream that begins its numbers anew (another SSRC, another encoder behind the same one) gets
a new origin, and every view waits for its next key frame.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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
from bridges.video.preface import Packet, Preface
from bridges.video.reception import Reception
from commhub.ports.video import Layer

_HEAD = struct.Struct("!BBHI")
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
        self.preface: Preface | None = None
        """What puts in parameter sets, for a stream whose SDP has them."""
        self.rates = Rates()
        self.width = self.height = 0
        self.frames = 0
        self.octets = 0
        self.is_midway = False
        """Whether the newest packet is not the last of its picture."""
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

    def original(self, extended: int) -> int:
        """The number under which its sender knows a packet."""
        return extended if self.preface is None else self.preface.original(extended)

    def restart(self) -> None:
        """What comes now is another stream, though of the same layer."""
        if self.preface is not None:
            self.preface.restart()
        self._intake = Intake(next(_origins))
        self._reader = NumberReader()
        self.cache.clear()
        self.missing.clear()
        self.reception = Reception()
        self.pending.clear()
        self.is_midway = False
        self.key_at = None
        self._picture_timestamp = -1
        self._picture_first = 0
        self._far_behind = 0
        self._counts.restarts += 1

    def take(self, batch: RtpBatch, now: float, *, repaired: bool = False) -> None:
        """Packets of the layer's stream in the order they came; `repaired`: they came as RTX (RFC 4588)."""
        taken = _Taken()
        highest, origin = self.highest, self.origin
        packets: Iterable[Packet] = _packets(batch, self._counts, repaired)
        if self.preface is not None:
            packets = self.preface.insert(packets)
        for sequence, timestamp, marker, payload in packets:
            extended = self._place(sequence, highest, repaired=repaired)
            if extended is None:
                if self.origin != origin:
                    taken, highest, origin = _Taken(), -1, self.origin
                continue
            if extended > highest:
                highest, self.is_midway = extended, not marker
            size = len(payload)
            number = UNNUMBERED
            if size:
                picture, number = self._inspect(payload.data)
                if self._begins_key(picture, timestamp, extended):
                    taken.key_at, self.key_seen_at = self.key_at, now
                number = self._reader.extend(number)
            taken.slots.append(self.cache.put(extended, payload, number))
            taken.extended.append(extended)
            taken.timestamps.append(timestamp)
            taken.sizes.append(size)
            taken.markers.append(marker)
            taken.numbers.append(number)
        if taken.slots:
            self._make_portions(taken, now, repaired=repaired)

    def _place(self, sequence: int, highest: int, *, repaired: bool) -> int | None:
        """The extended number of a packet that is wanted."""
        if highest < 0:
            return sequence + 0x10000
        extended = extended_near(sequence, highest)
        if extended <= highest - self.cache.capacity:
            self._counts.too_late += 1
            # What is sent again may be as old as it likes.
            self._far_behind += not repaired
            if self._far_behind >= _FAR_BEHIND_LIMIT:
                self.restart()
            return None
        if not repaired:
            self._far_behind = 0
        if self.cache.holds(extended):
            if repaired:
                self._counts.probes += 1
            else:
                self._counts.duplicate += 1
            return None
        return extended

    def _begins_key(self, picture: Picture, timestamp: int, extended: int) -> bool:
        """Follow where pictures begin; True when this packet shows that a key frame does."""
        if timestamp != self._picture_timestamp:
            if not picture.start or extended < self._picture_first:
                return False
            self._picture_timestamp, self._picture_first = timestamp, extended
            self.frames += 1
        elif picture.start and extended < self._picture_first:
            # Its first packet came late.
            if self.key_at == self._picture_first:
                self.key_at = extended
            self._picture_first = extended
        if picture.width:
            self.width, self.height = picture.width, picture.height
        if not picture.key or self.key_at == self._picture_first:
            return False
        self.key_at = self._picture_first
        return True

    def _make_portions(self, taken: "_Taken", now: float, *, repaired: bool) -> None:
        was_highest = self.highest
        slots = np.array(taken.slots, np.intp)
        timestamps = np.array(taken.timestamps, np.uint32)
        self.cache.describe(slots, taken.extended, taken.sizes, timestamps, taken.markers)
        self.octets += sum(taken.sizes)
        self.missing.arrived(taken.extended)
        runs = self._intake.take(
            (np.array(taken.extended, np.int64) & 0xFFFF).astype(np.uint16),
            timestamps,
            Numbers.of(taken.numbers) if self.numbered else None,
        )
        if repaired:
            self._counts.recovered += len(slots)
        else:
            self._counts.received += len(slots)
            self.reception.take(len(slots), self.highest, runs[-1].newest, now)
        if was_highest >= 0:
            self.missing.noticed(was_highest, self.highest, self.cache.holds, now)
        key_at, at = taken.key_at, 0
        for run in runs:
            end = at + len(run.sequences)
            begins = key_at if key_at is not None and run.first <= key_at <= run.last else None
            self.pending.append(Portion(run, slots[at:end], begins))
            at = end


@dataclass(slots=True)
class _Taken:
    """The wanted packets of a batch, an entry each."""

    slots: list[int] = field(default_factory=list)
    extended: list[int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    markers: list[bool] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    key_at: int | None = None


def _packets(batch: RtpBatch, counts: VideoCounts, repaired: bool) -> Iterator[Packet]:
    """Sequence number, timestamp, marker and payload of each; RTX as what it repairs."""
    data = batch.data
    heads = data[batch.rows, :12].tobytes()
    for index, (row, size) in enumerate(
        zip(batch.rows.tolist(), batch.sizes.tolist(), strict=True)
    ):
        first, second, sequence, timestamp = _HEAD.unpack_from(heads, 12 * index)
        start, end = 12, size
        if first & 0x3F:
            start += 4 * (first & 0x0F)
            if first & 0x10 and start + 4 <= size:
                start += 4 + 4 * (int(data[row, start + 2]) << 8 | int(data[row, start + 3]))
            if first & 0x20:
                end -= int(data[row, size - 1])
        if repaired:
            # Padding repairs nothing: RTX without an original.
            if end - start <= 2:
                counts.probes += 1
                continue
            sequence = int(data[row, start]) << 8 | int(data[row, start + 1])
            start += 2
        if not 0 <= end - start <= LONGEST_PAYLOAD:
            counts.shapeless += 1
            continue
        yield sequence, timestamp, second >= 0x80, data[row, start:end]
