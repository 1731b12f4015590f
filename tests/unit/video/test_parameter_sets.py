"""A stream whose parameter sets are only in its SDP: everybody who watches gets them with each key frame."""

import base64
import socket
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from fakes.cameras import CAMERA_RTX, Camera, Viewer, batch_of, rtp
from fakes.clock import ScriptedClock
from fakes.offers import chromium
from hypothesis import given
from hypothesis import strategies as st

from bridges.transport.sdp import read_publication
from bridges.video import agreements
from bridges.video.codecs import h264
from bridges.video.counts import VideoCounts
from bridges.video.forwarder import Forwarder
from bridges.video.ingest import packing
from bridges.video.preface import Preface
from commhub.ports.video import PublishOrder

SIZE = (320, 240)


@pytest.fixture(scope="module")
def encoded():
    """Pictures as lists of NAL units, key frames every fifth, in slices, and the parameter sets they came with."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = *SIZE, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 30), Fraction(30)
    codec.options = {
        "preset": "ultrafast",
        "qp": "36",
        "tune": "zerolatency",
        "x264-params": "keyint=5:min-keyint=5:scenecut=0",
    }
    random = np.random.default_rng(7)
    pictures, sets = [], []
    for index in range(15):
        luma = random.integers(0, 255, (SIZE[1] * 3 // 2, SIZE[0]), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(luma, format="yuv420p")
        frame.pts = index
        for packet in codec.encode(frame):
            units = list(packing.units_of(bytes(packet)))
            sets = sets or [one for one in units if one[0] & 0x1F in (7, 8)]
            pictures.append([one for one in units if one[0] & 0x1F in (1, 5)])
    return pictures, sets


def payload_of(sets):
    return h264.aggregate_of(",".join(base64.b64encode(one).decode() for one in sets))


class Stage:
    """A camera that keeps its parameter sets to itself, and somebody who watches."""

    def __init__(self, wire, parameter_sets, **streams):
        self.clock = ScriptedClock()
        self.counts = VideoCounts()
        self.forwarder = Forwarder(self.clock, self.counts)
        self.camera = Camera()
        self.handle = self.forwarder.add_source(
            "s", "cam", "room", self.camera.streams(parameter_sets=parameter_sets, **streams),
            self.camera,
        )  # fmt: skip
        self.viewer = Viewer(wire)
        self.forwarder.add_view("v", "cam", "room", self.viewer.stream, self.viewer)
        self.forwarder.tick()

    def packets(self, units):
        """The packets of one picture."""
        self.camera.timestamp = self.camera.timestamp + 3000 & 0xFFFFFFFF
        made = []
        payloads = packing.pack(units)
        for payload in payloads:
            made.append(
                rtp(
                    self.camera.sequence,
                    self.camera.timestamp,
                    payload,
                    marker=payload is payloads[-1],
                )
            )
            self.camera.sequence = self.camera.sequence + 1 & 0xFFFF
        return made

    def give(self, packets):
        self.handle.take_rtp(batch_of(packets), self.clock.monotonic())
        self.forwarder.flush()
        self.clock.advance(1 / 30)
        self.forwarder.tick()

    def settle(self):
        """Until nobody is behind."""
        for _ in range(20):
            self.clock.advance(0.02)
            self.forwarder.tick()


@pytest.fixture
def stage(encoded):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.setblocking(False)
        made = Stage(wire, payload_of(encoded[1]))
        yield made
        made.viewer.close()


def kinds(packets):
    return [h264.unit_kinds(memoryview(one.payload)) for one in packets]


def decoded(packets):
    """Sizes of the pictures somebody sees who has nothing but these."""
    codec = av.CodecContext.create("h264", "r")
    stream = h264.assemble([one.payload for one in packets])
    assert stream is not None
    return [
        (frame.width, frame.height)
        for packet in [*codec.parse(stream), *codec.parse(b"")]
        for frame in codec.decode(packet)
    ]


def assert_unbroken(packets):
    assert all(
        after.sequence - before.sequence & 0xFFFF == 1 for before, after in pairwise(packets)
    )


def test_a_viewer_decodes_a_stream_whose_parameter_sets_are_only_in_its_sdp(stage, encoded):
    pictures, _ = encoded
    for picture in pictures:
        stage.give(stage.packets(picture))
    stage.settle()
    got = stage.viewer.take()
    assert kinds(got).count((7, 8)) == 3
    assert_unbroken(got)
    assert len(decoded(got)) >= len(pictures) - 1
    assert set(decoded(got)) == {SIZE}
    sets = [one for one in got if one.payload[0] & 0x1F == 24]
    assert not any(one.marker for one in sets)
    assert all(one.timestamp == after.timestamp for one, after in pairwise(got) if one in sets)


def test_without_them_it_would_be_no_picture(encoded):
    """What the first test proves is not the decoder's doing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        bare = Stage(wire, b"")
        for picture in encoded[0]:
            bare.give(bare.packets(picture))
        bare.settle()
        got = bare.viewer.take()
        bare.viewer.close()
    assert got
    with suppress(av.error.InvalidDataError):
        assert decoded(got) == []


