"""What payloads say of their pictures: real encoders packed by FFmpeg, descriptors by hand, and anything hostile."""

import random
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from fakes.pictures import pictures_of, rtp_stream
from hypothesis import given
from hypothesis import strategies as st

from bridges.video.codecs import av1, h264, vp8, vp9
from bridges.video.codecs.book import FACES
from bridges.video.codecs.numbers import UNNUMBERED, Number, NumberReader, Numbers, newest_of
from bridges.video.codecs.picture import MALFORMED
from commhub.ports.video import VideoCodec

DECODERS = {
    VideoCodec.H264: "h264",
    VideoCodec.VP8: "vp8",
    VideoCodec.VP9: "vp9",
    VideoCodec.AV1: "libdav1d",
}
CODECS = list(VideoCodec)
SIZES = [(320, 240), (486, 274)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_key_frames_beginnings_and_sizes_of_real_streams_are_seen(codec, width, height):
    inspect = FACES[codec].inspect
    pictures = pictures_of(rtp_stream(codec, width, height, frames=25))
    keys = []
    for index, packets in enumerate(pictures):
        seen = [inspect(memoryview(one.payload)) for one in packets]
        assert all(one is not MALFORMED for one in seen)
        assert seen[0].start
        if seen[0].key:
            keys.append(index)
            sizes = {(one.width, one.height) for one in seen if one.width}
            assert sizes == {(width, height)}
        else:
            assert not any(one.key for one in seen)
            assert not any(one.width for one in seen)
        if codec is not VideoCodec.H264 and len(seen) > 1:
            assert not any(one.start for one in seen[1:])
    assert keys == [0, 10, 20]


@pytest.mark.parametrize("codec", CODECS)
def test_assembled_pictures_are_decoded_by_libav(codec):
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    shown = []
    for packets in pictures_of(rtp_stream(codec, 320, 240, frames=25)):
        frame = FACES[codec].assemble([one.payload for one in packets])
        shown += decoder.decode(av.Packet(frame))
    shown += decoder.decode(None)
    assert len(shown) == 25
    assert {(one.width, one.height) for one in shown} == {(320, 240)}


@pytest.mark.parametrize("codec", CODECS)
def test_a_picture_with_a_packet_missing_is_not_assembled(codec):
    face = FACES[codec]
    payloads = max(
        (
            [one.payload for one in packets]
            for packets in pictures_of(rtp_stream(codec, 486, 274, 25))
        ),
        key=len,
    )
    assert len(payloads) >= 3
    assert face.assemble(payloads) is not None
    # The end of VP8 is told by the marker alone, and H.264's parameter sets before the first fragment stand for themselves.
    assert face.assemble(payloads[-2:]) is None
    if codec is not VideoCodec.VP8:
        assert face.assemble(payloads[:-1]) is None
    assert face.assemble([]) is None


def test_an_access_unit_of_many_slices_begins_once():
    """Baseline senders cut a picture into slices; only the first begins at macroblock 0."""
    first = h264.inspect(memoryview(b"\x41\x9a\x00\x00"))
    second = h264.inspect(memoryview(b"\x41\x42\x9a\x00"))
    assert (first.start, second.start) == (True, False)
    assert not h264.inspect(memoryview(b"\x7c\x05\x88")).start
    assert h264.inspect(memoryview(b"\x7c\x85\x88")).key


def test_pictures_nothing_refers_to_are_discardable():
    assert h264.inspect(memoryview(b"\x01\x9a\x00")).discardable
    assert not h264.inspect(memoryview(b"\x41\x9a\x00")).discardable
    assert vp8.inspect(memoryview(b"\xb0\x80\x05\x01\x00\x00")).discardable


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (960, 540), (640, 480), (18, 36)])
@pytest.mark.parametrize(
    "options",
    [
        {"profile": "baseline"},
        {"profile": "high", "x264-params": "cqm=jvt"},
        {"x264-params": "interlaced=1"},
    ],
    ids=["baseline", "high with scaling lists", "interlaced"],
)
def test_the_size_of_a_parameter_set_is_what_the_encoder_made(size, options):
    width, height = size
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(30), Fraction(1, 30)
    encoder.options = {**options, "preset": "ultrafast"}
    frame = av.VideoFrame(width, height, "yuv420p")
    packets = encoder.encode(frame) + encoder.encode(None)
    annex_b = b"".join(bytes(packet) for packet in packets)
    sps = next(
        unit
        for unit in annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
        if unit[0] & 0x1F == 7
    )
    assert h264.dimensions(sps) == (width, height)


