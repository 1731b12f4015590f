"""Recordings are written by a thread of their own: the tick drops its samples into a queue and goes on.

On disk, under the recordings directory: `DAY/CALL-TIME.wav.part` while it is written, `….wav` when it is whole,
and beside that `….wav.json`, what is to be told of it, until a control has acknowledged it. So neither the death
of this process nor of control loses a recording: `recover` finishes what a dead worker left.
"""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

from bridges.audio.counts import Counts
from bridges.audio.events import RecordingStored
from bridges.audio.g711 import RATE
from bridges.audio.wav import WavFile
from commhub.kit.clock import Clock

log = structlog.get_logger(__name__)

_PART = ".part"
_NOTE = ".json"
_BLOCK_BYTES = RATE
"""Half a second: how much is gathered before it is written, hence at most lost by a crash."""
_QUEUE_LIMIT = 50_000
"""Pieces of 20 ms that may wait for a slow disk."""


@dataclass(frozen=True, slots=True)
class _Piece:
    call_id: str
    samples: bytes


@dataclass(frozen=True, slots=True)
class _Stop:
    call_id: str


@dataclass(slots=True)
class _Open:
    file: WavFile
    waiting: bytearray = field(default_factory=bytearray)

    def write_out(self) -> None:
        self.file.append(bytes(self.waiting))
        self.waiting.clear()
        self.file.flush()


class Recorder:
    """`write` and `stop` never block; `stored` is called from the writer's thread."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        counts: Counts,
        stored: Callable[[RecordingStored], None],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._counts = counts
        self._stored = stored
        self._queue: queue.SimpleQueue[_Piece | _Stop | None] = queue.SimpleQueue()
        self._open: dict[str, _Open] = {}
        self._failed: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Finish what a dead worker left, then begin to write. Raises OSError for an unusable directory."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._recover()
        self._thread.start()

    def close(self) -> None:
        """Finish every file, then return."""
        self._queue.put(None)
        self._thread.join()

    def write(self, call_id: str, samples: bytes) -> None:
        """The call's next samples (little-endian, 16 bits); the first ones open its file."""
        if self._queue.qsize() >= _QUEUE_LIMIT:
            self._counts.recorder_dropped += 1
            return
        self._queue.put(_Piece(call_id, samples))

    def stop(self, call_id: str) -> None:
        """Finish the call's file, if it has one."""
        self._queue.put(_Stop(call_id))

    def untold(self) -> Iterator[RecordingStored]:
        """Recordings nobody has acknowledged, oldest first."""
        for note in sorted(self._directory.glob(f"*/*.wav{_NOTE}")):
            try:
                yield RecordingStored(**json.loads(note.read_text()))
            except (OSError, ValueError, TypeError):
                log.warning("recording_note_unreadable", note=note.name)

    def told(self, path: str) -> None:
        """Control has it on record."""
        note = (self._directory / (path + _NOTE)).resolve()
        if note.is_relative_to(self._directory.resolve()):
            note.unlink(missing_ok=True)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._handle(item)
            except OSError:
                # The disk is full or gone: this call is not recorded on, the others are tried.
                log.exception("recording_failed", call=item.call_id)
                self._failed.add(item.call_id)
                if (recording := self._open.pop(item.call_id, None)) is not None:
                    recording.file.close()
        for call_id in list(self._open):
            try:
                self._finish(call_id)
            except OSError:
                log.exception("recording_failed", call=call_id)

    def _handle(self, item: _Piece | _Stop) -> None:
        if isinstance(item, _Stop):
            self._failed.discard(item.call_id)
            self._finish(item.call_id)
        elif item.call_id not in self._failed:
            recording = self._open.get(item.call_id) or self._begin(item.call_id)
            recording.waiting += item.samples
            if len(recording.waiting) >= _BLOCK_BYTES:
                recording.write_out()

    def _begin(self, call_id: str) -> _Open:
        now = self._clock.now()
        folder = self._directory / f"{now:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{call_id}-{now:%H%M%S%f}.wav{_PART}"
        self._open[call_id] = opened = _Open(WavFile(path))
        return opened

    def _finish(self, call_id: str) -> None:
        recording = self._open.pop(call_id, None)
        if recording is None:
            return
        try:
            recording.write_out()
            self._store(call_id, recording.file)
        finally:
            recording.file.close()

    def _store(self, call_id: str, file: WavFile) -> None:
        path = file.path.with_suffix("")
        name = path.relative_to(self._directory).as_posix()
        stored = RecordingStored(call_id, name, file.seconds, file.finish())
        # The note first: a crash between the two is a note whose file `recover` still renames.
        path.with_name(path.name + _NOTE).write_text(json.dumps(asdict(stored)))
        file.path.rename(path)
        self._stored(stored)

    def _recover(self) -> None:
        for path in sorted(self._directory.glob(f"*/*.wav{_PART}")):
            try:
                file = WavFile(path)
            except BlockingIOError:
                continue
            call_id = path.name.removesuffix(f".wav{_PART}").rpartition("-")[0]
            try:
                self._store(call_id, file)
            finally:
                file.close()
            log.warning("recording_recovered", call=call_id, seconds=round(file.seconds, 1))
