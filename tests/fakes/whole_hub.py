"""A whole hub as a process, and a dispatcher at it, for tests whose peers are real."""

import asyncio
from contextlib import asynccontextmanager

from commhub.domain.people import Role
from commhub.wiring.demo.settle import Desk, add_people
from commhub.wiring.hub_process import HubProcess


@asynccontextmanager
async def whole_hub(folder, environment=None, *, settings=None):
    """The hub of `folder`, running; `settings` is the text of its commhub.toml."""
    hub = HubProcess(folder, environment)
    if settings is not None:
        folder.mkdir()
        (folder / "commhub.toml").write_text(settings)
    await asyncio.to_thread(hub.__enter__)
    try:
        yield hub
    finally:
        await asyncio.to_thread(hub.stop)


@asynccontextmanager
async def signed_in(hub):
    """The desk of a dispatcher who may admit phones."""
    people = {"li": [Role.DISPATCHER, Role.SYSTEM_ADMIN]}
    passwords = await asyncio.to_thread(add_people, hub, people)
    desk = await asyncio.to_thread(Desk, hub.url, "li", passwords["li"])
    try:
        yield desk
    finally:
        desk.close()