def test_parameter_sets_of_an_offer_become_a_payload():
    fmtp = "packetization-mode=1;sprop-parameter-sets=Z0LAH9oBQBboQAAAAwBAAAAPI8YMqA==,aM48gA==;profile-level-id=42C01F"
    seen = h264.inspect(memoryview(h264.parameter_sets(fmtp)))
    assert (seen.start, seen.key, seen.width, seen.height) == (True, True, 1280, 720)
    assert h264.unit_kinds(memoryview(h264.parameter_sets(fmtp))) == (7, 8)


@pytest.mark.parametrize(
    "fmtp", ["", "packetization-mode=1", "sprop-parameter-sets=%%", "sprop-parameter-sets=AAAA"]
)
def test_an_offer_without_readable_parameter_sets_has_none(fmtp):
    assert h264.parameter_sets(fmtp) == b""


@given(
    picture=st.one_of(st.none(), st.integers(0, 0x7FFF)),
    tl0=st.one_of(st.none(), st.integers(0, 255)),
    tid=st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(0, 1))),
    keyidx=st.one_of(st.none(), st.integers(0, 31)),
)
def test_vp8_descriptors_are_read_as_aiortc_writes_them(picture, tl0, tid, keyidx):
    descriptor = VpxPayloadDescriptor(
        partition_start=1, partition_id=0, picture_id=picture, tl0picidx=tl0, tid=tid, keyidx=keyidx
    )
    payload = bytes(descriptor) + b"\x01\x02\x03"
    found = vp8.number(memoryview(payload))
    assert found.picture == (-1 if picture is None else picture)
    assert found.tl0 == (-1 if tl0 is None else tl0)
    seen = vp8.inspect(memoryview(payload))
    assert (seen.start, seen.key, seen.temporal) == (True, False, tid[0] if tid else 0)
    assert vp8.assemble([payload]) == b"\x01\x02\x03"


def test_vp9_descriptors_say_layers_numbers_and_sizes():
    """RFC 9628 §4.2 by hand: 15-bit id 0x1234, TID 1, TL0PICIDX 9, a structure of two sizes and one picture group."""
    structure = struct.pack("!BHHHHBBB", 0x38, 480, 270, 960, 540, 1, 0x04, 7)
    payload = b"\xaa" + b"\x92\x34" + b"\x20\x09" + structure + b"\x82\x49"
    seen = vp9.inspect(memoryview(payload))
    assert (seen.start, seen.end, seen.key) == (True, False, True)
    assert (seen.width, seen.height, seen.temporal) == (960, 540, 1)
    assert vp9.number(memoryview(payload)) == Number(0x1234, 1, True, 9, 4)
    flexible = b"\xd4" + b"\x05" + b"\x07\x08" + b"\x99"
    seen = vp9.inspect(memoryview(flexible))
    assert (seen.start, seen.end, seen.key) == (False, True, False)
    assert vp9.number(memoryview(flexible)) == Number(5, 1, False)


def test_an_av1_sequence_header_is_found_behind_other_elements():
    (packets, *_) = pictures_of(rtp_stream(VideoCodec.AV1, 320, 240, 25))
    header = packets[0].payload
    begin, end = next(av1._elements(memoryview(header)))
    element = header[begin:end]
    counted = bytes((0x20, 2, 0x12, 0x00)) + element
    seen = av1.inspect(memoryview(counted))
    assert (seen.start, seen.key, seen.width) == (True, True, 320)
    sized = bytes((0x00, 2, 0x12, 0x00, len(element))) + element
    assert av1.inspect(memoryview(sized)) == seen


