"""What rooms need of the tiers: the links, and a way out for pictures that only leads to the hubs above us."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

import httpx

from bridges.video.client import VideoClient
from bridges.video.orders import NoVideo
from commhub.domain.tier import Peering
from commhub.ports.between import TierVoice
from commhub.ports.pushes import PushTarget
from commhub.rooms.cascade.feature import RoomTiers
from commhub.rooms.cascade.platforms import Platform
from commhub.settings import Settings
from commhub.settings_parts import PlatformSettings
from commhub.wiring.tiers import TierPart
from gateways.webrtc.pushing import WhepWatches, WhipPushes
from gateways.webrtc.whip_client import Allow, WhipClient


class AddressesAbove:
    """Where this hub may push to: the addresses at which it has reached the hubs above it, and nothing it is told of or led to."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str, int | None]] = {}

    async def link_moved(self, peering: Peering, up: bool) -> None:
        """Links come up before anything is asked over them."""
        if up and peering.url is not None:
            self._known[peering.peer] = _place(httpx.URL(peering.url))
        elif not peering.is_active:
            self._known.pop(peering.peer, None)

    def allow(self, url: httpx.URL) -> bool:
        return _place(url) in self._known.values()


def _place(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


@dataclass(frozen=True, slots=True)
class PicturesOutward:
    """Enter it before anybody is served."""

    tiers: RoomTiers
    clients: tuple[WhipClient, ...]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        for client in self.clients:
            await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def pictures_outward(
    settings: Settings, tiers: TierPart, video: VideoClient | NoVideo, voice: TierVoice
) -> PicturesOutward:
    """Pushes to the hubs above."""
    addresses = AddressesAbove()
    tiers.words.on_link(addresses.link_moved)
    client = WhipClient(addresses.allow, ca_file=settings.tiers.ca_file)
    clients = {
        one.name: WhipClient(_only(one.whip_url), ca_file=one.ca_file)
        for one in settings.tiers.platforms
        if one.whip_url is not None
    }
    return PicturesOutward(
        RoomTiers(
            us=settings.hub,
            links=tiers.links,
            words=tiers.words,
            pushes=WhipPushes(video, client),
            watches=WhepWatches(video, client),
            voice=voice,
            platforms={
                one.name: _platform(one, video, clients.get(one.name))
                for one in settings.tiers.platforms
            },
        ),
        (client, *clients.values()),
    )


def _platform(
    one: PlatformSettings, video: VideoClient | NoVideo, client: WhipClient | None
) -> Platform:
    if client is None or one.whip_url is None:
        return Platform(name=one.name, dial=one.dial)
    token = None if one.token is None else one.token.get_secret_value()
    target = PushTarget(url=one.whip_url, token=token)
    return Platform(name=one.name, out=WhipPushes(video, client), target=target)


def _only(address: str) -> Allow:
    """A platform's own address, and none that it leads to elsewhere: its token is for it alone."""
    known = _place(httpx.URL(address))
    return lambda url: _place(url) == known
