"""Legs with keys in the engine: nothing crosses in the clear, nothing forged is heard, and nobody else pays for it."""

import socket
import struct
from dataclasses import replace

import pytest
from fakes.rtp import EngineBench, Phone
from fakes.secure_phone import PROFILES, SUITE, SecurePhone, new_key

from bridges.audio.events import DtmfReceived
from bridges.audio.g711 import Law
from commhub.domain.errors import InvalidError
from commhub.ports.media import RtpAddress, SrtpKeys

TICKS = 70


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path, max_legs=32) as bench:
        yield bench


def sorted_out(counts):
    """Packets that were dropped on receipt, each counted once."""
    return (
        counts.malformed
        + counts.strangers
        + counts.unwanted
        + counts.flooded
        + counts.undecodable
        + counts.srtp_failed
    )


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("suite", PROFILES)
def test_a_secure_and_a_plain_phone_hear_each_other(bench, suite, near):
    secure = bench.add("a", SecurePhone(500, Law.PCMA, suite=suite), near=near)
    plain = bench.add("b", Phone(900))

    bench.run(TICKS)

    assert secure.levels(900)[0] >= 20
    assert secure.lacks(500)
    assert plain.levels(500)[0] >= 20
    assert secure.secure.refused == 0
    assert bench.counts.srtp_failed == 0
    assert len(secure.secure.raw) >= TICKS - 2


def test_what_is_on_the_wire_is_not_the_voice(bench):
    secure = bench.add("a", SecurePhone(500))
    plain = bench.add("b", Phone(900))
    bench.run(10, silent=["a", "b"])

    plain.listen()
    assert {bytes(p[12:172]) for p in secure.packets} == {b"\xff" * 160}
    assert all(p[12:172] != b"\xff" * 160 for p in secure.secure.raw)


def test_packets_in_the_clear_and_repeated_ones_are_counted_and_not_heard(bench):
    secure = bench.add("a", SecurePhone(500))
    plain = bench.add("b", Phone(900))
    bench.run(TICKS)
    received = bench.engine.snapshot().meters()[0].received
    plain.meter.clear()

    repeated = secure.secure.protect(secure.packet())
    secure.secure.send_plain(repeated, secure.goal)
    bench.tick()
    before = bench.counts.srtp_failed
    for _ in range(50):
        secure.secure.send_plain(repeated, secure.goal)
        secure.secure.send_plain(secure.packet(), secure.goal)
        bench.tick()
        plain.listen()

    assert bench.counts.srtp_failed == before + 100
    assert bench.engine.snapshot().meters()[0].received == received + 1
    assert plain.lacks(500)


def test_a_flood_on_a_secure_leg_costs_a_bounded_time_and_is_counted(bench):
    secure = bench.add("a", SecurePhone(500))
    plain = bench.add("b", Phone(900))
    bench.run(20)
    before, accepted = sorted_out(bench.counts), bench.counts.received

    for _ in range(100):
        secure.secure.send_plain(secure.packet(), secure.goal)
    bench.tick()

    assert bench.counts.received - accepted == 100
    assert sorted_out(bench.counts) - before == 100
    assert bench.counts.srtp_failed == 16
    bench.run(TICKS)
    assert plain.levels(500)[0] >= 20


def test_every_packet_is_counted_once(bench):
    secure = bench.add("a", SecurePhone(500), near=False)
    bench.add("b", Phone(900))
    bench.run(5)
    for junk in (b"", b"\x80", b"\x80\x00" * 5, bytes(12), b"\x80\xc9" + bytes(30), bytes(600)):
        secure.secure.send_plain(junk, secure.goal)
        secure.secure.send_plain(junk + bytes(200), secure.goal)
    bench.tick()

    accepted = sum(meter.received for meter in bench.engine.snapshot().meters())
    assert bench.counts.received == accepted + sorted_out(bench.counts)
    assert bench.counts.srtp_failed >= 10


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 60])
def test_other_packet_times_are_protected_too(bench, ptime_ms):
    secure = SecurePhone(500)
    bench.add("a", secure)
    bench.engine.connect(
        "a", replace(secure.remote(), audio=replace(secure.audio, ptime_ms=ptime_ms))
    )
    bench.add("b", Phone(900))
    bench.run(TICKS)

    assert secure.secure.refused == 0
    assert {len(packet) for packet in secure.secure.raw[5:]} == {12 + 8 * ptime_ms + 10}
    assert secure.levels(900)[0] >= 20


def test_digits_of_a_secure_phone_arrive(bench):
    secure = bench.add("a", SecurePhone(500))
    bench.run(3)
    for _ in range(3):
        secure.send(secure.packet(bytes([5, 0x0A, 0, 160]), kind=101))
        secure.timestamp -= 160
        bench.tick()

    assert [output.digit for output in bench.told(DtmfReceived)] == ["5"]


