"""Recordings of real encoders' streams: all pictures, true sizes and times, nothing made into another, nothing lost by a death."""

import hashlib
import json
import multiprocessing
import os
import random
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
import pytest
from fakes.clock import START, ScriptedClock
from fakes.pictures import Packet, pictures_of, rtp_stream

from bridges.video.events import VideoRecordingFailed
from bridges.video.footage import Footage, FootageError
from bridges.video.frames import Frame, FrameMaker, LayerPacket
from bridges.video.intake import CLOCK_RATE
from bridges.video.recorder import VideoRecorder
from commhub.ports.video import RecordedVideo, VideoCodec

CODECS = list(VideoCodec)
FRAME_S = 1 / 30


def as_layer(
    packets: Sequence[Packet], origin: int = 1, first: int = 70_000
) -> list[list[LayerPacket]]:
    """Picture by picture, as the layer's cache would hand them out."""
    begun = packets[0].sequence
    return [
        [
            LayerPacket(
                origin,
                first + (one.sequence - begun & 0xFFFF),
                one.timestamp,
                one.marker,
                one.payload,
            )
            for one in picture
        ]
        for picture in pictures_of(tuple(packets))
    ]


@dataclass
class Studio:
    """A recorder whose clock goes on by a frame with each picture."""

    folder: Path
    clock: ScriptedClock = field(default_factory=ScriptedClock)
    told: list[object] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recorder = VideoRecorder(self.folder, self.clock, self.told.append, self.asked.append)

    def show(
        self,
        pictures: Sequence[Sequence[LayerPacket]],
        codec: VideoCodec = VideoCodec.H264,
        source: str = "cam-1",
    ) -> None:
        for picture in pictures:
            if picture:
                self.recorder.write(source, codec, picture)
            self.clock.advance(FRAME_S)

    def record(
        self,
        pictures: Sequence[Sequence[LayerPacket]],
        codec: VideoCodec = VideoCodec.H264,
    ) -> RecordedVideo:
        self.recorder.start()
        self.recorder.begin("room-1", "cam-1")
        self.show(pictures, codec)
        self.recorder.stop("cam-1")
        self.recorder.close()
        (stored,) = self.told
        return stored


@dataclass
class Played:
    """What a player makes of a file."""

    sizes: list[tuple[int, int]]
    times: list[float]
    seconds: float
    codec: str


def play(path: Path) -> Played:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return Played(
            [(one.width, one.height) for one in frames],
            [float(one.pts * one.time_base) for one in frames],
            container.duration / av.time_base,
            container.streams.video[0].codec_context.codec.canonical_name,
        )


@pytest.mark.parametrize("codec", CODECS)
def test_a_recording_plays_with_every_picture_in_its_size_and_time(tmp_path, codec):
    pictures = as_layer(rtp_stream(codec, 320, 240, frames=60))
    stored = Studio(tmp_path).record(pictures, codec)
    path = tmp_path / stored.path
    played = play(path)
    assert played.sizes == [(320, 240)] * 60
    assert played.times == pytest.approx([i * FRAME_S for i in range(60)], abs=0.002)
    assert played.seconds == pytest.approx(2.0, abs=0.05)
    assert played.codec == codec.value.lower()
    assert stored == RecordedVideo(
        room_id="room-1",
        source_id="cam-1",
        path="2026-03-02/room-1~080000.000000~cam-1" + path.suffix,
        seconds=pytest.approx(59 * FRAME_S, abs=0.001),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size=path.stat().st_size,
        started_at=START.timestamp(),
        width=320,
        height=240,
    )
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, path.name + ".json"]


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_made_into_another(tmp_path, codec):
    """The file's packets are the encoder's, byte for byte but for how H.264 marks its units."""
    stream = rtp_stream(codec, 320, 240, frames=25)
    frames = FrameMaker(codec).take([one for some in as_layer(stream) for one in some], 0.0)
    stored = Studio(tmp_path).record(as_layer(stream), codec)
    with av.open(str(tmp_path / stored.path)) as container:
        kept = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert len(kept) == len(frames) == 25
    for packet, frame in zip(kept, frames, strict=True):
        if codec is VideoCodec.H264:
            units = frame.data.split(b"\x00\x00\x00\x01")[1:]
            assert all(unit.rstrip(b"\x00") in packet for unit in units)
        else:
            assert packet == frame.data


