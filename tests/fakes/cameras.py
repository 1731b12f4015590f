"""A camera and viewers for the forwarder, without encryption: H.264 packets that look like it, real UDP sockets to see
what arrives, and a wire that loses what the test says."""

import socket
import struct
from dataclasses import dataclass

import numpy as np

from bridges.transport.batch import VIDEO_STRIDE
from bridges.transport.peer import Outlet
from bridges.transport.sealing import RtpBatch, is_rtcp
from bridges.video import feedback
from bridges.video.streams import CodecTypes, Extensions, SourceStreams, ViewStream
from commhub.ports.video import VideoCodec

CAMERA_TYPE, CAMERA_RTX = 96, 97
VIEW_TYPE, VIEW_RTX = 102, 103


@dataclass(frozen=True)
class Packet:
    """One RTP packet, read."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: bytes = b""

    @classmethod
    def read(cls, data):
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        at = 12
        extension = b""
        if first & 0x10:
            words = struct.unpack_from("!H", data, 14)[0]
            extension = data[16 : 16 + 4 * words]
            at = 16 + 4 * words
        return cls(
            second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[at:], extension
        )

    def element(self, wanted):
        """A header extension's bytes."""
        at = 0
        while at < len(self.extension):
            if not self.extension[at]:
                at += 1
                continue
            number, size = self.extension[at] >> 4, (self.extension[at] & 15) + 1
            if number == wanted:
                return self.extension[at + 1 : at + 1 + size]
            at += 1 + size
        return None


def rtp(
    sequence, timestamp, payload, *, ssrc=0xCAFE, marker=False, kind=CAMERA_TYPE, extension=b""
):
    first = 0x90 if extension else 0x80
    head = struct.pack(
        "!BBHII",
        first,
        kind | (0x80 if marker else 0),
        sequence & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    if extension:
        extension += bytes(-len(extension) % 4)
        head += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
    return head + payload


def batch_of(packets):
    data = np.zeros((len(packets), VIDEO_STRIDE), np.uint8)
    for row, packet in enumerate(packets):
        data[row, : len(packet)] = np.frombuffer(packet, np.uint8)
    sizes = np.array([len(packet) for packet in packets], np.int64)
    return RtpBatch(data, np.arange(len(packets)), sizes)


class Camera:
    """A publisher: `picture` makes the packets of one picture, numbered on; `told` is the RTCP it was sent."""

    def __init__(self, *, ssrc=0xCAFE, sequence=65_530, timestamp=0xFFFF_F000):
        self.ssrc = ssrc
        self.sequence = sequence
        self.timestamp = timestamp
        self.told = []
        self.outlet = Outlet(-1, ("127.0.0.1", 9), None)

    def send(self, packet, *, is_rtcp=False):
        assert is_rtcp
        self.told.append(feedback.read(packet))

    def streams(self, **changed):
        return SourceStreams(
            **{
                "codec": VideoCodec.H264,
                "types": CodecTypes(payload=CAMERA_TYPE, rtx=CAMERA_RTX),
                **changed,
            }
        )

    def picture(self, packets=4, *, key=False, size=1000, extension=b""):
        """IDR or P slices as single NAL units; the first byte after the header is the picture's mark."""
        self.timestamp = self.timestamp + 3000 & 0xFFFFFFFF
        made = []
        for index in range(packets):
            head = b"\x65" if key else b"\x41"
            first = b"\x88" if index == 0 else b"\x08"
            body = head + first + bytes([index]) * (size - 2 - 300 * (index == packets - 1))
            made.append(
                rtp(
                    self.sequence,
                    self.timestamp,
                    body,
                    ssrc=self.ssrc,
                    marker=index == packets - 1,
                    extension=extension,
                )
            )
            self.sequence = self.sequence + 1 & 0xFFFF
        return made

    @property
    def nacks(self):
        return [lost for told in self.told for nack in told.nacks for lost in nack.lost]

    @property
    def keyframes(self):
        return sum(len(told.keyframes) for told in self.told)


class Viewer:
    """A far end on a UDP socket: `packets` is what arrived so far, `reports` the RTCP."""

    def __init__(self, wire, *, rtx=True, ssrc=0x1234, rtx_ssrc=0x5678, extensions=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.outlet = Outlet(wire.fileno(), self.sock.getsockname(), None)
        self._wire = wire
        self.stream = ViewStream(
            types={VideoCodec.H264: CodecTypes(payload=VIEW_TYPE, rtx=VIEW_RTX if rtx else None)},
            ssrc=ssrc,
            rtx_ssrc=rtx_ssrc if rtx else None,
            extensions=extensions or Extensions(),
        )
        self._packets = []
        self.reports = []

    def send(self, packet, *, is_rtcp=False):
        self._wire.sendto(packet, self.outlet.address)

    @property
    def packets(self):
        """Everything that arrived so far: loopback delivers before the call that sends returns."""
        while True:
            try:
                data = self.sock.recv(4096)
            except BlockingIOError:
                return self._packets
            if is_rtcp(data[1]):
                self.reports.append(feedback.read(data))
            else:
                self._packets.append(Packet.read(data))

    def take(self):
        """What arrived since the last time."""
        taken, self._packets = self.packets, []
        return taken

    def close(self):
        self.sock.close()
