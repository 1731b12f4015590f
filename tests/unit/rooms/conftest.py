"""Rooms among their neighbours."""

import pytest
from fakes.rooms import RoomTown


@pytest.fixture
async def town(store, bus, clock, tmp_path):
    town = RoomTown(store, bus, clock, tmp_path / "recordings")
    await town.settle()
    return town