def test_a_size_that_changes_in_mid_stream_stays_one_file(tmp_path):
    """A browser that adapts sends new parameter sets and goes on in the same stream."""
    small = as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=30))
    offset = small[-1][-1].extended + 1
    large = [
        [one._replace(timestamp=one.timestamp + shift & 0xFFFFFFFF) for one in picture]
        for shift in [
            small[-1][0].timestamp + 3000 - rtp_stream(VideoCodec.H264, 640, 360, 30)[0].timestamp
        ]
        for picture in as_layer(rtp_stream(VideoCodec.H264, 640, 360, frames=30), first=offset)
    ]
    stored = Studio(tmp_path).record([*small, *large])
    played = play(tmp_path / stored.path)
    assert played.sizes == [(320, 240)] * 30 + [(640, 360)] * 30
    assert played.seconds == pytest.approx(2.0, abs=0.05)
    assert (stored.width, stored.height) == (640, 360)


def test_a_gap_stays_a_gap_and_a_picture_that_was_damaged_costs_those_up_to_the_next_key_frame(
    tmp_path,
):
    pictures = as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=60))
    studio = Studio(tmp_path)
    damaged = [*pictures[:23], pictures[23][:-1] if len(pictures[23]) > 1 else [], *pictures[24:]]
    lost = [some if not 43 <= i < 50 else [] for i, some in enumerate(damaged)]
    stored = studio.record(lost)
    played = play(tmp_path / stored.path)
    kept = [*range(23), *range(30, 43), *range(50, 60)]
    assert played.times == pytest.approx([i * FRAME_S for i in kept], abs=0.002)
    assert studio.asked == ["cam-1"], "at the beginning; later the next key frame had already come"


def test_a_loss_asks_for_a_key_frame_where_none_has_come_meanwhile(tmp_path):
    pictures = as_layer(rtp_stream(VideoCodec.VP8, 320, 240, frames=60, gop=50))
    studio = Studio(tmp_path)
    stored = studio.record([*pictures[:10], *pictures[11:]], VideoCodec.VP8)
    assert studio.asked == ["cam-1"] * 2
    times = play(tmp_path / stored.path).times
    assert times == pytest.approx([i * FRAME_S for i in [*range(10), *range(50, 60)]], abs=0.002)


def test_a_key_frame_with_a_hole_is_not_kept_though_vp8_does_not_show_it(tmp_path):
    pictures = as_layer(rtp_stream(VideoCodec.VP8, 320, 240, frames=40))
    assert len(pictures[10]) > 3
    maker = FrameMaker(VideoCodec.VP8)
    kept = []
    for i, picture in enumerate(
        [*pictures[:10], pictures[10][:1] + pictures[10][2:], *pictures[11:]]
    ):
        kept += maker.take(picture, i * FRAME_S)
    kept += maker.finish(40 * FRAME_S)
    assert [frame.time // 3000 for frame in kept] == [*range(10), *range(20, 40)]
    assert maker.incomplete == 10


def test_packets_out_of_order_and_repaired_late_lose_nothing(tmp_path):
    dice = random.Random(3)
    pictures = as_layer(rtp_stream(VideoCodec.VP8, 320, 240, frames=40))
    flat = [one for some in pictures for one in some]
    shuffled = [
        one for _, one in sorted((i + dice.uniform(0, 12), one) for i, one in enumerate(flat))
    ]
    doubled = [[one, one] if dice.random() < 0.1 else [one] for one in shuffled]
    maker = FrameMaker(VideoCodec.VP8)
    # Where the stream begins is the first packet that comes.
    maker.take(flat[:1], 0.0)
    frames = [frame for i, some in enumerate(doubled) for frame in maker.take(some, i / 400)]
    assert [one.time for one in frames] == [i * 3000 for i in range(40)]
    assert maker.incomplete == 0


def test_a_source_that_begins_anew_goes_on_in_its_file_after_a_true_gap(tmp_path):
    before = as_layer(rtp_stream(VideoCodec.VP9, 320, 240, frames=20), origin=1)
    after = as_layer(rtp_stream(VideoCodec.VP9, 320, 240, frames=25), origin=2, first=5)
    # Its new stream is joined in the middle of a group of pictures.
    stored = Studio(tmp_path).record([*before, *[[]] * 30, *after[4:]], VideoCodec.VP9)
    times = play(tmp_path / stored.path).times
    assert len(times) == 20 + 15
    assert times[20] - times[19] == pytest.approx((1 + 30 + 6) * FRAME_S, abs=0.01)
    assert times[-1] == pytest.approx(stored.seconds, abs=0.002)


def test_a_leap_of_the_senders_clock_is_no_gap(tmp_path):
    pictures = as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=20))
    leapt = [
        [one._replace(timestamp=one.timestamp + 3600 * CLOCK_RATE & 0xFFFFFFFF) for one in some]
        for some in pictures[10:]
    ]
    stored = Studio(tmp_path).record([*pictures[:10], *leapt])
    assert play(tmp_path / stored.path).seconds == pytest.approx(20 * FRAME_S, abs=0.05)


