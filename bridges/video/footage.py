"""A recording's file: pictures put into a container by PyAV, none made into another.

H.264 goes into MP4, which every browser plays; it is written in fragments, so that a file whose writer died can be read
up to the last half second, and becomes an ordinary MP4 when it is ended. VP8, VP9 and AV1 go into WebM, whose clusters are as
good. The file is locked from its first moment until it is closed, so that a later worker tells a recording in
progress from one whose writer died (`mend`).
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from bridges.video.frames import Frame
from bridges.video.intake import CLOCK_RATE
from commhub.ports.video import VideoCodec

PART = ".part"
_BLOCK = 1 << 20
_UNIT = Fraction(1, CLOCK_RATE)
_NAMES = {
    VideoCodec.H264: "h264",
    VideoCodec.VP8: "vp8",
    VideoCodec.VP9: "vp9",
    VideoCodec.AV1: "av1",
}
_OPTIONS = {
    ".mp4": {
        "movflags": "frag_keyframe+default_base_moof+hybrid_fragmented",
        "frag_duration": "500000",
        "fflags": "+flush_packets",
    },
    ".webm": {"cluster_time_limit": "500", "fflags": "+flush_packets"},
}


class FootageError(Exception):
    """The container refuses the pictures, or the disk the file."""


def suffix_of(codec: VideoCodec) -> str:
    return ".mp4" if codec is VideoCodec.H264 else ".webm"


class Footage:
    """A part (`….mp4.part`, `….webm.part`) while it is written. `sync` may be called from another thread."""

    def __init__(
        self, path: Path, descriptor: int, output: OutputContainer, stream: Stream
    ) -> None:
        self.path = path
        self.time = 0
        self.frames = 0
        self.width = self.height = 0
        self._fd = descriptor
        self._output = output
        self._stream = stream
        self._closing = threading.Lock()

    @classmethod
    def create(cls, path: Path, codec: VideoCodec, first: Frame) -> Self:
        """A new file, for pictures from `first` on, a key frame. Raises FootageError."""
        try:
            descriptor = _lock_new(path)
        except OSError as error:
            raise FootageError(str(error)) from error
        try:
            output = _open(path)
            # A picture whose size is unknown has been seen by nobody; players read it from the stream itself.
            size = {"width": first.width or 16, "height": first.height or 16}
            stream = output.add_mux_stream(_NAMES[codec], time_base=_UNIT, **size)
        except (av.FFmpegError, OSError, ValueError) as error:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise FootageError(str(error)) from error
        return cls(path, descriptor, output, stream)

    def write(self, frame: Frame) -> None:
        """Put in one picture. Raises FootageError."""
        packet = av.Packet(frame.data)
        packet.stream = self._stream
        packet.time_base = _UNIT
        packet.pts = packet.dts = frame.time
        packet.is_keyframe = frame.key
        try:
            self._output.mux_one(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise FootageError(str(error)) from error
        self.time = frame.time
        self.frames += 1
        if frame.width * frame.height > self.width * self.height:
            self.width, self.height = frame.width, frame.height

    @property
    def seconds(self) -> float:
        """From the first picture to the last."""
        return self.time / CLOCK_RATE

    def sync(self) -> None:
        """Have the disk hold what was written. After `close` there is nothing to do."""
        with self._closing:
            if self._fd >= 0:
                os.fdatasync(self._fd)

    def end(self) -> None:
        """Write what a container has at its end. Raises FootageError; the part can be mended then."""
        try:
            self._output.close()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise FootageError(str(error)) from error

    def digest(self) -> tuple[str, int]:
        """Have the disk hold all of it; its SHA-256 in hex, and its size in bytes. Raises OSError."""
        return digest_of(self._fd)

    def close(self) -> None:
        """Let go of the file; what was not ended stays as a part. Once is enough."""
        with suppress(FootageError):
            self.end()
        with self._closing:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1


def mend(path: Path) -> Footage | None:
    """Put what can be read of a part into a whole file, which takes its place; ended, but not closed. None for a part
    of no picture. Raises BlockingIOError while its writer lives, FileNotFoundError when somebody else finished it,
    FootageError when it cannot be read at all."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino != os.fstat(descriptor).st_ino:
            raise FileNotFoundError(path)
        return _remux(path)
    finally:
        os.close(descriptor)


def _remux(path: Path) -> Footage | None:
    if not path.stat().st_size:
        return None
    mended = path.with_name(path.name + ".mending")
    try:
        with av.open(str(path)) as source:
            footage = _copy(source.streams.video[0], source.demux(video=0), mended, path)
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        mended.unlink(missing_ok=True)
        raise FootageError(str(error)) from error
    if not footage.frames:
        footage.close()
        mended.unlink()
        return None
    mended.rename(path)
    footage.path = path
    return footage


def _copy(
    template: VideoStream, packets: "Iterator[av.Packet[VideoStream]]", to: Path, of: Path
) -> Footage:
    """All packets up to where the file breaks off."""
    descriptor = _lock_new(to)
    output = _open(to, like=of)
    stream = output.add_stream_from_template(template, opaque=True)
    footage = Footage(to, descriptor, output, stream)
    base = template.time_base or _UNIT
    begun: int | None = None
    with suppress(av.FFmpegError):
        for packet in packets:
            if packet.pts is None or packet.dts is None or not packet.size:
                continue
            begun = packet.pts if begun is None else begun
            time = round((packet.pts - begun) * base * CLOCK_RATE)
            footage.write(Frame(bytes(packet), time, packet.is_keyframe, 0, 0))
    footage.width, footage.height = template.width, template.height
    footage.end()
    return footage


def _open(path: Path, like: Path | None = None) -> OutputContainer:
    suffix = Path((like or path).name.removesuffix(PART)).suffix
    return av.open(str(path), "w", format=suffix[1:], options=dict(_OPTIONS[suffix]))


def _lock_new(path: Path) -> int:
    """Create and lock a file; under another name until then: nobody may take it for one whose writer died."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unlocked = path.with_name(path.name + ".new")
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def digest_of(descriptor: int) -> tuple[str, int]:
    os.fsync(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    digest, size = hashlib.sha256(), 0
    while block := os.read(descriptor, _BLOCK):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size
