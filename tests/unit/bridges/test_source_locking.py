"""Whose voice a leg takes: learning, locking, strangers, malformed and hostile packets, keys pressed."""

import socket
import struct

import pytest
from fakes.rtp import DTMF_TYPE, EngineBench, Phone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridges.audio.events import DtmfReceived
from bridges.audio.learning import Probation
from bridges.audio.receiver import LEG_LIMIT, ODD_LIMIT, PLAIN_LIMIT
from bridges.audio.sources import CROWDED, UNKNOWN, SharedSources

SECOND = 50


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


@pytest.fixture
def pair(bench):
    """Two phones that talk."""
    return bench.add("one", Phone(400)), bench.add("two", Phone(700))


def meters(bench):
    return {meter.leg_id: meter for meter in bench.engine.snapshot().meters()}


@pytest.mark.parametrize("near", [True, False], ids=["shared socket", "own socket"])
def test_a_stranger_is_dropped_counted_and_not_heard(bench, near):
    one = bench.add("one", Phone(400), near=near)
    two = bench.add("two", Phone(700), near=near)
    bench.run(10)
    stranger = Phone(1100)
    stranger.goal, stranger.ssrc = one.goal, one.ssrc
    for _ in range(SECOND + 10):
        stranger.speak()
        bench.run(1)
    assert bench.counts.strangers == SECOND + 10
    assert two.hears(400)
    assert two.lacks(1100)
    stranger.listen()
    assert stranger.heard == 0


def test_a_stranger_with_the_right_address_and_another_ssrc_must_continue_itself(bench, pair):
    one, two = pair
    bench.run(10)
    one.ssrc += 1
    for _ in range(10):
        one.sequence += 5
        one.speak()
        bench.tick()
    assert bench.counts.strangers == 10
    bench.run(SECOND + 10)
    assert two.hears(400)
    assert bench.counts.strangers == 10


@pytest.mark.parametrize("near", [True, False], ids=["shared socket", "own socket"])
def test_voice_from_another_port_than_the_sdp_said_is_learnt_and_answered_there(bench, near):
    one = bench.add("one", Phone(400), near=near)
    two = bench.add("two", Phone(700), near=near)
    bench.run(2, silent=["one"])
    behind_nat = Phone(1100)
    behind_nat.goal = one.goal
    bench.phones["one"] = behind_nat
    bench.run(SECOND + 10)
    assert two.hears(1100)
    assert behind_nat.hears(700)
    assert bench.counts.strangers == 2
    one.close()


def test_a_near_leg_never_learns_another_host(bench):
    one = bench.add("one", Phone(400))
    elsewhere = Phone(1100, host="127.0.0.2")
    elsewhere.goal = one.goal
    for _ in range(10):
        elsewhere.speak()
        bench.tick()
    assert bench.counts.strangers == 10
    elsewhere.close()


def test_a_far_leg_learns_another_host_and_then_keeps_it(bench):
    one = bench.add("one", Phone(400), near=False)
    true = Phone(1100, host="127.0.0.2")
    late = Phone(1600, host="127.0.0.3")
    true.goal = late.goal = one.goal
    for _ in range(10):
        true.speak()
        bench.tick()
    for _ in range(10):
        late.speak()
        bench.tick()
    true.listen(), late.listen()
    assert true.heard > 10
    assert late.heard == 0
    true.close(), late.close()


def from_another_port(phone, tone, *, ssrc=None):
    """The stream of a phone as it goes on behind a NAT that gave it another port."""
    moved = Phone(tone)
    moved.goal, moved.ssrc = phone.goal, phone.ssrc if ssrc is None else ssrc
    return moved


each_socket = pytest.mark.parametrize("near", [True, False], ids=["shared socket", "own socket"])


@each_socket
def test_a_stream_whose_nat_gave_it_another_port_goes_on_and_is_answered_there(bench, near):
    one, two = bench.add("one", Phone(400), near=near), bench.add("two", Phone(700))
    bench.run(10)
    bench.phones["one"] = moved = from_another_port(one, 1100)
    bench.run(SECOND + 30)
    assert two.hears(1100)
    assert moved.hears(700)
    one.listen()
    one.heard = 0
    bench.run(10)
    one.listen()
    assert one.heard == 0
    one.close()


