"""Fixtures every room may use: scripted time, a bus, and a real store on a fresh SQLite file.

Tests of several real processes (integration, e2e) get one second chance on a busy machine; the summary names each
that needed it (`RERUN`), because one that needs it often is a fault of ours.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.clock import ScriptedClock
from fakes.stores import fresh_store
from hypothesis import HealthCheck, settings

from commhub.db import SqlStore
from commhub.domain.facts import Fact
from commhub.kit.bus import Bus

_HERE = Path(__file__).parent
_REAL_PROCESSES = (_HERE / "integration", _HERE / "e2e")

# How long an example takes is the machine's affair: a property is true or it is not. `make test` draws the same
# examples every time, so that its verdict is about the change and not about luck; `make explore` draws new ones.
_SLOW_IS_FINE = [HealthCheck.too_slow]
settings.register_profile(
    "commhub", derandomize=True, deadline=None, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile(
    "explore", max_examples=1_000, deadline=None, suppress_health_check=_SLOW_IS_FINE
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "commhub"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(room) for room in _REAL_PROCESSES):
            item.add_marker(pytest.mark.flaky(reruns=1))


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
