"""Far ends of a meeting: aiortc's own client, with a picture that can be told from another's and a tone for a voice."""

import asyncio
import fractions
from contextlib import asynccontextmanager

import aioice.ice
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, VideoStreamTrack
from fakes.webrtc import Caller, ToneTrack

from simulators.tones import ToneMeter

RATE = 15


class Picture(VideoStreamTrack):
    """A grey of its own, with a bar that wanders, `RATE` times a second."""

    def __init__(self, grey=80, width=320, height=240):
        super().__init__()
        self.grey, self.width, self.height = grey, width, height
        self.sent = 0
        self._began = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        await asyncio.sleep(max(0.0, self._began + self.sent / RATE - loop.time()))
        plane = np.full((self.height * 3 // 2, self.width), 128, np.uint8)
        plane[: self.height] = self.grey
        plane[: self.height, self.sent * 4 % (self.width - 16) :][:, :16] = 235
        frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
        frame.pts = self.sent * 90_000 // RATE
        frame.time_base = fractions.Fraction(1, 90_000)
        self.sent += 1
        return frame


class FarEnd(Caller):
    """One WebRTC connection. It publishes `picture` and `tone`, or, without a picture, views; `hears` asks for sound."""

    def __init__(self, *, picture=None, tone=None, hears=False):
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.picture = picture
        self.meter = ToneMeter()
        self.frames = 0
        self.size = None
        self.grey = None
        self._hearing = None
        self._seeing = None
        if tone is not None:
            way = "sendrecv" if hears else "sendonly"
            self.pc.addTransceiver(ToneTrack(tone), direction=way)
        elif hears:
            self.pc.addTransceiver("audio", direction="recvonly")
        if picture is not None:
            self.pc.addTransceiver(picture, direction="sendonly")
        else:
            self.pc.addTransceiver("video", direction="recvonly")
        self.pc.on("track", self._take)

    def _take(self, track):
        if track.kind == "audio":
            self._on_track(track)
        else:
            self._seeing = asyncio.ensure_future(self._see(track))

    async def _see(self, track):
        try:
            while True:
                frame = await track.recv()
                self.frames += 1
                self.size = (frame.width, frame.height)
                self.grey = float(np.median(frame.to_ndarray(format="gray")))
        except MediaStreamError:
            return

    def sees(self, grey, frames=5):
        """Whether so many pictures came, the last one of that grey."""
        return self.frames >= frames and self.grey is not None and abs(self.grey - grey) < 12

    async def close(self):
        await super().close()
        if self._seeing is not None:
            self._seeing.cancel()


@asynccontextmanager
async def far_end(monkeypatch, **what):
    """A client on loopback, which aioice leaves out by itself."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    made = FarEnd(**what)
    try:
        yield made
    finally:
        await made.close()
