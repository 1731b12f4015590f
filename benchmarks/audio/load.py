"""The far ends: any number of G.711 phones on one UDP socket, each with an IP address of its own.

127.0.0.0/8 is all loopback, so a leg is an address: IP_PKTINFO sets the source of what is sent and tells the
destination of what is received. Sending is spread over the tick, a twentieth of the legs each millisecond, as phones
that were not started together do. Every phone also sends a sender report every five seconds (RFC 3550 §6.4.1) and
counts those it gets, so that the mixer's RTCP is at work while it is measured.
"""

import ctypes
import os
import socket
import struct
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from bridges.audio.g711 import FRAME, Law, decode, encode
from bridges.transport.batch import MESSAGE, message_array, source_key, write_addresses
from commhub.ports.media import RtpAddress
from simulators.tones import RATE, Tone, ToneMeter

TONES = (400.0, 700.0, 1100.0)
RADIO_TONE = 1700.0
SILENT = -1
"""The voice of a leg that only listens."""
SAMPLED_LEGS = 24
REPORT_EVERY_MS = 5000
PROBE_CALLS = 20
"""Calls whose first leg sends marks instead of a tone, each in another phase of the tick."""
MARK_EVERY = 25
LOUD = 9000
_STEPS = 20
_SIZE = 12 + FRAME
_BURST = 8192
_IP_PKTINFO = 8
_libc = ctypes.CDLL(None, use_errno=True)


Mark = tuple[int, float]
"""In which call, and when (monotonic seconds)."""


