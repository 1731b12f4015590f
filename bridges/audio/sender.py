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
from bridges.audio.hush import Hush
from bridges.audio.legs import LegTable
from bridges.audio.plan import Index
from bridges.audio.vault import ROOM, Vault
from bridges.transport.batch import message_array, send_batch, write_addresses

_MARKER = 0x80
_PER_MS = 8
_SHARED_SOCKET, _OWN_SOCKET, _NO_SOCKET = range(3)
"""The ways of packets, in the order in which they are sent."""


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
        own = np.where(legs.own_fd[of[sending]] < 0, _SHARED_SOCKET, _OWN_SOCKET)
        way = np.where(legs.plugged[of[sending]], _NO_SOCKET, own)
        order = np.argsort(way, kind="stable")
        self._way = way[order]
        self._ends = self._ends_of(self._way)
        self._places = places = sending[order]
        self._rows = rows = of[places]
        self._size = rtp.HEADER_SIZE + size
        self._has_secured = bool(legs.secured[rows].any())
        room = ROOM if self._has_secured else 0
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
        self._kept = legs.hosts.point(self._messages, legs.goal[rows])
        self._marked = bool(legs.marker[rows].any())
        self._packets[:, 1] = self._types
        self.payload = self._packets[:, rtp.HEADER_SIZE : self._size]
        """What each place says next."""

    def send(self, time: int, out: list[Output], silent: NDArray[np.bool_] | None = None) -> None:
        """Send `payload` as the packets whose first sample is due at `time`, in samples; nothing to the places that
        are `silent`."""
        if silent is None or not silent.any():
            self._send(slice(None), self._messages, self._ends, time, out)
        else:
            at = np.flatnonzero(~silent[self._places])
            messages = np.ascontiguousarray(self._messages[at])
            self._send(at, messages, self._ends_of(self._way[at]), time, out)

    @staticmethod
    def _ends_of(way: Index) -> tuple[int, int]:
        """Where the packets for the shared socket end, and those for any socket."""
        shared, socketed = np.searchsorted(way, (_OWN_SOCKET, _NO_SOCKET)).tolist()
        return shared, socketed

    def mark(self) -> None:
        """Somebody's next packet is the first one after a pause."""
        self._marked = True

    def _send(
        self,
        at: Index | slice,
        messages: NDArray[np.void],
        ends: tuple[int, int],
        time: int,
        out: list[Output],
    ) -> None:
        """Send to the `at`s of the sending places, whose messages those are, and whose ways end there."""
        legs, places, rows = self._legs, self._places[at], self._rows[at]
        if not len(rows):
            return
        if self._marked:
            self._mark(places, rows)
        self._halves[places, 1] = legs.out_sequence[rows]
        # The timestamp follows time even while nothing was sent (RFC 3550 §5.1).
        self._words[places, 1] = (legs.out_zero[rows] + time) & 0xFFFFFFFF
        legs.out_sequence[rows] += 1
        legs.sent[rows] += 1
        legs.octets[rows] += self._size - rtp.HEADER_SIZE
        if self._has_secured:
            self._close(places, rows)
        shared, socketed = ends
        sent, unsent = send_batch(self._shared_fd, messages, 0, shared)
        for i, fd in enumerate(legs.own_fd[rows[shared:socketed]].tolist(), shared):
            one, none = send_batch(fd, messages, i, i + 1)
            sent, unsent = sent + one, unsent + none
        for place, row in zip(places[socketed:].tolist(), rows[socketed:].tolist(), strict=True):
            sent += self._hand_out(place, row, out)
        self._counts.sent += sent
        self._counts.send_errors += unsent

    def _close(self, places: Index, rows: Index) -> None:
        secured = self._legs.secured[rows]
        lines = places[secured]
        self._iov["size"][lines] = self._size
        self._vault.close(self._packets, lines, rows[secured], self._iov["size"])

    def _hand_out(self, place: int, row: int, out: list[Output]) -> int:
        leg_id = self._legs.id_of(row)
        if leg_id is None:
            return 0
        out.append(PacketOut(leg_id, self._packets[place].tobytes()))
        return 1

    def _mark(self, places: Index, rows: Index) -> None:
        """The first packet after a pause carries the marker bit (RFC 3551 §4.1), the next ones do not."""
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
        self, legs: LegTable, of: Index, vault: Vault, hush: Hush, counts: Counts, shared_fd: int
    ) -> None:
        self._legs = legs
        self._hush = hush
        sends_to = legs.connected[of] & legs.receives[of]
        ptime = legs.ptime[of]
        plain = np.flatnonzero(sends_to & (ptime == packet_times.USUAL_MS))
        self._plain = PacketArena(legs, of, plain, FRAME, vault, counts, shared_fd)
        self._of = of
        self._may_hush = plain[legs.comfort[of[plain]]]
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
        self._plain.send(tick * FRAME, out, self._silent(tick) if len(self._may_hush) else None)
        for packetizer in self._others:
            packetizer.send(tick, self.voice, out)

    def _silent(self, tick: int) -> NDArray[np.bool_]:
        """The places that are sent nothing now."""
        silent = np.zeros(len(self._of), bool)
        rows = self._of[self._may_hush]
        silent[self._may_hush] = self._hush.judge(rows, self.voice[self._may_hush], tick)
        if self._legs.marker[rows].any():
            self._plain.mark()
        return silent
