"""What a view gets of a source, packet by packet, over real sockets and without encryption."""

import socket
from itertools import pairwise

import pytest
from fakes.cameras import CAMERA_RTX, VIEW_RTX, VIEW_TYPE, Camera, Viewer, batch_of, rtp
from fakes.clock import ScriptedClock

from bridges.video import feedback
from bridges.video.counts import VideoCounts
from bridges.video.events import SourceStarted, SpeakerMoved
from bridges.video.forwarder import Forwarder
from bridges.video.streams import Extensions
from commhub.ports.video import SPEAKER


class Stage:
    """A forwarder, a camera, viewers, and scripted time."""

    def __init__(self, wire):
        self.wire = wire
        self.clock = ScriptedClock()
        self.counts = VideoCounts()
        self.events = []
        self.forwarder = Forwarder(self.clock, self.counts, self.events.append)
        self.viewers = []

    def camera(self, source_id="door", *, streams=None, **kwargs):
        camera = Camera(**kwargs)
        camera.handle = self.forwarder.add_source(
            f"s-{source_id}", source_id, "room", streams or camera.streams(), camera
        )
        return camera

    def viewer(self, source_id="door", **kwargs):
        viewer = Viewer(self.wire, **kwargs)
        self.viewers.append(viewer)
        viewer.handle = self.forwarder.add_view(
            f"v{len(self.viewers)}", source_id, "room", viewer.stream, viewer
        )
        self.forwarder.tick()
        return viewer

    def give(self, camera, packets):
        camera.handle.take_rtp(batch_of(packets), self.clock.monotonic())
        self.forwarder.flush()

    def pass_time(self, seconds, step=0.02):
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.forwarder.tick()

    def run(self, camera, pictures, **kwargs):
        """Ordinary pictures at 30 a second."""
        for _ in range(pictures):
            self.give(camera, camera.picture(**kwargs))
            self.clock.advance(1 / 30)
            self.forwarder.tick()

    def nack(self, viewer, *lost):
        packet = feedback.write_nack(1, viewer.stream.ssrc, lost)
        viewer.handle.take_rtcp(packet, self.clock.monotonic())


@pytest.fixture
def stage():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.setblocking(False)
        made = Stage(wire)
        yield made
        for viewer in made.viewers:
            viewer.close()


def assert_unbroken(packets):
    assert all(
        (after.sequence - before.sequence) & 0xFFFF == 1 for before, after in pairwise(packets)
    ), [packet.sequence for packet in packets]
    assert all(
        ((after.timestamp - before.timestamp) & 0xFFFFFFFF) < 90_000
        for before, after in pairwise(packets)
    )


def test_a_view_gets_the_packets_under_its_own_numbers(stage):
    camera, viewer = stage.camera(), None
    viewer = stage.viewer()
    sent = camera.picture(key=True)
    stage.give(camera, sent)
    got = viewer.take()
    assert [packet.payload for packet in got] == [packet[12:] for packet in sent]
    assert {packet.ssrc for packet in got} == {viewer.stream.ssrc}
    assert {packet.payload_type for packet in got} == {VIEW_TYPE}
    assert [packet.marker for packet in got] == [False, False, False, True]
    stage.run(camera, 30)
    assert_unbroken([*got, *viewer.take()])
    assert [type(event) for event in stage.events] == [SourceStarted]


def test_many_views_each_get_every_packet(stage):
    camera = stage.camera()
    viewers = [stage.viewer(ssrc=1000 + n) for n in range(60)]
    stage.give(camera, camera.picture(12, key=True))
    stage.run(camera, 5, packets=9)
    for viewer in viewers:
        got = viewer.take()
        assert len(got) == 12 + 5 * 9
        assert_unbroken(got)
        assert {packet.ssrc for packet in got} == {viewer.stream.ssrc}


def test_nothing_is_shown_before_a_key_frame_and_one_is_asked_for(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.run(camera, 3)
    assert viewer.take() == []
    assert camera.keyframes == 1
    stage.give(camera, camera.picture(key=True))
    assert len(viewer.take()) == 4


def test_a_newcomer_begins_at_the_last_key_frame_and_ends_at_the_present(stage):
    camera, first = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(20, key=True))
    stage.run(camera, 20)
    late = stage.viewer()
    stage.pass_time(0.3)
    got = late.take()
    assert got[0].payload[:2] == b"\x65\x88"
    assert len(got) == 20 + 20 * 4
    assert_unbroken(got)
    # Put close together: the newcomer's clock is not 20 pictures behind.
    assert (got[-1].timestamp - got[0].timestamp) & 0xFFFFFFFF <= 20 * 90
    stage.run(camera, 3)
    assert_unbroken([*got, *late.take()])
    assert stage.counts.replays == 1
    assert len(first.take()) == 20 + 23 * 4


