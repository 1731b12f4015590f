"""Whole hubs of several tiers as processes, paired as people pair them: a ticket at the upper one, shown at the lower one."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from commhub.wiring.hub_process import HubProcess

_RTP_EACH = 120


def tier_hub(
    folder: Path, name: str, tier: str, place: int, environment: Mapping[str, str] | None = None
) -> HubProcess:
    """A hub that is not started yet. `place` keeps its media ports apart from those of the other hubs of the test."""
    first = 20_000 + (os.getpid() % 20) * 500 + place * _RTP_EACH
    return HubProcess(
        folder / name,
        {
            "COMMHUB_HUB": name,
            "COMMHUB_NAME": name,
            "COMMHUB_TIER": tier,
            "COMMHUB_MEDIA__FIRST_PORT": str(first),
            "COMMHUB_MEDIA__LAST_PORT": str(first + _RTP_EACH - 1),
            **(environment or {}),
        },
    )


def commhub(hub: HubProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """The hub's command line, as who runs it types it."""
    return subprocess.run(
        [sys.executable, "-m", "commhub", *words],
        env=hub.environment,
        cwd=hub.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def pair(lower: HubProcess, upper: HubProcess) -> None:
    """Make a ticket, and show it."""
    made = commhub(upper, "tier", "invite", lower.environment["COMMHUB_HUB"])
    assert made.returncode == 0, made.stderr
    shown = commhub(lower, "tier", "pair", made.stdout.strip())
    assert shown.returncode == 0, shown.stderr


@asynccontextmanager
async def tier_hubs(
    folder: Path,
    tiers: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    before: Callable[[HubProcess], Awaitable[None]] | None = None,
) -> AsyncIterator[dict[str, HubProcess]]:
    """Running hubs by name, in the order from below to above (`{"street-a": "street", "district-1": "district"}`), each paired with
    the next; `before` each is started a test may change it."""
    hubs = {
        name: tier_hub(folder, name, tier, place, environment)
        for place, (name, tier) in enumerate(tiers.items())
    }
    async with AsyncExitStack() as stack:
        for hub in hubs.values():
            if before is not None:
                await before(hub)
            stack.push_async_callback(asyncio.to_thread, hub.stop)
        await asyncio.gather(*(asyncio.to_thread(hub.__enter__) for hub in hubs.values()))
        chain = list(hubs.values())
        for lower, upper in itertools.pairwise(chain):
            await asyncio.to_thread(pair, lower, upper)
        yield hubs
