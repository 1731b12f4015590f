"""What rooms need of the tiers: the links, and a way out for pictures that only leads to the hubs above us."""

from dataclasses import dataclass

import httpx

from bridges.video.client import VideoClient
from bridges.video.orders import NoVideo
from commhub.domain.tier import Peering
from commhub.ports.between import TierVoice
from commhub.rooms.cascade.feature import RoomTiers
from commhub.settings import Settings
from commhub.wiring.tiers import TierPart
from gateways.webrtc.pushing import WhepWatches, WhipPushes
from gateways.webrtc.whip_client import WhipClient


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
    """Enter `client` before anybody is served."""

    tiers: RoomTiers
    client: WhipClient


def pictures_outward(
    settings: Settings, tiers: TierPart, video: VideoClient | NoVideo, voice: TierVoice
) -> PicturesOutward:
    """Pushes to the hubs above."""
    addresses = AddressesAbove()
    tiers.words.on_link(addresses.link_moved)
    client = WhipClient(addresses.allow, ca_file=settings.tiers.ca_file)
    return PicturesOutward(
        RoomTiers(
            us=settings.hub,
            links=tiers.links,
            words=tiers.words,
            pushes=WhipPushes(video, client),
            watches=WhepWatches(video, client),
            voice=voice,
        ),
        client,
    )
