"""RTCP with those who watch: what they say of the path, what they miss, when they want a whole picture; and our sender
reports, once a second, with the time of the rewritten stream.
"""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from bridges.video import feedback
from bridges.video.cache import HEADER
from bridges.video.codecs.numbers import Numbers
from bridges.video.counts import VideoCounts
from bridges.video.meters import round_trip_ms
from bridges.video.table import ViewTable
from bridges.video.track import Track
from bridges.video.transport_cc import TransportFeedback
from bridges.video.view import View

_REPORT_EVERY_S = 1.0
_NTP_EPOCH = 2_208_988_800
_RTP = struct.Struct("!BBHII")

FindTrack = Callable[[int], Track | None]


@dataclass(frozen=True, slots=True)
class Said:
    """What the forwarder has to act on."""

    wants_keyframe: bool = False
    said_goodbye: bool = False


class ViewerReports:
    """For all views. `find` knows tracks by origin; `sync` tells a view's rewriter how far it was served."""

    def __init__(
        self,
        table: ViewTable,
        counts: VideoCounts,
        find: FindTrack,
        sync: Callable[[View], None],
    ) -> None:
        self._table = table
        self._counts = counts
        self._find = find
        self._sync = sync

    def take(self, view: View, packet: bytes, now: float) -> Said:
        """One RTCP datagram of the view's far end."""
        told = feedback.read(packet)
        self._counts.malformed_reports += told.malformed
        ours = {view.stream.ssrc, view.stream.rtx_ssrc}
        for block in told.blocks:
            if block.ssrc == view.stream.ssrc:
                self._take_block(view, block, now)
        if told.remb is not None:
            view.estimator.heard_remb(told.remb, now)
        for one in told.transport:
            self._take_arrivals(view, one, now)
        for nack in told.nacks:
            if nack.ssrc == view.stream.ssrc:
                self._repair(view, nack.lost, now)
        return Said(wants_keyframe=any(ssrc in ours for ssrc in told.keyframes))

    def report(self, view: View, now: float) -> None:
        """Once a second: SR and SDES (RFC 3550 §6.4.1)."""
        if now - view.reported_at < _REPORT_EVERY_S or view.track is None:
            return
        view.reported_at = now
        self._sync(view)
        wall = time.time()
        sender = feedback.SenderInfo(
            ntp_timestamp=_ntp(wall),
            rtp_timestamp=view.rewriter.timestamp_at(now),
            packet_count=int(self._table.packets[view.row]) & 0xFFFFFFFF,
            octet_count=int(self._table.octets[view.row]) & 0xFFFFFFFF,
        )
        described = feedback.cname(view.stream.cname.encode()[:255])
        packet = feedback.write_reports(view.stream.ssrc, sender, [], described)
        view.far_end.send(packet, is_rtcp=True)

    def _take_block(self, view: View, block: feedback.ReportBlock, now: float) -> None:
        view.lost = max(block.packets_lost, 0)
        view.estimator.heard_loss(block.fraction_lost / 256, now)
        middle = _ntp(time.time()) >> 16 & 0xFFFFFFFF
        trip = round_trip_ms(middle, block.lsr, block.dlsr)
        if trip is not None:
            view.round_trip_s = trip / 1000

    def _take_arrivals(self, view: View, told: TransportFeedback, now: float) -> None:
        """The estimator is told what was sent only of what is reported: the rest is a column of the table."""
        numbers, octets, at = self._table.sent(view.row, told.first, len(told.arrivals))
        view.estimator.sent_numbered(numbers, octets, at)
        view.estimator.heard_arrivals(told, now)

    # Repairs -------------------------------------------------------------------------------------------------

    def _repair(self, view: View, lost: tuple[int, ...], now: float) -> None:
        if view.outlet is None:
            return
        self._sync(view)
        view.repairs.refill(int(self._table.octets[view.row]), now)
        for sequence in lost:
            if not view.repairs.may(sequence, now, view.round_trip_s):
                self._counts.refused_repairs += 1
                continue
            packet = self._made_again(view, sequence)
            if packet is None:
                self._counts.refused_repairs += 1
                continue
            view.far_end.send(packet)
            self._counts.repaired += 1

    def _made_again(self, view: View, sequence: int) -> bytes | None:
        """The packet we sent under that number: as RTX, or just as it was; None when it is gone."""
        sent = view.rewriter.find(sequence)
        track = None if sent is None else self._find(sent.origin)
        if sent is None or track is None or view.types is None:
            return None
        payload = track.cache.payload(sent.extended)
        if payload is None:
            return None
        timestamp, marker, number = track.cache.described(sent.extended)
        stretch = sent.stretch
        if number.picture >= 0 and (stretch.picture_shift or stretch.tl0_shift):
            payload = _renumbered(track, sent.extended, stretch.picture_shift, stretch.tl0_shift)
        mark = 0x80 if marker else 0
        written = stretch.timestamp(timestamp)
        repair, rtx = view.types.rtx, view.stream.rtx_ssrc
        place = view.repairs.spend(len(payload))
        if repair is not None and rtx is not None:
            head = _RTP.pack(0x80, mark | repair, place, written, rtx)
            return head + struct.pack("!H", sequence) + payload
        return _RTP.pack(0x80, mark | view.types.payload, sequence, written, view.stream.ssrc) + (
            payload
        )


def _renumbered(track: Track, extended: int, picture_shift: int, tl0_shift: int) -> bytes:
    cache = track.cache
    slots = cache.between(extended, extended)
    copy = cache.slots[slots]
    numbers = Numbers.of([cache.described(extended)[2]])
    numbers.write(copy, slots * 0 + HEADER, picture_shift, tl0_shift)
    size = int(cache.sizes[slots[0]])
    return copy[0, HEADER : HEADER + size].tobytes()


def _ntp(wall: float) -> int:
    return int((wall + _NTP_EPOCH) * (1 << 32))
