"""Batch datagram I/O: many packets a system call, without a compiler (libc by ctypes).

`recvmmsg` and `sendmmsg` read arrays of `struct mmsghdr`; here those arrays are numpy records filled once, so
that a call costs no Python per packet. With UDP_SEGMENT (generic segmentation offload) one message carries many packets
of equal length, which the kernel takes apart at the last moment: a quarter of the cost. Linux on 64-bit machines; IPv4,
and IPv6 where a `six.SixHosts` knows the hosts.
"""

import ctypes
import errno
import socket
import struct
import time

import numpy as np
from numpy.typing import NDArray

from bridges.transport import six
from bridges.transport.six import SixHosts

MESSAGE = np.dtype(
    [
        ("name", "u8"),
        ("name_size", "u4"),
        ("_pad0", "u4"),
        ("iov", "u8"),
        ("iov_count", "u8"),
        ("control", "u8"),
        ("control_size", "u8"),
        ("flags", "i4"),
        ("_pad1", "u4"),
        ("size", "u4"),
        ("_pad2", "u4"),
    ]
)
"""`struct mmsghdr` of the 64-bit Linux ABIs."""
IOV = np.dtype([("base", "u8"), ("size", "u8")])

AUDIO_STRIDE = 1408
"""Bytes kept of one datagram: what fits a network, so the longest Opus too; what is longer is marked as truncated."""
VIDEO_STRIDE = 1536
"""Room for RTP of 1500 bytes and an SRTP tag."""
ADDRESS_SIZE = 16
_VLEN = 1024
_MSG_TRUNC = 0x20
_MSG_DONTWAIT = 0x40
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_CONTROL_SIZE = 32
"""One control message: a header of 16 bytes and a `struct timespec`."""
_LONGEST_AGE_S = 1.0
_SOL_UDP = 17
_UDP_SEGMENT = 103
SEGMENT_CONTROL_SIZE = 24
"""A UDP_SEGMENT control message: a header of 16 bytes, a u16, padding."""
SEGMENTS_LIMIT = 64
"""UDP_MAX_SEGMENTS of the oldest kernels that know it."""
LONGEST_MESSAGE = 65_000
"""Bytes of the longest message that is taken apart: below what a UDP length can say."""

_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p
]  # fmt: skip
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


