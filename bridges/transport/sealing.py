"""SRTP under the keys of a DTLS association, on packets where they stand.

libsrtp reads and writes at addresses, so a batch is opened in the arena it was received into and sealed in the one
it is sent from. It is reached below pylibsrtp's own `Session.protect`, which copies each packet four times and takes no
RTP above 1356 bytes. **Every** answer has to be looked at: what could not be sealed still stands there in the clear.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]  # compiled, without stubs

from bridges.transport.batch import VIDEO_STRIDE, ReceiveArena, write_addresses
from bridges.transport.six import SixHosts

Handle = NewType("Handle", object)
"""A libsrtp session. It lives as long as the pylibsrtp.Session it was taken from."""

TRAILER = 16 + 4
"""Bytes a sealed packet may be longer: the longest tag, and SRTCP's index."""
RTP_HEADER = 12

seal_rtp: Any = lib.srtp_protect
"""Of (handle, slot, length); the length is changed in place. 0 is success."""
_open_rtp = lib.srtp_unprotect
_open_rtcp = lib.srtp_unprotect_rtcp


def is_rtcp(second_byte: int) -> bool:
    """RTP or RTCP on one port (RFC 5761 §4)."""
    return 192 <= second_byte <= 223


def slots_at(address: int, stride: int, count: int) -> list[Any]:
    """Pointers to `count` packets, as libsrtp takes them."""
    return [ffi.cast("void *", address + index * stride) for index in range(count)]


def lengths_at(address: int, stride: int, count: int) -> list[Any]:
    """Pointers to as many lengths. They may be the low halves of an iovec's: then nothing has to be read back."""
    return [ffi.cast("int *", address + index * stride) for index in range(count)]


@dataclass(frozen=True, slots=True)
class RtpBatch:
    """RTP of one far end in the clear, in the order it came: `data[rows[i], :sizes[i]]`. Valid until the next batch."""

    data: NDArray[np.uint8]
    rows: NDArray[np.intp]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def payload_types(self) -> NDArray[np.uint8]:
        types: NDArray[np.uint8] = self.data[self.rows, 1] & np.uint8(0x7F)
        return types

    @property
    def ssrcs(self) -> NDArray[np.uint32]:
        ssrcs: NDArray[np.uint32] = self.data.view(">u4")[self.rows, 2].astype(np.uint32)
        return ssrcs

    def where(self, mask: NDArray[np.bool_]) -> "RtpBatch":
        return RtpBatch(self.data, self.rows[mask], self.sizes[mask])

    def packets(self) -> list[bytes]:
        """Copies, for whoever keeps them."""
        return [
            self.data[row, :size].tobytes()
            for row, size in zip(self.rows.tolist(), self.sizes.tolist(), strict=True)
        ]


class MediaArena(ReceiveArena):
    """An arena in which SRTP is opened where it was received."""

    def __init__(self, capacity: int, hosts: SixHosts | None = None) -> None:
        super().__init__(capacity, VIDEO_STRIDE, hosts)
        self._lengths = np.zeros(capacity, np.int32)
        self._slots = slots_at(self.data.ctypes.data, VIDEO_STRIDE, capacity)
        self._pointers = lengths_at(self._lengths.ctypes.data, 4, capacity)

    @classmethod
    def holding(cls, packets: Sequence[bytes]) -> "MediaArena":
        """One made for packets that were kept."""
        made = cls(len(packets))
        for row, packet in enumerate(packets):
            made.put(row, packet)
        return made

    def put(self, row: int, packet: bytes, source: int = 0) -> None:
        """As if it had been received there, from that source key."""
        self.data[row, : len(packet)] = np.frombuffer(packet, np.uint8)
        self._messages["size"][row] = len(packet)
        write_addresses(self._addresses[row : row + 1], np.array([source], np.int64))

    def open_rtp(self, handle: Handle, rows: Sequence[int]) -> RtpBatch:
        """Open SRTP packets in place; those that are forged, repeated or shapeless are not in the batch."""
        sizes = self._messages["size"]
        self._lengths[list(rows)] = sizes[list(rows)]
        opened = [
            row for row in rows if not _open_rtp(handle, self._slots[row], self._pointers[row])
        ]
        index = np.array(opened, np.intp)
        return RtpBatch(self.data, index, self._lengths[index].astype(np.int64))

    def open_rtcp(self, handle: Handle, row: int) -> bytes | None:
        """The compound packet of an SRTCP packet; None for a forged one."""
        self._lengths[row] = self._messages["size"][row]
        if _open_rtcp(handle, self._slots[row], self._pointers[row]):
            return None
        return self.data[row, : self._lengths[row]].tobytes()


class Scratch:
    """Where single packets are sealed: reports, repairs, voice."""

    def __init__(self) -> None:
        self._size = VIDEO_STRIDE
        self._paper = ffi.new("unsigned char[]", self._size)
        self._bytes = ffi.buffer(self._paper)
        self._length = ffi.new("int *")

    def seal(self, handle: Handle, packet: bytes, *, rtcp: bool) -> bytes | None:
        """The packet as SRTP or SRTCP; None when it cannot be: too long, or a number that was used too long ago."""
        size = len(packet)
        if size + TRAILER > self._size:
            return None
        self._bytes[:size] = packet
        self._length[0] = size
        seal = lib.srtp_protect_rtcp if rtcp else seal_rtp
        if seal(handle, self._paper, self._length):
            return None
        return bytes(self._bytes[: self._length[0]])

    def open(self, handle: Handle, packet: bytes, *, rtcp: bool) -> bytes | None:
        """The packet in the clear; None for a forged, repeated or shapeless one."""
        size = len(packet)
        if size > self._size:
            return None
        self._bytes[:size] = packet
        self._length[0] = size
        opener = _open_rtcp if rtcp else _open_rtp
        if opener(handle, self._paper, self._length):
            return None
        return bytes(self._bytes[: self._length[0]])
