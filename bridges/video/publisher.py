"""The far end that publishes: which of its packets are which layer, and the RTCP it gets of us.

It is told every 0.5 s how it is received (without that a browser stays at 540p), every 50 ms when each packet came where
transport-cc was agreed, else once a second how much it may send; what is missing is asked for, and key frames are, at
most one each half second.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bridges.transport.peer import FarEnd
from bridges.transport.sealing import RtpBatch
from bridges.video import feedback
from bridges.video.counts import VideoCounts
from bridges.video.keyframes import KeyframeWishes
from bridges.video.streams import LayerStream, SourceStreams
from bridges.video.track import Track
from bridges.video.transport_cc import ArrivalLog, write_transport_feedback
from commhub.ports.video import Layer

_REPORT_EVERY_S = 0.5
_FEEDBACK_EVERY_S = 0.05
_REMB_EVERY_S = 1.0
_ELEMENTS_LIMIT = 16
_DESCRIPTION = feedback.cname(b"commhub")


@dataclass(slots=True)
class _Lane:
    """What one SSRC is; `repairs`: RTX of the track."""

    track: Track
    repairs: bool


class Publisher:
    """One session that publishes layers of a source into their tracks. `took` is called with each track that got packets."""

    def __init__(
        self,
        session_id: str,
        streams: SourceStreams,
        tracks: dict[Layer, Track],
        far_end: FarEnd,
        counts: VideoCounts,
        took: Callable[[Track], None],
    ) -> None:
        self.session_id = session_id
        self.streams = streams
        self.tracks = tracks
        self.round_trip_s: float | None = None
        self.last_at = 0.0
        self._far_end = far_end
        self._counts = counts
        self._took = took
        self._ssrc = secrets.randbits(31) | 1
        self._lanes: dict[int, _Lane] = {}
        self._main: dict[Layer, int] = {}
        self._wishes = {one.layer: KeyframeWishes() for one in streams.layers}
        self._arrivals = ArrivalLog()
        self._reported_at = self._fed_back_at = self._remb_at = 0.0
        for one in streams.layers:
            if one.ssrc is not None:
                self._bind(one.ssrc, one.layer, repairs=False)
            if one.rtx_ssrc is not None:
                self._bind(one.rtx_ssrc, one.layer, repairs=True)

    # In ------------------------------------------------------------------------------------------------------

    def take_rtp(self, batch: RtpBatch, now: float) -> None:
        """RTP in the clear; packets of other payload types are left alone."""
        if self.streams.extensions.transport_cc:
            self._note_arrivals(batch, now)
        types = self.streams.types
        kinds = batch.payload_types
        wanted = kinds == types.payload
        if types.rtx is not None:
            wanted |= kinds == types.rtx
        if not wanted.all():
            batch = batch.where(wanted)
        if not len(batch):
            return
        self.last_at = now
        ssrcs = batch.ssrcs
        if (ssrcs == ssrcs[0]).all():
            self._take_stream(int(ssrcs[0]), batch, now)
            return
        # Originals before what is sent again: a browser's probe may share the batch with its original.
        originals = ssrcs[batch.payload_types == types.payload]
        for ssrc in dict.fromkeys([*originals.tolist(), *ssrcs.tolist()]):
            self._take_stream(ssrc, batch.where(ssrcs == np.uint32(ssrc)), now)

    def take_rtcp(self, packet: bytes, now: float) -> None:
        """Its sender reports, and what it says of our reports (round trips are the viewers' business)."""
        told = feedback.read(packet)
        self._counts.malformed_reports += told.malformed
        for ssrc, sender in told.senders.items():
            lane = self._lanes.get(ssrc)
            if lane is not None and not lane.repairs:
                lane.track.reception.heard_report(sender, now)

    def _take_stream(self, ssrc: int, batch: RtpBatch, now: float) -> None:
        lane = self._lanes.get(ssrc) or self._learn(ssrc, batch)
        if lane is None:
            self._counts.unknown += len(batch)
            return
        lane.track.take(batch, now, repaired=lane.repairs)
        self._took(lane.track)

    def _learn(self, ssrc: int, batch: RtpBatch) -> _Lane | None:
        """Which layer a new SSRC is: by its rid (RFC 8852 §3.1, §3.2), or because the source has only one."""
        row = int(batch.rows[0])
        packet = batch.data[row, : int(batch.sizes[0])].tobytes()
        repairs = packet[1] & 0x7F == self.streams.types.rtx
        ids = self.streams.extensions
        rid = _element(packet, ids.repaired_rid if repairs else ids.rid)
        one = self._layer_of(None if rid is None else rid.decode("ascii", "replace"))
        if one is None:
            return None
        known = self._main.get(one.layer)
        if not repairs and known is not None and known != ssrc:
            # The sender began anew: the layer goes on with another stream.
            self._lanes.pop(known, None)
            self.tracks[one.layer].restart()
        return self._bind(ssrc, one.layer, repairs=repairs)

    def _layer_of(self, rid: str | None) -> LayerStream | None:
        layers = self.streams.layers
        if rid is not None and any(one.rid is not None for one in layers):
            return next((one for one in layers if one.rid == rid), None)
        return layers[0] if len(layers) == 1 else None

    def _bind(self, ssrc: int, layer: Layer, *, repairs: bool) -> _Lane:
        if repairs:
            self._forget_repairs(self.tracks[layer])
        lane = self._lanes[ssrc] = _Lane(self.tracks[layer], repairs)
        if not repairs:
            self._main[layer] = ssrc
        return lane

    def _forget_repairs(self, track: Track) -> None:
        """Who begins anew repairs by another stream, too."""
        over = [one for one, lane in self._lanes.items() if lane.repairs and lane.track is track]
        for ssrc in over:
            del self._lanes[ssrc]

    def _note_arrivals(self, batch: RtpBatch, now: float) -> None:
        """The transport-wide numbers of all its packets, sound too."""
        wanted = self.streams.extensions.transport_cc
        for row, size in zip(batch.rows.tolist(), batch.sizes.tolist(), strict=True):
            element = _element(batch.data[row, : min(size, 80)].tobytes(), wanted)
            if element is not None and len(element) == 2:
                self._arrivals.note(int.from_bytes(element, "big"), now)

    # Out -----------------------------------------------------------------------------------------------------

    def want_keyframe(self, layer: Layer, now: float) -> bool:
        """A viewer needs a whole picture; False when this far end is to be asked by its signalling, now."""
        wish = self._wishes.get(layer)
        if wish is None:
            return True
        wish.wish(now)
        if self._is_asked_by_rtcp:
            self._ask_keyframes(now)
            return True
        return not wish.due(now)

    @property
    def _is_asked_by_rtcp(self) -> bool:
        return self.streams.pli or self.streams.fir

    def keyframe_came(self, layer: Layer) -> None:
        """A key frame of the layer begins."""
        if layer in self._wishes:
            self._wishes[layer].came()

    def tick(self, now: float) -> None:
        """Send what is due."""
        if self._far_end.outlet is None:
            return
        self._ask_again(now)
        self._ask_keyframes(now)
        if now - self._reported_at >= _REPORT_EVERY_S:
            self._reported_at = now
            self._report(now)
        if self.streams.extensions.transport_cc:
            if now - self._fed_back_at >= _FEEDBACK_EVERY_S:
                self._fed_back_at = now
                media = next(iter(self._main.values()), 0)
                for told in self._arrivals.take():
                    self._send(write_transport_feedback(self._ssrc, media, told))
        elif self.streams.remb and now - self._remb_at >= _REMB_EVERY_S and self._main:
            self._remb_at = now
            bitrate = self.streams.max_kbps * 1000
            self._send(feedback.write_remb(self._ssrc, bitrate, list(self._main.values())))

    def _ask_again(self, now: float) -> None:
        for layer, track in self.tracks.items():
            missing = track.missing
            if not len(missing) and not missing.is_hopeless:
                continue
            ssrc = self._main.get(layer)
            if self.streams.nack and ssrc is not None:
                wanted = missing.due(now, self.round_trip_s or 0.0)
                if wanted:
                    self._counts.asked += len(wanted)
                    numbers = [track.original(one) & 0xFFFF for one in wanted]
                    self._send(feedback.write_nack(self._ssrc, ssrc, numbers))
            else:
                missing.clear()
            if missing.is_hopeless:
                missing.is_hopeless = False
                self._counts.given_up += missing.given_up
                missing.given_up = 0
                self.want_keyframe(layer, now)

    def _ask_keyframes(self, now: float) -> None:
        if not self._is_asked_by_rtcp:
            return
        for layer, wish in self._wishes.items():
            ssrc = self._main.get(layer)
            if ssrc is not None and self._far_end.outlet is not None and wish.due(now):
                self._counts.keyframes_asked += 1
                if self.streams.pli:
                    self._send(feedback.write_pli(self._ssrc, ssrc))
                else:
                    self._send(feedback.write_fir(self._ssrc, ssrc, wish.number))

    def _report(self, now: float) -> None:
        blocks = [
            replace(block, highest_sequence=self.tracks[layer].original(block.highest_sequence))
            for layer, ssrc in self._main.items()
            if (block := self.tracks[layer].reception.block(ssrc, now)) is not None
        ]
        if blocks:
            self._send(feedback.write_reports(self._ssrc, None, blocks, _DESCRIPTION))

    def _send(self, packet: bytes) -> None:
        if packet:
            self._far_end.send(packet, is_rtcp=True)


def _element(packet: bytes, wanted: int) -> bytes | None:
    """A header extension of one RTP packet (RFC 8285 §4.2); None when it is not there."""
    if not wanted or not packet[0] & 0x10:
        return None
    at = 12 + 4 * (packet[0] & 0x0F)
    if packet[at : at + 2] != b"\xbe\xde" or len(packet) < at + 4:
        return None
    end = min(len(packet), at + 4 + 4 * (packet[at + 2] << 8 | packet[at + 3]))
    at += 4
    for _ in range(_ELEMENTS_LIMIT):
        while at < end and not packet[at]:
            at += 1
        if at >= end:
            return None
        number, size = packet[at] >> 4, (packet[at] & 0x0F) + 1
        if number == wanted:
            return packet[at + 1 : at + 1 + size] if at + 1 + size <= end else None
        if number == 15:
            return None
        at += 1 + size
    return None