def test_a_replay_is_no_burst(stage):
    camera = stage.camera()
    stage.viewer()
    stage.give(camera, camera.picture(150, key=True))
    stage.run(camera, 30)
    late = stage.viewer()
    assert 0 < len(late.take()) <= 60
    stage.pass_time(0.2)
    assert len(late.take()) >= 150


def test_a_lost_packet_is_asked_for_upstream_and_passed_on_when_it_comes_as_rtx(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    packets = camera.picture(6)
    missing = packets.pop(2)
    stage.give(camera, packets)
    stage.pass_time(0.04)
    lost = int.from_bytes(missing[2:4], "big")
    assert camera.nacks == [lost]
    before = viewer.take()
    repair = rtp(
        7,
        int.from_bytes(missing[4:8], "big"),
        missing[2:4] + missing[12:],
        ssrc=0xBEEF,
        kind=CAMERA_RTX,
    )
    stage.give(camera, [repair])
    (late,) = viewer.take()
    assert late.payload == missing[12:]
    assert sorted(
        (packet.sequence - before[0].sequence) & 0xFFFF for packet in [*before, late]
    ) == list(range(10))
    assert stage.counts.recovered == 1
    stage.pass_time(0.5)
    assert camera.nacks == [lost]


def again(packet, number, *, back=0):
    """A packet of a camera as RTX, as if its number were that much lower."""
    original = (int.from_bytes(packet[2:4], "big") - back & 0xFFFF).to_bytes(2, "big")
    timestamp = int.from_bytes(packet[4:8], "big")
    return rtp(number, timestamp, original + packet[12:], ssrc=0xBEEF, kind=CAMERA_RTX)


def test_a_browser_that_probes_its_way_with_rtx_is_not_asked_for_it_and_sends_no_duplicates(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, packets := camera.picture(6, key=True))
    shown = len(viewer.take())
    stage.give(camera, [again(one, n) for n, one in enumerate(packets * 5)])
    stage.give(camera, [rtp(100, 1, b"", ssrc=0xBEEF, kind=CAMERA_RTX)])
    stage.pass_time(0.5)
    assert (shown, viewer.take(), camera.nacks) == (6, [], [])
    counts = stage.counts
    assert (counts.probes, counts.duplicate, counts.recovered, counts.asked) == (31, 0, 0, 0)


def test_a_probe_in_the_same_batch_as_its_original_takes_nothing_from_it(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    (one,) = camera.picture(1)
    stage.give(camera, [again(one, 1), one, again(one, 2)])
    assert len(viewer.take()) == 5
    counts = stage.counts
    assert (counts.received, counts.recovered, counts.probes, counts.duplicate) == (5, 0, 2, 0)


def test_probes_with_old_packets_are_no_new_stream(stage):
    camera, viewer = stage.camera(sequence=10_000), stage.viewer()
    stage.give(camera, packets := camera.picture(6, key=True))
    stage.give(camera, [again(one, n, back=5000) for n, one in enumerate(packets * 5)])
    assert (stage.counts.too_late, stage.counts.restarts) == (30, 0)
    stage.run(camera, 3)
    assert_unbroken(viewer.take())


def test_what_never_comes_is_given_up_and_a_key_frame_asked_for(stage):
    camera, _ = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    packets = camera.picture(6)
    stage.give(camera, packets[:2] + packets[3:])
    stage.pass_time(1.5)
    assert 2 <= len(camera.nacks) <= 8
    assert 1 <= camera.keyframes <= 2
    assert stage.counts.given_up == 1


def test_a_nack_is_answered_by_rtx_from_the_cache(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 2)
    lost = viewer.take()[5]
    stage.nack(viewer, lost.sequence)
    (again,) = viewer.take()
    assert again.payload_type == VIEW_RTX
    assert again.ssrc == viewer.stream.rtx_ssrc
    assert again.payload == lost.sequence.to_bytes(2, "big") + lost.payload
    assert (again.timestamp, again.marker) == (lost.timestamp, lost.marker)


def test_without_rtx_the_same_packet_is_sent_again(stage):
    camera, viewer = stage.camera(), stage.viewer(rtx=False, extensions=Extensions(transport_cc=3))
    stage.give(camera, camera.picture(key=True))
    lost = viewer.take()[1]
    stage.nack(viewer, lost.sequence)
    # Under AES-GCM two different packets of one number would give the key away.
    assert viewer.take() == [lost]
    assert lost.extension == b""


def test_nacks_are_no_amplifier(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 60)
    known = [packet.sequence for packet in viewer.take()]
    for _ in range(50):
        stage.nack(viewer, *known)
    bytes_again = sum(len(packet.payload) for packet in viewer.take())
    assert 0 < bytes_again < 200_000
    assert stage.counts.refused_repairs > 10_000
    stage.nack(viewer, 1, 2, 3)
    assert viewer.take() == []


def test_send_time_and_transport_numbers_are_each_views_own(stage):
    camera = stage.camera()
    both = stage.viewer(extensions=Extensions(abs_send_time=2, transport_cc=5))
    one = stage.viewer(ssrc=77, extensions=Extensions(abs_send_time=9))
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 2)
    numbers = [int.from_bytes(packet.element(5), "big") for packet in both.packets]
    assert numbers == list(range(12))
    assert all(len(packet.element(2)) == 3 for packet in both.packets)
    assert all(len(packet.element(9)) == 3 for packet in one.packets)
    assert all(packet.element(5) is None for packet in one.packets)


def test_the_publishers_extensions_and_padding_end_here(stage):
    camera, viewer = stage.camera(), stage.viewer()
    packets = camera.picture(3, key=True, extension=b"\x31\x00\x07\x00")
    padded = bytearray(packets[1])
    padded[0] |= 0x20
    packets[1] = bytes(padded) + b"\x00\x00\x00\x04"
    stage.give(camera, packets)
    got = viewer.take()
    assert [packet.extension for packet in got] == [b"", b"", b""]
    assert got[1].payload == packets[1][20:-4]


@pytest.mark.parametrize("begins_at", [50_000, 10])
def test_a_publisher_that_begins_anew_is_a_freeze_and_not_a_new_stream(stage, begins_at):
    camera, viewer = stage.camera(sequence=begins_at), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 5)
    camera.ssrc, camera.sequence, camera.timestamp = 0xD00D, 17, 99
    stage.run(camera, 3)
    before = viewer.take()
    assert len(before) == 4 + 5 * 4
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 2)
    after = viewer.take()
    assert len(after) == 3 * 4
    assert_unbroken([*before, *after])
    assert stage.counts.restarts == 1


