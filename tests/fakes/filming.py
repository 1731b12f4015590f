"""A camera of 1080p30 and a screen, on our own light far ends: what is filmed when, what is seen when, and what it looks like."""

import asyncio
import itertools
import time

from fakes.decoding import Decoding
from fakes.hostile import SSRC, Hostile, payload_of, rtp
from fakes.pictures import RATE, rtp_stream

from commhub.ports.video import VideoCodec

_LAP = 60
_REMEMBERED = 4000


class Filming(Hostile):
    """Plays what an encoder made, evenly as a camera's pacer sends, a key frame each second; `sent` says when each payload left."""

    def __init__(self, width=1920, height=1080, kbps=3000):
        super().__init__(publishes=True)
        self.sent = {}
        self._what = (VideoCodec.H264, width, height, _LAP, RATE, kbps)
        self._stream = ()
        self._playing = None

    async def offer(self):
        # Before anybody waits for us.
        self._stream = await asyncio.to_thread(rtp_stream, *self._what)
        return await super().offer()

    async def accept(self, sdp):
        await super().accept(sdp)
        self._playing = asyncio.create_task(self._play(self._stream), name="filming")

    async def _play(self, stream):
        loop = asyncio.get_running_loop()
        began, length = loop.time(), _LAP / RATE
        for lap in itertools.count():
            for place, packet in enumerate(stream):
                due = began + (lap + place / len(stream)) * length
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                sequence = packet.sequence + lap * len(stream)
                timestamp = packet.timestamp + int(lap * length * 90_000)
                self._note(packet.payload)
                self.send(rtp(packet.payload, sequence, timestamp, ssrc=SSRC, marker=packet.marker))

    def _note(self, payload):
        self.sent.pop(payload, None)
        self.sent[payload] = time.perf_counter()
        if len(self.sent) > _REMEMBERED:
            del self.sent[next(iter(self.sent))]

    def close(self):
        if self._playing is not None:
            self._playing.cancel()
        super().close()


class Screen(Hostile):
    """Sees what comes, or only takes it (`decodes`); with a `camera`, `delays` are the seconds each packet took from it."""

    def __init__(self, camera=None, *, decodes=True):
        super().__init__(publishes=False)
        self._decodes = decodes
        self.seen = Decoding()
        self.delays = []
        self._camera = camera

    def _take(self, data):
        before, now = len(self.packets), time.perf_counter()
        super()._take(data)
        for packet in self.packets[before:]:
            if packet[1] & 0x7F != self.payload_type:
                continue
            if self._decodes:
                self.seen.take(packet)
            left = self._camera.sent.get(payload_of(packet)) if self._camera is not None else None
            if left is not None:
                self.delays.append(now - left)

    def delay_ms(self, share):
        """The delay that this share of packets did not exceed."""
        return 1000 * sorted(self.delays)[int(share * (len(self.delays) - 1))]
