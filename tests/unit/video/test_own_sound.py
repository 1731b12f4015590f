"""The sound a picture brings along: every listener has one stream, whoever sends it."""

import pytest

from bridges.video.own_sound import OwnSounds
from bridges.video.sound import SoundPlug, mid_extension


class Ear:
    """A far end that keeps what it is sent."""

    outlet = None

    def __init__(self):
        self.packets = []

    def send(self, packet, *, is_rtcp=False):
        assert not is_rtcp
        self.packets.append(packet)

    @property
    def last(self):
        return self.packets[-1]


def rtp(sequence, stamp=0, ssrc=7, payload=b"voice", payload_type=96):
    head = bytes((0x80, payload_type)) + (sequence & 0xFFFF).to_bytes(2, "big")
    return head + (stamp & 0xFFFFFFFF).to_bytes(4, "big") + ssrc.to_bytes(4, "big") + payload


def sequence_of(packet):
    return int.from_bytes(packet[2:4], "big")


def stamp_of(packet):
    return int.from_bytes(packet[4:8], "big")


@pytest.fixture
def sounds():
    return OwnSounds()


@pytest.fixture
def ear(sounds):
    ear = Ear()
    sounds.listen("v1", "cam", plug(ear))
    return ear


def plug(ear, payload_type=109, mid=b""):
    return SoundPlug(ear, payload_type, talks=False, hears=True, mid=mid)


def test_whoever_watches_a_source_hears_that_one_under_its_own_number(sounds, ear):
    other = Ear()
    sounds.listen("v2", "other", plug(other))
    assert sounds.pass_on("cam", rtp(5), 1.0) == 1
    assert ear.last[1] & 0x7F == 109
    assert ear.last[12:] == b"voice"
    assert other.packets == []


def test_each_listener_has_a_stream_of_its_own(sounds, ear):
    second = Ear()
    sounds.listen("v2", "cam", plug(second, 111, mid_extension(4, "1")))
    assert sounds.pass_on("cam", rtp(5), 1.0) == 2
    assert ear.last[8:12] != second.last[8:12]
    assert second.last[0] & 0x10
    assert second.last[12:] == mid_extension(4, "1") + b"voice"


def test_numbers_and_times_go_as_the_source_counts_them_over_their_ends(sounds, ear):
    for step in (0, 1, 2, 5):
        sounds.pass_on("cam", rtp(0xFFFE + step, 0xFFFFFF00 + step * 960), 1.0 + step * 0.02)
    first = ear.packets[0]
    assert [(sequence_of(one) - sequence_of(first)) % 0x10000 for one in ear.packets] == [
        0,
        1,
        2,
        5,
    ]
    assert [(stamp_of(one) - stamp_of(first)) % 2**32 for one in ear.packets] == [
        0,
        960,
        1920,
        4800,
    ]


def test_a_camera_that_begins_anew_is_a_pause_in_the_same_stream(sounds, ear):
    sounds.pass_on("cam", rtp(500, 48_000), 1.0)
    sounds.pass_on("cam", rtp(9, 7, ssrc=8), 3.0)
    before, after = ear.packets
    assert after[8:12] == before[8:12]
    assert sequence_of(after) - sequence_of(before) == 1
    assert stamp_of(after) - stamp_of(before) == 2 * 48_000
    assert after[1] & 0x80, "a talkspurt begins (RFC 3551 §4.1)"


def test_another_source_is_heard_in_the_stream_there_is(sounds, ear):
    sounds.pass_on("cam", rtp(5), 1.0)
    sounds.turn("v1", "other")
    assert sounds.pass_on("cam", rtp(6), 1.02) == 0
    # The same SSRC elsewhere is another stream all the same.
    assert sounds.pass_on("other", rtp(900), 1.04) == 1
    assert sequence_of(ear.packets[1]) - sequence_of(ear.packets[0]) == 1
    sounds.turn("v9", "other")
    assert sounds.pass_on("other", rtp(901), 1.06) == 1


def test_no_two_packets_have_one_number(sounds, ear):
    sounds.pass_on("cam", rtp(5), 1.0)
    sounds.pass_on("cam", rtp(100, ssrc=8), 1.02)
    assert sounds.pass_on("cam", rtp(99, ssrc=8), 1.03) == 0
    sounds.pass_on("cam", rtp(102, ssrc=8), 1.04)
    sounds.pass_on("cam", rtp(101, ssrc=8), 1.05)
    numbers = [sequence_of(one) for one in ear.packets]
    assert [one - numbers[0] for one in numbers] == [0, 1, 3, 2]


def test_a_long_stream_is_not_taken_for_one_from_before(sounds, ear):
    for step in range(0x8100):
        sounds.pass_on("cam", rtp(step), step * 0.02)
    assert len(ear.packets) == 0x8100


def test_an_offer_again_keeps_the_stream_and_who_left_hears_nothing(sounds, ear):
    sounds.pass_on("cam", rtp(5), 1.0)
    again = Ear()
    sounds.listen("v1", "cam", plug(again, 63))
    sounds.pass_on("cam", rtp(6), 1.02)
    assert again.last[8:12] == ear.last[8:12]
    assert again.last[1] & 0x7F == 63
    sounds.forget("v1")
    sounds.forget("v1")
    assert sounds.pass_on("cam", rtp(7), 1.04) == 0