def test_a_view_is_shown_another_source_without_a_break(stage):
    door, gate = stage.camera("door"), stage.camera("gate", ssrc=0xA1, sequence=5, timestamp=7)
    viewer = stage.viewer()
    for camera in (door, gate):
        stage.give(camera, camera.picture(key=True))
        stage.run(camera, 3)
    from_door = viewer.take()
    viewer.handle.show("gate", 0)
    stage.pass_time(0.04)
    from_gate = viewer.take()
    assert len(from_gate) == 16
    stage.run(gate, 3)
    assert_unbroken([*from_door, *from_gate, *viewer.take()])
    stage.run(door, 3)
    assert viewer.take() == []


def test_a_nack_from_before_a_switch_still_finds_its_packet(stage):
    door, gate = stage.camera("door"), stage.camera("gate", ssrc=0xA1, sequence=5, timestamp=7)
    viewer = stage.viewer()
    for camera in (door, gate):
        stage.give(camera, camera.picture(key=True))
    lost = viewer.take()[-1]
    viewer.handle.show("gate", 0)
    stage.pass_time(0.04)
    assert viewer.take()
    stage.nack(viewer, lost.sequence)
    (again,) = viewer.take()
    assert again.payload[2:] == lost.payload


def test_a_muted_source_is_a_freeze_until_its_next_key_frame(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    before = viewer.take()
    stage.forwarder.mute("door", True)
    stage.run(camera, 3)
    stage.give(camera, camera.picture(key=True))
    assert viewer.take() == []
    stage.forwarder.mute("door", False)
    stage.run(camera, 2)
    assert viewer.take() == []
    assert camera.keyframes >= 1
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 2)
    assert_unbroken([*before, *viewer.take()])


