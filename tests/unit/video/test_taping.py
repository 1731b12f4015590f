"""What of a source gets into its recording: real pictures from the forwarder's tap to a file."""

import asyncio

import av
import pytest
from fakes.cameras import Camera, batch_of, rtp
from fakes.clock import ScriptedClock
from fakes.pictures import pictures_of, rtp_stream
from fakes.waiting import eventually

from bridges.video.counts import VideoCounts
from bridges.video.forwarder import Forwarder
from bridges.video.taping import Taping
from commhub.ports.video import RecordedVideo, VideoCodec

FRAME_S = 1 / 30


class Stage:
    """A camera in a room, recorded; a picture takes its time."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = ScriptedClock()
        self.told = []
        self.forwarder = Forwarder(self.clock, VideoCounts())
        self.taping = Taping(
            folder,
            self.clock,
            self.told.append,
            self.forwarder.room_of,
            self.forwarder.request_keyframe,
        )
        self.forwarder.tap = self.taping.take
        self.recorder = self.taping.recorder
        self.recorder.start()
        self.camera = Camera()
        self.source = self.forwarder.add_source(
            "s", "cam", "room", self.camera.streams(), self.camera
        )

    def show(self, pictures):
        for picture in pictures:
            packets = [
                rtp(one.sequence, one.timestamp, one.payload, marker=one.marker) for one in picture
            ]
            self.source.take_rtp(batch_of(packets), self.clock.monotonic())
            self.forwarder.flush()
            self.clock.advance(FRAME_S)
            self.forwarder.tick()

    async def close(self):
        """Finish every file; twice is once."""
        recorder, self.recorder = self.recorder, None
        if recorder is not None:
            await asyncio.to_thread(recorder.close)

    async def recorded(self):
        self.taping.record("cam", on=False)
        await eventually(lambda: self.told)
        (stored,) = self.told
        assert isinstance(stored, RecordedVideo)
        with av.open(str(self.folder / stored.path)) as container:
            return [float(one.pts * one.time_base) for one in container.decode(video=0)]


@pytest.fixture
async def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    await made.close()


async def test_what_a_source_shows_while_it_is_muted_is_a_gap_in_its_recording(stage):
    pictures = pictures_of(tuple(rtp_stream(VideoCodec.H264, 320, 240, frames=90)))
    stage.taping.record("cam", on=True)
    stage.show(pictures[:30])
    stage.forwarder.mute("cam", True)
    stage.show(pictures[30:60])
    stage.forwarder.mute("cam", False)
    stage.show(pictures[60:])
    times = await stage.recorded()
    assert not any(30 * FRAME_S - 0.01 <= one < 60 * FRAME_S - 0.01 for one in times), times
    assert sum(one < 30 * FRAME_S - 0.01 for one in times) == 30
    # From the next key frame on.
    assert [one for one in times if one >= 60 * FRAME_S - 0.01]


async def test_a_source_that_is_muted_all_the_time_has_no_file(stage):
    pictures = pictures_of(tuple(rtp_stream(VideoCodec.H264, 320, 240, frames=20)))
    stage.forwarder.mute("cam", True)
    stage.taping.record("cam", on=True)
    stage.show(pictures)
    stage.taping.record("cam", on=False)
    await stage.close()
    assert stage.told == []
    assert list(stage.folder.rglob("*.mp4*")) == []
