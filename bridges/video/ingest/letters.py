"""What the process that pulls cameras writes to the worker, one datagram a letter, and what it reads.

A letter begins with its kind and the number of the pull; packets follow with their lengths, news as JSON. Orders are JSON lines
on its standard input: addresses have passwords in them, and a command line is for everybody to read.
"""

import json
import struct
from collections.abc import Mapping, Sequence

HEAD = struct.Struct("!BI")
PACKETS, NEWS = 1, 2
LETTER_LIMIT = 64 << 10
TOGETHER = 48
"""Packets of one letter."""
_LENGTH = struct.Struct("!H")


def of_packets(number: int, packets: Sequence[bytes]) -> bytes:
    """At most `TOGETHER` packets."""
    lengths = b"".join(_LENGTH.pack(len(packet)) + packet for packet in packets)
    return HEAD.pack(PACKETS, number) + lengths


def packets_of(letter: bytes) -> list[bytes]:
    """The packets of such a letter."""
    packets = []
    at = HEAD.size
    while at < len(letter):
        (length,) = _LENGTH.unpack_from(letter, at)
        at += _LENGTH.size + length
        packets.append(letter[at - length : at])
    return packets


def of_news(number: int, news: Mapping[str, object]) -> bytes:
    """`live` (with `profile`) or `lost` (with `reason`)."""
    return HEAD.pack(NEWS, number) + json.dumps(news).encode()


def news_of(letter: bytes) -> Mapping[str, object]:
    """The news of such a letter."""
    news: Mapping[str, object] = json.loads(letter[HEAD.size :])
    return news
