"""SRTP of the legs that agreed on keys (RFC 3711): opened where their packets landed, closed where they stand to be
sent, so that the steps between know nothing of it. While no leg has keys this costs one look at a flag a tick.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio import rtcp
from bridges.audio.counts import Counts
from bridges.audio.legs import LegTable
from bridges.audio.plan import Index
from bridges.transport.srtp import REFUSED, TRAILER, SrtpLeg
from commhub.ports.media import SrtpKeys

ROOM = TRAILER
"""Bytes to leave behind a packet that may have to be closed."""
FORGED = -3
"""In place of a row: the packet was refused and counted."""
_LEG_LIMIT = 16
"""Packets of one leg that are opened in one tick; a leg that sends more is flooding us."""


class Vault:
    """The keys by row. `LegTable.secured` says which rows have any."""

    def __init__(self, legs: LegTable, counts: Counts) -> None:
        self._legs = legs
        self._counts = counts
        self._srtp: dict[int, SrtpLeg] = {}

    def agree(self, row: int, keys: SrtpKeys | None) -> None:
        """Take what signalling agreed, now and at a re-INVITE. Raises InvalidError and changes nothing."""
        known = self._srtp.get(row)
        if keys is None:
            self.forget(row)
        elif known is not None:
            known.rekey(keys)
        else:
            self._srtp[row] = SrtpLeg(keys)
        self._legs.secured[row] = keys is not None

    def forget(self, row: int) -> None:
        self._srtp.pop(row, None)

    def open(self, data: NDArray[np.uint8], rows: Index, sizes: Index) -> None:
        """Open in place every packet whose leg has keys: its size becomes that of what was in it, and its row
        FORGED when it is not what the far end sent."""
        if not self._srtp:
            return
        theirs = np.flatnonzero((rows >= 0) & self._legs.secured[rows])
        opened: dict[int, int] = {}
        for i in theirs.tolist():
            row = int(rows[i])
            opened[row] = opened.get(row, 0) + 1
            if opened[row] > _LEG_LIMIT:
                self._counts.flooded += 1
                rows[i] = FORGED
                continue
            sizes[i] = self.open_one(data, i, row, int(sizes[i]))
            if sizes[i] == REFUSED:
                rows[i] = FORGED

    def open_one(self, data: NDArray[np.uint8], i: int, row: int, size: int) -> int:
        """Open line `i` of `data` as a packet of that leg; its new size, REFUSED (and counted) if it is forged."""
        inward, address = self._srtp[row].inward, data.ctypes.data + i * data.strides[0]
        is_report = size > 1 and rtcp.is_rtcp(int(data[i, 1]))
        opened = (inward.unprotect_rtcp if is_report else inward.unprotect)(address, size)
        self._counts.srtp_failed += opened == REFUSED
        return opened

    def close(self, data: NDArray[np.uint8], i: int, row: int, size: int) -> int:
        """Close line `i` of `data`, which has ROOM behind it; its new size. REFUSED (and counted): it must not be
        sent, because it may still be in the clear."""
        closed = self._srtp[row].outward.protect(data.ctypes.data + i * data.strides[0], size)
        self._counts.send_errors += closed == REFUSED
        return closed

    def close_report(self, row: int, report: bytes) -> bytes | None:
        """A compound RTCP packet as SRTCP (§3.4), None when it must not be sent."""
        paper = np.zeros(len(report) + ROOM, np.uint8)
        paper[: len(report)] = np.frombuffer(report, np.uint8)
        size = self._srtp[row].outward.protect_rtcp(paper.ctypes.data, len(report))
        self._counts.send_errors += size == REFUSED
        return paper[:size].tobytes() if size != REFUSED else None

    def open_report(self, row: int, report: bytes) -> bytes | None:
        """What an SRTCP packet of that leg says, None when it is forged."""
        paper = np.frombuffer(report, np.uint8).copy()
        size = self._srtp[row].inward.unprotect_rtcp(paper.ctypes.data, len(report))
        self._counts.srtp_failed += size == REFUSED
        return paper[:size].tobytes() if size != REFUSED else None