@pytest.mark.parametrize("payload", [b"\x10\x34", b"\x20\x01\x34\x32", b"\x20\x00\x32\x00"])
def test_an_obu_shorter_than_its_header_is_not_assembled(payload):
    assert av1.assemble([payload]) is None


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (VideoCodec.H264, b""),
        (VideoCodec.H264, b"\x7c"),
        (VideoCodec.H264, b"\x7c\x85"),
        (VideoCodec.H264, b"\x78\x00\x09\x67"),
        (VideoCodec.H264, b"\x1e\x00"),
        (VideoCodec.VP8, b""),
        (VideoCodec.VP8, b"\x90"),
        (VideoCodec.VP8, b"\x90\x80\x80"),
        (VideoCodec.VP8, b"\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        (VideoCodec.VP9, b""),
        (VideoCodec.VP9, b"\x8a\x80"),
        (VideoCodec.VP9, b"\xd0\x01\x01\x01\x01\x01"),
        (VideoCodec.VP9, b"\x02\xf8\x00"),
        (VideoCodec.AV1, b"\x10"),
        (VideoCodec.AV1, b"\x00\xff\xff\xff\xff"),
        (VideoCodec.AV1, b"\x30\x01\x32"),
    ],
)
def test_what_contradicts_its_format_is_malformed(codec, payload):
    assert FACES[codec].inspect(memoryview(payload)) is MALFORMED


@pytest.mark.parametrize("codec", CODECS)
@given(payload=st.binary(max_size=64))
def test_any_bytes_are_a_picture_or_malformed(codec, payload):
    face = FACES[codec]
    face.inspect(memoryview(payload))
    face.assemble([payload, payload])
    if face.number is not None:
        found = face.number(memoryview(payload))
        assert -1 <= found.picture <= 0x7FFF
        assert found.picture_at + found.is_wide < max(len(payload), 1)
        assert found.tl0_at < max(len(payload), 1)


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_pictures_are_read_as_far_as_they_are_true(codec):
    """Near misses go deeper than random bytes."""
    dice = random.Random(7)
    face = FACES[codec]
    whole = [bytearray(one.payload) for one in rtp_stream(codec, 320, 240, frames=25)[:20]]
    for _ in range(3_000):
        damaged = bytearray(dice.choice(whole)[: dice.randrange(1, 200)])
        for _ in range(dice.randrange(8)):
            damaged[dice.randrange(min(40, len(damaged)))] = dice.randrange(256)
        seen = face.inspect(memoryview(damaged))
        assert 0 <= seen.width <= 0x10000
        assert 0 <= seen.height <= 0x10000
        face.assemble([bytes(damaged)])


def test_ids_of_seven_bits_count_on_over_their_wrap():
    reader = NumberReader()
    found = [reader.extend(Number(one & 0x7F, 2)).picture for one in (126, 127, 128, 129, 127, 130)]
    assert found == [126, 127, 128, 129, 127, 130]
    assert reader.extend(UNNUMBERED) == UNNUMBERED


def test_numbers_are_written_where_they_stand_in_their_width():
    numbers = Numbers.of([Number(0x7FFF, 2, True, 255, 4), Number(5, 2, False), UNNUMBERED])
    slots = np.full((3, 12), 0xEE, np.uint8)
    numbers.write(slots, np.array([1, 0, 0]), picture_shift=2, tl0_shift=1)
    assert slots[0].tobytes().hex() == "eeeeee8001" + "00" + "ee" * 6
    assert slots[1].tobytes().hex() == "eeee07" + "ee" * 9
    assert slots[2].tobytes() == b"\xee" * 12


def test_the_newest_of_numbers_is_the_latest_over_a_wrap():
    assert newest_of(np.array([0x7FFE, 0x7FFF, 1, 0], np.int32), 0x7FFF) == 1
    assert newest_of(np.array([-1, -1], np.int32), 0xFF) == -1
