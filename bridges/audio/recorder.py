"""Recordings are written by a thread of their own: the tick drops its samples into a queue and goes on.

On disk, under the recordings directory: `DAY/CALL~TIME.wav.part` while the mixed recording is written and
`DAY/CALL~TIME~LEG.wav.part` that of a leg; `….wav` when it is whole, and beside that `….wav.json`, what is to be told
of it, until a control has acknowledged it. So neither the death of this process nor of control loses a recording.

A second thread brings files to their end (an hour's hash takes a second) and has the disk hold what was written, so
that neither keeps the writer from its queue; it also finishes what dead workers left, of this process and of others
that share the directory.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from bridges.audio.counts import Counts
from bridges.audio.events import RecordingFailed
from bridges.audio.tracks import PART, Piece, Track, TrackWriter, Written, parse_part
from bridges.audio.wav import WavFile
from commhub.kit.clock import Clock
from commhub.ports.media import RecordedFile

log = structlog.get_logger(__name__)

_NOTE = ".json"
_QUEUE_BYTES = 64 << 20
"""Samples that may wait for a slow disk: a second of 2,000 tracks, a minute of thirty."""
_SYNC_EVERY_S = 0.5
_RECOVER_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class _Stop:
    call_id: str
    leg_id: str | None


class Recorder:
    """`write` and `stop` never block; `tell` is called from the recorder's own threads."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        counts: Counts,
        tell: Callable[[RecordedFile | RecordingFailed], None],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._counts = counts
        self._tell = tell
        self._queue: queue.SimpleQueue[Piece | _Stop | None] = queue.SimpleQueue()
        # Each is written by one thread alone: what waits is the difference.
        self._bytes_in = 0
        self._bytes_out = 0
        self._finisher = _Finisher(directory, tell)
        self._writer = TrackWriter(
            directory,
            counts,
            opened=self._finisher.watch,
            ended=self._finisher.finish,
            failed=self._say_failed,
        )
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Finish what dead workers left, then begin to write. Raises OSError for an unusable directory."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._finisher.recover()
        self._finisher.start()
        self._thread.start()

    def close(self) -> None:
        """Finish every file, then return."""
        self._queue.put(None)
        self._thread.join()
        self._finisher.close()

    def write(
        self, tick: int, rate: int, tracks: tuple[Track, ...], samples: NDArray[np.int16]
    ) -> None:
        """A tick of tracks (samples: tracks × frame, not changed any more); a track's first one opens its file."""
        if self._bytes_in - self._bytes_out + samples.nbytes > _QUEUE_BYTES:
            self._counts.recorder_dropped += len(tracks)
            return
        self._bytes_in += samples.nbytes
        self._queue.put(Piece(tick, self._clock.now().timestamp(), rate, tracks, samples))

    def stop(self, call_id: str, leg_id: str | None = None) -> None:
        """Finish the leg's file, or (None) all files of the call, should there be any."""
        self._queue.put(_Stop(call_id, leg_id))

    def untold(self) -> Iterator[RecordedFile]:
        """Recordings nobody has acknowledged, oldest first."""
        for note in sorted(self._directory.glob(f"*/*.wav{_NOTE}")):
            try:
                yield RecordedFile(**json.loads(note.read_text()))
            except (OSError, ValueError, TypeError):
                log.warning("recording_note_unreadable", note=note.name)

    def told(self, path: str) -> None:
        """Control has it on record."""
        note = (self._directory / (path + _NOTE)).resolve()
        if note.is_relative_to(self._directory.resolve()):
            note.unlink(missing_ok=True)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            match item:
                case Piece():
                    self._bytes_out += item.samples.nbytes
                    self._writer.take(item)
                case _Stop(call_id, leg_id):
                    self._writer.stop(call_id, leg_id)
        self._writer.close()

    def _say_failed(self, event: RecordingFailed) -> None:
        log.error("recording_failing", call=event.call_id, leg=event.leg_id, reason=event.reason)
        self._tell(event)


class _Finisher:
    """Ends files one after another, and in between syncs those that are written."""

    def __init__(self, directory: Path, tell: Callable[[RecordedFile], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._queue: queue.SimpleQueue[Written | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._written: dict[Path, WavFile] = {}
        self._thread = threading.Thread(target=self._run, name="recorder-end", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def watch(self, file: WavFile) -> None:
        with self._lock:
            self._written[file.path] = file

    def finish(self, written: Written) -> None:
        with self._lock:
            self._written.pop(written.file.path, None)
        self._queue.put(written)

    def recover(self) -> None:
        """Finish what dead writers left."""
        for path in sorted(self._directory.glob(f"*/*{PART}")):
            with suppress(BlockingIOError, FileNotFoundError):
                self._recover(path)

    def _run(self) -> None:
        recover_at = time.monotonic() + _RECOVER_EVERY_S
        while True:
            try:
                written = self._queue.get(timeout=_SYNC_EVERY_S)
            except queue.Empty:
                self._sync()
                if time.monotonic() >= recover_at:
                    self.recover()
                    recover_at = time.monotonic() + _RECOVER_EVERY_S
                continue
            if written is None:
                return
            self._store(written)

    def _sync(self) -> None:
        with self._lock:
            files = [file for file in self._written.values() if file.is_dirty]
        for file in files:
            try:
                file.sync()
            except OSError as error:
                log.warning("recording_not_synced", file=file.path.name, reason=str(error))

    def _recover(self, path: Path) -> None:
        try:
            track, started_at = parse_part(path)
        except ValueError:
            log.warning("recording_of_no_known_name", file=path.name)
            return
        file = WavFile.reopen(path)
        if not file.seconds:
            path.unlink()
            file.close()
            return
        self._store(Written(track, started_at, file))
        log.warning("recording_recovered", call=track.call_id, seconds=round(file.seconds, 1))

    def _store(self, written: Written) -> None:
        """A disk that is full now leaves the part where the next `recover` finds it."""
        file = written.file
        try:
            self._tell(self._rename(written))
        except OSError as error:
            log.warning("recording_not_finished", file=file.path.name, reason=str(error))
        finally:
            file.close()

    def _rename(self, written: Written) -> RecordedFile:
        file, track = written.file, written.track
        path = file.path.with_suffix("")
        stored = RecordedFile(
            call_id=track.call_id,
            path=path.relative_to(self._directory).as_posix(),
            seconds=file.seconds,
            sha256=file.finish(),
            leg_id=track.leg_id,
            started_at=written.started_at,
            rate=file.rate,
            size=file.size,
        )
        # The note first: a crash between the two is a note whose file `recover` still renames.
        path.with_name(path.name + _NOTE).write_text(json.dumps(asdict(stored)))
        file.path.rename(path)
        return stored
