"""The publisher: the test stream in a loop, a picture as one burst of at most 52 kB each 40 ms, as a browser's pacer sends.

A key frame that is asked for is given, as an encoder would: the loop goes on at its next one.
"""

import struct
import time

import numpy as np

from benchmarks.video import stream
from benchmarks.video.far_end import PUBLISHED_SSRC, FarEnd
from bridges.video import feedback

_CHECK_EVERY_S = 4.0
_BURST_BYTES = 52_000
_BURST_S = 0.04
_CAPACITY = 200_000


class Camera:
    """`sent_at[k]` is when the k-th packet went (Unix seconds), `count` how many did."""

    def __init__(self, far_end: FarEnd) -> None:
        self.sent_at = np.zeros(_CAPACITY)
        self.count = 0
        self.marks: dict[bytes, list[int]] = {}
        """Which packets a payload was."""
        self._far_end = far_end
        self._pictures = stream.pictures()
        self._known = [[stream.mark(one) for one in picture] for picture in self._pictures]
        self._picture = 0
        self._next = 0.0
        self._timestamp = 12_345
        self._queue: list[tuple[float, bytes, bytes]] = []
        self._wants_key = False
        self._checked_at = time.monotonic()

    def play(self) -> None:
        """Send what is due; to be called every few milliseconds."""
        now = time.monotonic()
        self._listen()
        if now - self._checked_at > _CHECK_EVERY_S:
            # Consent (RFC 7675 §5.1): who proves nothing for 15 s is taken for gone.
            self._checked_at = now
            self._far_end.check()
        self._next = self._next or now
        while now >= self._next:
            self._plan(self._next)
            self._next += 1 / stream.RATE
        while self._queue and self._queue[0][0] <= now:
            _, packet, mark = self._queue.pop(0)
            self.marks.setdefault(mark, []).append(self.count)
            self.sent_at[self.count] = time.time()
            self._far_end.send(
                struct.pack("!BBH", 0x80, packet[0], self.count & 0xFFFF) + packet[1:]
            )
            self.count += 1

    def _plan(self, at: float) -> None:
        if self._wants_key and self._picture % stream.GOP:
            self._picture = (self._picture // stream.GOP + 1) * stream.GOP % len(self._pictures)
        self._wants_key = False
        payloads, marks = self._pictures[self._picture], self._known[self._picture]
        if self._queue:
            at = max(at, self._queue[-1][0])
        size = 0
        for index, (payload, mark) in enumerate(zip(payloads, marks, strict=True)):
            is_last = index == len(payloads) - 1
            head = struct.pack(
                "!BII",
                self._far_end.payload_type | (0x80 if is_last else 0),
                self._timestamp,
                PUBLISHED_SSRC,
            )
            self._queue.append((at + size // _BURST_BYTES * _BURST_S, head + payload, mark))
            size += len(payload)
        self._timestamp = self._timestamp + 90_000 // stream.RATE & 0xFFFFFFFF
        self._picture = (self._picture + 1) % len(self._pictures)

    def _listen(self) -> None:
        while True:
            try:
                data = self._far_end.sock.recv(2048)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if data and data[0] >= 128:
                clear = self._far_end.open(data, rtcp=True)
                if clear is not None and feedback.read(clear).keyframes:
                    self._wants_key = True