def test_another_codec_is_another_file(tmp_path):
    studio = Studio(tmp_path)
    studio.recorder.start()
    studio.recorder.begin("room-1", "cam-1")
    studio.show(as_layer(rtp_stream(VideoCodec.VP8, 320, 240, frames=20)), VideoCodec.VP8)
    studio.show(as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=20), origin=2))
    studio.recorder.close()
    assert [Path(one.path).suffix for one in studio.told] == [".webm", ".mp4"]
    assert [len(play(tmp_path / one.path).times) for one in studio.told] == [20, 20]


def test_two_sources_at_once_and_one_that_nobody_records(tmp_path):
    studio = Studio(tmp_path)
    pictures = as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=20))
    studio.recorder.start()
    for source in ("cam-1", "cam-2", "cam-2"):
        studio.recorder.begin("room-1", source)
    for picture in pictures:
        for source in ("cam-1", "cam-2", "cam-3"):
            studio.recorder.write(source, VideoCodec.H264, picture)
        studio.clock.advance(FRAME_S)
    studio.recorder.stop("cam-1")
    studio.recorder.stop("cam-3")
    studio.recorder.close()
    assert sorted(one.source_id for one in studio.told) == ["cam-1", "cam-2"]
    assert [len(play(tmp_path / one.path).times) for one in studio.told] == [20, 20]


def test_a_recording_without_a_key_frame_is_no_file(tmp_path):
    studio = Studio(tmp_path)
    studio.recorder.start()
    studio.recorder.begin("room-1", "cam-1")
    studio.show(as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=25))[1:9])
    studio.recorder.close()
    assert studio.told == []
    assert list(tmp_path.glob("*/*")) == []
    assert studio.asked == ["cam-1"]


@pytest.mark.parametrize("codec", CODECS)
def test_a_hostile_stream_ends_in_files_or_in_a_failure_and_never_in_a_dead_recorder(
    tmp_path, codec
):
    dice = random.Random(11)
    studio = Studio(tmp_path)
    pictures = as_layer(rtp_stream(codec, 320, 240, frames=40))
    damaged = []
    for picture in pictures:
        some = []
        for one in picture:
            payload = bytearray(one.payload)
            for _ in range(dice.randrange(6)):
                payload[dice.randrange(len(payload))] = dice.randrange(256)
            some.append(one._replace(payload=bytes(payload)))
        damaged.append(some)
    studio.recorder.start()
    for source in ("cam-1", "cam-2"):
        studio.recorder.begin("room-1", source)
    studio.show(damaged, codec)
    studio.show(pictures, codec, source="cam-2")
    studio.recorder.close()
    (whole,) = [one for one in studio.told if one.source_id == "cam-2"]
    assert len(play(tmp_path / whole.path).times) == 40


def test_an_id_that_cannot_name_a_file_is_a_failure_that_is_told(tmp_path):
    studio = Studio(tmp_path)
    studio.recorder.start()
    studio.recorder.begin("../room", "cam-1")
    studio.show(as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=40)))
    studio.recorder.close()
    (failed,) = studio.told
    assert isinstance(failed, VideoRecordingFailed)
    assert failed.source_id == "cam-1"
    assert studio.recorder.counts.refused == 3
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_a_failure_that_is_told(tmp_path):
    (tmp_path / "2026-03-02").write_text("a file where the day's directory should be")
    studio = Studio(tmp_path)
    studio.recorder.start()
    studio.recorder.begin("room-1", "cam-1")
    studio.show(as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=40)))
    studio.recorder.close()
    (failed,) = studio.told
    assert isinstance(failed, VideoRecordingFailed)


def test_a_writer_too_far_behind_drops_and_counts(tmp_path):
    studio = Studio(tmp_path)
    huge = LayerPacket(1, 70_000, 0, True, bytes(1 << 20))
    for _ in range(70):
        studio.recorder.write("cam-1", VideoCodec.H264, [huge])
    assert studio.recorder.counts.dropped == 6
    studio.recorder.start()
    studio.recorder.close()
    studio.recorder.write("cam-1", VideoCodec.H264, [huge])
    assert studio.recorder.counts.dropped == 6


