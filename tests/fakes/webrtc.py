"""A far end for the WebRTC port: aiortc's own RTCPeerConnection, with a tone for a voice and a meter for an ear."""

import asyncio
import fractions
from contextlib import asynccontextmanager

import aioice.ice
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from simulators.tones import Tone, ToneMeter

RATE = 8000
_FRAME = 160


class ToneTrack(AudioStreamTrack):
    """A microphone: 20 ms of a sine every 20 ms."""

    def __init__(self, frequency):
        super().__init__()
        self._tone = Tone(frequency)
        self._sent = 0
        self._began = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        await asyncio.sleep(max(0.0, self._began + self._sent / RATE - loop.time()))
        frame = av.AudioFrame.from_ndarray(self._tone.take(_FRAME)[None], "s16", "mono")
        frame.sample_rate = RATE
        frame.pts = self._sent
        frame.time_base = fractions.Fraction(1, RATE)
        self._sent += _FRAME
        return frame


class Caller:
    """One browser-like client. `tone` None only listens."""

    def __init__(self, tone=400.0):
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.meter = ToneMeter()
        self._hearing = None
        if tone is None:
            self.pc.addTransceiver("audio", direction="recvonly")
        else:
            self.pc.addTrack(ToneTrack(tone))
        self.pc.on("track", self._on_track)

    def _on_track(self, track):
        self._hearing = asyncio.ensure_future(self._hear(track))

    async def _hear(self, track):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        try:
            while True:
                for frame in resampler.resample(await track.recv()):
                    self.meter.hear(np.asarray(frame.to_ndarray()[0], np.int16))
        except MediaStreamError:
            return

    async def offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def accept(self, answer):
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    @property
    def is_connected(self):
        return self.pc.connectionState == "connected"

    def levels(self, frequency):
        """The tone above the floor, in dB, and its own level in dBFS."""
        found = self.meter.levels([frequency])
        return found[f"{frequency:g}"] - found["floor"], found[f"{frequency:g}"]

    def hears(self, frequency):
        return self.meter.samples >= RATE and self.levels(frequency)[0] >= 20

    def lacks(self, frequency):
        return self.levels(frequency)[1] <= -30

    async def close(self):
        await self.pc.close()
        if self._hearing is not None:
            self._hearing.cancel()


@asynccontextmanager
async def caller(tone=400.0, *, monkeypatch):
    """A client on loopback, which aioice leaves out by itself."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    made = Caller(tone)
    try:
        yield made
    finally:
        await made.close()