def delays_ms(sent: list[Mark], heard: list[Mark], within_s: float = 0.45) -> list[float]:
    """How long after it was sent each mark was heard; those before the first heard one warm the path up."""
    delays = []
    for call, at in heard:
        before = [then for where, then in sent if where == call and 0 <= at - then < within_s]
        if before:
            delays.append((at - max(before)) * 1000)
    return delays[len(delays) // 4 :]


@dataclass(slots=True)
class LoadReport:
    """`levels[leg]`: of a sampled leg, the tones it heard and the floor in dBFS. `reports` are RTCP packets that
    came."""

    sent: int = 0
    received: int = 0
    reports: int = 0
    seconds: float = 0.0
    latest_ms: float = 0.0
    cpu_s: float = 0.0
    marks_sent: list[Mark] = field(default_factory=list)
    marks_heard: list[Mark] = field(default_factory=list)
    levels: dict[int, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """`legs` phones in calls of `party`, the first `talkers` of each with a voice, to run on `core`. `reports`:
    whether the far ends send RTCP. `loss` is the part of packets that is never sent.

    In a marked call nobody speaks but its first leg, whose voice is short marks; in a quiet call nobody does. The
    second leg of either listens for marks. By default the first calls are marked, when there are calls to spare.
    """

    legs: int
    party: int
    core: int
    talkers: int = len(TONES)
    reports: bool = True
    loss: float = 0.0
    quiet_calls: tuple[int, ...] = ()
    marked_calls: tuple[int, ...] | None = None
    port: int = 29_000

    def address(self, leg: int) -> RtpAddress:
        """Where the leg's phone is."""
        return RtpAddress(f"127.10.{leg // 250 + 1}.{leg % 250 + 1}", self.port)

    def voice(self, leg: int) -> int:
        """Which of `TONES` the leg speaks, or `SILENT`."""
        call, place = divmod(leg, self.party)
        without_tones = call in self.quiet_calls or call in self.marked
        return SILENT if without_tones or place >= self.talkers else place

    @property
    def marked(self) -> tuple[int, ...]:
        if self.marked_calls is not None:
            return self.marked_calls
        calls = self.legs // self.party
        return tuple(range(min(PROBE_CALLS, calls // 2))) if calls >= 4 else ()

    def run(self, goals: list[int], seconds: float, pipe: Connection) -> None:
        """Speak and listen for so long; sends "speaking", then the report."""
        os.sched_setaffinity(0, {self.core})
        phones = _Phones(self, goals)
        phones.speak_a_step(0)
        pipe.send("speaking")
        pipe.send(phones.converse(seconds))


class _Phones:
    def __init__(self, load: Load, goals: list[int]) -> None:
        self._load = load
        count = load.legs
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (33, 32):  # SO_RCVBUFFORCE, SO_SNDBUFFORCE
            self._socket.setsockopt(socket.SOL_SOCKET, option, 32 << 20)
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._socket.bind(("0.0.0.0", load.port))
        self._voices = np.array([load.voice(leg) for leg in range(count)])
        self._marking = np.array(load.marked, np.int64) * load.party
        self._listening = {call * load.party + 1 for call in (*load.marked, *load.quiet_calls)}
        loud = [
            leg for leg in range(count)
            if leg // load.party not in {*load.marked, *load.quiet_calls}
        ]  # fmt: skip
        self._sampled = sorted({*loud[: load.talkers], *loud[-SAMPLED_LEGS:]})
        self._watched = np.array([*self._sampled, *self._listening])
        self._deaf_until = dict.fromkeys(self._listening, 0.0)
        self._lost = np.random.default_rng(2)
        self._meters = {leg: ToneMeter() for leg in self._sampled}
        self.report = LoadReport()
        self._reporting = _Reporting(load, goals)
        self._prepare_sending(goals)
        self._prepare_receiving()

    def _prepare_sending(self, goals: list[int]) -> None:
        count = self._load.legs
        hosts = [source_key(self._load.address(leg).host, 1) >> 16 for leg in range(count)]
        self._hosts = np.array(hosts, np.int64)
        self._packets = np.zeros((count, _SIZE), np.uint8)
        self._packets[:, 0] = 0x80
        self._packets.view(">u4")[:, 2] = 0x5000 + np.arange(count)
        self._sequence = np.random.default_rng(1).integers(0, 65536, count)
        self._addresses = np.zeros((count, 16), np.uint8)
        keys = (int.from_bytes(socket.inet_aton("127.0.0.1"), "big") << 16) | np.array(goals)
        write_addresses(self._addresses, keys)
        # struct cmsghdr + struct in_pktinfo: length, level 0, type, interface, source, destination.
        self._pktinfo = np.zeros((count, 32), np.uint8)
        self._pktinfo.view(np.uint64)[:, 0] = 28
        self._pktinfo.view(np.uint32)[:, 3] = _IP_PKTINFO
        self._pktinfo.view(">u4")[:, 5] = self._hosts
        # One phase is one contiguous run of messages.
        self._order = np.argsort(np.arange(count) // self._load.party % _STEPS, kind="stable")
        phase = (np.arange(count) // self._load.party % _STEPS)[self._order]
        self._bounds = np.searchsorted(phase, np.arange(_STEPS + 1))
        messages, self._iov = message_array(self._packets, self._addresses)
        messages["control"] = self._pktinfo.ctypes.data + np.arange(count) * 32
        messages["control_size"] = 32
        self._messages = np.ascontiguousarray(messages[self._order])
        tones = [Tone(frequency) for frequency in TONES]
        self._tones = np.array(
            [
                [list(encode(tone.take(FRAME), Law.PCMU)) for _ in range(RATE // FRAME)]
                for tone in tones
            ]
            # The last line is the voice of who says nothing.
            + [[[0xFF] * FRAME] * (RATE // FRAME)],
            np.uint8,
        )
        self._quiet = np.full(FRAME, 0xFF, np.uint8)
        mark = np.where(np.arange(FRAME) // 4 % 2, 16000, -16000).astype(np.int16)
        self._mark = np.frombuffer(encode(mark, Law.PCMU), np.uint8)

    def _prepare_receiving(self) -> None:
        self._data = np.zeros((_BURST, 256), np.uint8)
        self._from = np.zeros((_BURST, 16), np.uint8)
        self._controls = np.zeros((_BURST, 64), np.uint8)
        self._inbox, self._inbox_iov = message_array(self._data, self._from)
        self._inbox["control"] = self._controls.ctypes.data + np.arange(_BURST) * 64

    def converse(self, seconds: float) -> LoadReport:
        report = self.report
        start = time.monotonic()
        steps = int(seconds * 1000)
        for step in range(1, steps):
            due = start + step / 1000
            ahead = due - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            report.latest_ms = max(report.latest_ms, -ahead * 1000)
            self.speak_a_step(step)
            self._listen()
            if self._load.reports:
                self._reporting.step(step)
        report.reports = self._reporting.received
        report.seconds = time.monotonic() - start
        report.cpu_s = time.process_time()
        for leg, meter in self._meters.items():
            report.levels[leg] = meter.levels((*TONES, RADIO_TONE))
        return report

    def speak_a_step(self, step: int) -> None:
        frame, phase = divmod(step, _STEPS)
        first, end = int(self._bounds[phase]), int(self._bounds[phase + 1])
        if first == end:
            return
        legs = self._order[first:end]
        sequence = (self._sequence[legs] + frame) & 0xFFFF
        self._packets.view(">u2")[legs, 1] = sequence
        self._packets.view(">u4")[legs, 1] = frame * FRAME + 7 * legs
        self._packets[legs, 12:] = self._tones[self._voices[legs], frame % (RATE // FRAME)]
        for leg in self._marking[self._marking // self._load.party % _STEPS == phase]:
            self._mark_now(int(leg), frame)
        messages = self._messages[first:end]
        if self._load.loss:
            messages = messages[self._lost.random(end - first) >= self._load.loss]
        self._send(messages)

    def _send(self, messages: NDArray[np.void]) -> None:
        row = 0
        while row < len(messages):
            at = messages.ctypes.data + row * MESSAGE.itemsize
            done = _libc.sendmmsg(
                self._socket.fileno(), ctypes.c_void_p(at), min(1024, len(messages) - row), 0
            )
            assert done > 0, os.strerror(ctypes.get_errno())
            row += done
        self.report.sent += len(messages)

    def _mark_now(self, leg: int, frame: int) -> None:
        """A marking leg is quiet but for its marks, once in `MARK_EVERY` frames."""
        if (frame + leg) % MARK_EVERY == 0:
            self._packets[leg, 12:] = self._mark
            self.report.marks_sent.append((leg // self._load.party, time.monotonic()))

    def _listen(self) -> None:
        self._inbox["control_size"] = 64
        at = ctypes.c_void_p(self._inbox.ctypes.data)
        count = _libc.recvmmsg(self._socket.fileno(), at, 1024, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return
        now = time.monotonic()
        self.report.received += count
        hosts = self._controls.view(">u4")[:count, 6].astype(np.int64)
        legs = ((hosts >> 8 & 0xFF) - 1) * 250 + (hosts & 0xFF) - 1
        for i in np.flatnonzero(np.isin(legs, self._watched)):
            self._hear(int(legs[i]), self._data[i, 12:_SIZE], now)

    def _hear(self, leg: int, payload: NDArray[np.uint8], now: float) -> None:
        samples = decode(payload.tobytes(), Law.PCMU)
        meter = self._meters.get(leg)
        if meter is not None:
            meter.hear(samples)
            return
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > LOUD)
        if len(loud) and now > self._deaf_until[leg]:
            heard = (leg // self._load.party, now + float(loud[0]) / RATE)
            self.report.marks_heard.append(heard)
            self._deaf_until[leg] = now + 0.1


class _Reporting:
    """The far ends' RTCP: a sender report a leg and five seconds, from the port above the voice."""

    def __init__(self, load: Load, goals: list[int]) -> None:
        self._goals = goals
        self._hosts = [socket.inet_aton(load.address(leg).host) for leg in range(load.legs)]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("0.0.0.0", load.port + 1))
        self.received = 0

    def step(self, step: int) -> None:
        """Send what is due in this millisecond, and take what came."""
        for leg in range(step % REPORT_EVERY_MS, len(self._goals), REPORT_EVERY_MS):
            source = struct.pack("@i4s4s", 0, self._hosts[leg], bytes(4))
            self._socket.sendmsg(
                [_sender_report(0x5000 + leg, step)],
                [(socket.IPPROTO_IP, _IP_PKTINFO, source)],
                0,
                ("127.0.0.1", self._goals[leg] + 1),
            )
        for _ in range(64):
            try:
                self._socket.recv(512)
            except BlockingIOError:
                return
            self.received += 1


def _sender_report(ssrc: int, step: int) -> bytes:
    """SR without report blocks and SDES with a CNAME (RFC 3550 §6.4.1, §6.5)."""
    now = time.time() + 2_208_988_800
    seconds = int(now)
    report = struct.pack(
        "!BBHIIIIII",
        0x80, 200, 6, ssrc, seconds & 0xFFFFFFFF, int((now - seconds) * (1 << 32)),
        8 * step & 0xFFFFFFFF, step // 20, step // 20 * FRAME,
    )  # fmt: skip
    return report + struct.pack("!BBHIBB4sH", 0x81, 202, 3, ssrc, 1, 4, b"load", 0)
