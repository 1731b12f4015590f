"""The test stream: 1080p30 H.264 at 4.2 Mbit/s with a key frame every two seconds, packed for RTP (RFC 6184).

Made once by libx264 from a moving synthetic picture, kept in the temporary directory, and played in a loop.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE = 1920, 1080, 30
KBPS = 4_200
_TARGET_KBPS = 4_600
GOP = 2 * RATE
SECONDS = 6
LONGEST = 1188
"""Bytes of a payload, as Chromium packs them."""
_VERSION = 4


def pictures() -> list[list[bytes]]:
    """The payloads of each picture of the loop."""
    name = f"commhub-bench-{_VERSION}-{WIDTH}x{HEIGHT}-{RATE}-{KBPS}-{SECONDS}.h264"
    path = Path(tempfile.gettempdir()) / name
    if not path.exists():
        made = path.with_suffix(f".{os.getpid()}")
        made.write_bytes(b"".join(_encode()))
        made.rename(path)
    return [_pack(picture) for picture in _split_pictures(path.read_bytes())]


def mark(payload: bytes) -> bytes:
    """By which a payload is known again."""
    return hashlib.blake2b(payload, digest_size=8).digest()


def _encode() -> Iterator[bytes]:
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, RATE), Fraction(RATE)
    codec.bit_rate = _TARGET_KBPS * 1000
    codec.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0:sliced-threads=0:slices=1:vbv-maxrate={_TARGET_KBPS}:vbv-bufsize={_TARGET_KBPS // 2}",
    }
    random = np.random.default_rng(5)
    noise = random.integers(0, 60, (HEIGHT * 2, WIDTH * 2), dtype=np.uint8)
    slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) // 16
    for index in range(RATE * SECONDS):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        at = 3 * index % HEIGHT
        luma = (slope + 2 * index + noise[at : at + HEIGHT, at : at + WIDTH]).astype(np.uint8)
        frame.planes[0].update(_padded(luma, frame.planes[0].line_size))
        for plane in frame.planes[1:]:
            flat = np.full((HEIGHT // 2, WIDTH // 2), 100 + index % 60, np.uint8)
            plane.update(_padded(flat, plane.line_size))
        frame.pts, frame.time_base = index, codec.time_base
        yield from (bytes(packet) for packet in codec.encode(frame))
    yield from (bytes(packet) for packet in codec.encode(None))


def _padded(plane: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", line: int) -> bytes:
    return np.pad(plane, ((0, 0), (0, line - plane.shape[1]))).tobytes()


def _split_pictures(stream: bytes) -> Iterator[list[bytes]]:
    """The NAL units of each picture: parameter sets begin a key frame, every slice ends a picture (there is one each)."""
    units: list[bytes] = []
    for unit in _units(stream):
        kind = unit[0] & 0x1F
        if kind in (6, 9, 12):
            continue
        units.append(unit)
        if kind in (1, 5):
            yield units
            units = []


def _units(stream: bytes) -> Iterator[bytes]:
    for part in stream.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")[1:]:
        yield part.rstrip(b"\x00") if part[0] & 0x1F in (7, 8) else part


def _pack(units: list[bytes]) -> list[bytes]:
    """Single NAL units and FU-A, the fragments of one unit equally long but for the last."""
    payloads = []
    for unit in units:
        if len(unit) <= LONGEST:
            payloads.append(unit)
            continue
        indicator, header, body = unit[0] & 0xE0 | 28, unit[0] & 0x1F, unit[1:]
        room = LONGEST - 2
        for at in range(0, len(body), room):
            start = 0x80 if at == 0 else 0
            end = 0x40 if at + room >= len(body) else 0
            payloads.append(bytes((indicator, header | start | end)) + body[at : at + room])
    return payloads


def assemble(payloads: list[bytes]) -> bytes:
    """An Annex B stream of payloads in order."""
    out = bytearray()
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == 28:
            if payload[1] & 0x80:
                out += b"\x00\x00\x00\x01" + bytes((payload[0] & 0xE0 | payload[1] & 0x1F,))
            out += payload[2:]
        elif kind == 24:
            at = 1
            while at + 2 < len(payload):
                size = payload[at] << 8 | payload[at + 1]
                out += b"\x00\x00\x00\x01" + payload[at + 2 : at + 2 + size]
                at += 2 + size
        else:
            out += b"\x00\x00\x00\x01" + payload
    return bytes(out)


def decode(stream: bytes) -> list[tuple[int, int]]:
    """Width and height of each picture of an Annex B stream, up to the first that does not decode."""
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    sizes: list[tuple[int, int]] = []
    with suppress(av.error.InvalidDataError):
        for packet in [*codec.parse(stream), *codec.parse(b""), None]:
            sizes += [(frame.width, frame.height) for frame in codec.decode(packet)]
    return sizes
