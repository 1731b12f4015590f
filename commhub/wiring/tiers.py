"""Tiers as these settings have them: who we are to our neighbours, the links to them, and what is said over these."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter

from commhub.domain.tier import Tier
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever
from commhub.ports.store import Store
from commhub.settings import Settings
from commhub.tiers import routes
from commhub.tiers.pairing import Pairing, Us
from commhub.tiers.words import Words
from gateways.tiers.config import TierConfig
from gateways.tiers.door import build_router
from gateways.tiers.keys import HubKeys
from gateways.tiers.links import Links
from gateways.tiers.meeting import Meeting
from gateways.tiers.pairing_client import PairingClient

_LOOK_EVERY_S = 2.0
_FORGET_EVERY_S = 24 * 3600.0


def us(settings: Settings) -> Us:
    """This hub as its neighbours know it."""
    sip = settings.sip
    return Us(
        hub=settings.hub,
        name=settings.name,
        tier=Tier(settings.tier),
        url=settings.public_url,
        sip=settings.tiers.sip or f"{sip.advertised_host or sip.host}:{sip.port}",
    )


def hub_keys(settings: Settings) -> HubKeys:
    """The hub's keys, a file of its own among its secrets."""
    return HubKeys(settings.data_dir.resolve() / "secrets" / "tier-keys.json")


def pairing_of(settings: Settings, store: Store, clock: Clock, keys: HubKeys) -> Pairing:
    """Pairing, for the hub and for the command line."""
    return Pairing(store, clock, us(settings), keys, PairingClient(_text(settings.tiers.ca_file)))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


@dataclass(frozen=True, slots=True)
class TierPart:
    """Everything of tiers in one process. Enter `links` once all features have registered with `words`."""

    words: Words
    links: Links
    pairing: Pairing
    router: APIRouter
    edge: APIRouter

    async def neighbours(self) -> Mapping[str, str]:
        """All of them and their links, as JSON text by name."""
        return {
            one.peer: routes.peering_view(one, self.links).model_dump_json()
            for one in await self.pairing.list()
        }

    async def run(self) -> None:
        """Settle new keys, and forget what was taken long ago, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_forever("tier-keys", self._settle_keys), name="tier-keys")
            tasks.create_task(run_forever("tier-notes", self._forget), name="tier-notes")

    async def _forget(self) -> None:
        while True:
            await self.words.forget_old()
            await asyncio.sleep(_FORGET_EVERY_S)

    async def _settle_keys(self) -> None:
        """See to it that a new key takes the place of the old one as soon as everybody knows it."""
        while True:
            if (key := self.links.newest_key) is not None:
                await self.pairing.settle_keys(self.links.knowing(key))
            await asyncio.sleep(_LOOK_EVERY_S)


def tier_part(settings: Settings, store: Store, clock: Clock) -> TierPart:
    """The links, and what is said over them."""
    ours = us(settings)
    keys = hub_keys(settings)
    config = TierConfig(
        us=ours.hub,
        name=ours.name,
        tier=ours.tier,
        sip=ours.sip,
        ca_file=_text(settings.tiers.ca_file),
    )
    words = Words(store, clock)
    meeting = Meeting(config, keys, words, words, clock)
    links = Links(config, meeting, words, words)
    pairing = pairing_of(settings, store, clock, keys)
    return TierPart(
        words=words,
        links=links,
        pairing=pairing,
        router=routes.build_router(pairing, links),
        edge=build_router(meeting, links, pairing),
    )
