"""RTCP of pictures, both ways: reports (RFC 3550 §6) and feedback (RFC 4585, 5104, REMB, transport-wide congestion control).

aiortc.rtp has the bodies of most of it and is taken where it does; this is the only module that knows it. What it
lacks is here: reading a datagram of which one packet is broken, NACKs over a wrap of the sequence numbers, FIR;
transport-wide feedback is in `transport_cc`. Reading never raises: what contradicts itself is counted in
`malformed` and the rest is used.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from aiortc import rtp

from bridges.video.transport_cc import TransportFeedback, read_transport_feedback

ReportBlock = rtp.RtcpReceiverInfo
"""§6.4.1: how `ssrc` is received: `fraction_lost` in 256ths, `packets_lost`, extended `highest_sequence`, `jitter` in timestamp
units, `lsr` and `dlsr` in 65,536ths of a second."""
SenderInfo = rtp.RtcpSenderInfo
"""§6.4.1: `ntp_timestamp` (64 bits), `rtp_timestamp`, `packet_count`, `octet_count`."""

_SR, _RR, _SDES, _BYE, _RTPFB, _PSFB = 200, 201, 202, 203, 205, 206
_NACK, _TRANSPORT_CC = 1, 15
_PLI, _FIR, _REMB = 1, 4, 15
_HEADER = struct.Struct("!BBH")
_PAIR = struct.Struct("!II")
_NACK_ENTRY = struct.Struct("!HH")
_FIR_ENTRY = struct.Struct("!IB3x")
_PACKETS_LIMIT = 64
"""RTCP packets that are read of one datagram."""
_NACKS_LIMIT = 512
"""Sequence numbers one datagram may ask for: a viewer's wish is not an amplifier."""


@dataclass(frozen=True, slots=True)
class Nack:
    """The packets of `ssrc` that did not arrive (RFC 4585 §6.2.1)."""

    ssrc: int
    lost: tuple[int, ...]


@dataclass(slots=True)
class Feedback:
    """What a datagram says. `ssrc` is who speaks; `senders` the sender reports by SSRC; `keyframes` the SSRCs a whole picture is
    wanted of, by PLI or by FIR; `remb` in bit/s."""

    ssrc: int | None = None
    senders: dict[int, SenderInfo] = field(default_factory=dict)
    blocks: list[ReportBlock] = field(default_factory=list)
    nacks: list[Nack] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    remb: int | None = None
    transport: list[TransportFeedback] = field(default_factory=list)
    goodbyes: list[int] = field(default_factory=list)
    malformed: int = 0


def read(datagram: bytes | memoryview) -> Feedback:
    """Read a compound or reduced-size (RFC 5506) RTCP datagram; kinds we have no use for are passed over."""
    feedback = Feedback()
    data = bytes(datagram)
    at, size = 0, len(data)
    for _ in range(_PACKETS_LIMIT):
        if at + 4 > size:
            break
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > size:
            break
        body = data[at + 4 : end]
        padding = body[-1] if first & 0x20 and body else 0
        at = end
        if first & 0x20 and not 0 < padding <= len(body):
            feedback.malformed += 1
            continue
        try:
            _read_packet(feedback, kind, first & 0x1F, body[: len(body) - padding])
        except (ValueError, struct.error):
            feedback.malformed += 1
    feedback.malformed += at != size or not size
    return feedback


def _read_packet(feedback: Feedback, kind: int, count: int, body: bytes) -> None:
    """One packet without header and padding. Raises ValueError or struct.error."""
    if kind == _SR:
        # Profile-specific extensions may follow the blocks (§6.4.3); aiortc wants none.
        report = rtp.RtcpSrPacket.parse(body[: 24 + 24 * count], count)
        feedback.ssrc = report.ssrc
        feedback.senders[report.ssrc] = report.sender_info
        feedback.blocks += report.reports
    elif kind == _RR:
        received = rtp.RtcpRrPacket.parse(body[: 4 + 24 * count], count)
        feedback.ssrc = received.ssrc
        feedback.blocks += received.reports
    elif kind == _BYE:
        feedback.goodbyes += rtp.RtcpByePacket.parse(body, count).sources
    elif kind == _RTPFB:
        _read_transport_layer(feedback, count, body)
    elif kind == _PSFB:
        _read_payload_specific(feedback, count, body)


