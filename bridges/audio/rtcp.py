"""What an RTCP packet says, and how to say it (RFC 3550 §6): reports, names and goodbyes, no feedback formats.

Reading never trusts a length: whatever a datagram claims, it is `Compound` or MalformedPacketError.
"""

import struct
from dataclasses import dataclass

from bridges.audio.rtp import MalformedPacketError

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, BYE = 200, 201, 202, 203
_CNAME = 1
_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IIIIII")
_WORD = struct.Struct("!I")
_MOST_LOST, _LEAST_LOST = 0x7FFFFF, -0x800000
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """§6.4.1. `ntp` is a 64-bit NTP timestamp, `timestamp` the RTP time of the same moment."""

    ntp: int
    timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """§6.4.1: how `ssrc` is received. `fraction` is lost/expected in 256ths since the last report, `lost` the
    cumulative number (24 bits, signed), `highest` the extended sequence number, `jitter` in timestamp units,
    `last_report` the middle 32 bits of the last SR's NTP time, `delay` since then in 65,536ths of a second."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class Compound:
    """What a datagram tells us: who speaks (None for an SDES or BYE alone), the reports, and who says goodbye."""

    ssrc: int | None
    sender: SenderInfo | None
    blocks: tuple[ReportBlock, ...]
    goodbyes: tuple[int, ...]


def is_rtcp(second_byte: int) -> bool:
    """Whether a packet on a shared port is RTCP, by its second byte (RFC 5761 §4)."""
    return 192 <= second_byte <= 223


def read_compound(datagram: bytes) -> Compound:
    """Read the packets of a datagram; kinds we have no use for are passed over. Raises MalformedPacketError."""
    ssrc: int | None = None
    sender: SenderInfo | None = None
    blocks: list[ReportBlock] = []
    goodbyes: tuple[int, ...] = ()
    at, size = 0, len(datagram)
    if size < 8:
        raise MalformedPacketError("shorter than any RTCP packet")
    while at < size:
        if size - at < 4:
            raise MalformedPacketError("a cut-off RTCP header")
        first, kind, words = _HEADER.unpack_from(datagram, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > size or not is_rtcp(kind):
            raise MalformedPacketError("no RTCP packet of this length")
        body_end = end - _padding(datagram, first, at, end, size)
        count = first & 0x1F
        if kind in (SENDER_REPORT, RECEIVER_REPORT):
            begins = at + 4 + (_SENDER.size if kind == SENDER_REPORT else _WORD.size)
            if begins + count * _BLOCK.size > body_end:
                raise MalformedPacketError("a report of fewer blocks than it counts")
            ssrc = _WORD.unpack_from(datagram, at + 4)[0]
            if kind == SENDER_REPORT:
                sender = SenderInfo(*_SENDER.unpack_from(datagram, at + 4)[1:])
            blocks += (_block(datagram, begins + i * _BLOCK.size) for i in range(count))
        elif kind == BYE:
            if at + 4 + 4 * count > body_end:
                raise MalformedPacketError("a BYE of fewer sources than it counts")
            goodbyes += struct.unpack_from(f"!{count}I", datagram, at + 4)
        at = end
    return Compound(ssrc, sender, tuple(blocks), goodbyes)


def _padding(datagram: bytes, first: int, at: int, end: int, size: int) -> int:
    """Only the last packet of a compound may be padded (§6.4.1), by a multiple of four bytes."""
    if not first & 0x20:
        return 0
    padding = datagram[end - 1]
    if end != size or padding == 0 or padding % 4 or padding > end - at - 4:
        raise MalformedPacketError("padding that cannot be")
    return padding


def _block(datagram: bytes, at: int) -> ReportBlock:
    ssrc, losses, highest, jitter, last_report, delay = _BLOCK.unpack_from(datagram, at)
    lost = losses & 0xFFFFFF
    lost -= (lost & 0x800000) << 1
    return ReportBlock(ssrc, losses >> 24, lost, highest, jitter, last_report, delay)


def write_report(
    ssrc: int, sender: SenderInfo | None, block: ReportBlock | None, description: bytes
) -> bytes:
    """A compound of SR (or RR, for who sent nothing) and SDES, as §6.1 wants it at least."""
    blocks = b"" if block is None else _write_block(block)
    count = 0x80 | (block is not None)
    if sender is None:
        head = _HEADER.pack(count, RECEIVER_REPORT, 1 + len(blocks) // 4) + _WORD.pack(ssrc)
    else:
        head = _HEADER.pack(count, SENDER_REPORT, 6 + len(blocks) // 4) + _SENDER.pack(
            ssrc, sender.ntp, sender.timestamp, sender.packets, sender.octets
        )
    chunk = _HEADER.pack(0x81, SOURCE_DESCRIPTION, 1 + len(description) // 4) + _WORD.pack(ssrc)
    return head + blocks + chunk + description


def _write_block(block: ReportBlock) -> bytes:
    lost = max(_LEAST_LOST, min(block.lost, _MOST_LOST)) & 0xFFFFFF
    return _BLOCK.pack(
        block.ssrc, block.fraction << 24 | lost, block.highest, block.jitter,
        block.last_report, block.delay,
    )  # fmt: skip


def cname(name: bytes) -> bytes:
    """The CNAME item of §6.5.1, ended and padded to a word, for `write_report`. At most 255 bytes."""
    item = bytes((_CNAME, len(name))) + name
    return item + bytes(4 - len(item) % 4)


def write_bye(ssrc: int, description: bytes) -> bytes:
    """A goodbye of one source: an empty RR, SDES and BYE (§6.6)."""
    return (
        write_report(ssrc, None, None, description) + _HEADER.pack(0x81, BYE, 1) + _WORD.pack(ssrc)
    )


def ntp_of(seconds: float) -> int:
    """The 64-bit NTP timestamp of Unix seconds."""
    return int((seconds + NTP_EPOCH) * 4_294_967_296) & 0xFFFFFFFFFFFFFFFF


def middle(ntp: int) -> int:
    """The middle 32 bits, in which reports count round trips (1/65,536 s)."""
    return ntp >> 16 & 0xFFFFFFFF