@each_socket
def test_another_stream_of_the_same_host_is_never_taken_for_one_that_fell_silent(bench, near):
    one, two = bench.add("one", Phone(400), near=near), bench.add("two", Phone(700))
    bench.run(10)
    bench.phones["one"] = other = from_another_port(one, 1100, ssrc=one.ssrc + 1)
    bench.run(SECOND + 30)
    assert two.lacks(1100)
    assert other.heard == 0
    one.close()


@each_socket
def test_a_stream_that_is_copied_by_another_host_is_never_followed_there(bench, near):
    one, two = bench.add("one", Phone(400), near=near), bench.add("two", Phone(700))
    bench.run(10)
    thief = Phone(1100, host="127.0.0.2")
    thief.goal, thief.ssrc, thief.sequence = one.goal, one.ssrc, one.sequence
    bench.phones["one"] = thief
    bench.run(SECOND + 30)
    assert two.lacks(1100)
    assert thief.heard == 0
    one.close()


@each_socket
def test_a_stream_is_not_followed_while_its_old_port_speaks(bench, near):
    one, two = bench.add("one", Phone(400), near=near), bench.add("two", Phone(700))
    bench.run(10)
    copy = from_another_port(one, 1100)
    for _ in range(SECOND):
        copy.speak()
        bench.run(1)
    copy.listen()
    assert two.hears(400)
    assert two.lacks(1100)
    assert copy.heard == 0
    copy.close()


def test_two_legs_whose_nat_swaps_their_ports_stay_in_their_own_calls(bench):
    """Both mappings were dropped, and each got the port that was the other's."""
    one, two = bench.add("one", Phone(400), call="c1"), bench.add("two", Phone(700), call="c2")
    with_one = bench.add("with one", Phone(1100), call="c1")
    with_two = bench.add("with two", Phone(1600), call="c2")
    bench.run(20)
    bench.run(15, silent=["one", "two"])
    for name in ("ssrc", "tone", "sequence", "timestamp"):
        first, second = getattr(one, name), getattr(two, name)
        setattr(one, name, second), setattr(two, name, first)
    bench.run(SECOND + 30)
    # What comes from where one was is the voice of two now, and is answered there.
    assert with_one.hears(400)
    assert with_one.lacks(700)
    assert with_two.hears(700)
    assert with_two.lacks(400)
    assert one.hears(1600)
    assert two.hears(1100)


def test_two_streams_of_one_host_that_go_on_elsewhere_are_told_apart(bench):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.run(10)
    moved, other = from_another_port(one, 1100), from_another_port(two, 1600)
    bench.phones["one"], bench.phones["two"] = moved, other
    bench.run(SECOND + 30)
    assert moved.hears(1600)
    assert moved.lacks(1100)
    assert other.hears(1100)
    assert other.lacks(1600)
    one.close(), two.close()


def test_a_silent_leg_is_nobodys_for_the_asking(bench):
    """Two legs of one host with one SSRC: nothing says whose stream it is that comes from a third port."""
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    two.ssrc = one.ssrc
    three = bench.add("three", Phone(1600, host="127.0.0.3"))
    bench.run(10)
    stranger = from_another_port(one, 1100)
    bench.phones["one"] = stranger
    bench.run(15, silent=["one", "two"])
    bench.run(SECOND, silent=["two"])
    assert three.lacks(1100)
    assert stranger.heard == 0
    one.close()


def test_a_re_invite_with_another_address_moves_the_leg(bench, pair):
    one, two = pair
    bench.run(10)
    moved = Phone(1100)
    moved.goal = one.goal
    bench.engine.connect("one", moved.remote())
    bench.phones["one"] = moved
    bench.run(SECOND + 10)
    assert two.hears(1100)
    assert moved.hears(700)
    one.speak()
    bench.tick()
    assert bench.counts.strangers == 1
    one.close()


def test_a_repeated_connect_changes_nothing(bench, pair):
    one, two = pair
    bench.run(10)
    bench.engine.connect("one", one.remote())
    bench.run(SECOND + 10)
    assert two.hears(400)
    assert bench.counts.strangers == 0
    assert meters(bench)["one"].lost == 0


