"""From mixed voice to datagrams: headers are columns of an arena, addresses were written when the plan was made.

Everything on the shared socket leaves in one system call; a leg with its own socket costs one more.
"""

import numpy as np

from bridges.audio import rtp
from bridges.audio.counts import Counts
from bridges.audio.g711 import FRAME
from bridges.audio.legs import LegTable
from bridges.audio.plan import Index
from bridges.audio.sockets import message_array, send_batch, write_addresses

_SIZE = rtp.HEADER_SIZE + FRAME
_MARKER = 0x80


class Sender:
    """The sending half of a tick, for the G.711 legs that stand at `of` in the table."""

    def __init__(self, legs: LegTable, of: Index, counts: Counts, shared_fd: int) -> None:
        self._legs = legs
        self._counts = counts
        self._shared_fd = shared_fd
        sends_to = legs.connected[of] & legs.receives[of]
        shared = legs.own_fd[of] < 0
        on_shared, on_own = np.flatnonzero(sends_to & shared), np.flatnonzero(sends_to & ~shared)
        self._shared_count = len(on_shared)
        self._places = places = np.concatenate((on_shared, on_own))
        self._rows = rows = of[places]
        self._packets = np.zeros((len(of), _SIZE), np.uint8)
        self._halves = self._packets.view(">u2")
        self._words = self._packets.view(">u4")
        self._packets[:, 0] = rtp.VERSION_BYTE
        self._types = np.zeros(len(of), np.uint8)
        self._types[places] = legs.payload_type[rows]
        self._words[:, 2] = legs.out_ssrc[of]
        self._addresses = np.zeros((len(of), 16), np.uint8)
        write_addresses(self._addresses, legs.goal[of])
        messages, self._iov = message_array(self._packets, self._addresses)
        self._messages = np.ascontiguousarray(messages[places])
        self._own_fds = legs.own_fd[rows[self._shared_count :]].tolist()
        self._marked = bool(legs.marker[rows].any())
        self._packets[:, 1] = self._types
        self.voice = self._packets[:, rtp.HEADER_SIZE :]
        """Where the stages write what each leg hears."""

    def send(self, tick: int) -> None:
        """Send `voice` as the tick's packets."""
        legs, places, rows = self._legs, self._places, self._rows
        if not len(rows):
            return
        if self._marked:
            self._mark()
        self._halves[places, 1] = legs.out_sequence[rows]
        # The timestamp follows time even while nothing was sent (RFC 3550 §5.1).
        self._words[places, 1] = (legs.out_zero[rows] + FRAME * tick) & 0xFFFFFFFF
        legs.out_sequence[rows] += 1
        legs.sent[rows] += 1
        shared = self._shared_count
        sent, unsent = send_batch(self._shared_fd, self._messages, 0, shared)
        for i, fd in enumerate(self._own_fds, shared):
            one, none = send_batch(fd, self._messages, i, i + 1)
            sent, unsent = sent + one, unsent + none
        self._counts.sent += sent
        self._counts.send_errors += unsent

    def _mark(self) -> None:
        """The first packet after a pause carries the marker bit (RFC 3551 §4.1), the next ones do not."""
        places, rows = self._places, self._rows
        marks = self._legs.marker[rows]
        self._packets[places, 1] = self._types[places] | (marks * np.uint8(_MARKER))
        self._marked = bool(marks.any())
        self._legs.marker[rows] = False
