"""Recordings are written by a thread of their own: the tick drops its samples into a queue and goes on.

On disk, under the recordings directory: `DAY/CALL~TIME.wav.part` while the mixed recording is written and
`DAY/CALL~TIME~LEG.wav.part` that of a leg. What becomes of it then, and of what dead workers left, is
`bridges.finishing`.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from bridges.audio.counts import Counts
from bridges.audio.events import RecordingFailed
from bridges.audio.tracks import PART, Piece, Track, TrackWriter, Written, parse_part
from bridges.audio.wav import WavFile
from bridges.finishing import Finisher, Notes
from commhub.kit.clock import Clock
from commhub.ports.media import RecordedFile

log = structlog.get_logger(__name__)

_QUEUE_BYTES = 64 << 20
"""Samples that may wait for a slow disk: a second of 2,000 tracks, a minute of thirty."""
_SYNC_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class _Stop:
    call_id: str
    leg_id: str | None


class Recorder:
    """`write` and `stop` never block; `tell` is called from the recorder's own threads. `untold` and `told` are those of
    its notes."""

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
        notes = Notes(directory, RecordedFile, (".wav",))
        self.untold, self.told = notes.untold, notes.told
        self._finisher = _Finisher(directory, notes, tell)
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


class _Finisher(Finisher[WavFile, Written]):
    def __init__(
        self, directory: Path, notes: Notes[RecordedFile], tell: Callable[[RecordedFile], None]
    ) -> None:
        super().__init__(directory, "recorder-end", (f"*/*{PART}",), sync_every_s=_SYNC_EVERY_S)
        self._notes = notes
        self._tell = tell

    def _file_of(self, ended: Written) -> WavFile:
        return ended.file

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

    def _store(self, ended: Written) -> None:
        """A disk that is full now leaves the part where the next `recover` finds it."""
        file, track = ended.file, ended.track
        try:
            stored = RecordedFile(
                call_id=track.call_id,
                path=file.path.with_suffix("").relative_to(self._directory).as_posix(),
                seconds=file.seconds,
                sha256=file.finish(),
                leg_id=track.leg_id,
                started_at=ended.started_at,
                rate=file.rate,
                size=file.size,
            )
            self._notes.store(file.path, stored)
            self._tell(stored)
        except OSError as error:
            log.warning("recording_not_finished", file=file.path.name, reason=str(error))
        finally:
            file.close()