def test_a_picture_without_end_is_bounded():
    maker = FrameMaker(VideoCodec.VP8)
    for i in range(20_000):
        maker.take([LayerPacket(1, 70_000 + i, 5, False, b"\x10\x00\x01")], i / 1000)
    assert len(maker._parts) < 4_100
    assert maker.incomplete >= 4
    for i in range(0, 20_000, 2):
        maker.take([LayerPacket(1, 200_000 + i, 5, False, b"\x10\x00\x01")], 20.0)
    assert len(maker._waiting) < 2_100


def test_a_recording_is_told_until_it_is_acknowledged(tmp_path):
    stored = Studio(tmp_path).record(
        as_layer(rtp_stream(VideoCodec.VP8, 320, 240, 25)), VideoCodec.VP8
    )
    recorder = Studio(tmp_path).recorder
    (tmp_path / "2026-03-02" / "other.webm.json").write_text("{")
    assert list(recorder.untold()) == [stored]
    recorder.told("../../etc/passwd")
    recorder.told(stored.path)
    assert list(recorder.untold()) == []


def test_a_file_that_a_container_refuses_is_one_error():
    frame = Frame(b"\x00", 0, True, 0, 0)
    with pytest.raises(FootageError):
        Footage.create(Path("/proc/nothing/here.mp4.part"), VideoCodec.H264, frame)


# --- when the writer dies --------------------------------------------------------------------------------


def _record_until_killed(
    folder: Path,
    codec: VideoCodec,
    pictures: list[list[LayerPacket]],
    ready: "multiprocessing.synchronize.Event",
) -> None:
    studio = Studio(folder)
    studio.recorder.start()
    studio.recorder.begin("room-1", "cam-1")
    studio.show(pictures, codec)
    while studio.recorder._queue.qsize():
        pass
    ready.set()
    signal.pause()


@pytest.mark.parametrize("codec", CODECS)
def test_a_killed_writer_loses_at_most_a_second_and_the_next_one_finishes_its_file(tmp_path, codec):
    pictures = as_layer(rtp_stream(codec, 320, 240, frames=100))
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=_record_until_killed, args=(tmp_path, codec, pictures, ready))
    child.start()
    assert ready.wait(10)
    other = Studio(tmp_path)
    other.recorder.start()
    other.recorder.close()
    assert other.told == [], "a recording in progress belongs to its writer"
    os.kill(child.pid, signal.SIGKILL)
    child.join()

    studio = Studio(tmp_path)
    studio.recorder.start()
    studio.recorder.close()
    (stored,) = studio.told
    played = play(tmp_path / stored.path)
    assert 70 <= len(played.times) <= 100
    assert played.times == pytest.approx([i * FRAME_S for i in range(len(played.times))], abs=0.002)
    assert set(played.sizes) == {(320, 240)}
    assert (stored.room_id, stored.source_id) == ("room-1", "cam-1")
    assert stored.started_at == START.timestamp()
    assert stored.seconds == pytest.approx(played.times[-1], abs=0.002)
    assert stored.sha256 == hashlib.sha256((tmp_path / stored.path).read_bytes()).hexdigest()
    assert (stored.width, stored.height) == (320, 240)
    assert list(tmp_path.glob("*/*.part*")) == []


def test_a_finished_part_that_was_not_renamed_is_finished_again(tmp_path):
    stored = Studio(tmp_path).record(as_layer(rtp_stream(VideoCodec.H264, 320, 240, frames=60)))
    path = tmp_path / stored.path
    path.rename(path.with_name(path.name + ".part"))
    studio = Studio(tmp_path)
    studio.recorder.start()
    studio.recorder.close()
    (again,) = studio.told
    assert len(play(path).times) == 60
    assert again.seconds == pytest.approx(stored.seconds, abs=0.001)
    assert json.loads(path.with_name(path.name + ".json").read_text()) == asdict(again)


def test_parts_of_nothing_of_garbage_and_of_other_names_hold_nobody_up(tmp_path):
    day = tmp_path / "2026-03-02"
    day.mkdir()
    (day / "room-1~080000.000000~cam-1.mp4.part").touch()
    (day / "room-1~080001.000000~cam-1.webm.part").write_bytes(random.Random(1).randbytes(9_000))
    (day / "somebody's.mp4.part").write_bytes(b"else")
    studio = Studio(tmp_path)
    studio.recorder.start()
    studio.recorder.close()
    assert studio.told == []
    assert sorted(one.name for one in day.iterdir()) == [
        "room-1~080001.000000~cam-1.webm.part.broken",
        "somebody's.mp4.part",
    ]
