"""From datagrams to filed voice: drain the sockets, find each packet's leg, sort plain voice from the rest.

Plain packets (G.711 of the agreed payload type, 20 ms, the locked source and SSRC) stay in arrays from the socket to
the ring. Voice of other codecs and packet times from a locked source is taken one by one, at most `LEG_LIMIT` a leg
and tick. The rest is looked at one by one, at most `ODD_LIMIT` a tick, so that a flood costs a bounded time: what legs
may have sent first, then what somebody did. Every datagram is counted once: as accepted, or as what it was dropped for.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio import rtcp, rtp
from bridges.audio.codecs.codec import UndecodableError
from bridges.audio.counts import Counts
from bridges.audio.events import DtmfReceived, Output
from bridges.audio.g711 import FRAME, STATIC_PAYLOAD_TYPE, Law, transcode
from bridges.audio.lanes import Lanes
from bridges.audio.learning import LegSources, Verdict
from bridges.audio.legs import NONE, LegTable
from bridges.audio.noise import read_level
from bridges.audio.quality import Quality
from bridges.audio.reports import Reports
from bridges.audio.vault import FORGED, Vault
from bridges.transport.batch import AUDIO_STRIDE, ReceiveArena
from bridges.transport.srtp import REFUSED

ODD_LIMIT = 512
"""Packets a tick that are looked at one by one."""
LEG_LIMIT = 8
"""Packets a tick that one leg may have taken one by one: 80 ms of the shortest packets."""
PLAIN_LIMIT = 25
"""Plain packets a tick from one leg: half a second, more than a ring holds."""
OWN_LIMIT = 16
"""Packets a tick from a leg's own socket; what is more waits, then the kernel drops it."""
_PLAIN_SIZE = rtp.HEADER_SIZE + FRAME
_LAW_OF_TYPE = {payload_type: law for law, payload_type in STATIC_PAYLOAD_TYPE.items()}
_SLACK = 4096
"""Arena rows that a flood on the shared socket cannot take from the legs with sockets of their own."""


