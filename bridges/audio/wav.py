"""A WAV file that is valid at every moment: the sizes in its header are brought up to date as it grows.

Samples are written where their time is: what was never written between them is silence, and costs no disk where the
file system knows holes. The file is locked from its first moment until it is closed, so that a later worker tells a
recording in progress from one whose writer died.
"""

import fcntl
import hashlib
import os
import struct
import threading
from pathlib import Path
from typing import Self

from bridges.audio.bands import NARROW, WIDE

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_BYTES_PER_SAMPLE = 2
_RATE_AT = 24
_RATES = frozenset({NARROW.rate, WIDE.rate})
_SIZE_LIMIT = (1 << 32) - 1 - _HEADER.size
"""RIFF counts bytes in 32 bits: 37 hours at 16 kHz."""


def _header(data_size: int, rate: int) -> bytes:
    """RIFF header of 16-bit mono PCM."""
    return _HEADER.pack(
        b"RIFF", _HEADER.size - 8 + data_size, b"WAVE",
        b"fmt ", 16, 1, 1, rate, rate * _BYTES_PER_SAMPLE, _BYTES_PER_SAMPLE, 16,
        b"data", data_size,
    )  # fmt: skip


class WavFile:
    """16-bit mono at `rate`. `sync` may be called from another thread; `is_dirty` says that it has work.

    Everything raises OSError where the disk does.
    """

    def __init__(self, path: Path, descriptor: int, rate: int) -> None:
        self.path = path
        self.rate = rate
        self.is_dirty = True
        self._fd = descriptor
        self._closing = threading.Lock()
        self._data_size = max(0, os.fstat(descriptor).st_size - _HEADER.size)
        self._data_size -= self._data_size % _BYTES_PER_SAMPLE

    @classmethod
    def create(cls, path: Path, rate: int) -> Self:
        """A new file."""
        # Under another name until it is locked: nobody may take it for one whose writer died.
        unlocked = path.with_name(path.name + ".new")
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file = cls(path, descriptor, rate)
            file._write_header()
            unlocked.rename(path)
        except OSError:
            os.close(descriptor)
            raise
        return file

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """A file as its writer left it. Raises BlockingIOError while that one lives, FileNotFoundError when
        somebody else finished it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino != os.fstat(descriptor).st_ino:
                raise FileNotFoundError(path)
            found = int.from_bytes(os.pread(descriptor, 4, _RATE_AT), "little")
            # A writer that died before it had a header wrote nothing else either.
            return cls(path, descriptor, found if found in _RATES else NARROW.rate)
        except OSError:
            os.close(descriptor)
            raise

    @property
    def seconds(self) -> float:
        return self._data_size / (self.rate * _BYTES_PER_SAMPLE)

    @property
    def size(self) -> int:
        """Of the whole file, in bytes."""
        return _HEADER.size + self._data_size

    def write(self, samples: bytes, at: int) -> None:
        """Put little-endian samples where sample `at` of the recording is."""
        offset = at * _BYTES_PER_SAMPLE
        if offset + len(samples) > _SIZE_LIMIT:
            raise OSError("a WAV file holds no more than 4 GiB")
        left = memoryview(samples)
        while left:
            written = os.pwrite(self._fd, left, _HEADER.size + offset)
            left, offset = left[written:], offset + written
        self._data_size = max(self._data_size, offset)
        self._write_header()
        self.is_dirty = True

    def sync(self) -> None:
        """Have the disk hold what was written. After `close` there is nothing to do."""
        with self._closing:
            if self._fd >= 0 and self.is_dirty:
                self.is_dirty = False
                os.fdatasync(self._fd)

    def finish(self) -> str:
        """Bring the file to its end; returns the SHA-256 of its bytes in hex. It stays locked until `close`."""
        os.ftruncate(self._fd, self.size)
        self._write_header()
        os.fdatasync(self._fd)
        os.lseek(self._fd, 0, os.SEEK_SET)
        digest = hashlib.sha256()
        while block := os.read(self._fd, 1 << 20):
            digest.update(block)
        return digest.hexdigest()

    def close(self) -> None:
        with self._closing:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def _write_header(self) -> None:
        os.pwrite(self._fd, _header(self._data_size, self.rate), 0)
