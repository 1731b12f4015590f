"""Fixtures every room may use: scripted time, a bus, and a real store on a fresh SQLite file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.clock import ScriptedClock
from fakes.stores import fresh_store

from commhub.db import SqlStore
from commhub.domain.facts import Fact
from commhub.kit.bus import Bus


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


@pytest.fixture
def bus() -> Bus[Fact]:
    return Bus()


@pytest.fixture
async def store(tmp_path: Path, bus: Bus[Fact], clock: ScriptedClock) -> AsyncIterator[SqlStore]:
    """Empty and migrated; facts go to `bus`, sessions expire by `clock`."""
    async with fresh_store(tmp_path, bus, clock) as opened:
        yield opened
