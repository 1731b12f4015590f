"""Recordings of pictures, written by a thread of their own: the forwarder drops packets into a queue and goes on.

On disk, under the recordings directory: `DAY/ROOM~TIME~SOURCE.mp4.part` (or `.webm.part`) while it is written. What
becomes of it then, and of what dead workers left, is `bridges.finishing`. One that a container refuses is ended where
it is, and goes on in another file from the next key frame; so does one of which the codec changes, or that is four
hours long.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bridges.finishing import Finisher, Notes
from bridges.video.events import VideoRecordingFailed
from bridges.video.footage import PART, Footage, FootageError, mend, suffix_of
from bridges.video.frames import Frame, FrameMaker, LayerPacket
from commhub.domain.device import is_safe_id
from commhub.kit.clock import Clock
from commhub.ports.video import RecordedVideo, VideoCodec

log = structlog.get_logger(__name__)

_BROKEN = ".broken"
_SUFFIXES = (".mp4", ".webm")
_SEPARATOR = "~"
"""Stands in no id (`is_safe_id`)."""
_DAY, _TIME = "%Y-%m-%d", "%H%M%S.%f"
_QUEUE_BYTES = 64 << 20
"""Packets that may wait for a slow disk: two minutes of 1080p at 4 Mbit/s."""
_SYNC_EVERY_S = 1.0
_LONGEST_S = 4 * 3600
_REFUSALS_LIMIT = 3
"""Files in a row that a container refused before the recording is given up."""


@dataclass(slots=True)
class RecorderCounts:
    """`dropped` packets (the writer is too far behind), `incomplete` pictures, `refused` ones (container or disk)."""

    dropped: int = 0
    incomplete: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _Begin:
    room_id: str
    source_id: str


@dataclass(frozen=True, slots=True)
class _Stop:
    source_id: str


@dataclass(frozen=True, slots=True)
class _Packets:
    source_id: str
    codec: VideoCodec
    packets: Sequence[LayerPacket]
    size: int
    now: float
    wall: float


@dataclass(frozen=True, slots=True)
class _Ended:
    room_id: str
    source_id: str
    started_at: float
    footage: Footage


@dataclass(slots=True)
class _Recording:
    """One source while it is recorded. Belongs to the writing thread."""

    room_id: str
    source_id: str
    codec: VideoCodec | None = None
    maker: FrameMaker | None = None
    footage: Footage | None = None
    latest: _Packets | None = None
    started_at: float = 0.0
    begun: int = 0
    refusals: int = 0


class VideoRecorder:
    """`begin`, `write` and `stop` never block. `tell` and `want_keyframe` (with a source's id) are called from the
    recorder's own threads. `untold` and `told` are those of its notes."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        tell: Callable[[RecordedVideo | VideoRecordingFailed], None],
        want_keyframe: Callable[[str], None],
    ) -> None:
        self.counts = RecorderCounts()
        self._directory = directory
        self._clock = clock
        self._tell = tell
        self._want_keyframe = want_keyframe
        self._queue: queue.SimpleQueue[_Begin | _Packets | _Stop | None] = queue.SimpleQueue()
        # Each is written by one thread alone: what waits is the difference.
        self._bytes_in = 0
        self._bytes_out = 0
        self._recordings: dict[str, _Recording] = {}
        notes = Notes(directory, RecordedVideo, _SUFFIXES)
        self.untold, self.told = notes.untold, notes.told
        self._finisher = _Finisher(directory, notes, tell)
        self._thread = threading.Thread(target=self._run, name="video-recorder", daemon=True)

    def start(self) -> None:
        """Mend what dead workers left, then begin to write. Raises OSError for an unusable directory."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._finisher.start()
        self._thread.start()

    def close(self) -> None:
        """Finish every file, then return."""
        self._queue.put(None)
        self._thread.join()
        self._finisher.close()

    def begin(self, room_id: str, source_id: str) -> None:
        """Record a source from its next key frame on. One that is recorded already goes on."""
        self._queue.put(_Begin(room_id, source_id))

    def write(self, source_id: str, codec: VideoCodec, packets: Sequence[LayerPacket]) -> None:
        """Packets of the layer that is recorded, as they came; those of sources nobody records are passed over."""
        size = sum(len(packet.payload) for packet in packets)
        if self._bytes_in - self._bytes_out + size > _QUEUE_BYTES:
            self.counts.dropped += len(packets)
            return
        self._bytes_in += size
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        self._queue.put(_Packets(source_id, codec, packets, size, now, wall))

    def stop(self, source_id: str) -> None:
        """Finish the source's file, should there be one."""
        self._queue.put(_Stop(source_id))

    # The writing thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            match item:
                case _Begin(room_id, source_id):
                    self._recordings.setdefault(source_id, _Recording(room_id, source_id))
                case _Packets():
                    self._bytes_out += item.size
                    recording = self._recordings.get(item.source_id)
                    if recording is not None:
                        self._take(recording, item)
                case _Stop(source_id):
                    stopped = self._recordings.pop(source_id, None)
                    if stopped is not None:
                        self._stop(stopped)
        for recording in self._recordings.values():
            self._stop(recording)

    def _take(self, recording: _Recording, item: _Packets) -> None:
        if recording.maker is None or recording.codec is not item.codec:
            self._stop(recording)
            recording.codec, recording.maker = item.codec, FrameMaker(item.codec)
            self._want_keyframe(recording.source_id)
        recording.latest = item
        maker = recording.maker
        needed, incomplete = maker.needs_key, maker.incomplete
        frames = maker.take(item.packets, item.now)
        self.counts.incomplete += maker.incomplete - incomplete
        if maker.needs_key and not needed:
            self._want_keyframe(recording.source_id)
        self._put(recording, frames, item)

    def _stop(self, recording: _Recording) -> None:
        """Nothing more comes of this codec: what was held up by a loss goes into the file, and that ends."""
        if recording.maker is not None and recording.latest is not None:
            frames = recording.maker.finish(recording.latest.now)
            self._put(recording, frames, recording.latest)
        self._end(recording)

    def _put(self, recording: _Recording, frames: list[Frame], item: _Packets) -> None:
        for frame in frames:
            if recording.refusals < _REFUSALS_LIMIT:
                self._put_one(recording, frame, item.codec, item.wall)

    def _put_one(self, recording: _Recording, frame: Frame, codec: VideoCodec, wall: float) -> None:
        """One picture into the file, which the first key frame opens."""
        footage = recording.footage
        if footage is not None and frame.key and footage.seconds > _LONGEST_S:
            self._end(recording)
            footage = None
        if footage is None and not frame.key:
            return
        try:
            if footage is None:
                footage = self._open(recording, frame, codec, wall)
            footage.write(frame._replace(time=frame.time - recording.begun))
            recording.refusals = 0
        except FootageError as error:
            self._refuse(recording, str(error))

    def _open(self, recording: _Recording, frame: Frame, codec: VideoCodec, wall: float) -> Footage:
        name = _part_name(recording.room_id, recording.source_id, wall, codec)
        footage = Footage.create(self._directory / name, codec, frame)
        recording.footage = footage
        recording.started_at, recording.begun = wall, frame.time
        self._finisher.watch(footage)
        return footage

    def _refuse(self, recording: _Recording, reason: str) -> None:
        """What is there is kept; another file may have more luck, but not for ever."""
        self.counts.refused += 1
        recording.refusals += 1
        self._end(recording)
        if recording.refusals < _REFUSALS_LIMIT:
            self._want_keyframe(recording.source_id)
            return
        self._recordings.pop(recording.source_id, None)
        log.error("video_recording_failing", source=recording.source_id, reason=reason)
        self._tell(VideoRecordingFailed(recording.source_id, reason))

    def _end(self, recording: _Recording) -> None:
        if recording.footage is not None:
            self._finisher.finish(
                _Ended(
                    recording.room_id,
                    recording.source_id,
                    recording.started_at,
                    recording.footage,
                )
            )
        recording.footage = None


