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
        lines = np.flatnonzero((rows >= 0) & self._legs.secured[rows])
        if not len(lines):
            return
        seen: dict[int, int] = {}
        opened = []
        owners = rows[lines].tolist()
        kinds = data[lines, 1].tolist()
        for row, address, size, kind in zip(
            owners, _addresses(data, lines), sizes[lines].tolist(), kinds, strict=True
        ):
            seen[row] = seen.get(row, 0) + 1
            is_kept = seen[row] <= _LEG_LIMIT
            opened.append(self._open(row, address, size, kind) if is_kept else REFUSED)
        flooded = sum(count - _LEG_LIMIT for count in seen.values() if count > _LEG_LIMIT)
        self._counts.flooded += flooded
        self._counts.srtp_failed += opened.count(REFUSED) - flooded
        sizes[lines] = opened
        rows[lines[sizes[lines] == REFUSED]] = FORGED

    def open_one(self, data: NDArray[np.uint8], i: int, row: int, size: int) -> int:
        """Open line `i` of `data` as a packet of that leg; its new size, REFUSED (and counted) if it is forged."""
        (address,) = _addresses(data, np.array([i]))
        opened = self._open(row, address, size, int(data[i, 1]))
        self._counts.srtp_failed += opened == REFUSED
        return opened

    def _open(self, row: int, address: int, size: int, kind: int) -> int:
        """`kind` is the second byte, which tells reports from voice (RFC 5761 §4)."""
        inward = self._srtp[row].inward
        if rtcp.is_rtcp(kind):
            return inward.unprotect_rtcp(address, size)
        return inward.unprotect(address, size)

    def close(
        self, data: NDArray[np.uint8], lines: Index, rows: Index, sizes: NDArray[np.uint64]
    ) -> None:
        """Close these lines of `data`, the packets of those rows, each with ROOM behind it. `sizes` (of all lines)
        become those of what may be sent: nothing (and counted) where a packet may still be in the clear."""
        srtp = self._srtp
        closed = [
            srtp[row].outward.protect(address, size)
            for row, address, size in zip(
                rows.tolist(), _addresses(data, lines), sizes[lines].tolist(), strict=True
            )
        ]
        self._counts.send_errors += closed.count(REFUSED)
        sizes[lines] = closed

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


def _addresses(data: NDArray[np.uint8], lines: Index) -> list[int]:
    """Where those lines of `data` stand in memory."""
    addresses: list[int] = (data.ctypes.data + lines * data.strides[0]).tolist()
    return addresses
