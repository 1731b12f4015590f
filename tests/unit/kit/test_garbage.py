"""The walk through all objects: never by itself, in a quiet moment, and at last all the same."""

import asyncio
import gc
import weakref

import pytest
from fakes.waiting import eventually

from commhub.kit import garbage


class Ring:
    """An object that refers to itself: only the collector frees it."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.fixture
def quickly(monkeypatch):
    for name, value in (("EVERY_S", 0.01), ("PATIENCE_S", 0.05), ("_LOOK_S", 0.005)):
        monkeypatch.setattr(garbage, name, value)


async def collected(is_busy):
    """Whether a ring that has grown old is freed."""
    ring = Ring()
    seen = weakref.ref(ring)
    gc.collect(1)
    gc.collect(1)
    del ring
    running = asyncio.create_task(garbage.run(is_busy))
    try:
        await eventually(lambda: seen() is None)
    finally:
        running.cancel()
    return seen() is None


def test_what_is_there_is_frozen_and_nothing_but_the_youngest_is_walked_by_itself(thresholds):
    garbage.settle()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] < 100_000
    assert gc.get_threshold()[1:] == (1_000_000, 1_000_000)


async def test_old_cycles_are_freed_in_a_quiet_moment(thresholds, quickly):
    garbage.settle()
    assert await collected(lambda: False)


async def test_who_is_always_busy_is_stopped_at_last(thresholds, quickly):
    garbage.settle()
    looks = []
    assert await collected(lambda: looks.append(1) is None)
    assert len(looks) > 1
