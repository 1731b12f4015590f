"""From mixed voice to datagrams: headers are columns of an arena, addresses were written when the plan was made.

Everything on the shared socket leaves in one system call; a leg with its own socket costs one more. G.711 of 20 ms
is encoded right into its packets; of other packet times, it waits in `LegTable.pending` until a packet is whole.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio import packet_times, rtp
from bridges.audio.counts import Counts
from bridges.audio.events import Output, PacketOut
from bridges.audio.g711 import FRAME
from bridges.audio.legs import LegTable
from bridges.audio.plan import Index
from bridges.audio.sockets import message_array, send_batch, write_addresses
from bridges.audio.vault import ROOM, Vault

_MARKER = 0x80
_PER_MS = 8


class PacketArena:
    """Packets of one size for the legs that stand at `of` in the table; `sending` are the places that get any."""

    def __init__(
        self, legs: LegTable, of: Index, sending: Index, size: int, vault: Vault, counts: Counts,
        shared_fd: int,
    ) -> None:  # fmt: skip
        self._legs = legs
        self._vault = vault
        self._counts = counts
        self._shared_fd = shared_fd
        # In this order: on the shared socket, on sockets of their own, without a socket.
        way = np.where(legs.plugged[of[sending]], 2, np.where(legs.own_fd[of[sending]] < 0, 0, 1))
        self._places = places = sending[np.argsort(way, kind="stable")]
        self._shared_count = int(np.count_nonzero(way == 0))
        self._socket_count = len(way) - int(np.count_nonzero(way == 2))
        self._rows = rows = of[places]
        self._size = rtp.HEADER_SIZE + size
        self._secured = np.flatnonzero(legs.secured[rows]).tolist()
        room = ROOM if self._secured else 0
        self._packets = np.zeros((len(of), self._size + room), np.uint8)
        self._halves = self._packets.view(">u2")
        self._words = self._packets.view(">u4")
        self._packets[:, 0] = rtp.VERSION_BYTE
        self._types = np.zeros(len(of), np.uint8)
        self._types[places] = legs.payload_type[rows]
        self._words[:, 2] = legs.out_ssrc[of]
        self._addresses = np.zeros((len(of), 16), np.uint8)
        write_addresses(self._addresses, legs.goal[of])
        messages, self._iov = message_array(self._packets, self._addresses)
        self._iov["size"] = self._size
        self._messages = np.ascontiguousarray(messages[places])
        self._own_fds = legs.own_fd[rows[self._shared_count : self._socket_count]].tolist()
        self._marked = bool(legs.marker[rows].any())
        self._packets[:, 1] = self._types
        self.payload = self._packets[:, rtp.HEADER_SIZE : self._size]
        """What each place says next."""

    def send(self, time: int, out: list[Output]) -> None:
        """Send `payload` as the packets whose first sample is due at `time`, in samples."""
        legs, places, rows = self._legs, self._places, self._rows
        if not len(rows):
            return
        if self._marked:
            self._mark()
        self._halves[places, 1] = legs.out_sequence[rows]
        # The timestamp follows time even while nothing was sent (RFC 3550 §5.1).
        self._words[places, 1] = (legs.out_zero[rows] + time) & 0xFFFFFFFF
        legs.out_sequence[rows] += 1
        legs.sent[rows] += 1
        legs.octets[rows] += self._size - rtp.HEADER_SIZE
        for i in self._secured:
            place = int(places[i])
            # What could not be closed goes out as a packet of nothing.
            self._iov["size"][place] = self._vault.close(
                self._packets, place, int(rows[i]), self._size
            )
        shared = self._shared_count
        sent, unsent = send_batch(self._shared_fd, self._messages, 0, shared)
        for i, fd in enumerate(self._own_fds, shared):
            one, none = send_batch(fd, self._messages, i, i + 1)
            sent, unsent = sent + one, unsent + none
        for i in range(self._socket_count, len(rows)):
            sent += self._hand_out(i, out)
        self._counts.sent += sent
        self._counts.send_errors += unsent

    def _hand_out(self, i: int, out: list[Output]) -> int:
        leg_id = self._legs.id_of(int(self._rows[i]))
        if leg_id is None:
            return 0
        out.append(PacketOut(leg_id, self._packets[self._places[i]].tobytes()))
        return 1

    def _mark(self) -> None:
        """The first packet after a pause carries the marker bit (RFC 3551 §4.1), the next ones do not."""
        places, rows = self._places, self._rows
        marks = self._legs.marker[rows]
        self._packets[places, 1] = self._types[places] | (marks * np.uint8(_MARKER))
        self._marked = bool(marks.any())
        self._legs.marker[rows] = False


class _Packetizer:
    """The legs of one packet time that is not the tick's."""

    def __init__(
        self, legs: LegTable, of: Index, places: Index, ptime_ms: int, vault: Vault, counts: Counts,
        fd: int,
    ) -> None:  # fmt: skip
        self._pending = legs.pending
        self._places = places
        self._rows = of[places]
        self._ptime_ms = ptime_ms
        size = ptime_ms * _PER_MS
        everyone = np.arange(len(places))
        self._arena = PacketArena(legs, self._rows, everyone, size, vault, counts, fd)

    def send(self, tick: int, voice: NDArray[np.uint8], out: list[Output]) -> None:
        phase = tick % packet_times.period(self._ptime_ms)
        self._pending[self._rows, phase * FRAME : (phase + 1) * FRAME] = voice[self._places]
        for start, end in packet_times.due(self._ptime_ms, phase, _PER_MS):
            self._arena.payload[:] = self._pending[self._rows, start:end]
            self._arena.send((tick - phase) * FRAME + start, out)


class Sender:
    """The sending half of a tick, for the G.711 legs that stand at `of` in the table."""

    def __init__(
        self, legs: LegTable, of: Index, vault: Vault, counts: Counts, shared_fd: int
    ) -> None:
        sends_to = legs.connected[of] & legs.receives[of]
        ptime = legs.ptime[of]
        plain = np.flatnonzero(sends_to & (ptime == packet_times.USUAL_MS))
        self._plain = PacketArena(legs, of, plain, FRAME, vault, counts, shared_fd)
        self.voice = self._plain.payload
        """Where the stages write what each leg hears."""
        others = np.unique(ptime[sends_to & (ptime != packet_times.USUAL_MS)]).tolist()
        self._others = [
            _Packetizer(
                legs, of, np.flatnonzero(sends_to & (ptime == ms)), ms, vault, counts, shared_fd
            )
            for ms in others
        ]

    def send(self, tick: int, out: list[Output]) -> None:
        """Send `voice`, in the packets that are whole with this tick."""
        self._plain.send(tick * FRAME, out)
        for packetizer in self._others:
            packetizer.send(tick, self.voice, out)