@pytest.mark.parametrize("muxed", [False, True])
def test_reports_cross_as_srtcp_only(bench, muxed):
    secure = SecurePhone(500)
    bench.add("a", secure)
    bench.add("b", Phone(900))
    out, back = secure.rtcp_sessions()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as odd:
        odd.bind((secure.host, 0))
        odd.setblocking(False)
        there = RtpAddress(secure.host, odd.getsockname()[1])
        remote = replace(secure.remote(), rtcp=None if muxed else there, rtcp_mux=muxed)
        bench.engine.connect("a", remote)
        raw = []
        for _ in range(300):
            bench.run(1)
            raw += drained(odd)
        raw += secure.secure.raw if muxed else []
        reports = [packet for packet in raw if 192 <= packet[1] <= 223]
        assert reports
        opened = back.unprotect_rtcp(reports[0])
        assert opened[1] == 200
        assert opened[8:28] != reports[0][8:28]

        report = struct.pack("!BBHI", 0x80, 201, 1, secure.ssrc)
        report += struct.pack("!BBHI", 0x81, 202, 3, secure.ssrc) + b"\x01\x03abc\x00\x00\x00"
        host, port = secure.goal
        goal = (host, port if muxed else port + 1)
        before, taken = bench.counts.srtp_failed, bench.counts.reports_received
        sender = secure._bare if muxed else odd
        sender.sendto(report, goal)
        bench.tick()
        assert bench.counts.reports_received == taken
        assert bench.counts.srtp_failed + bench.counts.strangers > before
        sender.sendto(out.protect_rtcp(report), goal)
        bench.tick()
        assert bench.counts.reports_received == taken + 1


def drained(sock):
    """What waits at a socket."""
    packets = []
    while True:
        try:
            packets.append(sock.recv(2048))
        except BlockingIOError:
            return packets


def test_a_secure_leg_whose_address_was_wrong_is_learnt_by_its_keys(bench):
    secure = SecurePhone(500)
    bench.add("a", secure, near=False)
    elsewhere = replace(secure.remote(), address=replace(secure.remote().address, port=9))
    bench.engine.connect("a", elsewhere)
    plain = bench.add("b", Phone(900))
    bench.run(TICKS)

    assert plain.levels(500)[0] >= 20
    assert secure.levels(900)[0] >= 20


def test_a_stranger_without_the_keys_is_not_learnt(bench):
    secure = SecurePhone(500)
    bench.add("a", secure, near=False)
    plain = bench.add("b", Phone(900))
    stranger = SecurePhone(700)
    stranger.goal = secure.goal
    bench.phones["x"] = stranger
    bench.run(TICKS, silent=["a"])

    assert plain.lacks(700)
    assert stranger.heard == 0
    assert bench.counts.srtp_failed >= TICKS - 1


def test_new_keys_of_a_re_invite_are_taken_without_a_gap(bench):
    secure = bench.add("a", SecurePhone(500))
    plain = bench.add("b", Phone(900))
    bench.run(TICKS)

    secure.rekey(new_key(), new_key())
    bench.engine.connect("a", secure.remote())
    bench.run(TICKS)

    assert secure.secure.refused == 0
    assert bench.counts.srtp_failed == 0
    assert len(secure.secure.raw) >= TICKS - 1
    assert plain.levels(500)[0] >= 20


def test_the_same_keys_again_change_nothing(bench):
    secure = bench.add("a", SecurePhone(500))
    bench.add("b", Phone(900))
    bench.run(30)
    bench.engine.connect("a", secure.remote())
    bench.run(30)

    assert secure.secure.refused == 0
    assert bench.counts.srtp_failed == 0


def test_a_leg_may_go_on_in_the_clear_when_signalling_says_so(bench):
    secure = bench.add("a", SecurePhone(500))
    plain = bench.add("b", Phone(900))
    bench.run(20)
    bench.engine.connect("a", replace(secure.remote(), srtp=None))
    for _ in range(TICKS):
        secure.secure.send_plain(secure.packet(), secure.goal)
        bench.tick()
        plain.listen()

    assert plain.levels(500)[0] >= 20


def test_keys_that_fit_no_suite_are_refused_and_the_leg_stays_as_it_was(bench):
    secure = bench.add("a", SecurePhone(500))
    plain = bench.add("b", Phone(900))
    bench.run(20)
    wrong = SrtpKeys(suite=SUITE, local_key="AAAA", remote_key=secure.keys.remote_key)
    with pytest.raises(InvalidError, match="30 bytes"):
        bench.engine.connect("a", replace(secure.remote(), srtp=wrong))
    bench.run(TICKS)

    assert secure.secure.refused == 0
    assert plain.levels(500)[0] >= 20


def test_a_row_that_had_keys_has_none_for_its_next_leg(bench):
    bench.add("a", SecurePhone(500))
    bench.run(5)
    bench.remove("a")
    next_one = bench.add("c", Phone(600))
    plain = bench.add("b", Phone(900))
    bench.run(TICKS)

    assert plain.levels(600)[0] >= 20
    assert next_one.levels(900)[0] >= 20
    assert bench.counts.srtp_failed == 0
