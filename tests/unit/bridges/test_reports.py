"""RTCP between the engine and its far ends: what each tells the other of its voice."""

import itertools
import socket
import struct
import time
from dataclasses import replace

import pytest
from fakes.rtp import EngineBench, Phone

from bridges.audio import rtcp
from bridges.audio.events import PacketOut
from bridges.audio.jitter import Jitter
from bridges.audio.legs import LegTable
from bridges.transport.batch import ReceiveArena
from commhub.ports.media import AudioFormat, MediaOrder, RtpAddress, SrtpKeys

SECOND = 50
NAME = rtcp.cname(b"phone")


class Reporter:
    """The odd port of a phone: what the engine told it, and what it tells the engine."""

    def __init__(self, phone: Phone, host: str = "127.0.0.1") -> None:
        self.phone = phone
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)

    @property
    def address(self) -> RtpAddress:
        return RtpAddress(*self.socket.getsockname())

    def tell(self, datagram: bytes) -> None:
        host, port = self.phone.goal
        self.socket.sendto(datagram, (host, port + 1))

    def told(self) -> list[rtcp.Compound]:
        found = []
        while True:
            try:
                found.append(rtcp.read_compound(self.socket.recv(2048)))
            except BlockingIOError:
                return found

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


@pytest.fixture
def one(bench):
    return bench.add("one", Phone(400))


@pytest.fixture
def desk(bench, one):
    """The reporter of phone one, at an address of its own (RFC 3605)."""
    made = Reporter(one)
    bench.engine.connect("one", replace(one.remote(), rtcp=made.address))
    yield made
    made.close()


def meter(bench, leg="one"):
    return next(found for found in bench.engine.snapshot().meters() if found.leg_id == leg)


def our_ssrc(phone):
    return struct.unpack_from("!I", phone.packets[-1], 8)[0]


def block(ssrc, *, fraction=0, last_report=0, delay=0):
    return rtcp.ReportBlock(ssrc, fraction, 0, 0, 0, last_report, delay)


def test_every_leg_is_sent_a_report_about_every_five_seconds(bench, desk):
    bench.run(60 * SECOND)
    told = desk.told()
    assert 8 <= len(told) <= 24
    assert all(one.sender is not None and len(one.blocks) == 1 for one in told)


def test_a_report_says_what_was_sent_and_how_the_voice_was_received(bench, desk, one):
    bench.run(20 * SECOND)
    last = desk.told()[-1]
    assert last.ssrc == our_ssrc(one)
    assert last.sender.octets == last.sender.packets * 160
    assert 10 * SECOND < last.sender.packets <= 20 * SECOND
    heard = last.blocks[0]
    assert heard.ssrc == one.ssrc
    assert (heard.fraction, heard.lost) == (0, 0)
    # The first number was 65,530, so the count of cycles is in it.
    assert heard.highest > 65_530


def test_the_timestamp_of_a_report_is_that_of_the_packets_of_its_moment(bench, desk, one):
    stamps = []
    for _ in range(10 * SECOND):
        bench.run(1)
        stamps += [
            (told.sender.timestamp, struct.unpack_from("!I", one.packets[-1], 4)[0])
            for told in desk.told()
        ]
    assert stamps
    assert all(reported == sent for reported, sent in stamps)


def test_a_loss_is_reported_as_a_fraction_since_the_last_report_and_as_a_sum(bench, desk, one):
    bench.run(10 * SECOND)
    desk.told()
    reports = []
    for n in range(40 * SECOND):
        if n % 4 == 0 and n < 15 * SECOND:
            one.packet()
        else:
            one.speak()
        bench.tick()
        reports += desk.told()
    fractions = [told.blocks[0].fraction for told in reports]
    assert max(fractions) == pytest.approx(64, abs=3)
    assert fractions[-1] == 0
    assert reports[-1].blocks[0].lost == pytest.approx(15 * SECOND / 4, abs=1)


def test_a_far_end_that_only_listens_is_sent_no_block_and_one_that_is_on_hold_an_rr(bench, one):
    reporter = Reporter(one)
    remote = replace(one.remote(receives=False), rtcp=reporter.address)
    bench.engine.connect("one", remote)
    bench.run(10 * SECOND)
    told = reporter.told()
    assert told[-1].sender is None
    assert told[-1].blocks
    reporter.close()


def test_the_round_trip_and_the_far_ends_losses_are_measured(bench, desk, one):
    bench.run(10 * SECOND)
    seen = desk.told()[-1]
    bench.run(25)
    # The far end had our report for all of the time but 60 ms, which are the path's both ways.
    waited = bench.clock.monotonic() - _sent_at(bench, seen) - 0.060
    answer = block(
        our_ssrc(one), fraction=64, last_report=rtcp.middle(seen.sender.ntp),
        delay=round(waited * 65536),
    )  # fmt: skip
    desk.tell(rtcp.write_report(one.ssrc, None, answer, NAME))
    bench.tick()
    found = meter(bench)
    assert found.round_trip_ms == pytest.approx(60 + 20, abs=10)
    assert found.far_lost_pct == 25.0
    assert bench.counts.reports_received == 1


