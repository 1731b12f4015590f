"""All use cases of rooms, put together from the ports they need."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from commhub.domain.facts import Fact
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock
from commhub.kit.sealing import Seal
from commhub.kit.supervise import Doorbell, run_forever
from commhub.ports.inside import DeviceOrders, Notices, RoomSound
from commhub.ports.media import MediaEngine
from commhub.ports.rooms import RoomTokens
from commhub.ports.store import Store
from commhub.ports.video import VideoEngine
from commhub.rooms.cascade.feature import Cascade, RoomTiers
from commhub.rooms.cascade.ground import Ground
from commhub.rooms.cascade.routes import build_router as build_cascade_router
from commhub.rooms.config import RoomConfig
from commhub.rooms.dialling import Numbers
from commhub.rooms.entering import Doors
from commhub.rooms.following import RoomFollower
from commhub.rooms.hosting import Host
from commhub.rooms.inviting import Invitations
from commhub.rooms.minutes import MinutesService
from commhub.rooms.orders import Orderly
from commhub.rooms.phone_pictures import PhonePictures
from commhub.rooms.pulling import Pulling
from commhub.rooms.reading import Readers
from commhub.rooms.recordings import RoomRecordings
from commhub.rooms.roll_calls import RollCalls
from commhub.rooms.service import RoomService
from commhub.rooms.video_events import VideoEvents
from commhub.rooms.voices import Voices
from commhub.rooms.walls import Walls


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomPorts:
    """What rooms need of others."""

    store: Store
    clock: Clock
    bus: Bus[Fact]
    video: VideoEngine
    media: MediaEngine
    sound: RoomSound
    devices: DeviceOrders
    tokens: RoomTokens
    seal: Seal
    """Keeps the addresses of cameras, which have passwords in them."""
    notices: Notices
    wants_keyframe: Callable[[str], Awaitable[None]]
    """Asks the far end of a phone's picture, by its leg, for a whole one."""
    tiers: RoomTiers | None = None
    """Without it no room is joined with another hub's."""


class RoomFeature:
    """`doors` implements `RoomsIn`, `pictures` `RoomPictures`, `numbers` `DialledRooms`, `voices` `RoomVoices`, `events` `VideoIn`; `run` is all that goes on by itself."""

    def __init__(self, ports: RoomPorts, config: RoomConfig, zone: ZoneInfo) -> None:
        store, clock = ports.store, ports.clock
        orderly = Orderly(
            ports.video, ports.sound, ports.devices, ports.tokens, clock, config, ports.seal
        )
        self.store = store
        self.clock = clock
        self.tokens = ports.tokens
        self.rooms = RoomService(store, clock, orderly, config)
        self.doors = Doors(store, clock, orderly)
        self.numbers = Numbers(config.prefix, ports.sound, clock)
        self.host = Host(store, clock, orderly)
        self.invitations = Invitations(store, clock, orderly, ports.tokens, ports.notices, config)
        self.events = VideoEvents(
            store, clock, ports.bus, orderly, self.doors, wants_keyframe=ports.wants_keyframe
        )
        self.pictures = PhonePictures(store, clock, self.doors)
        self.voices = Voices(store, ports.media, ports.video)
        self.follower = RoomFollower(store, clock, ports.bus, orderly, self.voices, config)
        self.roll_calls = RollCalls(store, clock, orderly, ports.media)
        self.recordings = RoomRecordings(store, clock, orderly, config)
        self.minutes = MinutesService(store, clock, zone)
        self.readers = Readers(store)
        self.walls = Walls(store, clock)
        self.pulling = Pulling(store, clock, orderly)
        self.cascade = self._joined(ports, config, orderly, ports.tiers) if ports.tiers else None

    def _joined(
        self, ports: RoomPorts, config: RoomConfig, orderly: Orderly, tiers: RoomTiers
    ) -> Cascade:
        bell = Doorbell()
        ground = Ground(
            us=tiers.us,
            store=ports.store,
            clock=ports.clock,
            links=tiers.links,
            orderly=orderly,
            doors=self.doors,
            rooms=self.rooms,
            events=self.events,
            tokens=ports.tokens,
            config=config,
            look=lambda _: bell.ring(),
        )
        cascade = Cascade(ground, tiers, ports.bus, bell, self.roll_calls, self.invitations)
        orderly.fetch = cascade.wait_for
        orderly.looked = ground.look
        self.voices.heard = cascade.speaking.heard
        self.roll_calls.spread = cascade.rolls.spread
        self.invitations.borrow = cascade.lending.borrow
        return cascade

    @property
    def cascade_routers(self) -> list[APIRouter]:
        """Those of joined rooms."""
        return [] if self.cascade is None else [build_cascade_router(self.cascade, self.store)]

    async def run(self) -> None:
        """Follow rooms, roll-calls and the age of recordings until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.follower.run(), name="rooms-follow")
            tasks.create_task(run_forever("roll-calls", self.roll_calls.run), name="roll-calls")
            if self.cascade is not None:
                tasks.create_task(self.cascade.run(), name="cascade")
            tasks.create_task(
                run_forever("room-recordings", self.recordings.run), name="room-recordings"
            )
