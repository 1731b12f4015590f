"""Encoding for lanes: one encoder for all legs of a call that hear the same, one of its own for whoever speaks.

A leg that says nothing hears its whole call, as every other such leg does, so 500 listeners cost one encoder. Whether
a leg hears the same is not deduced but compared, sample by sample, so prompts, whispers and hearing rights need not
know of this. A leg leaves the shared stream with the first packet that would differ, and comes back after it heard the
same for `_HANG_TICKS`.

The codecs predict from what they sent before, so a stream cannot simply be continued by another encoder. One that
begins is therefore first given what its listener heard in the packets before (`Stream`): its state is then that of
an encoder which had been there all along, as near as the quantisation noise.
"""

from dataclasses import dataclass, field

import numpy as np

from bridges.audio import packet_times
from bridges.audio.bands import WIDE
from bridges.audio.codecs.codec import Codec, Encoder, Samples
from bridges.audio.lanes import KEPT_TICKS, Lanes
from bridges.audio.legs import LegTable
from bridges.audio.mixer import Mixer
from bridges.audio.outbox import Outbox
from bridges.audio.plan import Index, Plan

Key = tuple[int, tuple[str, int, str]]
"""A call's index, and the kind of lane."""
_HANG_TICKS = 25
_WARM_UP_MS = 60
"""What a new encoder is given first; longer packets, where one is remembered."""
_PER_MS = WIDE.rate // 1000


class Stream:
    """One encoder, begun anew wherever the packets before were not its own."""

    def __init__(self, codec: Codec, ptime_ms: int, settings: str) -> None:
        self._codec = codec
        self._ptime_ms = ptime_ms
        self._settings = settings
        self._encoder: Encoder | None = None
        self._until: int | None = None

    def encode(self, heard: Samples, at: int, time: int) -> bytes:
        """The packet of the samples that begin at `at` of what was `heard`, and at `time` of the engine's clock."""
        size = self._ptime_ms * _PER_MS
        if self._encoder is None or self._until != time:
            self._encoder = self._codec.encoder(self._ptime_ms, self._settings)
            wanted = max(1, _WARM_UP_MS // self._ptime_ms)
            for before in range(min(wanted, at // size), 0, -1):
                start = at - before * size
                self._encoder.encode(heard[start : start + size])
        self._until = time + size
        return self._encoder.encode(heard[at : at + size])


@dataclass(frozen=True, slots=True)
class _Alike:
    """Lanes of one call and one kind. `seats` index the speakers' arrays; a stream is shared by two or more."""

    key: Key
    codec: Codec
    ptime_ms: int
    settings: str
    seats: Index
    rows: Index


@dataclass(slots=True)
class Streams:
    """The encoders of an engine, which survive its plans: per leg row, and per call and kind."""

    own: dict[int, Stream] = field(default_factory=dict)
    shared: dict[Key, Stream] = field(default_factory=dict)

    def forget(self, row: int) -> None:
        self.own.pop(row, None)


class Speakers:
    """The encoding half of a tick for the lanes of one plan."""

    def __init__(self, legs: LegTable, lanes: Lanes, streams: Streams, plan: Plan) -> None:
        self._legs = legs
        self._lanes = lanes
        self._streams = streams
        rows = plan.rows[plan.linear]
        sent_to = legs.connected[rows] & legs.receives[rows]
        self._places = plan.linear[sent_to]
        self._rows = rows[sent_to]
        self._lines = plan.line[self._places]
        self._alike = self._group()
        live = {one.key for one in self._alike}
        for key in streams.shared.keys() - live:
            del streams.shared[key]

    def _group(self) -> list[_Alike]:
        found: dict[Key, list[int]] = {}
        for seat, row in enumerate(self._rows.tolist()):
            key = int(self._legs.call[row]), self._lanes.of(row).kind
            found.setdefault(key, []).append(seat)
        made = []
        for key, seats in found.items():
            lane = self._lanes.of(int(self._rows[seats[0]]))
            index = np.array(seats, np.int64)
            rows = self._rows[index]
            made.append(_Alike(key, lane.codec, lane.ptime_ms, lane.settings, index, rows))
        return made

    def speak(self, mixer: Mixer, tick: int, outbox: Outbox) -> None:
        """Put what the lanes hear into the outbox, in the packets that are whole with this tick."""
        if not len(self._rows):
            return
        sent = self._lanes.sent
        same = (mixer.mix[self._places] == mixer.totals[self._lines]).all(axis=1)
        sent.note(self._rows, mixer.heard[self._places], ~same, tick)
        for alike in self._alike:
            phase = tick % packet_times.period(alike.ptime_ms)
            for start, _ in packet_times.due(alike.ptime_ms, phase, _PER_MS):
                self._send(alike, start, tick - phase, tick, outbox)

    def _send(self, alike: _Alike, start: int, first_tick: int, tick: int, outbox: Outbox) -> None:
        """The packet that begins `start` samples after `first_tick` began."""
        rows = alike.rows
        at = (KEPT_TICKS - 1 - (tick - first_tick)) * WIDE.frame + start
        time = first_tick * WIDE.frame + start
        clock = alike.codec.clock_rate
        stamps = self._legs.out_zero[rows] + time * clock // WIDE.rate
        shares = tick - self._lanes.sent.apart_at[rows] > _HANG_TICKS
        shares &= len(rows) > 1
        if shares.any():
            stream = self._streams.shared.get(alike.key)
            if stream is None:
                stream = self._streams.shared[alike.key] = self._stream(alike)
            together = rows[shares]
            # Who has listened longest remembers the whole packet and what was before it.
            eldest = int(together[self._lanes.sent.since[together].argmin()])
            payload = stream.encode(self._lanes.history(eldest, tick), at, time)
            outbox.put_voice(together, payload, stamps[shares])
            for row in together.tolist():
                self._streams.own.pop(row, None)
        for i in np.flatnonzero(~shares).tolist():
            row = int(rows[i])
            stream = self._streams.own.get(row)
            if stream is None:
                stream = self._streams.own[row] = self._stream(alike)
            payload = stream.encode(self._lanes.history(row, tick), at, time)
            outbox.put_voice(rows[i : i + 1], payload, stamps[i : i + 1])

    def _stream(self, alike: _Alike) -> Stream:
        return Stream(alike.codec, alike.ptime_ms, alike.settings)
