"""H.264 pictures of pulled cameras as RTP payloads, and how they are told to the worker."""

import random

import pytest

from bridges.video.codecs import h264
from bridges.video.ingest import letters, packing

SPS, PPS, SEI = b"\x67\x42\xc0\x1f" + b"\x11" * 12, b"\x68\xce\x06", b"\x06\x05\x08"


def unit(size, kind=0x65):
    dice = random.Random(size)
    return bytes((kind, 0x88)) + bytes(dice.randrange(1, 256) for _ in range(size - 2))


def picture_of(units, start=b"\x00\x00\x00\x01"):
    return b"".join(start + one for one in units)


@pytest.mark.parametrize("start", [b"\x00\x00\x01", b"\x00\x00\x00\x01"])
def test_a_picture_is_taken_into_its_units_whatever_their_start_codes(start):
    units = [SPS, PPS, SEI, unit(5000)]
    assert list(packing.units_of(b"\x00" + picture_of(units, start))) == units
    assert list(packing.units_of(b"")) == list(packing.units_of(b"no unit at all")) == []


def test_delimiters_and_filler_are_left_out():
    units = [b"\x09\xf0", SPS, b"\x0c\xff\xff", unit(40)]
    assert list(packing.units_of(picture_of(units))) == [SPS, unit(40)]


@pytest.mark.parametrize(
    "size", [2, 3, 1196, 1197, 1198, 1199, 1200, 1201, 1202, 2397, 2398, 70_000]
)
def test_a_unit_of_any_length_comes_through_in_payloads_that_are_short_enough(size):
    units = [SPS, PPS, unit(size)]
    payloads = packing.pack(units)
    assert max(map(len, payloads)) <= packing.LONGEST
    assert h264.assemble(payloads) == picture_of(units)
    first = h264.inspect(memoryview(payloads[0]))
    assert first.start
    assert first.key


def test_small_units_go_together_and_in_order():
    units = [SPS, PPS, SEI, unit(300), unit(300, 0x41)]
    payloads = packing.pack(units)
    assert len(payloads) == 1
    assert payloads[0][0] & 0x1F == 24
    assert [bytes(one) for one in h264.units_of(memoryview(payloads[0]))] == units


def test_fragments_are_of_nearly_one_length():
    sizes = [len(one) for one in packing.pack([unit(packing.LONGEST + 1)])]
    assert len(sizes) == 2
    assert abs(sizes[0] - sizes[1]) <= 1


def test_the_profile_is_that_of_the_parameter_sets():
    assert packing.profile_of([PPS, SPS]) == "42c01f"
    assert packing.profile_of([PPS]) is None
    assert packing.begins_with_parameters([SPS, PPS])
    assert not packing.begins_with_parameters([unit(10)])


def test_letters_are_read_as_they_were_written():
    packets = [bytes(size) for size in (12, 1212, 40)] * 16
    letter = letters.of_packets(70_000, packets)
    assert len(letter) <= letters.LETTER_LIMIT
    assert letters.HEAD.unpack_from(letter) == (letters.PACKETS, 70_000)
    assert letters.packets_of(letter) == packets
    news = letters.of_news(3, {"lost": "it sends nothing"})
    assert letters.HEAD.unpack_from(news) == (letters.NEWS, 3)
    assert letters.news_of(news) == {"lost": "it sends nothing"}