def _read_transport_layer(feedback: Feedback, kind: int, body: bytes) -> None:
    """RFC 4585 §6.2. A NACK's bitmask counts on from its packet, over the wrap too."""
    sender, ssrc = _PAIR.unpack_from(body)
    feedback.ssrc = sender
    if kind == _TRANSPORT_CC:
        feedback.transport.append(read_transport_feedback(body[8:]))
    elif kind == _NACK:
        lost: list[int] = []
        for at in range(8, len(body) - 3, 4):
            packet, mask = _NACK_ENTRY.unpack_from(body, at)
            lost.append(packet)
            if mask:
                lost += [packet + 1 + bit & 0xFFFF for bit in range(16) if mask >> bit & 1]
        room = _NACKS_LIMIT - sum(len(nack.lost) for nack in feedback.nacks)
        if len(lost) > room:
            feedback.malformed += 1
        if lost[:room]:
            feedback.nacks.append(Nack(ssrc, tuple(lost[:room])))


def _read_payload_specific(feedback: Feedback, kind: int, body: bytes) -> None:
    """RFC 4585 §6.3, RFC 5104 §4.3.1 (FIR, whose SSRCs are in its entries), and REMB."""
    sender, ssrc = _PAIR.unpack_from(body)
    feedback.ssrc = sender
    if kind == _PLI:
        feedback.keyframes.append(ssrc)
    elif kind == _FIR:
        entries = range(8, len(body) - 7, 8)
        feedback.keyframes += [_FIR_ENTRY.unpack_from(body, at)[0] for at in entries]
    elif kind == _REMB and body[8:12] == b"REMB":
        feedback.remb = rtp.unpack_remb_fci(body[8:])[0]


def write_reports(
    ssrc: int, sender: SenderInfo | None, blocks: Sequence[ReportBlock], description: bytes
) -> bytes:
    """A compound of SR (or RR, for who sent nothing) and SDES; more than 31 blocks go on in further RRs (§6.1).
    `description` is `cname(…)`."""
    parts = []
    told = [replace(one, packets_lost=rtp.clamp_packets_lost(one.packets_lost)) for one in blocks]
    first, rest = told[:31], told[31:]
    if sender is None:
        parts.append(bytes(rtp.RtcpRrPacket(ssrc, first)))
    else:
        parts.append(bytes(rtp.RtcpSrPacket(ssrc, sender, first)))
    while rest:
        parts.append(bytes(rtp.RtcpRrPacket(ssrc, rest[:31])))
        rest = rest[31:]
    chunk = struct.pack("!I", ssrc) + description
    parts.append(rtp.pack_rtcp_packet(_SDES, 1, chunk))
    return b"".join(parts)


def cname(name: bytes) -> bytes:
    """The CNAME item of §6.5.1, ended and padded to a word, for `write_reports`. At most 255 bytes."""
    item = bytes((1, len(name))) + name
    return item + bytes(4 - len(item) % 4)


def write_nack(ssrc: int, media_ssrc: int, lost: Iterable[int]) -> bytes:
    """A generic NACK (RFC 4585 §6.2.1) of sequence numbers in rising order, wraps allowed; empty for none."""
    entries: list[tuple[int, int]] = []
    for sequence in lost:
        if entries:
            packet, mask = entries[-1]
            ahead = sequence - packet - 1 & 0xFFFF
            if ahead < 16:
                entries[-1] = packet, mask | 1 << ahead
                continue
        entries.append((sequence & 0xFFFF, 0))
    if not entries:
        return b""
    body = _PAIR.pack(ssrc, media_ssrc) + b"".join(_NACK_ENTRY.pack(*entry) for entry in entries)
    return rtp.pack_rtcp_packet(_RTPFB, _NACK, body)


def write_pli(ssrc: int, media_ssrc: int) -> bytes:
    """A picture loss indication (RFC 4585 §6.3.1)."""
    return bytes(rtp.RtcpPsfbPacket(fmt=_PLI, ssrc=ssrc, media_ssrc=media_ssrc))


def write_fir(ssrc: int, media_ssrc: int, number: int) -> bytes:
    """A full intra request (RFC 5104 §4.3.1); `number` goes up by one with each new wish and stays for a repetition."""
    entry = _FIR_ENTRY.pack(media_ssrc, number & 0xFF)
    return bytes(rtp.RtcpPsfbPacket(fmt=_FIR, ssrc=ssrc, media_ssrc=0, fci=entry))


def write_remb(ssrc: int, bitrate: int, media_ssrcs: Sequence[int]) -> bytes:
    """What a publisher may send, in bit/s (draft-alvestrand-rmcat-remb-03)."""
    fci = rtp.pack_remb_fci(bitrate, list(media_ssrcs))
    return bytes(rtp.RtcpPsfbPacket(fmt=_REMB, ssrc=ssrc, media_ssrc=0, fci=fci))


def write_bye(ssrcs: Sequence[int]) -> bytes:
    """A goodbye (§6.6), to follow a report in its datagram. At most 31 sources."""
    return bytes(rtp.RtcpByePacket(list(ssrcs)))
