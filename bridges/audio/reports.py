"""RTCP of all legs: what we tell far ends of their voice, and what they tell us of ours (RFC 3550 §6).

A report is one leg's every five seconds, so it is made one at a time; a heap says whose turn it is. Reports come on
the shared pair's odd port, on those of the legs' own pairs (visited in turn: the kernel's timestamps say when they
really came), on the audio's own port (RFC 5761), or from whoever carries a leg's packets.
"""

import heapq
import random
import secrets
import time
from dataclasses import dataclass

import numpy as np

from bridges.audio import rtcp
from bridges.audio.counts import Counts
from bridges.audio.events import Output, PacketOut
from bridges.audio.jitter import Jitter
from bridges.audio.legs import NONE, LegTable
from bridges.audio.rtp import MalformedPacketError
from bridges.audio.vault import Vault
from bridges.transport.batch import ReceiveArena, source_address
from bridges.transport.pairs import UdpPair

LOOK_LIMIT = 64
"""Reports a tick from the shared port; a hundred thousand legs send as many."""
_OWN_LIMIT = 4
_OWN_EVERY = 50
"""Ticks from one visit of a leg's own port to the next."""
_INTERVAL_TICKS = 250
_LONGEST_TRIP_S = 10.0


@dataclass(slots=True)
class _Talk:
    """Whom a leg's reports go to and what both sides said last. `goal` is a source key, NONE for the port above the
    audio's. `round_trip_s` and `far_lost` (0…1) are None until a far end told."""

    pair: UdpPair
    is_own: bool
    goal: int
    muxed: bool
    turn: int = 0
    expected_before: int = 0
    received_before: int = 0
    last_report: int = 0
    last_report_at: float = 0.0
    round_trip_s: float | None = None
    far_lost: float | None = None


