"""What a view gets of a source, packet by packet, over real sockets and without encryption."""

import pytest
from fakes.cameras import VIEW_TYPE, batch_of, rtp
from fakes.picture_stage import assert_unbroken

from bridges.video import feedback
from bridges.video.events import SourceStarted, SpeakerMoved
from bridges.video.streams import Extensions
from commhub.ports.video import SPEAKER


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