def test_two_legs_behind_one_address_are_told_apart_by_ssrc(bench):
    gateway = Phone(400)
    second = Phone(700)
    second.socket.close()
    second.socket = gateway.socket.dup()
    bench.add("one", gateway, call="a")
    bench.add("two", second, call="b")
    ear = bench.add("ear", Phone(1100), call="a")
    bench.run(SECOND + 10)
    assert ear.hears(400)
    assert ear.lacks(700)
    found = meters(bench)
    assert found["one"].received == found["two"].received == SECOND + 10


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80\x00",
        b"\x00" * 172,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x8f\x00" + b"\x00" * 20,
        b"\x90\x00" + b"\x00" * 10 + b"\xbe\xde\xff\xff",
        b"\xa0\x00" + b"\x00" * 10 + b"\xff",
        b"\xa0\x00" + b"\x00" * 11,
        b"\x80\x00" + b"\x00" * 1500,
    ],
    ids=["empty", "short", "version", "text", "csrc", "extension", "padding", "no padding", "long"],
)
def test_a_malformed_packet_is_counted_and_dropped(bench, packet):
    one = bench.add("one", Phone(400))
    one.send(packet)
    bench.tick()
    assert bench.counts.malformed == 1
    assert meters(bench)["one"].received == 0


def test_a_packet_with_csrc_extension_and_padding_is_heard(bench, pair):
    one, two = pair
    for _ in range(SECOND + 10):
        plain = one.packet()
        extension = b"\xbe\xde\x00\x01abcd"
        one.send(
            bytes([0xB1]) + plain[1:12] + b"csrc" + extension + plain[12:] + b"\x00\x00\x00\x04"
        )
        two.speak()
        bench.tick()
        two.listen()
    assert two.hears(400)
    assert bench.counts.malformed == 0


def test_a_flood_costs_a_bounded_look(bench):
    one = bench.add("one", Phone(400))
    bench.run(2)
    flood = one.packet(b"\x00" * 40, kind=97)
    for _ in range(ODD_LIMIT + 300):
        one.send(flood)
    bench.tick()
    assert bench.counts.flooded == ODD_LIMIT + 300 - LEG_LIMIT


def test_a_flood_of_a_legs_own_voice_costs_that_leg_and_no_other(bench):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.run(2)
    before = meters(bench)["two"].received
    for _ in range(2 * ODD_LIMIT):
        one.send(one.packet(b"\x00" * 40))
    two.send(two.packet(b"\x00" * 40))
    bench.tick()
    assert bench.counts.flooded == 2 * ODD_LIMIT - LEG_LIMIT
    assert meters(bench)["two"].received == before + 1


def test_a_flood_of_plain_packets_from_a_legs_own_far_end_is_cut_short(bench):
    one = bench.add("one", Phone(400))
    two = bench.add("two", Phone(700))
    bench.run(2)
    for _ in range(2 * SECOND):
        for _ in range(100):
            one.send(one.packet())
        bench.run(1, silent=["one"])
        assert bench.counts.failed_ticks == 0
    assert bench.counts.flooded == 2 * SECOND * (100 - PLAIN_LIMIT)
    assert meters(bench)["two"].lost == 0
    assert two.heard == 2 * SECOND + 2


def test_a_strangers_flood_from_a_host_that_is_waited_for_leaves_the_others_their_voice(bench):
    """The worst of it: the leg is not locked yet, and the flood comes from its host."""
    bench.add("late", Phone(1100), call="b")
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.run(2, silent=["late"])
    stranger = Phone(1600)
    stranger.goal = one.goal
    for _ in range(SECOND + 10):
        for n in range(ODD_LIMIT + 50):
            stranger.send(stranger.packet(b"\x00" * (n % 50)))
        bench.run(1, silent=["late"])
    assert one.hears(700)
    assert two.hears(400)
    assert two.lacks(1600)
    assert bench.counts.flooded >= (SECOND + 10) * 50
    stranger.close()


def test_nothing_is_taken_for_a_leg_that_is_only_reserved(bench):
    from commhub.ports.media import MediaOrder

    address = bench.engine.reserve(MediaOrder(call_id="c", leg_id="l", near_signalling=False))
    early = Phone(400)
    early.goal = (address.host, address.port)
    early.speak()
    bench.tick()
    assert meters(bench)["l"].received == 0
    early.close()


