"""What is recorded, as it goes to disk: the tracks of a call, each a WAV file, aligned in time.

A call's tracks that run together are a part: they count time from the part's first tick, so that a leg that comes
later begins with silence and a gap in a track stays one. A call that changes its band begins a new part, because a
WAV file has one rate. Everything here belongs to the recorder's writing thread.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridges.audio.counts import Counts
from bridges.audio.events import RecordingFailed
from bridges.audio.wav import WavFile
from commhub.domain.device import is_safe_id

PART = ".wav.part"
BLOCK_TICKS = 25
"""How much is gathered before it is written, hence at most lost by a crash: half a second."""

_SEPARATOR = "~"
"""Stands in no id (`is_safe_id`)."""
_DAY, _TIME = "%Y-%m-%d", "%H%M%S.%f"


@dataclass(frozen=True, slots=True)
class Track:
    """What one file holds: a leg's voice, or (None) the call as everybody in it sounds together."""

    call_id: str
    leg_id: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One tick of several tracks: `samples` is tracks × frame. `at` is the wall time in seconds of Unix time."""

    tick: int
    at: float
    rate: int
    tracks: tuple[Track, ...]
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Written:
    """A file that came to its end, or that a dead worker left."""

    track: Track
    started_at: float
    file: WavFile


def part_name(track: Track, started_at: float) -> str:
    """The file's path below the recordings directory while it is written. Raises OSError for ids no file may have."""
    ids = [track.call_id] if track.leg_id is None else [track.call_id, track.leg_id]
    if not all(map(is_safe_id, ids)):
        raise OSError("the id of this call or leg cannot name a file")
    moment = datetime.fromtimestamp(started_at, UTC)
    name = _SEPARATOR.join((ids[0], format(moment, _TIME), *ids[1:]))
    return f"{moment:{_DAY}}/{name}{PART}"


def parse_part(path: Path) -> tuple[Track, float]:
    """What a file holds and when it began. Raises ValueError for a name that `part_name` does not make."""
    call_id, time, *leg = path.name.removesuffix(PART).split(_SEPARATOR)
    moment = datetime.strptime(f"{path.parent.name} {time}+0000", f"{_DAY} {_TIME}%z")
    return Track(call_id, *leg[:1]), moment.timestamp()


@dataclass(slots=True)
class _Part:
    rate: int
    first_tick: int
    started_at: float
    files: dict[Track, WavFile] = field(default_factory=dict)


@dataclass(slots=True)
class _Block:
    """Pieces of the same tracks, one tick after another."""

    first: Piece
    samples: list[NDArray[np.int16]]

    def goes_on_with(self, piece: Piece) -> bool:
        return (
            piece.tracks == self.first.tracks
            and piece.tick == self.first.tick + len(self.samples)
            and len(self.samples) < BLOCK_TICKS
        )


class TrackWriter:
    """`opened` is told of a file that is written from now on, `ended` of one that is not written any more, `failed` once
    for each spell in which the disk does not take a track. Nothing here raises OSError: such a track is tried again
    with its next block, and what it lacks meanwhile is silence."""

    def __init__(
        self,
        directory: Path,
        counts: Counts,
        *,
        opened: Callable[[WavFile], None],
        ended: Callable[[Written], None],
        failed: Callable[[RecordingFailed], None],
    ) -> None:
        self._directory = directory
        self._counts = counts
        self._opened = opened
        self._ended = ended
        self._failed = failed
        self._parts: dict[str, _Part] = {}
        self._blocks: dict[int, _Block] = {}
        self._failing: set[Track] = set()

    def take(self, piece: Piece) -> None:
        """The next tick of all tracks of one rate."""
        block = self._blocks.get(piece.rate)
        if block is not None and block.goes_on_with(piece):
            block.samples.append(piece.samples)
            return
        if block is None or block.first.tracks != piece.tracks:
            # A call may have gone from one rate to the other: what came before must be written before.
            self.write_out()
        else:
            self._write_block(self._blocks.pop(piece.rate))
        self._blocks[piece.rate] = _Block(piece, [piece.samples])

    def stop(self, call_id: str, leg_id: str | None = None) -> None:
        """End the leg's file, or (None) all files of the call."""
        self.write_out()
        part = self._parts.get(call_id)
        if part is None:
            return
        for track in [one for one in part.files if leg_id in {None, one.leg_id}]:
            self._end(part, track)
        if leg_id is None:
            del self._parts[call_id]
        self._failing = {
            one
            for one in self._failing
            if one.call_id != call_id or leg_id not in {None, one.leg_id}
        }

    def write_out(self) -> None:
        """Write everything that waits."""
        for block in sorted(self._blocks.values(), key=lambda one: one.first.tick):
            self._write_block(block)
        self._blocks.clear()

    def close(self) -> None:
        """End every file."""
        self.write_out()
        for call_id in list(self._parts):
            self.stop(call_id)

    def _write_block(self, block: _Block) -> None:
        first = block.first
        lines = np.concatenate(block.samples, axis=1)
        for track, line in zip(first.tracks, lines, strict=True):
            part = self._part_of(track, first)
            at = (first.tick - part.first_tick) * first.samples.shape[1]
            try:
                self._file_of(part, track).write(line.astype("<i2", copy=False).tobytes(), at)
            except OSError as error:
                self._counts.recorder_unwritten += len(block.samples)
                self.tell_failed(track, error)
            else:
                self._failing.discard(track)

    def tell_failed(self, track: Track, error: OSError) -> None:
        """Say so once, until it works again."""
        if track not in self._failing:
            self._failing.add(track)
            reason = error.strerror or str(error)
            self._failed(RecordingFailed(track.call_id, track.leg_id, reason))

    def _part_of(self, track: Track, first: Piece) -> _Part:
        part = self._parts.get(track.call_id)
        if part is not None and part.rate == first.rate:
            return part
        if part is not None:
            for one in list(part.files):
                self._end(part, one)
        part = self._parts[track.call_id] = _Part(first.rate, first.tick, first.at)
        return part

    def _file_of(self, part: _Part, track: Track) -> WavFile:
        file = part.files.get(track)
        if file is None:
            path = self._directory / part_name(track, part.started_at)
            path.parent.mkdir(parents=True, exist_ok=True)
            file = part.files[track] = WavFile.create(path, part.rate)
            self._opened(file)
        return file

    def _end(self, part: _Part, track: Track) -> None:
        self._ended(Written(track, part.started_at, part.files.pop(track)))
