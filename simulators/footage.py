"""What a simulated camera sees: a street of noise that wanders, with a number burnt into every picture.

It is encoded once into a loop of a few seconds and kept in a file, because encoding 1080p takes more than the processor has:
several cameras then cost a copy of packets each. The number is that of the picture in the loop, as bars that survive
compression and scaling, so a far end can tell how fresh what it sees is.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

FPS = 30
SECONDS = 4
PICTURES = FPS * SECONDS
_GOP = FPS
_BITS = 8
_VERSION = 1
"""Of the files: another one when what is below changes."""
_BLACK, _WHITE, _GREY = 16, 235, 128

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Size:
    """A layer: pixels and kbit/s."""

    width: int
    height: int
    kbps: int


MAIN = Size(1920, 1080, 4000)
SUB = Size(960, 540, 700)
LAYERS = {"main": MAIN, "sub": SUB}


def load(size: Size, folder: Path | None = None) -> list[bytes]:
    """The loop's pictures (H.264 access units, Annex B, a key frame each second), made when they are not there yet.

    Takes seconds then. Processes that come at the same time wait for one of them.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"commhub-simulators-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"footage-{_VERSION}-{size.width}x{size.height}-{size.kbps}.mkv"
    with (folder / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            draft = path.with_suffix(".draft.mkv")
            _encode(size, draft)
            draft.replace(path)
    return _read(path)


def _encode(size: Size, path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        assert isinstance(stream, VideoStream)  # noqa: S101 - for the type checker
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.bit_rate = size.kbps * 1000
        stream.gop_size = _GOP
        stream.options = {
            "preset": "superfast",
            "profile": "baseline",
            # A camera's rate is steady: key frames may not be many times as long as the others.
            "maxrate": f"{size.kbps}k",
            "bufsize": f"{size.kbps // 2}k",
            "x264-params": f"keyint={_GOP}:min-keyint={_GOP}:scenecut=0:repeat-headers=1:nal-hrd=vbr",
        }
        for number, plane in enumerate(_pictures(size)):
            frame = av.VideoFrame(size.width, size.height, "yuv420p")
            for target, source in zip(frame.planes, _planes(plane), strict=True):
                _fill(target, source)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _planes(luma: Plane) -> tuple[Plane, Plane, Plane]:
    height, width = luma.shape
    across = np.linspace(90, 166, width // 2).astype(np.uint8)
    blue = np.broadcast_to(across, (height // 2, width // 2))
    return luma, blue, blue[:, ::-1]


def _fill(target: av.video.plane.VideoPlane, source: Plane) -> None:
    rows = np.zeros((target.height, target.line_size), np.uint8)
    rows[:, : target.width] = source
    target.update(rows.tobytes())


def _pictures(size: Size) -> Iterator[Plane]:
    """Luma of every picture of the loop."""
    random = np.random.default_rng(1)
    cell = size.height // 90
    coarse = random.integers(60, 180, (size.height // cell, size.width // cell), np.uint8)
    street = np.kron(coarse, np.ones((cell, cell), np.uint8))
    grain = random.integers(0, 12, (size.height, size.width), np.uint8)
    for number in range(PICTURES):
        moved = np.roll(street, number * cell // 2, axis=1)
        plane = moved + np.roll(grain, (number * 7, number * 13), axis=(0, 1))
        burn(plane, number)
        yield plane


def _read(path: Path) -> list[bytes]:
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        to_annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        pictures = []
        for packet in opened.demux(stream):
            pictures += [bytes(one) for one in to_annex_b.filter(packet) if one.size]
    return pictures


# --- the number ------------------------------------------------------------------------------------------


def _bar(height: int, width: int) -> tuple[int, int]:
    return height // 12, width // (_BITS + 4)


def burn(plane: Plane, number: int) -> None:
    """Write the number along the top: a white and a black bar, its bits (the highest first), a black and a white bar."""
    high, wide = _bar(*plane.shape)
    bits = [bool(number >> bit & 1) for bit in reversed(range(_BITS))]
    for place, white in enumerate([True, False, *bits, False, True]):
        plane[:high, place * wide : (place + 1) * wide] = _WHITE if white else _BLACK


def read_number(plane: Plane) -> int | None:
    """The number in a decoded picture's luma; None when there is none to be read."""
    high, wide = _bar(*plane.shape)
    row = plane[high // 4 : high * 3 // 4]
    marks = [
        bool(np.median(row[:, place * wide + wide // 4 : place * wide + wide * 3 // 4]) > _GREY)
        for place in range(_BITS + 4)
    ]
    if marks[:2] != [True, False] or marks[-2:] != [False, True]:
        return None
    return sum(mark << bit for bit, mark in enumerate(reversed(marks[2:-2])))