class Reports:
    """The reports of all rows. `now` is the engine's time, in seconds."""

    def __init__(self, legs: LegTable, vault: Vault, counts: Counts, shared: UdpPair) -> None:
        self._legs = legs
        self.jitter = Jitter(legs)
        self._vault = vault
        self._counts = counts
        self._shared = shared
        self._arena = ReceiveArena(2 * LOOK_LIMIT, hosts=legs.hosts)
        self._talks: dict[int, _Talk] = {}
        self._rows_by_ssrc: dict[int, int] = {}
        self._turns: list[tuple[int, int]] = []
        self._own: dict[int, list[int]] = {}
        self._collisions: set[int] = set()
        self._loops: set[tuple[int, int]] = set()
        self._epoch = time.time() - time.monotonic()
        # A name that says nothing of the machine, and is another after a restart (RFC 7022 §4.2).
        self._name = rtcp.cname(secrets.token_urlsafe(12).encode())

    def expect(self, row: int, pair: UdpPair | None, goal: int, muxed: bool, tick: int) -> None:
        """The row's leg is connected, or connected elsewhere: its reports go to the source key `goal`, or (NONE) to
        where its audio goes. `pair` is its own, if it has one."""
        known = self._talks.get(row)
        if known is not None:
            known.goal, known.muxed = goal, muxed
            return
        self._talks[row] = _Talk(pair or self._shared, pair is not None, goal, muxed)
        self._rows_by_ssrc[int(self._legs.out_ssrc[row])] = row
        if pair is not None:
            self._own.setdefault(row % _OWN_EVERY, []).append(row)
        self._later(row, self._talks[row], tick, _INTERVAL_TICKS // 2)

    def forget(self, row: int) -> None:
        self._collisions.discard(row)
        self._loops = {one for one in self._loops if one[0] != row}
        talk = self._talks.pop(row, None)
        if talk is not None:
            self._rows_by_ssrc.pop(int(self._legs.out_ssrc[row]), None)
            if talk.is_own:
                self._own[row % _OWN_EVERY].remove(row)

    def told(self, row: int) -> tuple[float | None, float | None]:
        """The round trip in ms and the percentage of our packets that the far end lost lately; None when unknown."""
        talk = self._talks.get(row)
        if talk is None:
            return None, None
        trip, lost = talk.round_trip_s, talk.far_lost
        return (
            None if trip is None else round(trip * 1000, 1),
            None if lost is None else round(lost * 100, 1),
        )

    def collide(self, row: int, key: int) -> None:
        """The row's far end at `key` uses our SSRC (§8.2). The first time it may be chance; a second time from there
        it is our own voice that comes back, and is heard as any other."""
        if (row, key) not in self._loops:
            self._loops.add((row, key))
            self._collisions.add(row)

    # In ----------------------------------------------------------------------------------------------------------

    def receive(self, tick: int, now: float) -> None:
        """Take in what came to the odd ports."""
        arena = self._arena
        count = arena.drain(self._shared.rtcp.fileno(), 0, LOOK_LIMIT)
        owners = [NONE] * count
        for row in self._own.get(tick % _OWN_EVERY, ()):
            got = arena.drain(self._talks[row].pair.rtcp.fileno(), count, _OWN_LIMIT)
            count += got
            owners += [row] * got
        if not count:
            return
        self._counts.received += count
        keys, sizes = arena.keys(count).tolist(), arena.sizes(count).tolist()
        came, cut = (now - arena.ages(count)).tolist(), arena.truncated(count).tolist()
        for i, row in enumerate(owners):
            if cut[i]:
                self._counts.malformed += 1
            else:
                self._look(row, keys[i], arena.data[i, : sizes[i]].tobytes(), came[i])

    def take(self, row: int, datagram: bytes, came: float) -> None:
        """A report of that row's far end, in the clear, that came beside the audio."""
        try:
            compound = rtcp.read_compound(datagram)
        except MalformedPacketError:
            self._counts.malformed += 1
            return
        talk = self._talks.get(row)
        if talk is None:
            self._counts.strangers += 1
            return
        self._counts.accepted += 1
        self._counts.reports_received += 1
        self._read(row, talk, compound, came)

    def _look(self, row: int, key: int, datagram: bytes, came: float) -> None:
        """A datagram at an odd port: find its leg, by its own socket or by the SSRCs it names."""
        if len(datagram) < 8:
            self._counts.malformed += 1
            return
        legs = self._legs
        if row == NONE:
            row = self._row_of(int.from_bytes(datagram[4:8], "big"), key)
        was_sealed = row != NONE and bool(legs.secured[row])
        if was_sealed:
            opened = self._vault.open_report(row, datagram)
            if opened is None:
                return
            datagram = opened
        try:
            compound = rtcp.read_compound(datagram)
        except MalformedPacketError:
            self._counts.malformed += 1
            return
        if row == NONE:
            row = self._named_by(compound)
        talk = self._talks.get(row)
        is_open = talk is not None and bool(legs.secured[row]) and not was_sealed
        if talk is None or is_open or key >> 16 != self._host_of(row):
            self._counts.strangers += 1
            return
        self._counts.accepted += 1
        self._counts.reports_received += 1
        if not talk.muxed:
            talk.goal = key
        if compound.ssrc == legs.out_ssrc[row]:
            self.collide(row, key)
        self._read(row, talk, compound, came)

    def _row_of(self, ssrc: int, key: int) -> int:
        """The leg whose voice has this SSRC and comes from this host."""
        legs = self._legs
        for row in np.flatnonzero(legs.ssrc == ssrc).tolist():
            if legs.own_fd[row] == NONE and legs.source[row] >> 16 == key >> 16:
                return int(row)
        return NONE

    def _named_by(self, compound: rtcp.Compound) -> int:
        """The leg whose voice the reports are about: a far end that only listens has no SSRC we know."""
        return next(
            (self._rows_by_ssrc[b.ssrc] for b in compound.blocks if b.ssrc in self._rows_by_ssrc),
            NONE,
        )

    def _host_of(self, row: int) -> int:
        legs = self._legs
        return int(legs.source[row] if legs.locked[row] else legs.expected[row]) >> 16

    def _read(self, row: int, talk: _Talk, compound: rtcp.Compound, came: float) -> None:
        ours = int(self._legs.out_ssrc[row])
        self._counts.goodbyes += len(compound.goodbyes) > 0
        if compound.sender is not None:
            talk.last_report = rtcp.middle(compound.sender.ntp)
            talk.last_report_at = came
        for block in compound.blocks:
            if block.ssrc != ours:
                continue
            talk.far_lost = block.fraction / 256
            if block.last_report:
                now = rtcp.middle(rtcp.ntp_of(self._epoch + came))
                trip = ((now - block.last_report - block.delay) & 0xFFFFFFFF) / 65536
                # A clock that is a little off makes a trip of less than nothing, which wraps around.
                if trip < _LONGEST_TRIP_S:
                    talk.round_trip_s = trip

    # Out -----------------------------------------------------------------------------------------------------------

    def send(self, tick: int, now: float, out: list[Output]) -> None:
        """Send the reports whose turn it is."""
        while self._collisions:
            self._rename(self._collisions.pop(), out)
        while self._turns and self._turns[0][0] <= tick:
            turn, row = heapq.heappop(self._turns)
            talk = self._talks.get(row)
            # A row that is another leg's by now has another turn.
            if talk is not None and talk.turn == turn:
                self._later(row, talk, tick, _INTERVAL_TICKS)
                self._hand_over(row, talk, self._write(row, talk, tick, now), out)

    def _rename(self, row: int, out: list[Output]) -> None:
        """Say goodbye to our SSRC for the row, and take another."""
        talk, old = self._talks.get(row), int(self._legs.out_ssrc[row])
        new = secrets.randbits(32)
        if talk is not None:
            del self._rows_by_ssrc[old]
            self._rows_by_ssrc[new] = row
            self._hand_over(row, talk, rtcp.write_bye(old, self._name), out)
        self._counts.ssrc_collisions += 1
        self._legs.out_ssrc[row] = new
        self._legs.changed = True

    def _later(self, row: int, talk: _Talk, tick: int, mean: int) -> None:
        """§6.2: between half and one and a half of the mean interval, so that far ends do not fall into step."""
        talk.turn = tick + round(mean * random.uniform(0.5, 1.5))  # noqa: S311 - no secret depends on it
        heapq.heappush(self._turns, (talk.turn, row))

    def _write(self, row: int, talk: _Talk, tick: int, now: float) -> bytes:
        legs = self._legs
        sender = None
        if legs.sent[row]:
            sender = rtcp.SenderInfo(
                ntp=rtcp.ntp_of(self._epoch + now),
                timestamp=(int(legs.out_zero[row]) + tick * int(legs.clock[row]) // 50)
                & 0xFFFFFFFF,
                packets=int(legs.sent[row]) & 0xFFFFFFFF,
                octets=int(legs.octets[row]) & 0xFFFFFFFF,
            )
        block = self._block(row, talk, now) if legs.received[row] else None
        return rtcp.write_report(int(legs.out_ssrc[row]), sender, block, self._name)

    def _block(self, row: int, talk: _Talk, now: float) -> rtcp.ReportBlock:
        """§A.3: what came of what was sent, since the last report and ever."""
        legs = self._legs
        received = int(legs.received[row])
        expected = int(legs.last_sequence[row] - legs.first_sequence[row]) + 1
        new = expected - talk.expected_before
        lost = new - (received - talk.received_before)
        talk.expected_before, talk.received_before = expected, received
        return rtcp.ReportBlock(
            ssrc=int(legs.ssrc[row]) & 0xFFFFFFFF,
            fraction=min(lost * 256 // new, 255) if new > 0 and lost > 0 else 0,
            lost=expected - received,
            highest=int(legs.last_sequence[row]) & 0xFFFFFFFF,
            jitter=self.jitter.units(row) & 0xFFFFFFFF,
            last_report=talk.last_report,
            delay=round((now - talk.last_report_at) * 65536) & 0xFFFFFFFF
            if talk.last_report
            else 0,
        )

    def _hand_over(self, row: int, talk: _Talk, report: bytes, out: list[Output]) -> None:
        legs = self._legs
        if legs.plugged[row]:
            leg_id = legs.id_of(row)
            if leg_id is not None:
                self._counts.reports_sent += 1
                out.append(PacketOut(leg_id, report))
            return
        sealed = self._vault.close_report(row, report) if legs.secured[row] else report
        goal = int(legs.goal[row])
        if sealed is None or goal == NONE:
            return
        if talk.muxed:
            way = talk.pair.rtp
        else:
            way, goal = talk.pair.rtcp, talk.goal if talk.goal != NONE else goal + 1
        try:
            way.sendto(sealed, legs.hosts.address(goal) or source_address(goal))
        except OSError:
            # A closed port, a full buffer: the next report says the same.
            self._counts.send_errors += 1
        else:
            self._counts.reports_sent += 1
