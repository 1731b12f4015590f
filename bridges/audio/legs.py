"""The table of legs: one row a leg, one array a property, rows given and taken back by a free list.

Rows move nowhere while a leg lives, so a packet in flight through the tick can name its leg by row. `changed`
says that the arrangement for mixing (`plan`) must be made anew; nothing else depends on coming and going.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from bridges.audio.bands import TICK_MS
from bridges.audio.g711 import FRAME, RATE, SILENCE, STATIC_PAYLOAD_TYPE, Law
from bridges.audio.packet_times import LONGEST_TICKS
from bridges.transport.six import SixHosts
from commhub.domain.errors import NotFoundError, UnavailableError

NONE = -1
"""No call, no source, no SSRC, no payload type, no socket of its own."""
_NOT_BEGUN = -(1 << 40)

Rows = NDArray[np.int64]
"""Rows of the table, or anything that is one number each."""


class LegTable:
    """Columns are public arrays; `None`-like values are `NONE`.

    Sources are `batch.source_key` integers, those of IPv6 as `hosts` numbers them. `expected` is what the SDP said, `source` what packets must come
    from, `locked` that one did, `goal` where ours go. `own_fd` is the leg's own socket, NONE for the shared one.
    `radio` rows hold the voice on the air of a group: their call is the group's own, and nothing is sent.
    `secured` legs have keys: nothing of theirs crosses in the clear (`vault`).
    `plugged` legs have no socket: somebody else carries their packets. `clock` is that of the RTP timestamps,
    `dtmf_clock` that of telephone-events' durations,
    `comfort` that comfort noise was agreed, `ptime` the packet time sent in ms, `pending` the G.711 of a packet that is not whole yet.
    `linear` rows wait in the wide ring as samples, the others in the narrow one as bytes of their `law`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.changed = True
        self.hosts = SixHosts()
        self._rows: dict[str, int] = {}
        self._ids: list[str | None] = [None] * capacity
        self._free = list(range(capacity - 1, -1, -1))
        self.call = np.full(capacity, NONE, np.int64)
        self.law = np.zeros(capacity, np.int8)
        self.linear = np.zeros(capacity, bool)
        self.plugged = np.zeros(capacity, bool)
        self.secured = np.zeros(capacity, bool)
        self.clock = np.full(capacity, RATE, np.int64)
        self.dtmf_clock = np.full(capacity, RATE, np.int64)
        self.ptime = np.full(capacity, TICK_MS, np.int64)
        self.comfort = np.zeros(capacity, bool)
        self.pending = np.zeros((capacity, LONGEST_TICKS * FRAME), np.uint8)
        self.connected = np.zeros(capacity, bool)
        self.sends = np.zeros(capacity, bool)
        self.receives = np.zeros(capacity, bool)
        self.near = np.zeros(capacity, bool)
        self.radio = np.zeros(capacity, bool)
        self.own_fd = np.full(capacity, NONE, np.int64)
        self.expected = np.full(capacity, NONE, np.int64)
        self.source = np.full(capacity, NONE, np.int64)
        self.goal = np.full(capacity, NONE, np.int64)
        self.locked = np.zeros(capacity, bool)
        self.payload_type = np.full(capacity, NONE, np.int64)
        self.dtmf_type = np.full(capacity, NONE, np.int64)
        self.dtmf_time = np.full(capacity, NONE, np.int64)
        self.ssrc = np.full(capacity, NONE, np.int64)
        self.out_ssrc = np.zeros(capacity, np.uint32)
        self.out_sequence = np.zeros(capacity, np.uint16)
        self.out_zero = np.zeros(capacity, np.int64)
        self.marker = np.zeros(capacity, bool)
        self.heard_at = np.zeros(capacity, np.int64)
        self.silence_told = np.zeros(capacity, bool)
        self.received = np.zeros(capacity, np.int64)
        self.sent = np.zeros(capacity, np.int64)
        self.octets = np.zeros(capacity, np.int64)
        self.first_sequence = np.full(capacity, _NOT_BEGUN, np.int64)
        self.last_sequence = np.zeros(capacity, np.int64)
        self.concealed = np.zeros(capacity, np.int64)
        self.level = np.full(capacity, -127.0)

    def __len__(self) -> int:
        return len(self._rows)

    def row_of(self, leg_id: str) -> int:
        """Raises NotFoundError."""
        try:
            return self._rows[leg_id]
        except KeyError:
            raise NotFoundError("the media engine has no such leg", leg=leg_id) from None

    def find(self, leg_id: str) -> int | None:
        return self._rows.get(leg_id)

    def id_of(self, row: int) -> str | None:
        return self._ids[row]

    def rows(self) -> dict[str, int]:
        """A copy: leg id to row."""
        return dict(self._rows)

    def add(self, leg_id: str, call: int, tick: int) -> int:
        """Take a row for a new leg. Raises UnavailableError when the worker is full."""
        if not self._free:
            raise UnavailableError("this media worker has no room for another leg")
        row = self._free.pop()
        self._rows[leg_id] = row
        self._ids[row] = leg_id
        self._blank(row)
        self.call[row] = call
        self.heard_at[row] = tick
        # RFC 3550 §5.1: SSRC, first sequence and first timestamp are random, and go on for the leg's life.
        self.out_ssrc[row] = secrets.randbits(32)
        self.out_sequence[row] = secrets.randbits(16)
        self.out_zero[row] = secrets.randbits(32)
        return row

    def remove(self, leg_id: str) -> None:
        row = self._rows.pop(leg_id)
        self._ids[row] = None
        self._blank(row)
        self._free.append(row)
        self.changed = True

    def set_codec(
        self,
        row: int,
        law: Law,
        payload_type: int,
        dtmf_type: int | None,
        *,
        ptime_ms: int = TICK_MS,
        dtmf_clock: int | None = None,
        lane_clock: int | None = None,
    ) -> None:
        """`lane_clock` is the RTP clock of a codec that is not G.711; `law` is then without meaning."""
        if law != self.law[row] or ptime_ms != self.ptime[row]:
            self.pending[row] = SILENCE[law]
        self.law[row] = law
        self.ptime[row] = ptime_ms
        self.linear[row] = lane_clock is not None
        self.clock[row] = RATE if lane_clock is None else lane_clock
        self.dtmf_clock[row] = self.clock[row] if dtmf_clock is None else dtmf_clock
        self.payload_type[row] = payload_type
        self.dtmf_type[row] = NONE if dtmf_type is None else dtmf_type

    def lost(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Packets that should have come and did not (RFC 3550 §A.3), never negative."""
        began = self.first_sequence[rows] != _NOT_BEGUN
        expected = self.last_sequence[rows] - self.first_sequence[rows] + 1
        return np.where(began, np.maximum(expected - self.received[rows], 0), 0)

    def restart_losses(self, row: int, sequence: int) -> None:
        """A new stream begins at `sequence`; what the leg lost before stays counted."""
        lost = int(self.lost(np.array([row]))[0])
        self.first_sequence[row] = sequence - lost - int(self.received[row])
        self.last_sequence[row] = sequence - 1

    def _blank(self, row: int) -> None:
        for column in (self.connected, self.sends, self.receives, self.near):
            column[row] = False
        self.secured[row] = False
        for column in (self.radio, self.plugged, self.locked, self.marker, self.silence_told):
            column[row] = False
        for column in (self.call, self.own_fd, self.expected, self.source, self.goal):
            column[row] = NONE
        for column in (self.dtmf_type, self.dtmf_time, self.ssrc):
            column[row] = NONE
        self.first_sequence[row] = _NOT_BEGUN
        self.concealed[row] = 0
        self.comfort[row] = False
        for column in (self.received, self.sent, self.octets, self.last_sequence):
            column[row] = 0
        self.set_codec(row, Law.PCMU, STATIC_PAYLOAD_TYPE[Law.PCMU], None)
        self.pending[row] = SILENCE[Law.PCMU]
        self.level[row] = -127.0
