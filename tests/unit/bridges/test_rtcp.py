"""RTCP on the wire: what is written is read again, and nothing hostile is believed."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.audio import rtcp
from bridges.audio.rtp import MalformedPacketError

NAME = rtcp.cname(b"hub-1")
SENDER = rtcp.SenderInfo(ntp=rtcp.ntp_of(1_700_000_000.5), timestamp=160, packets=7, octets=1120)
BLOCK = rtcp.ReportBlock(
    ssrc=5, fraction=26, lost=-3, highest=0x10007, jitter=12, last_report=0xABCD1234, delay=65536
)


@pytest.mark.parametrize("sender", [SENDER, None], ids=["sender report", "receiver report"])
@pytest.mark.parametrize("block", [BLOCK, None], ids=["one block", "no block"])
def test_a_report_is_read_as_it_was_written(sender, block):
    datagram = rtcp.write_report(99, sender, block, NAME)
    assert len(datagram) % 4 == 0
    assert rtcp.read_compound(datagram) == rtcp.Compound(
        99, sender, (block,) if block else (), goodbyes=()
    )


def test_the_bytes_of_a_sender_report_stand_where_the_rfc_has_them():
    datagram = rtcp.write_report(0x01020304, SENDER, BLOCK, NAME)
    assert datagram[:8].hex() == "81c8000c01020304"
    seconds, fraction = struct.unpack_from("!II", datagram, 8)
    assert (seconds - rtcp.NTP_EPOCH, fraction) == (1_700_000_000, 1 << 31)
    assert datagram[28:40].hex() == "00000005" + "1afffffd" + "00010007"
    assert datagram[52:].hex() == "81ca0003" + "01020304" + "01056875622d3100"


def test_a_goodbye_is_read_with_its_source():
    found = rtcp.read_compound(rtcp.write_bye(77, NAME))
    assert found.goodbyes == (77,)
    assert found.ssrc == 77


def test_feedback_beside_a_report_is_passed_over():
    nack = struct.pack("!BBHII I", 0x81, 205, 3, 1, 2, 3)
    assert rtcp.read_compound(rtcp.write_report(9, None, None, NAME) + nack).ssrc == 9


def test_padding_of_the_last_packet_is_not_its_content():
    padded = bytes([0xA0]) + struct.pack("!BHI", 201, 2, 9) + b"\x00\x00\x00\x04"
    assert rtcp.read_compound(padded).ssrc == 9


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80\xc9\x00\x01",
        b"\x40\xc9\x00\x01\x00\x00\x00\x01",
        b"\x80\xc9\x00\x02\x00\x00\x00\x01",
        b"\x81\xc9\x00\x01\x00\x00\x00\x01",
        b"\x80\xc8\x00\x01\x00\x00\x00\x01",
        b"\x82\xcb\x00\x01\x00\x00\x00\x01",
        b"\x80\xc9\x00\x01\x00\x00\x00\x01\x80",
        b"\x80\x08\x00\x01\x00\x00\x00\x01",
        b"\xa0\xc9\x00\x01\x00\x00\x00\x00",
        b"\xa0\xc9\x00\x01\x00\x00\x00\x08",
        b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03",
    ],
    ids=[
        "empty", "header only", "version", "length", "missing block", "short SR", "short BYE",
        "trailing byte", "not RTCP", "padding of nothing", "padding over the header",
        "padding of three",
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_malformed(datagram):
    with pytest.raises(MalformedPacketError):
        rtcp.read_compound(datagram)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_compound_or_malformed(datagram):
    try:
        rtcp.read_compound(datagram)
    except MalformedPacketError:
        return
    assert datagram[0] >> 6 == 2


def test_a_damaged_report_is_a_compound_or_malformed():
    """Near misses go deeper than random bytes."""
    dice = random.Random(3)
    whole = rtcp.write_report(99, SENDER, BLOCK, NAME) + rtcp.write_bye(99, NAME)
    malformed = 0
    for _ in range(5_000):
        damaged = bytearray(whole[: dice.randrange(len(whole) + 1)])
        for _ in range(dice.randrange(4)):
            if damaged:
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            rtcp.read_compound(bytes(damaged))
        except MalformedPacketError:
            malformed += 1
    assert 2_500 < malformed < 5_000


def test_more_losses_than_24_bits_hold_are_clamped():
    block = rtcp.ReportBlock(5, 255, 1 << 30, 0, 0, 0, 0)
    assert rtcp.read_compound(rtcp.write_report(1, None, block, NAME)).blocks[0].lost == 0x7FFFFF


def test_the_middle_of_a_time_counts_65536ths():
    assert rtcp.middle(rtcp.ntp_of(10.25)) - rtcp.middle(rtcp.ntp_of(10.0)) == 16384
