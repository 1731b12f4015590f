"""Legs by IPv6: heard, answered, learnt and guarded like those by IPv4, in one call with them."""

import socket

import pytest
from fakes.rtp import EngineBench, Phone

from bridges.transport.six import SixHosts
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.ports.media import AudioFormat, MediaOrder, RtpAddress, RtpRemote

SECOND = 50
SIX, FOUR = "::1", "127.0.0.1"


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path, ipv6_bind_host=SIX) as made:
        yield made


@pytest.fixture
def pair(bench):
    """A phone on IPv6 and one on IPv4 that talk."""
    return bench.add("six", Phone(400, host=SIX)), bench.add("four", Phone(700))


def test_a_phone_on_ipv6_and_one_on_ipv4_hear_each_other_and_not_themselves(bench, pair):
    six, four = pair
    assert (six.goal[0], four.goal[0]) == (SIX, FOUR)
    bench.run(SECOND + 10)
    assert six.hears(700)
    assert four.hears(400)
    assert six.lacks(400)
    assert four.lacks(700)
    assert bench.counts.strangers == bench.counts.send_errors == 0


def test_lanes_and_packet_times_reach_it_too(bench):
    wide = AudioFormat(encoding="G722", payload_type=9, ptime_ms=20)
    long = AudioFormat(encoding="PCMU", payload_type=0, ptime_ms=40)
    four = bench.add("four", Phone(700))
    for leg, audio in (("wide", wide), ("long", long)):
        phone = bench.add(leg, Phone(400, host=SIX))
        bench.engine.connect(leg, RtpRemote(address=RtpAddress(SIX, phone.port), audio=audio))
        bench.run(SECOND, silent=["wide"])
        assert phone.heard >= 20, leg
    assert four.hears(400)


@pytest.mark.usefixtures("pair")
def test_reports_go_to_it(bench):
    bench.run(SECOND * 8)
    assert bench.counts.reports_sent > 0
    assert bench.counts.send_errors == 0


def test_a_stranger_on_ipv6_is_dropped(bench, pair):
    six, four = pair
    bench.run(10)
    stranger = Phone(1100, host=SIX)
    stranger.goal, stranger.ssrc = six.goal, six.ssrc
    for _ in range(SECOND + 10):
        stranger.speak()
        bench.run(1)
    assert bench.counts.strangers == SECOND + 10
    assert four.hears(400)
    assert four.lacks(1100)
    stranger.close()


def test_voice_from_another_port_than_the_sdp_said_is_learnt(bench, pair):
    six, four = pair
    moved = Phone(1100, host=SIX)
    moved.goal = six.goal
    bench.phones["six"] = moved
    bench.run(SECOND + 10)
    assert four.hears(1100)
    assert moved.hears(700)
    six.close()


def test_a_far_end_of_the_other_version_is_refused(bench, pair):
    with pytest.raises(InvalidError, match="other IP version"):
        bench.engine.connect("six", Phone(host=FOUR).remote())
    with pytest.raises(InvalidError, match="other IP version"):
        bench.engine.connect("four", Phone(host=SIX).remote())


def test_a_hold_by_zeros_is_a_hold_on_either_version(bench, pair):
    six, _ = pair
    held = RtpRemote(address=RtpAddress("::", six.port), audio=six.audio)
    bench.engine.connect("six", held)
    bench.run(10)
    heard = six.heard
    bench.run(10)
    assert six.heard == heard


def test_a_worker_without_ipv6_says_so(tmp_path):
    with (
        EngineBench(tmp_path) as bench,
        pytest.raises(UnavailableError, match="not reached by IPv6"),
    ):
        bench.engine.reserve(MediaOrder(call_id="c", leg_id="l", ipv6=True))


# --- the numbers of hosts --------------------------------------------------------------------------------------


def source(host, port=4000):
    """The `struct sockaddr_in6` of a packet's source."""
    packed = socket.inet_pton(socket.AF_INET6, host)
    return b"\0\0" + port.to_bytes(2, "big") + bytes(4) + packed + bytes(4)


def test_a_host_has_one_number_whoever_asks_and_ports_differ():
    hosts = SixHosts()
    key = hosts.named("2001:db8::1", 4000)
    assert hosts.heard(source("2001:db8::1")) == key
    other = hosts.heard(source("2001:db8::1", 4002))
    assert (other >> 16, other & 0xFFFF) == (key >> 16, 4002)
    assert hosts.heard(source("2001:db8::2")) >> 16 != key >> 16
    assert hosts.address(key) == ("2001:db8::1", 4000)


def test_no_number_is_an_ipv4_address_that_anybody_sends_from():
    hosts = SixHosts()
    assert 0 < hosts.named("2001:db8::1", 4000) >> 16 < 1 << 24
    assert hosts.address(0x7F000001 << 16 | 4000) is None


def test_strangers_push_out_strangers_and_nobody_who_is_in_a_call():
    hosts = SixHosts()
    named, locked = hosts.named("2001:db8::1", 4000), hosts.heard(source("2001:db8::2"))
    hosts.keep(locked)
    first = hosts.heard(source("2001:db8:bad::"))
    for number in range(1, 5000):
        hosts.heard(source(f"2001:db8:bad::{number:x}"))
    assert hosts.address(named) == ("2001:db8::1", 4000)
    assert hosts.heard(source("2001:db8::2")) == locked
    assert hosts.address(first) is None
