"""Learn a source from its first packets, then lock it: whoever comes later is a stranger (RTP Bleed,
CVE-2017-14099). A source is believed when several packets in a row continue one another.

A NAT may give a stream another port in the middle of it. It is followed there, on a socket of its own as on the shared one,
when the old port is silent and the same host goes on with the same SSRC, a number that nobody knows who does not see the
stream; to another host never (RFC 7362 §4 calls the rest of it latching, and what is wrong with it).
"""

from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from bridges.audio.legs import NONE, LegTable
from bridges.audio.sources import CROWDED, SharedSources
from bridges.transport.probation import NEW_SOURCE, NEW_SSRC, Probation

MOVES_AFTER_TICKS = 10
"""So long the locked source must have been silent before its stream may go on from another port."""


class Verdict(Enum):
    """On a packet: nobody's, of the leg's locked source, or of the source to which the leg was just locked."""

    STRANGER = auto()
    KNOWN = auto()
    LOCKED = auto()


class LegSources:
    """Where the voices of all legs come from: `shared` for those on the shared socket, `own` from the descriptor of a
    leg's own socket to its row."""

    def __init__(self, legs: LegTable) -> None:
        self._legs = legs
        self._probation = Probation()
        self.shared = SharedSources()
        self.own: dict[int, int] = {}

    def expect(self, row: int, key: int) -> None:
        """The leg's voice will come from `key`, or be learnt; forgets what was learnt before."""
        legs = self._legs
        self.forget(row)
        legs.expected[row] = key
        legs.locked[row] = False
        legs.ssrc[row] = NONE
        if legs.own_fd[row] == NONE:
            legs.source[row] = key
            self.shared.put(key, row)
        else:
            self.own[int(legs.own_fd[row])] = row

    def forget(self, row: int) -> None:
        """The leg goes, or gets another address."""
        legs = self._legs
        if legs.own_fd[row] != NONE:
            self.own.pop(int(legs.own_fd[row]), None)
        elif legs.source[row] != NONE:
            self.shared.remove(int(legs.source[row]), row)
        legs.source[row] = NONE
        self._probation.forget(row)

    def _unlearnt(self) -> NDArray[np.bool_]:
        legs = self._legs
        unlearnt: NDArray[np.bool_] = (
            legs.connected & legs.sends & ~legs.locked & (legs.own_fd == NONE)
        )
        return unlearnt

    def _fell_silent(self, tick: int) -> NDArray[np.bool_]:
        """Legs on the shared socket whose stream may go on from another port."""
        legs = self._legs
        silent: NDArray[np.bool_] = (
            legs.locked
            & legs.sends
            & (legs.own_fd == NONE)
            & (tick - legs.heard_at >= MOVES_AFTER_TICKS)
        )
        return silent

    def hosts_waiting(self, tick: int) -> NDArray[np.int64]:
        """Where a packet from an unknown port may come from."""
        legs = self._legs
        new, gone = self._unlearnt(), self._fell_silent(tick)
        return np.concatenate((legs.expected[new] >> 16, legs.source[gone] >> 16))

    def owner(self, row: int, key: int, ssrc: int, tick: int) -> int | None:
        """The leg an odd packet may belong to."""
        legs = self._legs
        if row >= 0:
            if legs.own_fd[row] != NONE or not legs.locked[row] or ssrc == legs.ssrc[row]:
                return row
            # Another's stream, perhaps, which its NAT gave the port that was this leg's.
            moved = self._moved(key, ssrc, tick)
            return row if moved is None else moved
        if row == CROWDED:
            crowd = self.shared.crowd(key)
            by_ssrc = [r for r in crowd if legs.ssrc[r] == ssrc]
            open_ = [r for r in crowd if legs.ssrc[r] == NONE and legs.sends[r]]
            if not by_ssrc and (moved := self._moved(key, ssrc, tick)) is not None:
                return moved
            return next(iter(by_ssrc or open_), None)
        if (moved := self._moved(key, ssrc, tick)) is not None:
            return moved
        # The host is known and the port is not: certain only when a single leg waits for that host.
        waiting = np.flatnonzero(self._unlearnt() & (legs.expected >> 16 == key >> 16))
        return int(waiting[0]) if len(waiting) == 1 else None

    def _moved(self, key: int, ssrc: int, tick: int) -> int | None:
        """The leg on the shared socket that fell silent and whose stream this is; None where there is none, or two."""
        legs = self._legs
        same = (legs.ssrc == ssrc) & (legs.source >> 16 == key >> 16)
        if not same.any():
            return None
        found = np.flatnonzero(same & self._fell_silent(tick))
        return int(found[0]) if len(found) == 1 else None

    def judge(self, row: int, key: int, ssrc: int, sequence: int, tick: int) -> Verdict:
        """Whether a packet's source may speak for the leg; learns and locks."""
        legs = self._legs
        if not legs.connected[row]:
            return Verdict.STRANGER
        if legs.locked[row] and key == legs.source[row] and ssrc == legs.ssrc[row]:
            return Verdict.KNOWN
        needed = self._probation_of(row, key, ssrc, tick)
        if needed is None:
            return Verdict.STRANGER
        if needed and not self._probation.passed(row, key, ssrc, sequence, needed):
            return Verdict.STRANGER
        self._lock(row, key, ssrc)
        return Verdict.LOCKED

    def _probation_of(self, row: int, key: int, ssrc: int, tick: int) -> int | None:
        """How many packets in a row must speak for a source before the leg is locked to it; None: never."""
        legs = self._legs
        if legs.locked[row]:
            if key == legs.source[row]:
                return NEW_SSRC
            return NEW_SOURCE if self._has_moved(row, key, ssrc, tick) else None
        expected = int(legs.expected[row])
        if key == expected:
            return 0
        return None if legs.near[row] and key >> 16 != expected >> 16 else NEW_SOURCE

    def _has_moved(self, row: int, key: int, ssrc: int, tick: int) -> bool:
        """Whether a NAT may have given the leg's stream another port: the old one is silent, and from the same host
        comes the same SSRC."""
        legs = self._legs
        same_host = key >> 16 == int(legs.source[row]) >> 16
        silent = tick - int(legs.heard_at[row]) >= MOVES_AFTER_TICKS
        return bool(same_host and silent and ssrc == legs.ssrc[row])

    def _lock(self, row: int, key: int, ssrc: int) -> None:
        legs = self._legs
        if legs.own_fd[row] == NONE and key != legs.source[row]:
            self.shared.remove(int(legs.source[row]), row)
            self.shared.put(key, row)
        legs.hosts.keep(key)
        legs.source[row] = key
        legs.ssrc[row] = ssrc
        legs.locked[row] = True
        if legs.goal[row] != key:
            legs.goal[row] = key
            legs.changed = True
