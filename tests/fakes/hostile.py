"""A far end that keeps to no rule: it gets in like any other and then sends what it likes, sealed or not."""

import asyncio
import struct

from aiortc.rtcdtlstransport import RTCCertificate
from fakes.pictures import rtp_stream

from benchmarks.video.far_end import PUBLISHED_SSRC, FarEnd
from bridges.transport.sealing import is_rtcp
from bridges.video import feedback
from commhub.ports.video import VideoCodec

SSRC = PUBLISHED_SSRC
_HEAD = struct.Struct("!BBHII")


class Hostile(FarEnd):
    """`packets` is the RTP it got, in the clear, `reports` the RTCP, `octets` all that came on the wire."""

    def __init__(self, *, publishes):
        super().__init__(RTCCertificate.generateCertificate())
        self.publishes = publishes
        self.packets = []
        self.reports = []
        self.octets = 0
        self._living = None

    async def offer(self):
        return super().offer(publishes=self.publishes)

    async def accept(self, sdp):
        super().accept(sdp)
        await self.connect()
        early, self.early = self.early, []
        for packet in early:
            self._take(packet)
        asyncio.get_running_loop().add_reader(self.sock.fileno(), self._drain)
        self._living = asyncio.create_task(self._live(), name="hostile-checks")

    @property
    def goal(self):
        return self.sock.getpeername()

    def throw(self, data):
        """Bytes as they are."""
        self.sock.send(data)

    def seal(self, packet):
        """An SRTP packet as it would go out."""
        sealed = self._scratch.seal(self.keys.outward_handle, packet, rtcp=False)
        assert sealed is not None
        return sealed

    @property
    def keyframe_requests(self):
        """How often it was asked for a whole picture."""
        return sum(len(told.keyframes) for told in map(feedback.read, self.reports))

    def close(self):
        if self._living is not None:
            self._living.cancel()
            asyncio.get_running_loop().remove_reader(self.sock.fileno())
        super().close()

    async def _live(self):
        while True:
            await asyncio.sleep(1)
            self.check()

    def _drain(self):
        while True:
            try:
                data = self.sock.recv(4096)
            except (BlockingIOError, ConnectionRefusedError):
                return
            self.octets += len(data)
            if data[0] >= 128:
                self._take(data)

    def _take(self, data):
        rtcp = is_rtcp(data[1])
        clear = self.open(data, rtcp=rtcp)
        assert clear is not None, "a packet that does not verify"
        (self.reports if rtcp else self.packets).append(clear)


def rtp(payload, sequence, timestamp, *, ssrc=SSRC, marker=False, kind=96):
    head = _HEAD.pack(0x80, marker << 7 | kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return head + payload


def payload_of(packet):
    """What stands behind the header of a packet that came."""
    start = 12 + (4 + 4 * int.from_bytes(packet[14:16], "big") if packet[0] & 0x10 else 0)
    return packet[start:]


class Shooting:
    """A camera's packets one after another, a key frame every ten pictures, sent by `picture`."""

    def __init__(self, far_end, *, ssrc=SSRC):
        self.far_end = far_end
        self.ssrc = ssrc
        self.sequence = 1000
        self.timestamp = 5000
        self._stream = rtp_stream(VideoCodec.H264, 320, 240, 30)
        self._at = 0

    def picture(self):
        """Send the next one; its payloads."""
        sent = []
        while True:
            packet = self._stream[self._at % len(self._stream)]
            self._at += 1
            self.far_end.send(
                rtp(
                    packet.payload,
                    self.sequence,
                    self.timestamp,
                    ssrc=self.ssrc,
                    marker=packet.marker,
                )
            )
            sent.append(packet.payload)
            self.sequence += 1
            if packet.marker:
                self.timestamp += 3000
                return sent
