"""Two hubs of one process that are joined by real links over pipes in memory, which a test may cut at any frame."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.stores import fresh_store

from commhub.db import SqlStore
from commhub.domain.facts import Fact
from commhub.domain.tier import Peering, Relation, Tier
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock, SystemClock
from commhub.tiers.words import Words
from gateways.tiers.config import TierConfig
from gateways.tiers.errors import GoneError, LinkDownError
from gateways.tiers.keys import HubKeys
from gateways.tiers.links import Links
from gateways.tiers.meeting import Meeting


class MemoryPipe:
    """One end of a connection. `passes` says of each text whether it gets through; when it does not, the connection is cut."""

    def __init__(self, passes: Callable[[str], bool]) -> None:
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._passes = passes
        self.other: MemoryPipe | None = None
        self.is_cut = False

    async def send(self, text: str) -> None:
        assert self.other is not None
        if self.is_cut or not self._passes(text):
            self.cut()
            raise GoneError
        self.other._inbox.put_nowait(text)
        await asyncio.sleep(0)

    async def receive(self) -> str:
        text = None if self.is_cut and self._inbox.empty() else await self._inbox.get()
        if text is None:
            raise GoneError
        return text

    async def close(self, code: int, reason: str) -> None:
        del code, reason
        self.cut()

    def cut(self) -> None:
        for end in (self, self.other):
            if end is not None and not end.is_cut:
                end.is_cut = True
                end._inbox.put_nowait(None)


def a_pipe(passes: Callable[[str], bool] = lambda _: True) -> tuple[MemoryPipe, MemoryPipe]:
    near, far = MemoryPipe(passes), MemoryPipe(passes)
    near.other, far.other = far, near
    return near, far


@dataclass
class TierHub:
    """A hub as far as tiers go."""

    name: str
    tier: Tier
    store: SqlStore
    bus: Bus[Fact]
    words: Words
    keys: HubKeys
    meeting: Meeting
    links: Links

    async def knows(self, other: "TierHub", relation: Relation) -> None:
        async with self.store.begin() as uow:
            await uow.peerings.put(
                Peering(
                    peer=other.name,
                    name=other.name,
                    tier=other.tier,
                    relation=relation,
                    paired_at=SystemClock().now(),
                    paired_by="user:admin",
                    keys=other.keys.public,
                )
            )


@asynccontextmanager
async def a_hub(
    name: str, tier: Tier, folder: Path, clock: Clock | None = None
) -> AsyncIterator[TierHub]:
    clock = clock or SystemClock()
    bus: Bus[Fact] = Bus()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(fresh_store(folder / name, bus, clock, hub=name))
        words = Words(store, clock)
        config = TierConfig(us=name, name=name, tier=tier, look_every_s=0.2)
        keys = HubKeys(folder / name / "tier-keys")
        meeting = Meeting(config, keys, words, words, clock)
        links = await stack.enter_async_context(Links(config, meeting, words, words))
        yield TierHub(name, tier, store, bus, words, keys, meeting, links)


async def pair(lower: TierHub, upper: TierHub) -> None:
    await lower.knows(upper, Relation.UPPER)
    await upper.knows(lower, Relation.LOWER)


@dataclass
class Joined:
    """Why each side's link ended."""

    lower: LinkDownError | None = None
    upper: LinkDownError | None = None


async def join(
    lower: TierHub, upper: TierHub, passes: Callable[[str], bool] = lambda _: True
) -> Joined:
    """Connect two hubs and carry their link until it ends."""
    near, far = a_pipe(passes)
    ended = Joined()
    token = lower.meeting.token_for(upper.name)

    async def below() -> None:
        async with lower.store.read() as uow:
            peering = await uow.peerings.get(upper.name)
        try:
            ended.lower = await lower.links.carry(
                await lower.meeting.as_lower(near, peering, token)
            )
        except LinkDownError as why:
            ended.lower = why
            near.cut()
        except GoneError:
            near.cut()

    async def above() -> None:
        try:
            peering, claims = await upper.meeting.known_by(token)
            link = await upper.meeting.as_upper(far, peering, claims)
            ended.upper = await upper.links.carry(link)
        except LinkDownError as why:
            ended.upper = why
            far.cut()
        except GoneError:
            far.cut()

    await asyncio.gather(below(), above())
    return ended