def test_what_a_muted_source_sent_is_shown_to_no_newcomer_either(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    stage.forwarder.mute("door", True)
    stage.give(camera, camera.picture(7, key=True))
    stage.run(camera, 3)
    stage.forwarder.mute("door", False)
    late = stage.viewer(ssrc=77)
    stage.pass_time(0.5)
    assert late.take() == []
    viewer.take()
    shown = camera.picture(5, key=True)
    stage.give(camera, shown)
    for one in (late, viewer):
        assert [packet.payload for packet in one.take()] == [packet[12:] for packet in shown]


def test_speaker_is_whoever_speaks(stage):
    door, gate = stage.camera("door"), stage.camera("gate", ssrc=0xA1, sequence=5, timestamp=7)
    for camera in (door, gate):
        stage.give(camera, camera.picture(key=True))
    viewer = stage.viewer(SPEAKER)
    stage.pass_time(0.1)
    first = viewer.take()
    assert len(first) == 4
    for _ in range(60):
        stage.forwarder.heard("gate", -20, stage.clock.monotonic())
        stage.pass_time(0.02)
    stage.run(gate, 1)
    stage.give(gate, gate.picture(key=True))
    assert_unbroken([*first, *viewer.take()])
    stage.run(door, 2)
    assert viewer.take() == []
    stage.run(gate, 2)
    assert len(viewer.take()) == 8


def test_who_speaks_without_a_picture_is_told_and_the_picture_stays_as_it_is(stage):
    door = stage.camera("door")
    stage.give(door, door.picture(key=True))
    viewer = stage.viewer(SPEAKER)
    stage.pass_time(0.1)
    viewer.take()
    stage.forwarder.told("room", "phone", -20)
    stage.pass_time(0.5)
    assert stage.events[-1] == SpeakerMoved("room", "phone")
    stage.run(door, 2)
    assert len(viewer.take()) == 8
    stage.forwarder.left("room", "phone")
    assert stage.events[-1] == SpeakerMoved("room", None)


def test_a_picture_whose_voice_is_heard_elsewhere_is_shown_when_it_speaks(stage):
    door, gate = stage.camera("door"), stage.camera("gate", ssrc=0xA1, sequence=5, timestamp=7)
    for camera in (door, gate):
        stage.give(camera, camera.picture(key=True))
    viewer = stage.viewer(SPEAKER)
    stage.pass_time(0.1)
    viewer.take()
    stage.forwarder.told("room", "gate", -20)
    stage.pass_time(0.5)
    stage.give(gate, gate.picture(key=True))
    viewer.take()
    stage.run(door, 2)
    stage.run(gate, 2)
    assert len(viewer.take()) == 8
    # Its source is there yet, whoever says that they have left.
    stage.forwarder.left("room", "gate")
    assert stage.events[-1] == SpeakerMoved("room", "gate")


def test_publishers_are_told_twice_a_second_how_they_are_received(stage):
    camera, _ = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 60)
    blocks = [block for told in camera.told for block in told.blocks]
    assert 3 <= len(blocks) <= 5
    assert blocks[-1].ssrc == camera.ssrc
    assert 0 < (camera.sequence - blocks[-1].highest_sequence & 0xFFFF) <= 16 * 4
    assert (blocks[-1].packets_lost, blocks[-1].fraction_lost) == (0, 0)


def test_transport_feedback_tells_of_every_packet(stage):
    camera = Camera()
    camera.handle = stage.forwarder.add_source(
        "s", "door", "room", camera.streams(extensions=Extensions(transport_cc=3)), camera
    )
    for number in range(40):
        element = b"\x31" + (65_520 + number & 0xFFFF).to_bytes(2, "big")
        stage.give(camera, camera.picture(1, key=number == 0, extension=element))
        stage.pass_time(0.02)
    arrived = [
        told.first + index & 0xFFFF
        for one in camera.told
        for told in one.transport
        for index, at in enumerate(told.arrivals)
        if at is not None
    ]
    assert arrived[:30] == [65_520 + number & 0xFFFF for number in range(30)]


def test_a_view_hears_the_time_of_its_own_stream(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 60)
    last = viewer.packets[-1]
    one = viewer.reports[-1]
    sender = one.senders[viewer.stream.ssrc]
    assert abs(sender.rtp_timestamp - last.timestamp) < 90_000
    assert 0 < sender.packet_count <= len(viewer.packets)
    assert len(viewer.reports) >= 2


def test_key_frames_are_asked_for_once_for_all(stage):
    camera = stage.camera()
    viewers = [stage.viewer(ssrc=100 + n) for n in range(10)]
    stage.give(camera, camera.picture(key=True))
    asked = camera.keyframes
    for viewer in viewers:
        packet = feedback.write_pli(1, viewer.stream.ssrc)
        viewer.handle.take_rtcp(packet, stage.clock.monotonic())
    stage.pass_time(0.6)
    assert camera.keyframes - asked <= 2
    assert camera.keyframes > asked


