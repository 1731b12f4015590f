"""A real store for feature tests: SQLite in the test's own directory, from a file that was migrated once."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from commhub.db import SqlStore, migrate, open_store
from commhub.domain.facts import Fact
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock

# Removed with the interpreter; keeping the object keeps the directory.
_TEMPLATES = TemporaryDirectory(prefix="commhub-template-")


@cache
def migrated_template() -> Path:
    """An empty SQLite file at the current schema, made once a test run. Copy it, never open it."""
    path = Path(_TEMPLATES.name) / "template.db"
    run_apart(migrate(sqlite_url(path)))
    return path


def run_apart(work: Coroutine[object, object, None]) -> None:
    """Run to the end on a thread and loop of its own: fixtures may be inside a loop already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def fresh_database(directory: Path) -> str:
    """The URL of a new, migrated, empty database in `directory`."""
    path = directory / "commhub.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(migrated_template(), path)
    return sqlite_url(path)


@asynccontextmanager
async def fresh_store(
    directory: Path, bus: Bus[Fact], clock: Clock, hub: str = "street-a"
) -> AsyncIterator[SqlStore]:
    """An open store on a fresh database."""
    async with open_store(fresh_database(directory), bus=bus, clock=clock, hub=hub) as store:
        yield store
