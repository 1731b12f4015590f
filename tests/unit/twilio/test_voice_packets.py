"""Twilio's audio as RTP and back: nothing lost, gaps kept, floods bounded, keys told once each."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.twilio.voice import FRAME, TELEPHONE_EVENT, Uplink, voice_of


def head(packet):
    """(marker, payload type, sequence, timestamp, SSRC)."""
    first, kind, sequence, stamp, ssrc = struct.unpack_from("!BBHII", packet)
    assert first == 0x80
    return bool(kind & 0x80), kind & 0x7F, sequence, stamp, ssrc


def steps(packets, field):
    values = [head(packet)[field] for packet in packets]
    modulus = 1 << (16 if field == 2 else 32)
    return [(b - a) % modulus for a, b in itertools.pairwise(values)]


@given(st.lists(st.binary(min_size=1, max_size=1000), min_size=1, max_size=20))
def test_payloads_of_any_size_become_whole_packets_in_order(payloads):
    uplink, sent, ms = Uplink(0.0), [], 0
    for payload in payloads:
        sent += uplink.take(payload, ms, now=1e6)
        ms += len(payload) // 8
    whole = b"".join(payloads)
    assert b"".join(packet[12:] for packet in sent) == whole[: len(whole) // FRAME * FRAME]
    assert {len(packet) for packet in sent} <= {12 + FRAME}
    assert set(steps(sent, 2)) <= {1}
    assert set(steps(sent, 3)) <= {FRAME}
    assert [head(packet)[0] for packet in sent] == [n == 0 for n in range(len(sent))]


def test_a_gap_of_the_stream_is_a_gap_of_the_timestamps_and_not_of_the_numbers():
    uplink = Uplink(0.0)
    sent = list(uplink.take(b"\x01" * FRAME, 0, 1.0))
    sent += uplink.take(b"\x02" * FRAME, 1020, 2.0)
    assert steps(sent, 2) == [1]
    assert steps(sent, 3) == [FRAME + 1000 * 8]
    assert head(sent[1])[0], "the first packet after a pause is marked"


def test_a_rest_before_a_gap_is_filled_up_with_silence():
    uplink = Uplink(0.0)
    sent = list(uplink.take(b"\x01" * 100, 0, 1.0))
    sent += uplink.take(b"\x02" * FRAME, 2000, 3.0)
    assert sent[0][12:] == b"\x01" * 100 + b"\xff" * 60


@pytest.mark.parametrize("timestamp", [0, 60, 10**11])
def test_timestamps_that_wander_step_back_or_mean_nothing_are_no_gap(timestamp):
    uplink = Uplink(0.0)
    sent = list(uplink.take(b"\x01" * FRAME, 0, 1.0))
    sent += uplink.take(b"\x02" * FRAME, timestamp, 1.1)
    assert steps(sent, 3) == [FRAME]


def test_no_more_audio_is_taken_than_time_passes_and_a_stall_holds_back():
    uplink, taken = Uplink(0.0), 0
    for n in range(100):
        taken += len(list(uplink.take(bytes(8000), n * 1000, now=1.0)))
    assert taken == 6 * 50
    assert len(list(uplink.take(bytes(8000), 0, now=2.0))) == 50


def test_a_key_is_one_event_with_its_end_said_three_times():
    uplink = Uplink(0.0)
    list(uplink.take(bytes(FRAME), 0, 1.0))
    begin, *ends = uplink.press("#")
    assert len(ends) == 3
    assert head(begin)[:2] == (True, TELEPHONE_EVENT)
    assert begin[12] == 11
    assert not begin[13] & 0x80
    assert {head(end)[3] for end in ends} == {head(begin)[3]}
    assert all(end[13] & 0x80 and not head(end)[0] for end in ends)


def test_two_keys_of_one_instant_are_two_events():
    uplink = Uplink(0.0)
    list(uplink.take(bytes(FRAME), 0, 1.0))
    first, second = next(uplink.press("1")), next(uplink.press("1"))
    assert head(second)[3] != head(first)[3]


def test_of_the_engines_packets_only_voice_is_played():
    voice = struct.pack("!BBHII", 0x80, 0x80, 1, 2, 3) + b"\x55" * FRAME
    assert voice_of(voice) == b"\x55" * FRAME
    # One contributing source and an extension of one word before the voice.
    extended = struct.pack("!BBHIIIHHI", 0x91, 0, 1, 2, 3, 4, 5, 1, 6) + b"\x55"
    assert voice_of(extended) == b"\x55"
    padded = struct.pack("!BBHII", 0xA0, 0, 1, 2, 3) + b"\x55\x00\x02"
    assert voice_of(padded) == b"\x55"
    for other in (13, 101, 8):
        assert voice_of(struct.pack("!BBHII", 0x80, other, 1, 2, 3) + bytes(4)) is None


@given(st.binary(max_size=400))
def test_any_datagram_is_voice_or_nothing(datagram):
    voice = voice_of(datagram)
    assert voice is None or datagram.find(voice) >= 0
