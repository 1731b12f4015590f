"""The RTP of a SIP far end, plain or with keys of its signalling (`keyring`): a port pair of its own, whose source is learnt and
then locked as the audio engine does it (RTP Bleed, CVE-2017-14099).

Packets are handed on where they were received; one arena serves all lines, because a batch is forwarded before the next is
read. RTP of up to 1500 bytes is taken: SIP far ends do not know of 1200.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import structlog

from bridges.transport.batch import source_address, source_key
from bridges.transport.pairs import UdpPair
from bridges.transport.peer import Outlet
from bridges.transport.probation import NEW_SOURCE, NEW_SSRC, Probation
from bridges.transport.sealing import RTP_HEADER, MediaArena, RtpBatch, is_rtcp
from bridges.transport.six import SixHosts
from bridges.transport.stun import Address
from bridges.video.keyring import Keyring
from commhub.domain.errors import InvalidError
from commhub.kit.clock import Clock
from commhub.ports.video import PlainRemote

log = structlog.get_logger(__name__)

_MOVES_AFTER_S = 0.5
"""So long the locked source must have been silent before its stream may go on from another port."""
_REPORTS_AT_ONCE = 16
_LONGEST_REPORT = 2048
_NOWHERE = -1


@dataclass(slots=True)
class PlainCounts:
    """All since the start of the worker: packets taken, of a source nobody agreed, of no known form, with keys that are not
    theirs, and those that could not be sent."""

    received: int = 0
    strangers: int = 0
    shapeless: int = 0
    forged: int = 0
    unsent: int = 0

    def as_dict(self) -> dict[str, int]:
        return {f"plain_{field.name}": getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Takers:
    """Who gets what a line receives; `drained` is called after each batch."""

    rtp: Callable[[RtpBatch], None]
    rtcp: Callable[[bytes], None]
    drained: Callable[[], object]


class PlainLine:
    """One far end. Implements `bridges.transport.peer.FarEnd`."""

    def __init__(
        self,
        pair: UdpPair,
        arena: MediaArena,
        hosts: SixHosts,
        clock: Clock,
        counts: PlainCounts,
        takers: Takers,
    ) -> None:
        self._pair = pair
        self._arena = arena
        self._hosts = hosts
        self._keyring = Keyring()
        self._clock = clock
        self._counts = counts
        self._takers = takers
        self._remote: PlainRemote | None = None
        self._expected = self._source = self._report_goal = _NOWHERE
        self._ssrc: int | None = None
        self._heard_at = 0.0
        self._probation = Probation()
        self._outlet: Outlet | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pair.rtp.fileno(), self._readable)
        self._loop.add_reader(pair.rtcp.fileno(), self._reports_readable)

    @property
    def port(self) -> int:
        return self._pair.port

    @property
    def remote(self) -> PlainRemote | None:
        return self._remote

    def connect(self, remote: PlainRemote) -> None:
        """What is agreed from now on. Raises InvalidError for an address that is not of the pair's IP version, or for keys that
        are none, and changes nothing."""
        try:
            expected = self._key(remote.address.host, remote.address.port)
        except OSError as error:
            raise InvalidError("this picture's ports are of the other IP version") from error
        self._keyring.agree(remote.srtp)
        if expected != self._expected:
            # Another address is another device, or none: whoever was learnt is not it.
            self._expected, self._source, self._ssrc = expected, _NOWHERE, None
            self._report_goal = _NOWHERE
            self._probation.forget(0)
        self._remote, self._outlet = remote, None

    def _key(self, host: str, port: int) -> int:
        """An address that was named, as a source key. Raises OSError."""
        return self._hosts.named(host, port) if self._pair.is_six else source_key(host, port)

    def _address(self, key: int) -> Address | None:
        return self._hosts.address(key) if self._pair.is_six else source_address(key)

    def close(self) -> None:
        self._loop.remove_reader(self._pair.rtp.fileno())
        self._loop.remove_reader(self._pair.rtcp.fileno())
        self._pair.close()

    # Outward -------------------------------------------------------------------------------------------------

    @property
    def goal(self) -> Address | None:
        """Where its picture goes: where it sends from, else where it said; None on hold."""
        remote = self._remote
        if remote is None or not remote.receives or not remote.address.port:
            return None
        return self._address(self._expected if self._source == _NOWHERE else self._source)

    @property
    def outlet(self) -> Outlet | None:
        """See `FarEnd`."""
        goal = self.goal
        if goal is None:
            self._outlet = None
        elif self._outlet is None or self._outlet.address != goal:
            self._outlet = Outlet(
                self._pair.rtp.fileno(), goal, self._keyring.handle, self._keyring.tag
            )
        return self._outlet

    def send(self, packet: bytes, *, is_rtcp: bool = False) -> None:
        """See `FarEnd`. Reports go on while the far end holds us."""
        goal = self._goal_of_reports() if is_rtcp else self.goal
        sealed = None if goal is None else self._keyring.close(packet, is_rtcp=is_rtcp)
        if goal is None or sealed is None:
            self._counts.unsent += 1
            return
        muxed = self._remote is not None and self._remote.rtcp_mux
        sock = self._pair.rtcp if is_rtcp and not muxed else self._pair.rtp
        try:
            sock.sendto(sealed, goal)
        except OSError:
            # A full buffer, or a host nobody reaches: the next one may.
            self._counts.unsent += 1

    def _goal_of_reports(self) -> Address | None:
        remote = self._remote
        if remote is None or not remote.address.port:
            return None
        if self._report_goal != _NOWHERE:
            return self._address(self._report_goal)
        at = self._address(self._expected if self._source == _NOWHERE else self._source)
        if at is None or remote.rtcp_mux:
            return at
        if remote.rtcp is not None:
            return remote.rtcp.host, remote.rtcp.port
        return at[0], at[1] + 1

    # Inward --------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        arena = self._arena
        try:
            self._take(arena.drain(self._pair.rtp.fileno(), 0, arena.capacity))
            self._takers.drained()
        except Exception:  # one far end's packet must not end the reading for all
            log.exception("plain_batch_failed")

    def _take(self, count: int) -> None:
        arena = self._arena
        sizes = arena.sizes(count)
        cut = arena.truncated(count)
        taken: list[int] = []
        base, stride = arena.data.ctypes.data, arena.data.strides[0]
        for row, key in enumerate(arena.keys(count).tolist()):
            head = arena.data[row]
            size = int(sizes[row])
            if size < RTP_HEADER or cut[row] or head[0] >> 6 != 2:
                self._counts.shapeless += 1
            elif is_rtcp(int(head[1])):
                self._take_report(head[:size].tobytes(), key)
            elif not (opened := self._keyring.open_at(base + row * stride, size)):
                self._counts.forged += 1
            elif self._may_speak(key, int(arena.words[row, 2]), int(arena.halves[row, 1])):
                sizes[row] = opened
                taken.append(row)
            else:
                self._counts.strangers += 1
        if taken:
            self._counts.received += len(taken)
            rows = np.array(taken, np.intp)
            self._takers.rtp(RtpBatch(arena.data, rows, sizes[rows]))

    def _may_speak(self, key: int, ssrc: int, sequence: int) -> bool:
        """Whether a packet's source is the far end; learns and locks."""
        if self._remote is None or not self._remote.sends:
            return False
        now = self._clock.monotonic()
        if (key, ssrc) != (self._source, self._ssrc):
            needed = self._probation_of(key, ssrc, now)
            if needed is None:
                return False
            if needed and not self._probation.passed(0, key, ssrc, sequence, needed):
                return False
            if key != self._source:
                self._report_goal = _NOWHERE
            self._source, self._ssrc = key, ssrc
            self._hosts.keep(key)
        self._heard_at = now
        return True

    def _probation_of(self, key: int, ssrc: int, now: float) -> int | None:
        """How many packets in a row must speak for a source; None: however many."""
        if self._source == _NOWHERE:
            return 0 if key == self._expected else NEW_SOURCE
        if key == self._source:
            return NEW_SSRC
        # A NAT may have given its stream another port: nobody else knows its SSRC.
        moved = (
            key >> 16 == self._source >> 16
            and ssrc == self._ssrc
            and now - self._heard_at >= _MOVES_AFTER_S
        )
        return NEW_SOURCE if moved else None

    def _reports_readable(self) -> None:
        for _ in range(_REPORTS_AT_ONCE):
            try:
                packet, (host, port, *_) = self._pair.rtcp.recvfrom(_LONGEST_REPORT)
                six = self._pair.is_six
                key = self._hosts.heard_from(host, port) if six else source_key(host, port)
            except BlockingIOError:
                return
            except OSError:
                # A pending ICMP error is consumed by the call that reports it.
                continue
            if len(packet) < 8 or packet[0] >> 6 != 2 or not is_rtcp(packet[1]):
                self._counts.shapeless += 1
                continue
            try:
                self._take_report(packet, key)
            except Exception:  # one far end's report must not end the reading
                log.exception("plain_report_failed")

    def _take_report(self, packet: bytes, key: int) -> None:
        """Reports are believed from the host of the stream."""
        at = self._expected if self._source == _NOWHERE else self._source
        if key >> 16 != at >> 16:
            self._counts.strangers += 1
            return
        clear = self._keyring.open_report(packet)
        if clear is None:
            self._counts.forged += 1
            return
        self._report_goal = key
        self._takers.rtcp(clear)