def message_array(
    buffers: NDArray[np.uint8], addresses: NDArray[np.uint8]
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """One message a row of `buffers` (any row stride), addressed by the same row of `addresses` (n×16; n×28 for IPv6).

    Returns the messages and the iovecs they point to: keep both, and both arguments, alive.
    """
    count = len(buffers)
    iov = np.zeros(count, IOV)
    iov["base"] = buffers.ctypes.data + np.arange(count) * buffers.strides[0]
    iov["size"] = buffers.shape[1]
    messages = np.zeros(count, MESSAGE)
    messages["name"] = addresses.ctypes.data + np.arange(count) * addresses.strides[0]
    messages["name_size"] = addresses.shape[1]
    messages["iov"] = iov.ctypes.data + np.arange(count) * IOV.itemsize
    messages["iov_count"] = 1
    return messages, iov


class ReceiveArena:
    """Where a batch of packets lands. Row i: `data[i]`, `sizes[i]`, `truncated[i]`, `keys()[i]`, its source, and
    `ages()[i]`, how long it waited in the kernel. With `hosts` its sockets may be IPv6's too."""

    def __init__(
        self, capacity: int, stride: int = AUDIO_STRIDE, hosts: SixHosts | None = None
    ) -> None:
        self.capacity = capacity
        self._hosts = hosts
        size = ADDRESS_SIZE if hosts is None else six.ADDRESS_SIZE
        self._used = 0
        # Touched now: a flood must not meet memory that the kernel has yet to find, page by page.
        self.data = np.full((capacity, stride), 0, np.uint8)
        self._addresses = np.zeros((capacity, size), np.uint8)
        self._messages, self._iov = message_array(self.data, self._addresses)
        self._control = np.zeros((capacity, _CONTROL_SIZE), np.uint8)
        self._messages["control"] = self._control.ctypes.data + np.arange(capacity) * _CONTROL_SIZE
        self._messages["control_size"] = _CONTROL_SIZE
        self._base = self._messages.ctypes.data
        self.halves = self.data.view(">u2")
        self.words = self.data.view(">u4")

    def drain(self, fd: int, start: int, limit: int) -> int:
        """Receive what waits at `fd` into the rows from `start`, at most `limit`; returns how many."""
        end = min(start + limit, self.capacity)
        row = start
        if start == 0:
            # The kernel wrote over what it was given room for.
            self._messages["control_size"][: self._used] = _CONTROL_SIZE
            self._messages["name_size"][: self._used] = self._addresses.shape[1]
        while row < end:
            want = min(_VLEN, end - row)
            got = _recvmmsg(fd, self._base + row * MESSAGE.itemsize, want, _MSG_DONTWAIT, None)
            if got <= 0:
                # A pending ICMP error is consumed by the call that reports it.
                if ctypes.get_errno() == errno.ECONNREFUSED:
                    continue
                break
            row += got
            if got < want:
                break
        self._used = row
        return row - start

    def ages(self, count: int) -> NDArray[np.float64]:
        """Seconds since the kernel received each packet; 0 where it does not say."""
        stamps = self._control.view(np.int64)[:count]
        known = self._messages["control_size"][:count] == _CONTROL_SIZE
        waited = time.time() - (stamps[:, 2] + stamps[:, 3] * 1e-9)
        # The wall clock may be set while a packet waits.
        return np.where(known & (waited > 0) & (waited < _LONGEST_AGE_S), waited, 0.0)

    def sizes(self, count: int) -> NDArray[np.int64]:
        return self._messages["size"][:count].astype(np.int64)

    def truncated(self, count: int) -> NDArray[np.bool_]:
        marks: NDArray[np.int32] = self._messages["flags"][:count] & _MSG_TRUNC
        return marks.astype(bool)

    def keys(self, count: int) -> NDArray[np.int64]:
        """The sources as `source_key` has them."""
        hosts = self._addresses.view(">u4")[:count, 1].astype(np.int64)
        keys: NDArray[np.int64] = (hosts << 16) | self._addresses.view(">u2")[:count, 1]
        if self._hosts is not None:
            sixes = self._addresses.view(np.uint16)[:count, 0] == socket.AF_INET6
            for i in np.flatnonzero(sixes).tolist():
                keys[i] = self._hosts.heard(self._addresses[i].tobytes())
        return keys


def source_key(host: str, port: int) -> int:
    """An IPv4 address and port as one integer. Raises OSError for what is no IPv4 literal."""
    return int.from_bytes(socket.inet_pton(socket.AF_INET, host), "big") << 16 | port


def source_address(key: int) -> tuple[str, int]:
    """The address and port of a source key."""
    return socket.inet_ntop(socket.AF_INET, (key >> 16).to_bytes(4, "big")), key & 0xFFFF


def write_addresses(into: NDArray[np.uint8], keys: NDArray[np.int64]) -> None:
    """Fill rows of `struct sockaddr_in` from source keys."""
    into.view(np.uint16)[:, 0] = socket.AF_INET
    into.view(">u2")[:, 1] = keys & 0xFFFF
    into.view(">u4")[:, 1] = keys >> 16


def segment_control(segment: int) -> bytes:
    """The control message by which a message is taken apart into packets of `segment` bytes (the last may be shorter)."""
    return struct.pack("=QiiH6x", 18, _SOL_UDP, _UDP_SEGMENT, segment)


def send_messages(fd: int, address: int, count: int) -> tuple[int, int]:
    """One `sendmmsg` of `count` messages at a memory address: how many went, and, when none did, the errno of the first."""
    done = _sendmmsg(fd, address, min(_VLEN, count), _MSG_DONTWAIT)
    if done > 0:
        return done, 0
    return 0, ctypes.get_errno()


def send_batch(fd: int, messages: NDArray[np.void], start: int, end: int) -> tuple[int, int]:
    """Send the messages `start` to `end`; returns how many were sent and how many were not.

    A full socket buffer ends the batch (voice is not worth waiting for); any other error, for example an
    unreachable host, skips the one message it belongs to.
    """
    row, sent = start, 0
    base = messages.ctypes.data
    while row < end:
        done, error = send_messages(fd, base + row * MESSAGE.itemsize, end - row)
        if not error:
            row += done
            sent += done
        elif error in (errno.EAGAIN, errno.ENOBUFS):
            break
        else:
            row += 1
    return sent, end - start - sent


def widen_buffers(sock: socket.socket, size: int) -> None:
    """Ask for socket buffers of `size` bytes each way. Only root passes net.core.rmem_max and wmem_max; without it the
    kernel grants what those allow."""
    for forced, plain in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, size)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, plain, size)
