"""A WAV file that is valid at every moment: the sizes in its header are brought up to date as it grows.

The file is locked while it is written, so that a later worker tells a recording in progress from one whose
writer died.
"""

import fcntl
import hashlib
import os
import struct
from pathlib import Path

from bridges.audio.g711 import RATE

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_BYTES_PER_SAMPLE = 2


def _header(data_size: int) -> bytes:
    """RIFF header of 16-bit mono PCM at 8 kHz."""
    return _HEADER.pack(
        b"RIFF", _HEADER.size - 8 + data_size, b"WAVE",
        b"fmt ", 16, 1, 1, RATE, RATE * _BYTES_PER_SAMPLE, _BYTES_PER_SAMPLE, 16,
        b"data", data_size,
    )  # fmt: skip


class WavFile:
    """Raises OSError where the disk does, and BlockingIOError for a file that another process writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = max(0, os.fstat(self._fd).st_size - _HEADER.size)
            self._size -= self._size % _BYTES_PER_SAMPLE
            self.flush()
        except OSError:
            os.close(self._fd)
            raise

    @property
    def seconds(self) -> float:
        return self._size / (RATE * _BYTES_PER_SAMPLE)

    def append(self, samples: bytes) -> None:
        """Write little-endian 16-bit samples at the end."""
        written = os.pwrite(self._fd, samples, _HEADER.size + self._size)
        self._size += written

    def flush(self) -> None:
        """Make the header tell of everything written, and the disk have it."""
        os.pwrite(self._fd, _header(self._size), 0)
        os.fdatasync(self._fd)

    def finish(self) -> str:
        """Bring the file to its end; returns the SHA-256 of its bytes in hex. It stays locked until `close`."""
        os.ftruncate(self._fd, _HEADER.size + self._size)
        self.flush()
        os.lseek(self._fd, 0, os.SEEK_SET)
        digest = hashlib.sha256()
        while block := os.read(self._fd, 1 << 20):
            digest.update(block)
        return digest.hexdigest()

    def close(self) -> None:
        os.close(self._fd)
