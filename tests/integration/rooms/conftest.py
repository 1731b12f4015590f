"""A whole hub with its video worker, a dispatcher who hosts a meeting, and the HTTP of WHIP and WHEP."""

import asyncio

import httpx
import pytest
from fakes.room import Meeting

from commhub.domain.people import Role
from commhub.wiring.demo.settle import Desk, add_people
from commhub.wiring.hub_process import HubProcess


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """One for all tests of a file: each has a meeting of its own, and what is killed comes back."""
    with HubProcess(tmp_path_factory.mktemp("rooms") / "hub") as hub:
        yield hub


@pytest.fixture(scope="module")
def desk(hub):
    passwords = add_people(hub, {"li": [Role.DISPATCHER, Role.SYSTEM_ADMIN]})
    desk = Desk(hub.url, "li", passwords["li"])
    yield desk
    desk.close()


@pytest.fixture
async def http(hub):
    await asyncio.to_thread(hub.wait_ready)
    async with httpx.AsyncClient(base_url=hub.url, timeout=15) as client:
        yield client


@pytest.fixture
async def meeting(desk):
    return await Meeting.open(desk)
