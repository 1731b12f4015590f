"""The viewers: every packet of every one is accounted for, some are decoded, all send reports.

A packet's place k in the published stream follows from its sequence number once one packet of the viewer was opened and
recognised; the header is in the clear, so nothing else has to be opened. Arrival is the kernel's time stamp, so what this
process takes to read it is no delay.
"""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.video import stream
from benchmarks.video.camera import Camera
from benchmarks.video.far_end import FarEnd
from bridges.transport.batch import VIDEO_STRIDE, ReceiveArena
from bridges.transport.sealing import is_rtcp
from bridges.video import feedback

_ROWS = 4096
_AT_ONCE = 256
_REPORT_EVERY_S = 1.0
_NACK_EVERY_S = 0.5
_CHECK_EVERY_S = 4.0
_NACKED_BACK = 40
_TELLING = 200
"""Bytes of a payload by which it is known again."""
_REMB_BPS = 20_000_000
SAMPLED = 4
"""Viewers whose pictures are decoded, and who ask for packets again."""


@dataclass(eq=False, slots=True)
class _Viewer:
    far_end: FarEnd
    connected_at: float
    is_sampled: bool
    offset: int | None = None
    first_picture_s: float | None = None
    ssrc: int = 0
    highest: int = 0
    has_key: bool = False
    kept: dict[int, bytes] = field(default_factory=dict)
    nacked: int = 0
    repaired: int = 0
    reports: int = 0
    reported_at: float = 0.0
    nacked_at: float = 0.0
    checked_at: float = 0.0


