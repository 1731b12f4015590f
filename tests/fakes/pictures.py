"""Pictures as real encoders make them and as FFmpeg packs them into RTP: an independent second opinion on our readers."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np

from commhub.ports.video import VideoCodec

ENCODERS = {
    VideoCodec.H264: ("libx264", {"tune": "zerolatency", "preset": "ultrafast"}),
    VideoCodec.VP8: ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    VideoCodec.VP9: ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    VideoCodec.AV1: ("libsvtav1", {"preset": "12"}),
}
RATE = 30


@dataclass(frozen=True)
class Packet:
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes


def moving_picture(width: int, height: int, index: int) -> av.VideoFrame:
    """A bright bar that wanders over what looks like gravel: key frames take several packets, others few."""
    plane = np.zeros((height * 3 // 2, width), np.uint8)
    plane[:height] = np.random.default_rng(1).integers(40, 160, (height, width), np.uint8)
    plane[:height, (index * 8) % (width - 16) :][:, :16] = 235
    plane[height:] = 128
    return av.VideoFrame.from_ndarray(plane, format="yuv420p")


def _drain(receiver: socket.socket) -> Iterator[Packet]:
    while True:
        try:
            data = receiver.recv(2048)
        except BlockingIOError:
            return
        # FFmpeg sends its reports to the next port, and the plainest of headers.
        assert data[0] == 0x80
        yield Packet(
            int.from_bytes(data[2:4], "big"),
            int.from_bytes(data[4:8], "big"),
            data[1] >= 0x80,
            data[12:],
        )


@lru_cache(maxsize=32)
def rtp_stream(
    codec: VideoCodec, width: int, height: int, frames: int, gop: int = 10, kbps: int = 800
) -> tuple[Packet, ...]:
    """`frames` pictures at 30 a second, a key frame every `gop`, in packets of at most 1,200 bytes."""
    os.environ["SVT_LOG"] = "1"
    name, options = ENCODERS[codec]
    packets: list[Packet] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        # FFmpeg sends a whole picture at once.
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        address = f"rtp://127.0.0.1:{receiver.getsockname()[1]}?pkt_size=1200"
        with av.open(address, "w", format="rtp", options={"strict": "experimental"}) as output:
            stream = output.add_stream(name, rate=RATE, options={**options, "g": str(gop)})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            if codec is not VideoCodec.AV1:
                stream.bit_rate = kbps * 1000
            stream.codec_context.max_b_frames = 0
            for index in range(frames):
                frame = moving_picture(width, height, index)
                frame.pts = index
                for packet in stream.encode(frame):
                    output.mux(packet)
                    packets += _drain(receiver)
            for packet in stream.encode(None):
                output.mux(packet)
                packets += _drain(receiver)
        packets += _drain(receiver)
    assert len({packet.timestamp for packet in packets}) == frames
    assert len(packets) == (packets[-1].sequence - packets[0].sequence & 0xFFFF) + 1
    return tuple(packets)


def pictures_of(packets: tuple[Packet, ...]) -> list[list[Packet]]:
    """The packets picture by picture."""
    pictures: dict[int, list[Packet]] = {}
    for packet in packets:
        pictures.setdefault(packet.timestamp, []).append(packet)
    return list(pictures.values())
