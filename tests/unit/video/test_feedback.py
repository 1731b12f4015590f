"""RTCP of pictures: what is written is read again, wraps are wraps, and nothing hostile raises or grows."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.video import feedback
from bridges.video.transport_cc import (
    ArrivalLog,
    TransportFeedback,
    read_transport_feedback,
    write_transport_feedback,
)

NAME = feedback.cname(b"hub-1")
SENDER = feedback.SenderInfo(
    ntp_timestamp=0x0123456789ABCDEF, rtp_timestamp=3000, packet_count=7, octet_count=9000
)


def block(ssrc: int, lost: int = 3) -> feedback.ReportBlock:
    return feedback.ReportBlock(
        ssrc=ssrc, fraction_lost=26, packets_lost=lost, highest_sequence=0x10007,
        jitter=12, lsr=0xABCD1234, dlsr=65536,
    )  # fmt: skip


@pytest.mark.parametrize("sender", [SENDER, None], ids=["sender report", "receiver report"])
@pytest.mark.parametrize("count", [0, 1, 31, 40])
def test_a_report_is_read_as_it_was_written(sender, count):
    blocks = [block(1000 + i, lost=-i) for i in range(count)]
    found = feedback.read(feedback.write_reports(99, sender, blocks, NAME))
    assert (found.ssrc, found.blocks, found.malformed) == (99, blocks, 0)
    assert found.senders == ({99: sender} if sender else {})


def test_more_losses_than_24_bits_hold_are_clamped():
    found = feedback.read(feedback.write_reports(1, None, [block(5, lost=1 << 30)], NAME))
    assert found.blocks[0].packets_lost == 0x7FFFFF


def test_profile_specific_extensions_of_a_report_are_passed_over():
    extended = struct.pack("!BBHI", 0x81, 201, 8, 9) + bytes(block(5)) + b"ours"
    found = feedback.read(extended)
    assert (found.ssrc, found.blocks, found.malformed) == (9, [block(5)], 0)


@given(
    start=st.integers(0, 0xFFFF),
    steps=st.lists(st.integers(1, 40), max_size=100),
)
def test_a_nack_names_its_packets_over_the_wrap_too(start, steps):
    lost = [start]
    for step in steps:
        lost.append(lost[-1] + step & 0xFFFF)
    found = feedback.read(feedback.write_nack(1, 2, lost))
    assert [(one.ssrc, list(one.lost)) for one in found.nacks] == [(2, lost)]


def test_a_nack_of_nothing_is_nothing():
    assert feedback.write_nack(1, 2, []) == b""


def test_a_datagram_asks_for_a_bounded_number_of_packets():
    greedy = feedback.write_nack(1, 2, range(6000)) * 4
    found = feedback.read(greedy)
    assert sum(len(nack.lost) for nack in found.nacks) == 512
    assert found.malformed == 4


def test_wishes_for_a_whole_picture_come_as_pli_and_as_fir():
    found = feedback.read(feedback.write_pli(1, 77) + feedback.write_fir(1, 78, 300))
    assert found.keyframes == [77, 78]


@given(st.integers(1, 10**9))
def test_remb_is_told_within_its_precision(bitrate):
    found = feedback.read(feedback.write_remb(1, bitrate, [7, 8]))
    assert found.remb == pytest.approx(bitrate, rel=1 / (1 << 17))


def test_a_goodbye_names_its_sources():
    found = feedback.read(feedback.write_reports(5, None, [], NAME) + feedback.write_bye([5, 6]))
    assert found.goodbyes == [5, 6]


def test_one_broken_packet_leaves_the_others_of_its_datagram():
    broken = struct.pack("!BBHI", 0x85, 201, 1, 9)
    found = feedback.read(broken + feedback.write_pli(1, 77))
    assert (found.keyframes, found.malformed) == ([77], 1)


def test_padding_is_no_content_and_impossible_padding_is_malformed():
    padded = struct.pack("!BBHIII", 0xA1, 206, 3, 1, 77, 4)
    assert feedback.read(padded).keyframes == [77]
    assert feedback.read(padded[:-1] + b"\x40").malformed == 1


WHOLE = (
    feedback.write_reports(99, SENDER, [block(1), block(2)], NAME)
    + feedback.write_nack(1, 2, [3, 4, 90])
    + feedback.write_pli(1, 2)
    + feedback.write_fir(1, 2, 3)
    + feedback.write_remb(1, 4_200_000, [2])
    + write_transport_feedback(1, 2, TransportFeedback(9, 1, (40, None, 300, 20, None, None)))
    + feedback.write_bye([99])
)


def test_a_damaged_datagram_is_read_as_far_as_it_is_true():
    """Near misses go deeper than random bytes."""
    dice = random.Random(5)
    malformed = 0
    for _ in range(5_000):
        damaged = bytearray(WHOLE[: dice.randrange(len(WHOLE) + 1)])
        for _ in range(dice.randrange(6)):
            if damaged:
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        malformed += feedback.read(bytes(damaged)).malformed > 0
    assert 2_500 < malformed < 5_000
    assert feedback.read(WHOLE).malformed == 0


@given(st.binary(max_size=300))
def test_any_bytes_are_read(datagram):
    assert feedback.read(datagram).malformed or datagram[0] >> 6 == 2


arrivals = st.lists(st.one_of(st.none(), st.integers(0, 30_000)), min_size=1, max_size=300).filter(
    lambda times: any(time is not None for time in times)
)


@given(first=st.integers(0, 0xFFFF), number=st.integers(0, 255), times=arrivals)
def test_transport_feedback_is_read_as_it_was_written(first, number, times):
    told = TransportFeedback(first, number, tuple(times))
    packet = write_transport_feedback(1, 2, told)
    assert len(packet) % 4 == 0
    found = feedback.read(packet)
    assert (found.transport, found.malformed) == ([told], 0)


def test_transport_feedback_stands_as_the_draft_has_it():
    """§3.1 by hand: three packets, the second lost; reference time 2 × 64 ms."""
    told = TransportFeedback(first=5, number=7, arrivals=(2 * 256 + 4, None, 2 * 256 + 12))
    packet = write_transport_feedback(0xA, 0xB, told)
    assert packet.hex() == "8fcd00050000000a0000000b0005000300000207d1000408"


def test_feedback_that_claims_too_many_packets_is_refused():
    claim = struct.pack("!HH3sB", 1, 65_535, bytes(3), 0) + struct.pack("!H", 0x1FFF) * 8
    with pytest.raises(ValueError, match="far too many"):
        read_transport_feedback(claim)


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.floats(0, 1000, allow_nan=False)),
        min_size=1,
        max_size=60,
    )
)
def test_the_log_tells_every_arrival_once_whatever_the_numbers_are(packets):
    log = ArrivalLog()
    for sequence, time in packets:
        log.note(sequence, time)
    heard: list[int] = []
    for told in log.take():
        (found,) = feedback.read(write_transport_feedback(1, 2, told)).transport
        heard += [
            found.first + i & 0xFFFF for i, time in enumerate(found.arrivals) if time is not None
        ]
    assert set(heard) == {sequence for sequence, _ in packets}
    assert log.take() == []


def test_packets_lost_between_two_feedbacks_are_told_as_lost():
    log = ArrivalLog()
    log.note(65_534, 1.0)
    log.take()
    log.note(2, 1.05)
    (told,) = log.take()
    assert (told.first, told.number, told.arrivals) == (65_535, 2, (None, None, None, 4200))