def test_a_thin_path_gets_a_large_picture_piece_by_piece_and_others_at_once(stage):
    camera, thin, wide = stage.camera(), stage.viewer(), stage.viewer(ssrc=9)
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 30)
    block = feedback.ReportBlock(
        ssrc=thin.stream.ssrc,
        fraction_lost=90,
        packets_lost=40,
        highest_sequence=1,
        jitter=1,
        lsr=0,
        dlsr=0,
    )
    report = feedback.write_reports(1, None, [block], feedback.cname(b"thin"))
    thin.handle.take_rtcp(report, stage.clock.monotonic())
    stage.pass_time(0.3)
    thin.take(), wide.take()
    stage.give(camera, camera.picture(100, key=True))
    assert len(wide.take()) == 100
    at_once = len(thin.take())
    assert at_once < 70
    stage.pass_time(0.6)
    rest = thin.take()
    assert at_once + len(rest) == 100
    stage.run(camera, 2)
    assert_unbroken([*rest, *thin.take()])


def test_reordered_duplicate_and_ancient_packets_are_what_they_are(stage):
    camera, viewer = stage.camera(sequence=10_000), stage.viewer()
    packets = camera.picture(6, key=True)
    stage.give(camera, packets[:2])
    stage.give(camera, [packets[3], packets[2], packets[3]])
    stage.give(camera, packets[4:])
    got = viewer.take()
    assert [packet.payload[2] for packet in got] == [0, 1, 3, 2, 4, 5]
    first = got[0].sequence
    assert [packet.sequence - first & 0xFFFF for packet in got] == [0, 1, 3, 2, 4, 5]
    assert stage.counts.duplicate == 1
    stage.give(camera, [rtp(10_000 - 5000, 1, b"\x41\x88ancient")])
    assert viewer.take() == []
    assert stage.counts.too_late == 1


def test_an_rtp_packet_of_fifteen_hundred_bytes_goes_through(stage):
    camera, viewer = stage.camera(), stage.viewer()
    long = rtp(65_530, 1, b"\x65\x88" + bytes(1486), marker=True)
    assert len(long) == 1500
    stage.give(camera, [long, long[:2] + b"\xff\xfb" + long[4:]])
    got = viewer.take()
    assert [len(packet.payload) for packet in got] == [1488, 1488]


def test_a_gone_source_leaves_its_views_waiting_for_the_next(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    before = viewer.take()
    camera.handle.close()
    stage.pass_time(0.1)
    again = stage.camera(ssrc=0xEE, sequence=1)
    stage.pass_time(0.1)
    stage.give(again, again.picture(key=True))
    stage.pass_time(0.3)
    stage.run(again, 2)
    assert_unbroken([*before, *viewer.take()])


def test_a_closed_view_is_sent_nothing_more(stage):
    camera, viewer, other = stage.camera(), stage.viewer(), stage.viewer(ssrc=5)
    stage.give(camera, camera.picture(key=True))
    viewer.take()
    viewer.handle.close()
    stage.run(camera, 2)
    assert viewer.take() == []
    assert len(other.take()) == 12
    assert len(stage.forwarder.view_meters()) == 1


def test_meters_say_what_arrives_and_what_is_shown(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    stage.run(camera, 60)
    (source,) = stage.forwarder.source_meters()
    (layer,) = source.layers
    assert 28 <= layer.fps <= 32
    assert 800 <= layer.kbps <= 1000
    assert source.views == 1
    (view,) = stage.forwarder.view_meters()
    assert view.session_id == "v1"
    assert 800 <= view.kbps <= 1000
    assert viewer.take()


def test_a_picture_of_many_views_waits_for_its_rest_while_that_is_coming(stage):
    camera = stage.camera()
    viewers = [stage.viewer(ssrc=1000 + n) for n in range(30)]
    stage.give(camera, camera.picture(key=True))
    stage.pass_time(0.2)
    packets = camera.picture(6)
    now = stage.clock.monotonic()
    for viewer in viewers:
        viewer.take()

    camera.handle.take_rtp(batch_of(packets[:2]), now)
    assert not stage.forwarder.flush(may_wait=True)
    assert not any(viewer.take() for viewer in viewers)
    camera.handle.take_rtp(batch_of(packets[2:]), now)
    assert stage.forwarder.flush(may_wait=True)
    assert {len(viewer.take()) for viewer in viewers} == {6}

    camera.handle.take_rtp(batch_of(camera.picture(6)[:2]), now)
    assert stage.forwarder.flush(may_wait=False)
    assert {len(viewer.take()) for viewer in viewers} == {2}


def test_a_picture_of_few_views_waits_for_nothing(stage):
    camera, viewer = stage.camera(), stage.viewer()
    stage.give(camera, camera.picture(key=True))
    viewer.take()
    camera.handle.take_rtp(batch_of(camera.picture(6)[:2]), stage.clock.monotonic())
    assert stage.forwarder.flush(may_wait=True)
    assert len(viewer.take()) == 2
