"""Packets of any size on their way out: of lanes, and telephone-events. The plain 20 ms of G.711 do not come here.

Gathered during a tick, they leave together at its end: one system call for the shared socket, one for each leg with a
socket of its own; those of legs without a socket are told as `PacketOut`.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio import rtp
from bridges.audio.counts import Counts
from bridges.audio.events import Output, PacketOut
from bridges.audio.legs import NONE, LegTable
from bridges.audio.plan import Index
from bridges.audio.vault import ROOM, Vault
from bridges.transport.batch import message_array, send_batch, write_addresses

LONGEST = 1400
"""Bytes of a packet; Opus never needs as many."""
_FIRST_ROWS = 64
_MARKER = 0x80


class Outbox:
    """The packets of one tick; `flush` ends it."""

    def __init__(self, legs: LegTable, vault: Vault, counts: Counts, shared_fd: int) -> None:
        self._legs = legs
        self._vault = vault
        self._counts = counts
        self._shared_fd = shared_fd
        self._count = 0
        self._make(_FIRST_ROWS)

    def _make(self, rows: int) -> None:
        self._packets = np.zeros((rows, LONGEST), np.uint8)
        self._packets[:, 0] = rtp.VERSION_BYTE
        self._addresses = np.zeros((rows, 16), np.uint8)
        self._messages, self._iov = message_array(self._packets, self._addresses)
        self._halves = self._packets.view(">u2")
        self._words = self._packets.view(">u4")
        self._owners = np.zeros(rows, np.int64)

    def put_voice(self, rows: Index, payload: bytes, stamps: Index) -> None:
        """The same voice to each row, at the row's own timestamp. The first packet after a pause is marked
        (RFC 3551 §4.1)."""
        legs = self._legs
        types = (legs.payload_type[rows] | legs.marker[rows] * _MARKER).astype(np.uint8)
        legs.marker[rows] = False
        self._put(rows, types, payload, stamps)

    def put_noise(self, row: int, level: int, stamp: int) -> None:
        """Comfort noise of −`level` dBov (RFC 3389) to one row."""
        kind = np.array([rtp.COMFORT_NOISE], np.uint8)
        self._put(np.array([row]), kind, bytes([level]), np.array([stamp]))

    def put_event(self, row: int, payload: bytes, stamp: int, *, marked: bool) -> None:
        """A telephone-event (RFC 4733) to one row."""
        kind = int(self._legs.dtmf_type[row]) | (_MARKER if marked else 0)
        self._put(np.array([row]), np.array([kind], np.uint8), payload, np.array([stamp]))

    def _put(self, rows: Index, types: NDArray[np.uint8], payload: bytes, stamps: Index) -> None:
        size = rtp.HEADER_SIZE + len(payload)
        if size > LONGEST - ROOM:
            self._counts.send_errors += len(rows)
            return
        start, end = self._count, self._count + len(rows)
        if end > len(self._packets):
            self._grow(end)
        legs, here = self._legs, slice(start, end)
        self._packets[here, 1] = types
        self._packets[here, rtp.HEADER_SIZE : size] = np.frombuffer(payload, np.uint8)
        self._halves[here, 1] = legs.out_sequence[rows]
        self._words[here, 1] = stamps & 0xFFFFFFFF
        self._words[here, 2] = legs.out_ssrc[rows]
        self._iov["size"][here] = size
        self._owners[here] = rows
        legs.out_sequence[rows] += 1
        legs.sent[rows] += 1
        legs.octets[rows] += len(payload)
        self._count = end

    def _grow(self, wanted: int) -> None:
        """Room for more. What stands in the outbox moves along."""
        packets, sizes, owners = self._packets, self._iov["size"].copy(), self._owners
        count = self._count
        self._make(max(wanted, 2 * len(packets)))
        self._packets[:count] = packets[:count]
        self._iov["size"][:count] = sizes[:count]
        self._owners[:count] = owners[:count]

    def flush(self, out: list[Output]) -> None:
        """Send everything."""
        if not self._count:
            return
        legs, count = self._legs, self._count
        self._count = 0
        owners = self._owners[:count]
        plugged = legs.plugged[owners]
        for i in np.flatnonzero(plugged).tolist():
            leg_id = legs.id_of(int(owners[i]))
            if leg_id is not None:
                packet = self._packets[i, : int(self._iov["size"][i])].tobytes()
                out.append(PacketOut(leg_id, packet))
        self._counts.sent += int(np.count_nonzero(plugged))
        secured = np.flatnonzero(legs.secured[owners])
        if len(secured):
            self._vault.close(self._packets, secured, owners[secured], self._iov["size"])
        write_addresses(self._addresses[:count], legs.goal[owners])
        fds = legs.own_fd[owners]
        self._send(self._shared_fd, np.flatnonzero((fds == NONE) & ~plugged))
        for i in np.flatnonzero((fds != NONE) & ~plugged).tolist():
            self._send(int(fds[i]), np.array([i]), legs.goal[owners[i : i + 1]])

    def _send(self, fd: int, which: Index, goals: Index | None = None) -> None:
        """`goals` where they may be IPv6's: on sockets of legs' own."""
        if len(which):
            messages = np.ascontiguousarray(self._messages[which])
            _addresses = None if goals is None else self._legs.hosts.point(messages, goals)
            sent, unsent = send_batch(fd, messages, 0, len(which))
            self._counts.sent += sent
            self._counts.send_errors += unsent
