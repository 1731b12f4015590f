"""What leaves for many views at once: sealed for each, in messages of equal length, and never in the clear."""

import errno
import os
import socket

import numpy as np
import pytest
from pylibsrtp import Policy, Session

from bridges.transport import batch
from bridges.transport.sealing import Handle, Scratch
from bridges.video import fanout
from bridges.video.cache import EXTENSION_WORD, HEADER
from bridges.video.counts import VideoCounts
from bridges.video.fanout import Cohort, Fanout, Load
from bridges.video.table import ViewTable

SUITES = {
    "AES-128-GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28, 16),
    "AES-256-GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44, 16),
    "SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10),
}


class FarEnd:
    """A view with keys of its own: `opened` is what arrived and could be opened."""

    def __init__(self, suite):
        profile, size, _ = SUITES[suite]
        key = os.urandom(size)
        self.outward = self._session(key, Policy.SSRC_ANY_OUTBOUND, profile)
        self.inward = self._session(key, Policy.SSRC_ANY_INBOUND, profile)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        batch.widen_buffers(self.sock, 4 << 20)
        self.scratch = Scratch()

    def _session(self, key, kind, profile):
        policy = Policy(key=key, ssrc_type=kind, srtp_profile=profile)
        policy.allow_repeat_tx = True
        policy.window_size = 1024
        return Session(policy)

    @property
    def handle(self):
        return Handle(self.outward._srtp[0])

    def datagrams(self):
        found = []
        while True:
            try:
                found.append(self.sock.recv(4096))
            except BlockingIOError:
                return found

    def opened(self):
        inward = Handle(self.inward._srtp[0])
        return [self.scratch.open(inward, one, rtcp=False) for one in self.datagrams()]


class Stage:
    def __init__(self, suite="AES-128-GCM", views=3):
        self.wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.wire.bind(("127.0.0.1", 0))
        self.wire.setblocking(False)
        self.table = ViewTable()
        self.counts = VideoCounts()
        self.fanout = Fanout(self.table, self.counts)
        self.far_ends = [FarEnd(suite) for _ in range(views)]
        rows = []
        for far_end in self.far_ends:
            rows.append(self.table.take())
            self.table.aim(rows[-1], far_end.sock.getsockname())
        self.cohort = self._cohort(rows, SUITES[suite][2])

    def _cohort(self, rows, tag):
        def all_of(value, kind=np.uint32):
            return np.full(len(rows), value, kind)

        return Cohort(
            fd=self.wire.fileno(),
            tag=tag,
            extends=False,
            rows=np.array(rows, np.intp),
            handles=[one.handle for one in self.far_ends],
            sequence_add=np.arange(len(rows), dtype=np.uint32) * 1000,
            timestamp_add=all_of(0),
            types=all_of(96 << 16),
            ssrcs=np.arange(len(rows), dtype=np.uint32) + 500,
            send_time=all_of(0),
            transport=all_of(0),
            picture_shift=all_of(0, np.int32),
            tl0_shift=all_of(0, np.int32),
        )

    def send(self, sizes, first=1):
        load = make_load(sizes, first)
        self.fanout.send(self.cohort, load, 1.0)
        return [
            load.packets[index, HEADER : HEADER + size].tobytes()
            for index, size in enumerate(sizes)
        ]

    def close(self):
        self.wire.close()
        for far_end in self.far_ends:
            far_end.sock.close()


def make_load(sizes, first):
    packets = np.zeros((len(sizes), HEADER + max(sizes)), np.uint8)
    for index, size in enumerate(sizes):
        packets[index, HEADER : HEADER + size] = np.frombuffer(os.urandom(size), np.uint8)
        packets[index, 12:16] = np.frombuffer(EXTENSION_WORD.to_bytes(4, "big"), np.uint8)
    return Load(
        packets,
        np.array(sizes, np.int64),
        np.zeros(len(sizes), np.uint32),
        (np.arange(len(sizes)) + first).astype(np.uint16),
        np.full(len(sizes), 90_000, np.uint32),
    )


@pytest.fixture
def stage():
    made = Stage()
    yield made
    made.close()


class Kernel:
    """`sendmmsg` with a script: each answer is a number of messages let through, or an errno."""

    def __init__(self, *script):
        self.script = list(script)
        self.messages = []

    def __call__(self, fd, address, count):
        self.messages.append(count)
        if not self.script:
            return batch.send_messages(fd, address, count)
        answer = self.script.pop(0)
        if isinstance(answer, errno_of):
            return 0, answer.number
        return batch.send_messages(fd, address, min(answer, count))


class errno_of:  # noqa: N801 - reads as a word of the script
    def __init__(self, number):
        self.number = number


@pytest.mark.parametrize("suite", SUITES)
def test_every_view_opens_every_packet_with_its_own_keys(suite):
    stage = Stage(suite, views=40)
    try:
        sizes = [1100] * 9 + [1101] * 4 + [300] + [54]
        payloads = stage.send(sizes)
        for index, far_end in enumerate(stage.far_ends):
            opened = far_end.opened()
            assert [packet[12:] for packet in opened] == payloads
            assert {packet[8:12] for packet in opened} == {(500 + index).to_bytes(4, "big")}
            assert int.from_bytes(opened[0][2:4], "big") == 1 + index * 1000
        assert stage.counts.sent == 40 * len(sizes)
        assert stage.counts.unsealed == stage.counts.unsent == 0
    finally:
        stage.close()


