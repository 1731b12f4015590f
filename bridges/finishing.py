"""How recordings of either engine come to their end: on disk whole, noted, and told until a control has them on record.

A file is `NAME.part` while it is written and `NAME` when it is whole; beside that `NAME.json` is what is to be told of
it, until it was acknowledged. One thread of a recorder writes; another, the finisher, ends files one after another (an
hour's hash takes a second), has the disk hold what was written, and finishes what dead workers left, of this process
and of others that share the directory.
"""

import json
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import Field, asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import structlog

log = structlog.get_logger(__name__)

_NOTE = ".json"
_RECOVER_EVERY_S = 30.0


class Stored(Protocol):
    """What is told of a recording; `path` is its file below the recordings directory."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def path(self) -> str: ...


StoredT = TypeVar("StoredT", bound=Stored)


class Notes(Generic[StoredT]):
    """What control has not acknowledged. `read` makes it anew of a note's members; files end with one of `suffixes`."""

    def __init__(
        self, directory: Path, read: Callable[..., StoredT], suffixes: tuple[str, ...]
    ) -> None:
        self._directory = directory
        self._read = read
        self._suffixes = suffixes

    def store(self, part: Path, stored: StoredT) -> None:
        """Give a whole file its name. Raises OSError."""
        path = self._directory / stored.path
        # The note first: a crash between the two is a note whose file `recover` still renames.
        path.with_name(path.name + _NOTE).write_text(json.dumps(asdict(stored)))
        part.rename(path)

    def untold(self) -> Iterator[StoredT]:
        """Recordings nobody has acknowledged, oldest first."""
        notes = [
            note
            for suffix in self._suffixes
            for note in self._directory.glob(f"*/*{suffix}{_NOTE}")
        ]
        for note in sorted(notes):
            try:
                yield self._read(**json.loads(note.read_text()))
            except (OSError, ValueError, TypeError):
                log.warning("recording_note_unreadable", note=note.name)

    def told(self, path: str) -> None:
        """Control has it on record."""
        note = (self._directory / (path + _NOTE)).resolve()
        if note.is_relative_to(self._directory.resolve()):
            note.unlink(missing_ok=True)


class PartFile(Protocol):
    """A file that is written."""

    @property
    def path(self) -> Path: ...

    def sync(self) -> None:
        """Have the disk hold what was written; may be called from another thread than writes. Raises OSError."""
        ...


FileT = TypeVar("FileT", bound=PartFile)
EndedT = TypeVar("EndedT")


class Finisher(ABC, Generic[FileT, EndedT]):
    """Ends files one after another, and in between syncs those that are written. `parts` are patterns of the files that
    are being written, below the recordings directory."""

    def __init__(
        self, directory: Path, name: str, parts: tuple[str, ...], *, sync_every_s: float
    ) -> None:
        self._directory = directory
        self._parts = parts
        self._sync_every_s = sync_every_s
        self._queue: queue.SimpleQueue[EndedT | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._written: dict[Path, FileT] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End all that was handed over, then return."""
        self._queue.put(None)
        self._thread.join()

    def watch(self, file: FileT) -> None:
        """The file is written from now on."""
        with self._lock:
            self._written[file.path] = file

    def finish(self, ended: EndedT) -> None:
        """Nothing more is written to the file."""
        with self._lock:
            self._written.pop(self._file_of(ended).path, None)
        self._queue.put(ended)

    def recover(self) -> None:
        """Finish what dead writers left."""
        for part in self._parts:
            for path in sorted(self._directory.glob(part)):
                with suppress(BlockingIOError, FileNotFoundError):
                    self._recover(path)

    @abstractmethod
    def _file_of(self, ended: EndedT) -> FileT: ...

    @abstractmethod
    def _store(self, ended: EndedT) -> None:
        """Bring the file to its end and tell of it; one that cannot be stays for the next `recover`."""

    @abstractmethod
    def _recover(self, path: Path) -> None:
        """Finish one file. Raises BlockingIOError while its writer lives, FileNotFoundError when another took it up."""

    def _run(self) -> None:
        self.recover()
        recover_at = time.monotonic() + _RECOVER_EVERY_S
        while True:
            try:
                ended = self._queue.get(timeout=self._sync_every_s)
            except queue.Empty:
                self._sync()
                if time.monotonic() >= recover_at:
                    self.recover()
                    recover_at = time.monotonic() + _RECOVER_EVERY_S
                continue
            if ended is None:
                return
            self._store(ended)

    def _sync(self) -> None:
        with self._lock:
            written = list(self._written.values())
        for file in written:
            try:
                file.sync()
            except OSError as error:
                log.warning("recording_not_synced", file=file.path.name, reason=str(error))