class Viewers:
    """All of them. `seen[v, k]`: whether viewer v got packet k."""

    def __init__(self, camera: Camera, limit: int) -> None:
        self.all: list[_Viewer] = []
        self.seen = np.zeros((limit, len(camera.sent_at)), np.bool_)
        self.delays: list[NDArray[np.float64]] = []
        self.duplicates = 0
        self.is_measuring = False
        self.received = 0
        self._camera = camera
        self._arena = ReceiveArena(_ROWS, VIDEO_STRIDE)
        self._offsets = np.zeros(limit, np.int64)
        self._types = np.zeros(limit, np.uint8)
        self._known = np.zeros(limit, np.bool_)

    def add(self, far_end: FarEnd, *, is_sampled: bool) -> None:
        """A connected far end."""
        place = len(self.all)
        viewer = _Viewer(far_end, time.time(), is_sampled)
        self.all.append(viewer)
        self._types[place] = far_end.payload_type
        for packet in far_end.early:
            self._take_early(place, viewer, packet, viewer.connected_at)
        far_end.early = []

    @property
    def blind(self) -> list[str]:
        """Who has seen no picture, and what they have instead."""
        return [
            f"{place}: offset {one.offset}, key {one.has_key}, {one.reports} reports"
            for place, one in enumerate(self.all)
            if one.first_picture_s is None
        ]

    def learn_again(self) -> None:
        """A viewer that joined may have been moved on to a newer key frame: its numbers say something else since."""
        self._known[:] = False
        for viewer in self.all:
            viewer.offset = None

    @property
    def unknown(self) -> list[int]:
        return [place for place in range(len(self.all)) if not self._known[place]]

    def poll(self) -> None:
        """Take what waits at all sockets, and send the reports that are due."""
        arena = self._arena
        row = 0
        bounds: list[int] = []
        for viewer in self.all:
            if row > _ROWS - _AT_ONCE:
                self._account(bounds, row)
                row, bounds = 0, [0] * len(bounds)
            row += arena.drain(viewer.far_end.sock.fileno(), row, _AT_ONCE)
            bounds.append(row)
        self._account(bounds, row)
        now = time.time()
        for viewer in self.all:
            self._report(viewer, now)

    def _account(self, bounds: list[int], count: int) -> None:
        if not count:
            return
        arena = self._arena
        each = np.diff([0, *bounds])
        who = np.repeat(np.arange(len(bounds)), each)
        at = time.time() - arena.ages(count)
        types = arena.data[:count, 1] & 0x7F
        media = (arena.data[:count, 0] >= 128) & (types == self._types[who])
        media &= ~((arena.data[:count, 1] >= 192) & (arena.data[:count, 1] <= 223))
        plain = media & self._known[who]
        for row in np.flatnonzero(~plain).tolist():
            viewer = self.all[who[row]]
            packet = arena.data[row, : int(arena.sizes(row + 1)[row])].tobytes()
            if packet and packet[0] >= 128:
                self._take_early(int(who[row]), viewer, packet, float(at[row]))
        rows = np.flatnonzero(plain)
        if not len(rows):
            return
        whose = who[rows]
        sequences = arena.halves[rows, 1].astype(np.int64)
        self._note(whose, self._places(sequences, self._offsets[whose]), at[rows])
        for viewer in {self.all[one] for one in np.unique(whose).tolist()}:
            mine = rows[whose == self.all.index(viewer)] if viewer.is_sampled else rows[:0]
            for row in mine.tolist():
                self._keep(viewer, arena.data[row, : int(arena.sizes(row + 1)[row])].tobytes())

    def _places(
        self, sequences: NDArray[np.int64], offsets: NDArray[np.int64] | int
    ) -> NDArray[np.int64]:
        newest = self._camera.count - 1
        return newest + ((sequences - offsets - newest + 0x8000) & 0xFFFF) - 0x8000

    def _note(
        self, whose: NDArray[np.intp], places: NDArray[np.int64], at: NDArray[np.float64]
    ) -> None:
        good = (places >= 0) & (places < self._camera.count)
        whose, places, at = whose[good], places[good], at[good]
        self.duplicates += int(self.seen[whose, places].sum())
        self.seen[whose, places] = True
        self.received += len(places)
        if self.is_measuring:
            self.delays.append(at - self._camera.sent_at[places])

    def _take_early(self, place: int, viewer: _Viewer, packet: bytes, at: float) -> None:
        """A packet whose place is not known by its number alone."""
        far_end = viewer.far_end
        if is_rtcp(packet[1]):
            viewer.reports += 1
            return
        clear = far_end.open(packet)
        if clear is None:
            return
        kind = clear[1] & 0x7F
        start = 12 + (4 + 4 * int.from_bytes(clear[14:16], "big") if clear[0] & 0x10 else 0)
        if kind == far_end.rtx_type:
            viewer.repaired += 1
            return
        if kind != far_end.payload_type:
            return
        payload = clear[start:]
        viewer.has_key |= _is_key(payload)
        sequence = int.from_bytes(clear[2:4], "big")
        if viewer.offset is None:
            # Parameter sets are the same in every key frame.
            known = self._camera.marks.get(stream.mark(payload))
            if known is None or len(payload) < _TELLING:
                return
            viewer.offset = self._offsets[place] = sequence - known[-1]
            viewer.ssrc = int.from_bytes(clear[8:12], "big")
        viewer.highest = sequence
        places = self._places(np.array([sequence]), viewer.offset)
        self._note(np.array([place]), places, np.array([at]))
        if viewer.has_key and clear[1] & 0x80 and viewer.first_picture_s is None:
            viewer.first_picture_s = max(0.0, at - viewer.connected_at)
        self._known[place] = viewer.first_picture_s is not None

    def _keep(self, viewer: _Viewer, packet: bytes) -> None:
        viewer.highest = int.from_bytes(packet[2:4], "big")
        if not self.is_measuring or len(viewer.kept) > 1500:
            return
        clear = viewer.far_end.open(packet)
        assert clear is not None, "a packet that does not verify"
        start = 12 + (4 + 4 * int.from_bytes(clear[14:16], "big") if clear[0] & 0x10 else 0)
        viewer.kept[viewer.highest] = clear[start:]

    def _report(self, viewer: _Viewer, now: float) -> None:
        far_end = viewer.far_end
        if now - viewer.checked_at > _CHECK_EVERY_S:
            viewer.checked_at = now
            far_end.check()
        if viewer.offset is None:
            return
        if now - viewer.reported_at > _REPORT_EVERY_S:
            viewer.reported_at = now
            block = feedback.ReportBlock(
                ssrc=viewer.ssrc, fraction_lost=0, packets_lost=0,
                highest_sequence=viewer.highest, jitter=50, lsr=0, dlsr=0,
            )  # fmt: skip
            report = feedback.write_reports(1, None, [block], feedback.cname(b"viewer"))
            far_end.send(report + feedback.write_remb(1, _REMB_BPS, [viewer.ssrc]), rtcp=True)
        if viewer.is_sampled and self.is_measuring and now - viewer.nacked_at > _NACK_EVERY_S:
            viewer.nacked_at = now
            viewer.nacked += 1
            lost = viewer.highest - _NACKED_BACK & 0xFFFF
            far_end.send(feedback.write_nack(1, viewer.ssrc, [lost]), rtcp=True)

    # What came of it -----------------------------------------------------------------------------------------

    def lost(self, first: int, last: int) -> NDArray[np.int64]:
        """Of each viewer, how many of the packets from `first` to before `last` never came."""
        there = self.seen[: len(self.all), first:last]
        missing: NDArray[np.int64] = (~there).sum(axis=1)
        return missing

    def decoded(self) -> list[list[tuple[int, int]]]:
        """The sizes of the pictures that sampled viewers saw, from their first key frame on."""
        found = []
        for viewer in self.all:
            if not viewer.is_sampled:
                continue
            numbers = sorted(viewer.kept, key=lambda one: one - min(viewer.kept) & 0xFFFF)
            if numbers and numbers[-1] - numbers[0] > 0x8000:
                numbers = sorted(numbers, key=lambda one: one + 0x8000 & 0xFFFF)
            payloads = [viewer.kept[one] for one in numbers]
            begin = next((at for at, one in enumerate(payloads) if _is_key(one)), len(payloads))
            found.append(stream.decode(stream.assemble(payloads[begin:])))
        return found


def _is_key(payload: bytes) -> bool:
    """The parameter sets that begin a key frame; some forwarders join them (STAP-A)."""
    return bool(payload) and (
        payload[0] & 0x1F == 7 or (payload[0] & 0x1F == 24 and payload[3] & 0x1F == 7)
    )