class _Finisher(Finisher[Footage, _Ended]):
    def __init__(
        self,
        directory: Path,
        notes: Notes[RecordedVideo],
        tell: Callable[[RecordedVideo | VideoRecordingFailed], None],
    ) -> None:
        parts = tuple(f"*/*{suffix}{PART}" for suffix in _SUFFIXES)
        super().__init__(directory, "video-recorder-end", parts, sync_every_s=_SYNC_EVERY_S)
        self._notes = notes
        self._tell = tell

    def _file_of(self, ended: _Ended) -> Footage:
        return ended.footage

    def _recover(self, path: Path) -> None:
        try:
            room_id, source_id, started_at = _parse_part(path)
        except ValueError:
            log.warning("recording_of_no_known_name", file=path.name)
            return
        try:
            footage = mend(path)
        except FootageError as error:
            # Kept for whoever knows more about broken files, but not tried again every half minute.
            path.rename(path.with_name(path.name + _BROKEN))
            log.warning("recording_cannot_be_mended", file=path.name, reason=str(error))
            return
        if footage is None:
            path.unlink()
            return
        log.warning("recording_recovered", source=source_id, seconds=round(footage.seconds, 1))
        self._store(_Ended(room_id, source_id, started_at, footage))

    def _store(self, ended: _Ended) -> None:
        """A disk that is full now leaves the part where the next `recover` finds it."""
        footage = ended.footage
        try:
            footage.end()
            if footage.frames:
                self._tell(self._name(ended))
            else:
                footage.path.unlink()
        except (OSError, FootageError) as error:
            log.warning("recording_not_finished", file=footage.path.name, reason=str(error))
        finally:
            footage.close()

    def _name(self, ended: _Ended) -> RecordedVideo:
        footage = ended.footage
        sha256, size = footage.digest()
        stored = RecordedVideo(
            room_id=ended.room_id,
            source_id=ended.source_id,
            path=footage.path.with_suffix("").relative_to(self._directory).as_posix(),
            seconds=round(footage.seconds, 3),
            sha256=sha256,
            size=size,
            started_at=ended.started_at,
            width=footage.width,
            height=footage.height,
        )
        self._notes.store(footage.path, stored)
        return stored


def _part_name(room_id: str, source_id: str, wall: float, codec: VideoCodec) -> str:
    """The file's path below the recordings directory while it is written. Raises FootageError for ids no file may have."""
    if not (is_safe_id(room_id) and is_safe_id(source_id)):
        raise FootageError("the id of this room or source cannot name a file")
    moment = datetime.fromtimestamp(wall, UTC)
    name = _SEPARATOR.join((room_id, format(moment, _TIME), source_id))
    return f"{moment:{_DAY}}/{name}{suffix_of(codec)}{PART}"


def _parse_part(path: Path) -> tuple[str, str, float]:
    """Room, source, and when it began. Raises ValueError for a name that `_part_name` does not make."""
    name = path.name.removesuffix(PART)
    room_id, begun, source_id = name.removesuffix(Path(name).suffix).split(_SEPARATOR)
    moment = datetime.strptime(f"{path.parent.name} {begun}+0000", f"{_DAY} {_TIME}%z")
    return room_id, source_id, moment.timestamp()