def _sent_at(bench, report):
    """The engine's time at which it wrote the report."""
    ntp = report.sender.ntp / 2**32 - rtcp.NTP_EPOCH
    return ntp - bench.engine._reports._epoch


def test_before_any_report_nothing_is_claimed(bench, one):
    bench.run(5)
    found = meter(bench)
    assert (found.round_trip_ms, found.far_lost_pct) == (None, None)


def test_our_report_names_the_far_ends_last_one_and_how_long_ago_it_came(bench, desk, one):
    bench.run(SECOND)
    sender = rtcp.SenderInfo(ntp=0x1234_5678_9ABC_DEF0, timestamp=0, packets=1, octets=160)
    desk.tell(rtcp.write_report(one.ssrc, sender, None, NAME))
    bench.run(1)
    began = bench.clock.monotonic()
    while not (told := desk.told()):
        bench.run(1)
    assert told[0].blocks[0].last_report == 0x5678_9ABC
    waited = told[0].blocks[0].delay / 65536
    assert waited == pytest.approx(bench.clock.monotonic() - began, abs=0.1)


def test_reports_follow_a_far_end_whose_port_is_another_than_it_said(bench, desk, one):
    behind_nat = Reporter(one)
    bench.run(SECOND)
    behind_nat.tell(rtcp.write_report(one.ssrc, None, None, NAME))
    bench.run(10 * SECOND)
    assert behind_nat.told()
    behind_nat.close()


def test_a_strangers_report_is_counted_and_moves_nothing(bench, desk, one):
    bench.run(SECOND)
    stranger = Reporter(one, "127.0.0.9")
    lie = block(our_ssrc(one), fraction=255)
    stranger.tell(rtcp.write_report(one.ssrc, None, lie, NAME))
    stranger.tell(rtcp.write_report(1, None, lie, NAME))
    stranger.tell(rtcp.write_report(1, None, None, NAME))
    bench.run(10 * SECOND)
    assert bench.counts.strangers == 3
    assert meter(bench).far_lost_pct is None
    assert stranger.told() == []
    assert desk.told()
    stranger.close()


def test_a_listener_that_never_spoke_is_known_by_the_voice_its_report_is_about(bench, one):
    bench.add("two", Phone(700))
    bench.run(SECOND, silent=["one"])
    reporter = Reporter(one)
    reporter.tell(rtcp.write_report(4711, None, block(our_ssrc(one), fraction=128), NAME))
    bench.run(1, silent=["one"])
    assert meter(bench).far_lost_pct == 50.0
    reporter.close()


def test_muxed_reports_go_and_come_on_the_audios_own_port(bench, one):
    bench.engine.connect("one", replace(one.remote(), rtcp_mux=True))
    bench.run(10 * SECOND)
    assert one.reports
    one.send(rtcp.write_report(one.ssrc, None, block(our_ssrc(one), fraction=128), NAME))
    bench.run(1)
    assert meter(bench).far_lost_pct == 50.0
    assert meter(bench).lost == 0


def test_a_leg_with_a_pair_of_its_own_reports_from_there(bench):
    far = bench.add("far", Phone(400), near=False)
    reporter = Reporter(far)
    bench.engine.connect("far", replace(far.remote(), rtcp=reporter.address))
    bench.run(10 * SECOND)
    assert reporter.told()
    assert reporter.socket.getsockname()
    reporter.tell(rtcp.write_report(far.ssrc, None, block(our_ssrc(far), fraction=64), NAME))
    bench.run(SECOND)
    assert meter(bench, "far").far_lost_pct == 25.0
    reporter.close()


def test_a_leg_without_a_socket_has_its_reports_carried_with_its_packets(bench):
    audio = AudioFormat(encoding="PCMU", payload_type=0)
    bench.engine.plug(MediaOrder(call_id="c", leg_id="web"), audio)
    for _ in range(10 * SECOND):
        bench.tick()
    out = [one.packet for one in bench.told(PacketOut)]
    reports = [packet for packet in out if rtcp.is_rtcp(packet[1])]
    assert reports
    ours = rtcp.read_compound(reports[-1]).ssrc
    bench.packets.put("web", rtcp.write_report(5, None, block(ours, fraction=64), NAME))
    bench.tick()
    assert meter(bench, "web").far_lost_pct == 25.0


