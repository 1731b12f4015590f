"""Rooms as these settings have them, and the edge by which pictures come into them."""

from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from commhub.domain.recording import Retention
from commhub.kit.clock import Clock
from commhub.ports.rooms import RoomTokens
from commhub.rooms import inside_routes, record_routes, routes
from commhub.rooms.config import RoomConfig
from commhub.rooms.feature import RoomFeature, RoomPorts
from commhub.settings import Settings
from commhub.wiring.secrets import own_secret
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


def room_tokens(settings: Settings, clock: Clock) -> RoomTokens:
    """What signs guest links and cameras' tokens."""
    return SignedRoomTokens(own_secret(settings.data_dir, "room-tokens").encode(), clock)


def room_feature(settings: Settings, ports: RoomPorts) -> RoomFeature:
    """Rooms, not running yet."""
    return RoomFeature(ports, room_config(settings), ZoneInfo(settings.time_zone))


def room_routers(feature: RoomFeature) -> list[APIRouter]:
    """Their routes; those with fixed paths before those of single rooms."""
    return [
        record_routes.build_wall_router(feature),
        routes.build_router(feature),
        record_routes.build_router(feature),
        inside_routes.build_router(feature),
    ]
