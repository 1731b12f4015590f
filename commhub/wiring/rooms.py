"""Rooms as these settings have them, and the edge by which pictures come into them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from bridges.video.client import VideoClient
from bridges.video.orders import NoVideo
from commhub.calls.service import CallService
from commhub.domain.facts import Fact
from commhub.domain.recording import Retention
from commhub.fleet.service import FleetService
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock
from commhub.kit.sealing import Seal
from commhub.messages.service import MessageService
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store
from commhub.rooms import inside_routes, record_routes, routes
from commhub.rooms.config import RoomConfig
from commhub.rooms.feature import RoomFeature, RoomPorts
from commhub.settings import Settings
from commhub.wiring.cascade import PicturesOutward, pictures_outward
from commhub.wiring.health import Health
from commhub.wiring.secrets import own_secret
from commhub.wiring.tiers import TierPart
from commhub.wiring.video import RoomEdge, room_edge, video_engine
from gateways.sip.gateway import SipGateway
from gateways.webrtc.room_legs import RoomLegs
from gateways.webrtc.room_tokens import SignedRoomTokens


def room_config(settings: Settings) -> RoomConfig:
    """What rooms are told."""
    return RoomConfig(
        prefix=settings.rooms.prefix,
        public_url=settings.public_url,
        invitation_for=timedelta(hours=settings.rooms.invitation_hours),
        idle_for=timedelta(seconds=settings.rooms.camera_idle_s),
        folder=settings.recordings_dir,
        keep=_keep(settings),
    )


def _keep(settings: Settings) -> Mapping[Retention, int]:
    days = settings.recordings.keep_days
    return {
        Retention.INCIDENT: days.incident,
        Retention.DRILL: days.drill,
        Retention.OTHER: days.other,
    }


@dataclass(frozen=True, slots=True)
class RoomPart:
    """Everything of rooms in one process. Enter `outward` and `video` before anybody is served."""

    feature: RoomFeature
    video: VideoClient | NoVideo
    edge: RoomEdge
    outward: PicturesOutward

    @property
    def routers(self) -> list[APIRouter]:
        """Under /api/v1; those with fixed paths before those of single rooms."""
        return [
            record_routes.build_wall_router(self.feature),
            routes.build_router(self.feature),
            record_routes.build_router(self.feature),
            inside_routes.build_router(self.feature),
            *self.feature.cascade_routers,
            self.edge.api_router,
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomNeighbours:
    """What rooms touch of the rest of the hub."""

    store: Store
    clock: Clock
    bus: Bus[Fact]
    media: MediaEngine
    calls: CallService
    fleet: FleetService
    messages: MessageService
    legs: RoomLegs
    health: Health
    sip: SipGateway
    tiers: TierPart


def room_part(settings: Settings, near: RoomNeighbours) -> RoomPart:
    """Rooms with the picture engine and the edge by which browsers and cameras come; phones come by `calls`."""
    video = video_engine(settings, near.health, near.clock)
    tokens = SignedRoomTokens(own_secret(settings.data_dir, "room-tokens").encode(), near.clock)
    outward = pictures_outward(settings, near.tiers, video, near.calls.neighbours)
    ports = RoomPorts(
        store=near.store,
        clock=near.clock,
        bus=near.bus,
        video=video,
        media=near.media,
        sound=near.calls.rooms,
        devices=near.fleet,
        tokens=tokens,
        seal=Seal(own_secret(settings.data_dir, "camera-addresses"), "camera-addresses"),
        notices=near.messages,
        wants_keyframe=near.sip.ask_keyframe,
        tiers=outward.tiers,
    )
    feature = RoomFeature(ports, room_config(settings), ZoneInfo(settings.time_zone))
    near.calls.rooms.connect(feature.numbers, feature.voices)
    near.health.watch("room-recordings", lambda: feature.events.recordings_work, needed=False)
    near.sip.pictures.connect_to(feature.pictures, video)
    edge = room_edge(
        settings,
        video,
        feature.doors,
        feature.events,
        near.legs,
        tokens,
        near.clock,
        partial(_engine_came, feature, near.sip),
    )
    if feature.cascade is not None:
        video.deliver_pushes_to(feature.cascade.uplinks)
    return RoomPart(feature, video, edge, outward)


async def _engine_came(feature: RoomFeature, sip: SipGateway) -> None:
    await sip.engine_came()
    if feature.cascade is not None:
        await feature.cascade.engine_came()