def key(phone: Phone, code: int, repeats: int = 3) -> list[bytes]:
    """One key press as its packets: three begin, three end (RFC 4733 §2.5.1)."""
    stamp = phone.timestamp
    made = []
    for n in range(repeats + 3):
        flags = 0x80 if n >= repeats else 0
        packet = phone.packet(struct.pack("!BBH", code, flags | 10, 160 * n), kind=DTMF_TYPE)
        made.append(packet[:4] + struct.pack("!I", stamp & 0xFFFFFFFF) + packet[8:])
    return made


def test_each_key_is_told_once_and_is_not_in_the_mix(bench, pair):
    one, two = pair
    bench.run(5)
    for code in (1, 1, 11, 0):
        for packet in key(one, code):
            one.send(packet)
            bench.tick()
        one.timestamp += 800
    assert [told.digit for told in bench.told(DtmfReceived)] == ["1", "1", "#", "0"]
    assert {told.leg_id for told in bench.told(DtmfReceived)} == {"one"}
    two.listen()
    assert set(two.packets[-1][12:]) == {0xFF}


def test_a_key_of_which_only_the_end_arrived_is_told(bench, pair):
    one, _ = pair
    one.send(key(one, 5)[-1])
    bench.tick()
    assert [told.digit for told in bench.told(DtmfReceived)] == ["5"]


def test_a_late_repeat_of_an_older_key_is_not_told_again(bench, pair):
    one, _ = pair
    older, newer = key(one, 5), key(one, 6)
    for packet in (older[0], newer[0], older[-1], newer[-1]):
        one.send(packet)
        bench.tick()
    assert [told.digit for told in bench.told(DtmfReceived)] == ["5", "6"]


def test_a_cut_off_key_is_malformed(bench, pair):
    one, _ = pair
    one.send(one.packet(b"\x01", kind=DTMF_TYPE))
    bench.tick()
    assert bench.counts.malformed == 1


def test_an_event_that_is_no_key_is_not_told(bench, pair):
    one, _ = pair
    one.send(key(one, 66)[0])
    bench.tick()
    assert bench.told(DtmfReceived) == []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(packets=st.lists(st.binary(max_size=700), min_size=1, max_size=40), head=st.booleans())
def test_no_packet_whatsoever_disturbs_the_tick(bench, packets, head):
    if "one" not in bench.phones:
        bench.add("one", Phone(400))
    one = bench.phones["one"]
    for packet in packets:
        one.send(b"\x80\x00" + packet if head else packet)
    bench.tick()
    assert bench.counts.failed_ticks == 0


def test_probation_is_not_held_up_by_packets_in_between():
    probation = Probation()
    assert not probation.passed(1, key=10, ssrc=1, sequence=0xFFFE, needed=3)
    assert not probation.passed(1, key=11, ssrc=2, sequence=5, needed=3)
    assert not probation.passed(1, key=10, ssrc=1, sequence=0xFFFF, needed=3)
    assert not probation.passed(1, key=11, ssrc=2, sequence=9, needed=3)
    assert probation.passed(1, key=10, ssrc=1, sequence=0, needed=3)


def test_probation_remembers_a_bounded_number_of_candidates():
    probation = Probation()
    for key_ in range(100):
        probation.passed(1, key=key_, ssrc=0, sequence=0, needed=3)
    assert not probation.passed(1, key=0, ssrc=0, sequence=1, needed=2)
    assert probation.passed(1, key=99, ssrc=0, sequence=1, needed=2)


def test_shared_sources_find_all_at_once():
    import numpy as np

    sources = SharedSources()
    assert sources.lookup(np.array([1, 2])).tolist() == [UNKNOWN, UNKNOWN]
    sources.put(500, 7), sources.put(100, 3), sources.put(900, 4), sources.put(900, 5)
    assert sources.lookup(np.array([900, 100, 99, 500, 901])).tolist() == [
        CROWDED, 3, UNKNOWN, 7, UNKNOWN,
    ]  # fmt: skip
    sources.remove(900, 4), sources.remove(100, 3), sources.remove(12345, 1)
    assert sources.lookup(np.array([900, 100])).tolist() == [5, UNKNOWN]


def test_a_closed_far_end_does_not_stop_the_others(bench, pair):
    """Its host answers with ICMP errors, which must neither stop a batch nor block receiving."""
    one, two = pair
    gone = bench.add("gone", Phone(1100))
    bench.run(5)
    bench.phones.pop("gone")
    gone.socket.close()
    gone.socket = socket.socket()
    bench.run(SECOND)
    assert two.heard == one.heard == SECOND + 5
