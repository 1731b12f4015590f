"""`commhub tier …`: neighbours, straight in the hub's database, whether the hub runs or not. A running hub notices within seconds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from commhub.db import migrate, open_store
from commhub.domain.account import Principal
from commhub.domain.facts import Fact
from commhub.domain.people import Role
from commhub.kit.bus import Bus
from commhub.kit.clock import SystemClock
from commhub.settings import Settings
from commhub.tiers.pairing import Pairing
from commhub.wiring.tiers import hub_keys, pairing_of

_AT_THE_SHELL = Principal(
    id="cli", name="commhub", kind="cli", roles=frozenset({Role.SECURITY_ADMIN})
)


@asynccontextmanager
async def _pairing(settings: Settings) -> AsyncIterator[Pairing]:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    await migrate(settings.database)
    clock = SystemClock()
    async with open_store(
        settings.database, bus=Bus[Fact](), tenant=settings.tenant, hub=settings.hub, clock=clock
    ) as store:
        yield pairing_of(settings, store, clock, hub_keys(settings))


async def invite(settings: Settings, peer: str, hours: float) -> str:
    """A ticket for a lower hub. Raises a DomainError with what is wrong; so do the others."""
    async with _pairing(settings) as pairing:
        return await pairing.invite(peer, _AT_THE_SHELL, timedelta(hours=hours))


async def pair(settings: Settings, ticket: str) -> str:
    """Who we are paired with now."""
    async with _pairing(settings) as pairing:
        peering = await pairing.pair(ticket, _AT_THE_SHELL)
        return f"{peering.peer} ({peering.tier}, {peering.url})"


async def revoke(settings: Settings, peer: str) -> None:
    async with _pairing(settings) as pairing:
        await pairing.revoke(peer, _AT_THE_SHELL)


async def renew_keys(settings: Settings) -> str:
    """The new key."""
    async with _pairing(settings) as pairing:
        return await pairing.renew_keys(_AT_THE_SHELL)


async def neighbours(settings: Settings) -> list[dict[str, str]]:
    """All there are, as rows for people and programs."""
    async with _pairing(settings) as pairing:
        return [
            {
                "peer": one.peer,
                "tier": one.tier.value,
                "relation": one.relation.value,
                "state": one.state.value,
                "url": one.url or "",
                "key": one.keys[0],
                "paired_at": one.paired_at.isoformat(timespec="seconds"),
            }
            for one in await pairing.list()
        ]
