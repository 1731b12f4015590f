"""The forwarder on a stage: cameras, viewers on a real socket, and scripted time."""

from itertools import pairwise

from fakes.cameras import Camera, Viewer, batch_of
from fakes.clock import ScriptedClock

from bridges.video import feedback
from bridges.video.counts import VideoCounts
from bridges.video.forwarder import Forwarder


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


def assert_unbroken(packets):
    assert all(
        (after.sequence - before.sequence) & 0xFFFF == 1 for before, after in pairwise(packets)
    ), [packet.sequence for packet in packets]
    assert all(
        ((after.timestamp - before.timestamp) & 0xFFFFFFFF) < 90_000
        for before, after in pairwise(packets)
    )