def test_packets_of_equal_length_and_a_shorter_one_are_one_message(stage, monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(fanout, "send_messages", kernel)
    stage.send([1000] * 10 + [400])
    assert kernel.messages == [3]
    stage.send([400] + [1000] * 10, first=50)
    assert kernel.messages == [3, 6]
    assert [len(far_end.opened()) for far_end in stage.far_ends] == [22, 22, 22]


def test_no_message_is_longer_than_the_kernel_takes(stage):
    stage.send([1400] * 150)
    assert [len(far_end.opened()) for far_end in stage.far_ends] == [150, 150, 150]
    assert stage.counts.unsegmented == 0


def test_what_libsrtp_refuses_never_leaves(stage):
    """An index behind the replay window is refused, and would stand in the slot in the clear."""
    stage.send([500], first=9000)
    for far_end in stage.far_ends:
        far_end.opened()
    load = make_load([500] * 6, first=9001)
    load.sequences[2] = 7000
    stage.fanout.send(stage.cohort, load, 1.0)
    clear = load.packets[2, HEADER:].tobytes()
    for far_end in stage.far_ends:
        datagrams = far_end.datagrams()
        assert len(datagrams) == 5
        assert all(clear[:100] not in one for one in datagrams)
        assert [len(far_end.inward.unprotect(one)) for one in datagrams] == [512] * 5
    assert stage.counts.unsealed == 3
    assert clear[:100] not in stage.fanout._slab.tobytes()


def test_a_full_socket_costs_those_it_concerns_and_blocks_nobody(stage, monkeypatch):
    monkeypatch.setattr(fanout, "send_messages", Kernel(1, errno_of(errno.EAGAIN)))
    stage.send([800] * 4)
    assert [len(far_end.opened()) for far_end in stage.far_ends] == [4, 0, 0]
    assert stage.counts.unsent == 8
    assert stage.table.unsent[stage.cohort.rows].tolist() == [0, 4, 4]
    stage.send([800] * 4, first=20)
    assert [len(far_end.opened()) for far_end in stage.far_ends] == [4, 4, 4]


def test_a_narrow_path_gets_its_packets_one_by_one(stage, monkeypatch):
    kernel = Kernel(1, errno_of(errno.EMSGSIZE))
    monkeypatch.setattr(fanout, "send_messages", kernel)
    stage.send([1200] * 5)
    assert [len(far_end.opened()) for far_end in stage.far_ends] == [5, 5, 5]
    assert stage.counts.unsegmented == 1


def test_a_device_without_segmentation_is_asked_once(stage, monkeypatch):
    monkeypatch.setattr(fanout, "send_messages", Kernel(errno_of(errno.EIO), errno_of(errno.EIO)))
    stage.send([1200] * 5)
    assert [len(far_end.opened()) for far_end in stage.far_ends] == [5, 5, 5]
    kernel = Kernel()
    monkeypatch.setattr(fanout, "send_messages", kernel)
    stage.send([1200] * 5, first=90)
    assert kernel.messages == [15]


def test_an_unreachable_view_is_skipped(stage, monkeypatch):
    script = Kernel(errno_of(errno.EHOSTUNREACH), errno_of(errno.EHOSTUNREACH))
    monkeypatch.setattr(fanout, "send_messages", script)
    stage.send([1200] * 5)
    assert [len(far_end.opened()) for far_end in stage.far_ends] == [0, 5, 5]
    assert stage.counts.unsent == 5


def test_fifteen_hundred_bytes_go_as_a_packet_of_their_own(stage):
    payloads = stage.send([1488, 1488, 1488])
    for far_end in stage.far_ends:
        assert [packet[12:] for packet in far_end.opened()] == payloads


def test_sending_of_transport_numbers_is_remembered(stage):
    row = int(stage.cohort.rows[0])
    sizes = np.array([100, 200, 300], np.int64)
    for at in (5.0, 6.0):
        stage.table.take_transport_numbers(stage.cohort.rows, sizes, at)
    numbers, octets, times = stage.table.sent(row, 1, 10)
    assert numbers.tolist() == [1, 2, 3, 4, 5]
    assert octets.tolist() == [200, 300, 100, 200, 300]
    assert times.tolist() == [5.0, 5.0, 6.0, 6.0, 6.0]


def test_nobody_is_always_the_last(monkeypatch):
    """Views are served in chunks; which one begins goes round."""
    stage = Stage(views=6)
    places = {int(name): place for place, name in enumerate(stage.table.names[stage.cohort.rows])}
    firsts = []
    send = fanout.send_messages

    def noted(fd, address, count):
        firsts[-1].append(places[int(stage.fanout._messages["name"][0])])
        return send(fd, address, count)

    monkeypatch.setattr(fanout, "send_messages", noted)
    packets = fanout.ROWS // 2
    for turn in range(6):
        firsts.append([])
        stage.send([100] * packets, first=1 + turn * packets)
    assert {first[0] for first in firsts} == {0, 2, 4}
    assert {tuple(sorted(first)) for first in firsts} == {(0, 2, 4)}
    assert [len(one.opened()) for one in stage.far_ends] == [6 * packets] * 6
    stage.close()
