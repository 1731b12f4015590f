"""RTP packets of a picture, put in order and decoded by FFmpeg: how many pictures, how large, and what is missing."""

import av
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from commhub.ports.video import VideoCodec

_PATIENCE = 800
"""Packets that may wait for one before them: two seconds of 1080p, which a busy machine takes to send one again."""


class Decoding:
    """`frames` pictures so far, the last of `size`; `gaps` packets that never came."""

    def __init__(self, codec=VideoCodec.H264):
        self._parameters = RTCRtpCodecParameters(mimeType=f"video/{codec}", clockRate=90_000)
        self._decoder = av.CodecContext.create("vp8" if codec is VideoCodec.VP8 else "h264", "r")
        self._picture = bytearray()
        self.frames = 0
        self.size = None
        self.gaps = 0
        self._next = None
        self._waiting = {}

    def take(self, packet):
        """One RTP packet, in any order."""
        sequence = int.from_bytes(packet[2:4], "big")
        self._next = sequence if self._next is None else self._next
        self._waiting[sequence] = packet
        # What was sent again comes late.
        if len(self._waiting) > _PATIENCE:
            self.gaps += 1
            self._next = min(self._waiting, key=lambda one: one - self._next & 0xFFFF)
        while (packet := self._waiting.pop(self._next, None)) is not None:
            self._next = self._next + 1 & 0xFFFF
            self._decode(packet)

    def _decode(self, packet):
        start = 12 + (4 + 4 * int.from_bytes(packet[14:16], "big") if packet[0] & 0x10 else 0)
        self._picture += depayload(self._parameters, packet[start:])
        if packet[1] & 0x80:
            data, self._picture = bytes(self._picture), bytearray()
            for frame in self._decoder.decode(av.Packet(data)):
                self.frames += 1
                self.size = (frame.width, frame.height)