def test_a_newcomer_begins_with_the_parameter_sets(stage, encoded):
    pictures, _ = encoded
    for picture in pictures[:8]:
        stage.give(stage.packets(picture))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        late = Viewer(wire, ssrc=77)
        stage.forwarder.add_view("late", "cam", "room", late.stream, late)
        stage.settle()
        got = late.take()
        late.close()
    assert kinds(got)[0] == (7, 8)
    assert set(decoded(got)) == {SIZE}


def test_a_stream_that_sends_its_own_is_left_alone(stage, encoded):
    pictures, sets = encoded
    for index, picture in enumerate(pictures):
        stage.give(stage.packets([*sets, *picture] if index % 5 == 0 else picture))
    stage.settle()
    got = stage.viewer.take()
    assert kinds(got).count((7, 8)) == 3
    assert len(got) == stage.counts.received


def test_what_is_missing_is_asked_for_under_the_number_its_sender_knows(stage, encoded):
    pictures, _ = encoded
    for picture in pictures[:6]:
        stage.give(stage.packets(picture))
    packets = [stage.packets(picture) for picture in pictures[6:8]]
    lost = packets[0].pop()
    number = int.from_bytes(lost[2:4], "big")
    for some in packets:
        stage.give(some)
    stage.settle()
    assert set(stage.camera.nacks) == {number}
    blocks = [block for told in stage.camera.told for block in told.blocks]
    assert blocks[-1].highest_sequence & 0xFFFF == stage.camera.sequence - 1 & 0xFFFF
    repair = rtp(
        1, int.from_bytes(lost[4:8], "big"), lost[2:4] + lost[12:], ssrc=9, kind=CAMERA_RTX
    )
    stage.give([repair[:1] + bytes((lost[1] & 0x80 | CAMERA_RTX,)) + repair[2:]])
    stage.settle()
    got = sorted(stage.viewer.take(), key=lambda one: one.sequence - 1 & 0xFFFF)
    assert stage.counts.recovered == 1
    assert any(one.payload == lost[12:] for one in got)


def test_a_key_frame_whose_beginning_is_late_has_its_parameter_sets_before_that(stage, encoded):
    pictures, _ = encoded
    for picture in pictures[:5]:
        stage.give(stage.packets(picture))
    packets = stage.packets(pictures[5])
    assert len(packets) > 3
    stage.give([*packets[2:4], packets[0], packets[1], *packets[4:]])
    stage.settle()
    got = sorted(stage.viewer.take(), key=lambda one: one.sequence)
    at = kinds(got).index((7, 8), 2)
    assert got[at + 1].payload == packets[0][12:]
    assert_unbroken(got)
    assert set(decoded(got)) == {SIZE}


@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=20),
    st.integers(0, 0xFFFF),
    st.randoms(use_true_random=False),
)
def test_numbers_stay_apart_and_lead_back(sizes, first, random):
    """Whatever order packets come in within a picture or two."""
    parameters = b"\x78\x00\x02\x67\x42\x00\x02\x68\xce"
    preface = Preface(parameters)
    stream = []
    for picture, size in enumerate(sizes):
        head = b"\x65" if picture % 3 == 0 else b"\x41"
        for place in range(size):
            payload = np.frombuffer(head + (b"\x88" if place == 0 else b"\x08"), np.uint8)
            stream.append(
                (first + len(stream) & 0xFFFF, picture * 3000, place == size - 1, payload)
            )
    order = sorted(range(len(stream)), key=lambda one: one + random.uniform(0, 4))
    # The first to come says where the numbers begin.
    order.sort(key=lambda one: one != 0)
    out = list(preface.insert(stream[one] for one in order))
    numbers = [sequence for sequence, *_ in out]
    assert len(set(numbers)) == len(numbers)
    ours = [one for one in out if one[3].tobytes() == parameters]
    assert len(ours) == len({timestamp for _, timestamp, *_ in ours})
    back = [
        preface.original(sequence) & 0xFFFF
        for sequence, _, _, payload in out
        if payload.tobytes() != parameters
    ]
    assert back == [stream[one][0] for one in order]


def test_an_offer_of_whip_brings_its_parameter_sets():
    encoded = "Z0LAH9oBQBboQAAAAwBAAAAPI8YMqA==,aM48gA=="
    text = chromium().replace(
        "profile-level-id=42e01f", f"profile-level-id=42e01f;sprop-parameter-sets={encoded}"
    )
    assert encoded in text
    offer = read_publication(text)
    order = PublishOrder(session_id="s", room_id="r", source_id="cam")
    streams = agreements.streams_of(order, offer, agreements.layers_of(order, offer))
    assert h264.unit_kinds(memoryview(streams.parameter_sets)) == (7, 8)
