"""Rule files on disk: every version that ever ran is kept, and a crash leaves the old file or the new one.

<folder>/street-dispatch.yaml, street-dispatch.tests.yaml            what runs
<folder>/history/street-dispatch/000007-2026.11.3.yaml, ….tests.yaml  what ran, in order
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rules.errors import Flaw, RuleFileError

_TESTS = ".tests.yaml"


@dataclass(frozen=True, slots=True)
class Source:
    """The two texts of a rule set, and the name of the first in messages."""

    file: str
    text: str
    tests: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One version in the history. `number` orders them."""

    number: int
    version: str
    stored_at: datetime
    source: Source


class RuleFolder:
    """Reads and writes the files; knows nothing of what they mean. Blocking: call it off the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """The rule sets that have a file."""
        return sorted(
            path.stem
            for path in self._folder.glob("*.yaml")
            if not path.name.endswith(_TESTS) and path.is_file()
        )

    def read(self, name: str) -> Source:
        """What should run. Raises RuleFileError when it cannot be read."""
        return _read(self._folder / f"{name}.yaml")

    def write(self, name: str, version: str, source: Source) -> None:
        """Into the history first: a crash in between then finds the new version there as the last good one."""
        self.archive(name, version, source)
        self._folder.mkdir(parents=True, exist_ok=True)
        if source.tests is not None:
            _replace(self._folder / f"{name}{_TESTS}", source.tests)
        _replace(self._folder / f"{name}.yaml", source.text)

    def archive(self, name: str, version: str, source: Source) -> None:
        """Add to the history, unless it is its newest entry already."""
        entries = self.history(name)
        newest = entries[0] if entries else None
        if newest and (newest.source.text, newest.source.tests) == (source.text, source.tests):
            return
        folder = self._folder / "history" / name
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{newest.number + 1 if newest else 1:06d}-{version}"
        if source.tests is not None:
            _replace(folder / f"{stem}{_TESTS}", source.tests)
        _replace(folder / f"{stem}.yaml", source.text)

    def history(self, name: str) -> list[Entry]:
        """Newest first. A file that cannot be read is left out; it is not the only one."""
        entries = []
        for path in (self._folder / "history" / name).glob("*.yaml"):
            number, dash, version = path.stem.partition("-")
            if path.name.endswith(_TESTS) or not dash or not number.isdigit():
                continue
            try:
                source = _read(path)
            except RuleFileError:
                continue
            stored_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            entries.append(Entry(int(number), version, stored_at, source))
        return sorted(entries, key=lambda entry: entry.number, reverse=True)


def _read(path: Path) -> Source:
    tests = path.with_name(f"{path.stem}{_TESTS}")
    try:
        return Source(
            path.name,
            path.read_text("utf-8"),
            tests.read_text("utf-8") if tests.exists() else None,
        )
    except (OSError, UnicodeDecodeError) as error:
        raise RuleFileError((Flaw(path.name, f"cannot be read: {error}"),)) from error


def _replace(path: Path, text: str) -> None:
    """Write beside, flush to the disk, rename over: whoever reads sees all of one or all of the other."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
