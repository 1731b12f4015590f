"""A town with two media workers."""

from dataclasses import replace

import pytest
from fakes.worker_towns import CONFIG, Town
from fakes.workers import FakeWorker


@pytest.fixture
async def town():
    town = Town(FakeWorker("w0", 20_000), FakeWorker("w1", 30_000))
    await town.pool.__aenter__()
    for worker in town.workers.values():
        await worker.start()
    await town.pool.look()
    yield town
    await town.pool.__aexit__(None, None, None)


@pytest.fixture
async def calm_town():
    """A town where nobody looks at the workers but the test."""
    calm = replace(CONFIG, beat_s=60.0)
    town = Town(FakeWorker("w0", 20_000), FakeWorker("w1", 30_000), config=calm)
    await town.pool.__aenter__()
    for worker in town.workers.values():
        await worker.start()
    yield town
    await town.pool.__aexit__(None, None, None)
