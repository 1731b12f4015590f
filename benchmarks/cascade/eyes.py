"""Who looks: WHEP far ends at the three hubs. Each opens every packet, and knows by its payload which one of the camera's it was.

Arrival is the kernel's time stamp, so what this process takes to read is no delay; camera and eyes share one clock.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.video import stream
from benchmarks.video.camera import Camera
from benchmarks.video.far_end import FarEnd
from bridges.transport.batch import VIDEO_STRIDE, ReceiveArena
from bridges.transport.sealing import is_rtcp
from bridges.video import feedback

_AT_ONCE = 512
_REPORT_EVERY_S = 1.0
_CHECK_EVERY_S = 4.0
_REMB_BPS = 20_000_000
_TELLING = 200
"""Bytes of a payload by which it is known again; parameter sets are the same in every key frame."""
_OLDEST_S = 3.0
"""The camera's loop is longer, so a payload that was sent twice within this time there is none."""
PICTURE = (stream.WIDTH, stream.HEIGHT)


@dataclass(eq=False, slots=True)
class Eye:
    """One of them. `seen[k]` is when the camera's packet k arrived (Unix seconds)."""

    far_end: FarEnd
    seen: dict[int, float] = field(default_factory=dict)
    kept: dict[int, tuple[float, bytes]] = field(default_factory=dict)
    """Of a kept stretch, by sequence number without its overflow: arrival and payload."""
    keeps: bool = False
    last_at: float = 0.0
    highest: int = -1
    ssrc: int = 0
    reported_at: float = 0.0
    checked_at: float = 0.0

    def pictures(self) -> tuple[list[tuple[int, int]], float]:
        """The sizes of the decoded pictures of what was kept, from its first key frame to its last packet, and the seconds
        between these."""
        order = sorted(self.kept)
        begin = next((at for at, one in enumerate(order) if _is_key(self.kept[one][1])), None)
        if begin is None:
            return [], 0.0
        shown = [self.kept[one] for one in order[begin:]]
        sizes = stream.decode(stream.assemble([payload for _, payload in shown]))
        return sizes, shown[-1][0] - shown[0][0]


class Eyes:
    """All of them; `poll` every few milliseconds."""

    def __init__(self, camera: Camera) -> None:
        self.all: list[Eye] = []
        self._camera = camera
        self._arena = ReceiveArena(_AT_ONCE, VIDEO_STRIDE)

    def add(self, far_end: FarEnd) -> Eye:
        """A connected far end."""
        eye = Eye(far_end)
        now = time.time()
        for packet in far_end.early:
            self._take(eye, packet, now)
        far_end.early = []
        self.all.append(eye)
        return eye

    def remove(self, eye: Eye) -> None:
        self.all.remove(eye)
        eye.far_end.close()

    def poll(self) -> None:
        """Take what waits at all sockets, and send the reports that are due."""
        arena = self._arena
        for eye in self.all:
            count = arena.drain(eye.far_end.sock.fileno(), 0, _AT_ONCE)
            at = (time.time() - arena.ages(count)).tolist()
            sizes = arena.sizes(count).tolist()
            for row in range(count):
                self._take(eye, arena.data[row, : sizes[row]].tobytes(), at[row])
            self._report(eye, time.time())

    def _take(self, eye: Eye, packet: bytes, at: float) -> None:
        if len(packet) < 12 or packet[0] < 128 or is_rtcp(packet[1]):
            return
        clear = eye.far_end.open(packet)
        if clear is None or clear[1] & 0x7F != eye.far_end.payload_type:
            return
        start = 12 + (4 + 4 * int.from_bytes(clear[14:16], "big") if clear[0] & 0x10 else 0)
        payload, sequence = clear[start:], int.from_bytes(clear[2:4], "big")
        newest = eye.highest if eye.highest >= 0 else sequence
        place = newest + ((sequence - newest + 0x8000) & 0xFFFF) - 0x8000
        eye.highest, eye.last_at = max(place, eye.highest), at
        eye.ssrc = int.from_bytes(clear[8:12], "big")
        if eye.keeps:
            eye.kept[place] = (at, payload)
        if len(payload) >= _TELLING:
            self._recognise(eye, payload, at)

    def _recognise(self, eye: Eye, payload: bytes, at: float) -> None:
        sent_at = self._camera.sent_at
        for k in reversed(self._camera.marks.get(stream.mark(payload), ())):
            # Later ones are of the next round of the loop.
            if sent_at[k] <= at:
                if at - sent_at[k] < _OLDEST_S:
                    eye.seen.setdefault(k, at)
                return

    def _report(self, eye: Eye, now: float) -> None:
        far_end = eye.far_end
        if now - eye.checked_at > _CHECK_EVERY_S:
            eye.checked_at = now
            far_end.check()
        if eye.highest >= 0 and now - eye.reported_at > _REPORT_EVERY_S:
            eye.reported_at = now
            block = feedback.ReportBlock(
                ssrc=eye.ssrc, fraction_lost=0, packets_lost=0,
                highest_sequence=eye.highest, jitter=50, lsr=0, dlsr=0,
            )  # fmt: skip
            report = feedback.write_reports(1, None, [block], feedback.cname(b"eye"))
            far_end.send(report + feedback.write_remb(1, _REMB_BPS, [eye.ssrc]), rtcp=True)


def delays_ms(
    below: Eye, above: Eye, first: int, last: int
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """How much later the camera's packets from `first` to before `last` came to `above` than to `below`."""
    common = [k for k in range(first, last) if k in below.seen and k in above.seen]
    return np.array([above.seen[k] - below.seen[k] for k in common]) * 1000


def _is_key(payload: bytes) -> bool:
    return bool(payload) and (
        payload[0] & 0x1F == 7 or (payload[0] & 0x1F == 24 and payload[3] & 0x1F == 7)
    )