def test_a_secured_leg_sends_and_takes_no_report_in_the_clear(bench, one):
    keys = SrtpKeys(
        suite="AES_CM_128_HMAC_SHA1_80",
        local_key="WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        remote_key="PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR",
    )
    bench.run(5)
    reporter = Reporter(one)
    remote = replace(one.remote(), rtcp=reporter.address, srtp=keys)
    bench.engine.connect("one", remote)
    reporter.tell(rtcp.write_report(one.ssrc, None, block(our_ssrc(one), fraction=64), NAME))
    bench.run(10 * SECOND, silent=["one"])
    sealed = reporter.socket.recv(2048)
    # SRTCP leaves header and SSRC in the clear, and ends with index and tag (RFC 3711 §3.4).
    assert len(sealed) % 4 == 2
    assert bench.counts.srtp_failed == 1
    assert meter(bench).far_lost_pct is None
    reporter.close()


def test_a_goodbye_is_counted_and_the_leg_goes_on(bench, desk, one):
    two = bench.add("two", Phone(700))
    bench.run(SECOND)
    desk.tell(rtcp.write_bye(one.ssrc, NAME))
    bench.run(SECOND + 10)
    assert bench.counts.goodbyes == 1
    assert two.hears(400)


def test_a_released_leg_is_sent_no_more_reports_and_its_row_starts_afresh(bench, desk, one):
    bench.run(10 * SECOND)
    bench.engine.release("one")
    desk.told()
    bench.phones.pop("one").close()
    two = bench.add("two", Phone(700))
    bench.run(20 * SECOND)
    assert desk.told() == []
    assert meter(bench, "two").lost == 0
    assert two.heard == 20 * SECOND


def test_malformed_reports_are_counted(bench, desk):
    for datagram in (b"", b"\x80", b"\x80\xc8\x00\x06" + b"\x00" * 8, b"\x00" * 1600):
        desk.tell(datagram)
    bench.tick()
    assert bench.counts.malformed == 4
    assert bench.counts.received == 4


# --- SSRC collisions (RFC 3550 §8.2) -------------------------------------------------------------------------


def test_a_far_end_with_our_ssrc_makes_us_say_goodbye_and_take_another(bench, desk, one):
    bench.run(SECOND)
    ours = one.ssrc = our_ssrc(one)
    bench.run(SECOND)
    assert bench.counts.ssrc_collisions == 1
    assert our_ssrc(one) != ours
    assert [told.goodbyes for told in desk.told() if told.goodbyes] == [(ours,)]
    assert meter(bench).received >= 2 * SECOND - 3


def test_a_collision_that_only_a_report_shows_is_one_too(bench, desk, one):
    bench.run(SECOND)
    ours = our_ssrc(one)
    desk.tell(rtcp.write_report(ours, None, block(ours), NAME))
    bench.run(2)
    assert our_ssrc(one) != ours


def test_our_own_voice_that_comes_back_is_heard_and_not_fled_from(bench):
    """An echo (a test number, SIPp) sends our SSRC for ever."""
    echo, ear = bench.add("echo", Phone(400)), bench.add("ear", Phone(700))
    for _ in range(4 * SECOND):
        ear.speak()
        bench.tick()
        ear.listen(), echo.listen()
        for packet in echo.packets:
            echo.send(packet)
    assert bench.counts.ssrc_collisions == 1
    assert ear.hears(700)


# --- jitter (RFC 3550 §6.4.1) ---------------------------------------------------------------------------------


def by_the_book(transits):
    jitter = 0.0
    for before, after in itertools.pairwise(transits):
        jitter += (abs(after - before) - jitter) / 16
    return jitter


@pytest.mark.parametrize("batch", [1, 3])
def test_jitter_is_that_of_the_book_for_one_packet_a_tick_and_for_several(batch):
    import numpy as np

    dice = np.random.default_rng(2)
    arrivals = np.arange(120) * 0.02 + dice.random(120) * 0.03 + 5000
    stamps = (np.arange(120) * 160 + 0xFFFF_F000) & 0xFFFFFFFF
    legs = LegTable(4)
    jitter = Jitter(legs)
    for at in range(0, 120, batch):
        now = slice(at, at + batch)
        rows = np.full(batch, 2)
        others = np.zeros(1, np.int64)
        jitter.note(
            np.concatenate((rows, others)), np.concatenate((stamps[now], others)),
            np.concatenate((arrivals[now], others)), batch,
        )  # fmt: skip
    expected = by_the_book((arrivals * 8000 - (np.arange(120) * 160)).tolist())
    assert jitter.units(2) == int(expected)
    assert jitter.milliseconds(np.array([2]))[0] == pytest.approx(expected / 8)
    jitter.begin(2)
    assert jitter.units(2) == 0


def test_the_kernel_says_how_long_a_packet_waited(bench, one):
    arena, began = ReceiveArena(4), time.time()
    one.speak()
    while arena.drain(bench.engine._addresses.shared.rtp.fileno(), 0, 4) == 0:
        assert time.time() - began < 2
    assert 0 < arena.ages(1)[0] <= time.time() - began