class Receiver:
    """The receiving half of a tick."""

    def __init__(
        self,
        legs: LegTable,
        coded: Quality,
        linear: Quality,
        lanes: Lanes,
        vault: Vault,
        reports: Reports,
        counts: Counts,
        shared_fd: int,
    ) -> None:
        self._legs = legs
        self._jitter = reports.jitter
        self._reports = reports
        self._coded = coded
        self._linear = linear
        self._lanes = lanes
        self._vault = vault
        self._counts = counts
        self._shared_fd = shared_fd
        self._shared_limit = 4 * legs.capacity
        self._arena = ReceiveArena(self._shared_limit + _SLACK, hosts=legs.hosts)
        self.sources = LegSources(legs)
        self._now = 0.0
        self._came: NDArray[np.float64] = np.empty(0)

    def receive(self, tick: int, now: float, out: list[Output]) -> None:
        """Take in everything that waits, at the time `now` in seconds."""
        arena = self._arena
        self._now = now
        shared = arena.drain(self._shared_fd, 0, self._shared_limit)
        count = shared
        owners: list[int] = []
        for fd, row in self.sources.own.items():
            got = arena.drain(fd, count, OWN_LIMIT)
            count += got
            owners += [row] * got
        if not count:
            return
        keys = arena.keys(count)
        rows = np.empty(count, np.int64)
        rows[:shared] = self.sources.shared.lookup(keys[:shared])
        rows[shared:] = owners
        self._counts.received += count
        self._came = now - arena.ages(count)
        self._sort(count, keys, rows, tick, out)

    def _sort(
        self, count: int, keys: NDArray[np.int64], rows: NDArray[np.int64], tick: int,
        out: list[Output],
    ) -> None:  # fmt: skip
        arena, legs = self._arena, self._legs
        sizes = arena.sizes(count)
        self._vault.open(arena.data, rows, sizes)
        first = arena.data[:count, 0]
        ssrcs = arena.words[:count, 2].astype(np.int64)
        types = arena.data[:count, 1] & 0x7F
        # A negative row reads some other leg's columns; `rows >= 0` then decides.
        voice = (
            (rows >= 0)
            & (types == legs.payload_type[rows])
            & (ssrcs == legs.ssrc[rows])
            & (keys == legs.source[rows])
            & legs.sends[rows]
        )
        plain = voice & (sizes == _PLAIN_SIZE) & (first == rtp.VERSION_BYTE) & ~legs.linear[rows]
        odd = np.flatnonzero(~plain)
        if len(odd):
            odd = odd[rows[odd] != FORGED]
            known = odd[voice[odd]]
            odd = self._worth_a_look(odd[~voice[odd]], sizes, first, rows, keys, tick)
            if len(known):
                known = self._whole(known, sizes, first)
                odd = np.sort(np.concatenate((odd, self._fair(known, rows[known]))))
            for i in odd:
                self._look(int(i), int(sizes[i]), int(keys[i]), int(rows[i]), tick, out)
            chosen = np.flatnonzero(plain)
            if len(chosen):
                self._file(chosen, rows[chosen], tick)
        else:
            self._file(slice(0, count), rows, tick)

    def _file(self, which: NDArray[np.int64] | slice, rows: NDArray[np.int64], tick: int) -> None:
        arena = self._arena
        tally = np.bincount(rows, minlength=self._legs.capacity)
        most = int(tally.max())
        if most > PLAIN_LIMIT:
            index = np.arange(len(self._came))[which]
            kept = self._fair(index, rows, PLAIN_LIMIT)
            which, rows, most = kept, rows[np.searchsorted(index, kept)], PLAIN_LIMIT
            np.minimum(tally, PLAIN_LIMIT, out=tally)
        self._counts.accepted += len(rows)
        self._legs.received += tally
        self._note(rows, arena.halves[which, 1].astype(np.int64), tick)
        stamps = arena.words[which, 1].astype(np.int64)
        self._jitter.note(rows, stamps, self._came[which], most)
        self._coded.rings.put_frames(
            rows, stamps, arena.data[which, rtp.HEADER_SIZE : _PLAIN_SIZE], tick
        )

    def _note(self, rows: NDArray[np.int64], sequences: NDArray[np.int64], tick: int) -> None:
        """Keep the books of accepted packets: up to which sequence number, and when last."""
        legs = self._legs
        legs.heard_at[rows] = tick
        last = legs.last_sequence[rows]
        step = ((sequences - last + 0x8000) & 0xFFFF) - 0x8000
        forward = step > 0
        legs.last_sequence[rows[forward]] = (last + step)[forward]

    def _worth_a_look(
        self,
        odd: NDArray[np.int64],
        sizes: NDArray[np.int64],
        first: NDArray[np.uint8],
        rows: NDArray[np.int64],
        keys: NDArray[np.int64],
        tick: int,
    ) -> NDArray[np.int64]:
        """Count and drop what is no RTP, and strangers nobody waits for, without looking at each."""
        odd = self._whole(odd, sizes, first)
        unknown = rows[odd] == NONE
        if unknown.any():
            waiting = self.sources.hosts_waiting(tick)
            strange = unknown & ~np.isin(keys[odd] >> 16, waiting)
            self._counts.strangers += int(np.count_nonzero(strange))
            odd = odd[~strange]
        of_legs = rows[odd] >= 0
        known = self._fair(odd[of_legs], rows[odd[of_legs]])
        odd = np.concatenate((known, odd[~of_legs]))
        self._counts.flooded += max(0, len(odd) - ODD_LIMIT)
        return odd[:ODD_LIMIT]

    def _whole(
        self, which: NDArray[np.int64], sizes: NDArray[np.int64], first: NDArray[np.uint8]
    ) -> NDArray[np.int64]:
        """Without what is no RTP packet at all, or only the beginning of one."""
        truncated = self._arena.truncated(len(sizes))[which]
        broken = (sizes[which] < rtp.HEADER_SIZE) | (first[which] >> 6 != 2) | truncated
        self._counts.malformed += int(np.count_nonzero(broken))
        whole: NDArray[np.int64] = which[~broken]
        return whole

    def _fair(
        self, which: NDArray[np.int64], rows: NDArray[np.int64], limit: int = LEG_LIMIT
    ) -> NDArray[np.int64]:
        """The first `limit` of each leg, in ascending order as `which` is."""
        if len(which) <= limit:
            return which
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        kept = np.sort(which[order[rank < limit]])
        self._counts.flooded += len(which) - len(kept)
        return kept

    def _look(self, i: int, size: int, key: int, row: int, tick: int, out: list[Output]) -> None:
        """Take one odd packet."""
        arena, legs = self._arena, self._legs
        sequence, ssrc = int(arena.halves[i, 1]), int(arena.words[i, 2])
        found = self.sources.owner(row, key, ssrc, tick)
        if found is not None and row < 0 and legs.secured[found]:
            size = self._vault.open_one(arena.data, i, found, size)
            if size == REFUSED:
                return
        if rtcp.is_rtcp(int(arena.data[i, 1])):
            self._report(found, key, arena.data[i, : min(size, AUDIO_STRIDE)].tobytes(), i)
            return
        if found is None or not self._admit(found, key, ssrc, sequence, tick):
            self._counts.strangers += 1
            return
        packet = arena.data[i, : min(size, AUDIO_STRIDE)].tobytes()
        self._take(found, packet, float(self._came[i]), tick, out)

    def _report(self, row: int | None, key: int, datagram: bytes, i: int) -> None:
        """RTCP on the audio's own port (RFC 5761): a far end's whose voice comes from there, or will."""
        legs = self._legs
        source = (
            NONE if row is None else legs.source[row] if legs.locked[row] else legs.expected[row]
        )
        if row is None or key != source:
            self._counts.strangers += 1
        else:
            self._reports.take(row, datagram, float(self._came[i]))

    def take_plugged(self, row: int, packet: bytes, tick: int, out: list[Output]) -> None:
        """Take a packet of a leg without a socket: whoever carries it vouches for its source."""
        legs = self._legs
        self._counts.received += 1
        if len(packet) < rtp.HEADER_SIZE or packet[0] >> 6 != 2:
            self._counts.malformed += 1
            return
        if rtcp.is_rtcp(packet[1]):
            self._reports.take(row, packet, self._now)
            return
        ssrc = int.from_bytes(packet[8:12], "big")
        if ssrc != legs.ssrc[row]:
            legs.ssrc[row] = ssrc
            self._begin_anew(row, int.from_bytes(packet[2:4], "big"))
        self._take(row, packet, self._now, tick, out)

    def _take(self, found: int, packet: bytes, came: float, tick: int, out: list[Output]) -> None:
        """Take a packet whose leg is certain."""
        legs = self._legs
        sequence = int.from_bytes(packet[2:4], "big")
        stamp = int.from_bytes(packet[4:8], "big")
        try:
            start, end = rtp.payload_span(packet)
            kind = packet[1] & 0x7F
            payload = packet[start:end]
            taken = legs.sends[found] and self._take_in(found, kind, stamp, payload, tick, out)
        except rtp.MalformedPacketError:
            self._counts.malformed += 1
            return
        except UndecodableError:
            self._counts.undecodable += 1
            return
        if not taken:
            self._counts.unwanted += 1
            return
        self._counts.accepted += 1
        row = np.array([found])
        legs.received[found] += 1
        self._note(row, np.array([sequence]), tick)
        if kind == legs.payload_type[found]:
            self._jitter.note(row, np.array([stamp]), np.array([came]), 1)

    def _take_in(
        self, row: int, kind: int, stamp: int, payload: bytes, tick: int, out: list[Output]
    ) -> bool:
        """A key, a silence or a voice; False for what nobody agreed on. Raises MalformedPacketError and
        UndecodableError."""
        legs = self._legs
        if kind == legs.dtmf_type[row]:
            self._event(row, stamp, payload, out)
        elif kind == rtp.COMFORT_NOISE:
            self._comfort(row, stamp, payload, tick)
        elif legs.linear[row]:
            if kind != legs.payload_type[row]:
                return False
            begins, samples = self._lanes.of(row).take(stamp, payload)
            self._linear.rings.put(row, begins, samples, tick)
        else:
            law = Law(int(legs.law[row]))
            if kind != legs.payload_type[row]:
                if _LAW_OF_TYPE.get(kind, law) is law:
                    return False
                # Both laws were agreed and the far end uses either (RFC 3264 §5.1).
                payload = transcode(payload, law)
            self._coded.rings.put(row, stamp, payload, tick)
        return True

    def _comfort(self, row: int, stamp: int, payload: bytes, tick: int) -> None:
        level = read_level(payload)
        if self._legs.linear[row]:
            self._linear.comfort(row, None, level, tick)
        else:
            self._coded.comfort(row, stamp, level, tick)

    def _event(self, row: int, stamp: int, payload: bytes, out: list[Output]) -> None:
        """One key press is many packets with one timestamp (RFC 4733 §2.5.1.2): the first one seen tells."""
        event = rtp.read_telephone_event(payload)
        known = int(self._legs.dtmf_time[row])
        later = (stamp - known) & 0xFFFFFFFF
        if known != NONE and not 0 < later < 0x80000000:
            return
        self._legs.dtmf_time[row] = stamp
        leg_id = self._legs.id_of(row)
        if event.digit is not None and leg_id is not None:
            out.append(DtmfReceived(leg_id, event.digit))

    def _admit(self, row: int, key: int, ssrc: int, sequence: int, tick: int) -> bool:
        """Whether the packet's source may speak for the leg; learns and locks."""
        verdict = self.sources.judge(row, key, ssrc, sequence, tick)
        if verdict is Verdict.LOCKED:
            if ssrc == self._legs.out_ssrc[row]:
                self._reports.collide(row, key)
            self._begin_anew(row, sequence)
        return verdict is not Verdict.STRANGER

    def _begin_anew(self, row: int, sequence: int) -> None:
        """Another stream begins: its timestamps and numbers follow no other's."""
        voices = self._linear if self._legs.linear[row] else self._coded
        voices.rings.begin_anew(row)
        self._jitter.begin(row)
        self._legs.restart_losses(row, sequence)
