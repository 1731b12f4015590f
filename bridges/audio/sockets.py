"""Batch datagram I/O: many packets a system call, without a compiler (libc by ctypes).

`recvmmsg` and `sendmmsg` read arrays of `struct mmsghdr`; here those arrays are numpy records filled once, so
that a call costs no Python per packet. Linux on 64-bit machines; IPv4.
"""

import ctypes
import errno
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commhub.domain.errors import UnavailableError

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
_IOV = np.dtype([("base", "u8"), ("size", "u8")])

STRIDE = 1408
"""Bytes kept of one datagram: what fits a network, so the longest Opus too; what is longer is marked as truncated."""
_VLEN = 1024
_ADDRESS_SIZE = 16
_MSG_TRUNC = 0x20
_MSG_DONTWAIT = 0x40
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_CONTROL_SIZE = 32
"""One control message: a header of 16 bytes and a `struct timespec`."""
_BUFFER_BYTES = 8 << 20
_OWN_BUFFER_BYTES = 64 << 10
_LONGEST_AGE_S = 1.0
_DSCP_EF = 46 << 2
"""Expedited forwarding (RFC 3246), in the TOS byte."""

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
    """One message a row of `buffers` (any row stride), addressed by the same row of `addresses` (n×16).

    Returns the messages and the iovecs they point to: keep both, and both arguments, alive.
    """
    count = len(buffers)
    iov = np.zeros(count, _IOV)
    iov["base"] = buffers.ctypes.data + np.arange(count) * buffers.strides[0]
    iov["size"] = buffers.shape[1]
    messages = np.zeros(count, MESSAGE)
    messages["name"] = addresses.ctypes.data + np.arange(count) * addresses.strides[0]
    messages["name_size"] = _ADDRESS_SIZE
    messages["iov"] = iov.ctypes.data + np.arange(count) * _IOV.itemsize
    messages["iov_count"] = 1
    return messages, iov


class ReceiveArena:
    """Where a tick's packets land. Row i: `data[i]`, `sizes[i]`, `truncated[i]`, `keys()[i]`, its source, and
    `ages()[i]`, how long it waited in the kernel."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._used = 0
        # Touched now: a flood must not meet memory that the kernel has yet to find, page by page.
        self.data = np.full((capacity, STRIDE), 0, np.uint8)
        self._addresses = np.zeros((capacity, _ADDRESS_SIZE), np.uint8)
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
        return keys


def source_key(host: str, port: int) -> int:
    """An IPv4 address and port as one integer. Raises OSError for what is no IPv4 literal."""
    return int.from_bytes(socket.inet_pton(socket.AF_INET, host), "big") << 16 | port


def write_addresses(into: NDArray[np.uint8], keys: NDArray[np.int64]) -> None:
    """Fill rows of `struct sockaddr_in` from source keys."""
    into.view(np.uint16)[:, 0] = socket.AF_INET
    into.view(">u2")[:, 1] = keys & 0xFFFF
    into.view(">u4")[:, 1] = keys >> 16


def send_batch(fd: int, messages: NDArray[np.void], start: int, end: int) -> tuple[int, int]:
    """Send the messages `start` to `end`; returns how many were sent and how many were not.

    A full socket buffer ends the batch (voice is not worth waiting for); any other error, for example an
    unreachable host, skips the one message it belongs to.
    """
    base = messages.ctypes.data
    row, sent = start, 0
    while row < end:
        done = _sendmmsg(fd, base + row * MESSAGE.itemsize, min(_VLEN, end - row), _MSG_DONTWAIT)
        if done > 0:
            row += done
            sent += done
        elif ctypes.get_errno() in (errno.EAGAIN, errno.ENOBUFS):
            break
        else:
            row += 1
    return sent, end - start - sent


@dataclass(slots=True)
class UdpPair:
    """An even RTP port and the odd RTCP port above it (RFC 3550 §11)."""

    rtp: socket.socket
    rtcp: socket.socket

    @property
    def port(self) -> int:
        return int(self.rtp.getsockname()[1])

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def _open(host: str, port: int, buffer_bytes: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        try:
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
        except PermissionError:
            # Only root passes net.core.rmem_max; without it the kernel grants what that allows.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _DSCP_EF)
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


class PortPool:
    """Pairs of UDP ports out of a range. Opening the socket is the reservation, so a port that another process
    has is simply not given."""

    def __init__(self, host: str, port_min: int, port_max: int) -> None:
        if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise UnavailableError("the audio engine needs Linux on a 64-bit machine")
        self._host = host
        self._first = port_min + port_min % 2
        self._last = port_max
        self._next = self._first

    def open_pair(self, wanted: int = 0, *, shared: bool = False) -> UdpPair:
        """Open `wanted` if it is in the range and free, else the next free pair. Raises UnavailableError."""
        size = _BUFFER_BYTES if shared else _OWN_BUFFER_BYTES
        for port in self._candidates(wanted):
            try:
                rtp = _open(self._host, port, size)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise UnavailableError(f"no UDP socket on {self._host}: {error}") from error
                continue
            try:
                rtcp = _open(self._host, port + 1, _OWN_BUFFER_BYTES)
            except OSError:
                rtp.close()
                continue
            return UdpPair(rtp, rtcp)
        raise UnavailableError("every RTP port of this worker is in use")

    def _candidates(self, wanted: int) -> Iterator[int]:
        if self._first <= wanted < self._last and wanted % 2 == 0:
            yield wanted
        count = (self._last + 1 - self._first) // 2
        for _ in range(count):
            port = self._next
            # Round robin: a port just freed rests, so that a late packet of its last leg meets nobody.
            self._next = port + 2 if port + 3 <= self._last else self._first
            yield port
