"""IPv6 among source keys, which are made for IPv4: a host is a number below 2**24, an address of 0.0.0.0/8 that no packet
comes from (RFC 1122 §3.2.1.3). So «the same host», «another port» and «locked» mean what they mean for IPv4, and the
tables of legs stay columns of integers.

Hosts that a description named, or that a leg is locked to, are kept apart from strangers: who sends from a whole /64
pushes out other strangers and nobody else.
"""

import ctypes
import socket
import struct
from collections import OrderedDict
from itertools import count

import numpy as np
from numpy.typing import NDArray

ADDRESS_SIZE = 28
"""Bytes of `struct sockaddr_in6`."""
_NUMBERS = 1 << 24
_MOST_KEPT = 1 << 16
_MOST_STRANGERS = 1 << 12


class SixHosts:
    """The numbers of IPv6 hosts, of one engine. A key is number << 16 | port."""

    def __init__(self) -> None:
        self._count = count(1)
        self._kept: OrderedDict[bytes, int] = OrderedDict()
        self._strangers: OrderedDict[bytes, int] = OrderedDict()
        self._hosts: dict[int, bytes] = {}

    def named(self, host: str, port: int) -> int:
        """The key of an address somebody named. Raises OSError for what is no IPv6 literal."""
        packed = socket.inet_pton(socket.AF_INET6, host)
        return self._keep(packed) << 16 | port

    def keep(self, key: int) -> None:
        """A leg is locked to that source now."""
        if (packed := self._hosts.get(key >> 16)) is not None:
            self._keep(packed)

    def heard(self, address: bytes) -> int:
        """The key of the source of a packet, from its `struct sockaddr_in6`."""
        port, packed = int.from_bytes(address[2:4], "big"), address[8:24]
        for known in (self._kept, self._strangers):
            if (number := known.get(packed)) is not None:
                known.move_to_end(packed)
                return number << 16 | port
        number = self._strangers[packed] = self._new(packed)
        self._drop_over(self._strangers, _MOST_STRANGERS)
        return number << 16 | port

    def heard_from(self, host: str, port: int) -> int:
        """The same as `heard`, of an address as Python's sockets have it. Raises OSError for one that is of a link only."""
        return self.heard(_sockaddr(socket.inet_pton(socket.AF_INET6, host), port))

    def address(self, key: int) -> tuple[str, int] | None:
        """The address of a key; None for one that is IPv4's, or was forgotten."""
        packed = self._hosts.get(key >> 16)
        return None if packed is None else (socket.inet_ntop(socket.AF_INET6, packed), key & 0xFFFF)

    def point(self, messages: NDArray[np.void], keys: NDArray[np.int64]) -> list[object]:
        """Have the messages whose keys are IPv6's be sent there. What is returned is to be kept as long as they are."""
        kept: list[object] = []
        for i in np.flatnonzero((keys >= 1 << 16) & (keys < _NUMBERS << 16)).tolist():
            key = int(keys[i])
            packed = self._hosts.get(key >> 16)
            if packed is None:
                continue
            address = ctypes.create_string_buffer(_sockaddr(packed, key & 0xFFFF), ADDRESS_SIZE)
            messages["name"][i] = ctypes.addressof(address)
            messages["name_size"][i] = ADDRESS_SIZE
            kept.append(address)
        return kept

    def _keep(self, packed: bytes) -> int:
        number = self._kept.get(packed)
        if number is None:
            number = self._strangers.pop(packed, None) or self._new(packed)
            self._kept[packed] = number
            self._drop_over(self._kept, _MOST_KEPT)
        self._kept.move_to_end(packed)
        return number

    def _new(self, packed: bytes) -> int:
        number = next(n for n in map(_wrapped, self._count) if n not in self._hosts)
        self._hosts[number] = packed
        return number

    def _drop_over(self, known: OrderedDict[bytes, int], most: int) -> None:
        while len(known) > most:
            _, number = known.popitem(last=False)
            del self._hosts[number]


def _wrapped(number: int) -> int:
    return number % (_NUMBERS - 1) + 1


def sockaddr(host: str, port: int) -> bytes:
    """`struct sockaddr_in6` of an address. Raises OSError for what is no IPv6 literal."""
    return _sockaddr(socket.inet_pton(socket.AF_INET6, host), port)


def _sockaddr(packed: bytes, port: int) -> bytes:
    """`struct sockaddr_in6`: no flow, no scope."""
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, packed, 0)
