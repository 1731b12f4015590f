"""A street and its district, paired, whose calls go from hub to hub in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.tier_calls import CallingHub, MemoryTrunk, calling_hub, furnish, linked
from fakes.tiers import pair

from commhub.domain.tier import Tier


@pytest.fixture
def network() -> dict[str, MemoryTrunk]:
    return {}


@pytest.fixture
async def street(tmp_path: Path, network: dict[str, MemoryTrunk]) -> AsyncIterator[CallingHub]:
    async with calling_hub("street-a", Tier.STREET, tmp_path, network) as one:
        await furnish(one)
        yield one


@pytest.fixture
async def district(tmp_path: Path, network: dict[str, MemoryTrunk]) -> AsyncIterator[CallingHub]:
    async with calling_hub("district-1", Tier.DISTRICT, tmp_path, network) as one:
        await furnish(one)
        yield one


@pytest.fixture
async def joined(street: CallingHub, district: CallingHub) -> AsyncIterator[None]:
    await pair(street.hub, district.hub)
    async with linked(street, district):
        yield
