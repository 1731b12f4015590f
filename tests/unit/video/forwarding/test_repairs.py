"""What was lost on its way to the forwarder or from it, and what both ends are told of how it went."""

from fakes.cameras import CAMERA_RTX, VIEW_RTX, Camera, rtp
from fakes.picture_stage import assert_unbroken

from bridges.video import feedback
from bridges.video.streams import Extensions


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
