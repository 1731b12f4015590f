"""Control's picture engine, and the way into rooms by WHIP and WHEP."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter

from bridges.reach import ClientConfig
from bridges.video.client import VideoClient
from bridges.video.orders import NoVideo
from commhub.kit.clock import Clock
from commhub.ports.rooms import RoomsIn, RoomTokens
from commhub.ports.video import VideoIn
from commhub.settings import Settings
from commhub.wiring.health import Health
from commhub.wiring.shared import video_worker_names, worker_socket
from gateways.webrtc.api_routes import build_api_router
from gateways.webrtc.config import TurnConfig
from gateways.webrtc.ice import IceServers
from gateways.webrtc.room_legs import RoomLegs
from gateways.webrtc.room_routes import RoomDoor, build_room_router
from gateways.webrtc.room_sessions import RoomNews, RoomSessions


def video_engine(settings: Settings, health: Health, clock: Clock) -> VideoClient | NoVideo:
    """The engine, to be entered once `room_edge` has connected it. Raises SettingsError. Without it a hub is ready all the same: phones and radios need none."""
    names = video_worker_names(settings)
    if not names:
        return NoVideo()
    config = ClientConfig(address=f"unix:{worker_socket(settings, names[0])}")
    client = VideoClient(config, clock)
    health.watch("video", lambda: client.is_connected, needed=False)
    return client


def turn_config(settings: Settings) -> TurnConfig | None:
    """The TURN server of these settings."""
    turn = settings.media.turn
    if turn is None:
        return None
    secret = turn.secret.get_secret_value().encode()
    return TurnConfig(urls=turn.urls, secret=secret, ttl_s=turn.ttl_s)


@dataclass(frozen=True, slots=True)
class RoomEdge:
    """WHIP and WHEP of rooms: `door` also serves what legs and rooms have in common, `router` goes to the application's root,
    `api_router` under /api/v1."""

    door: RoomDoor
    router: APIRouter
    api_router: APIRouter


def room_edge(
    settings: Settings,
    engine: VideoClient | NoVideo,
    rooms: RoomsIn,
    news: VideoIn,
    legs: RoomLegs,
    tokens: RoomTokens,
    clock: Clock,
    engine_came: Callable[[], Awaitable[None]],
) -> RoomEdge:
    """The edge around the rooms; connects `engine` and `legs` to them. `engine_came` is told when the engine is there (again)."""
    engine.deliver_to(RoomNews(news, rooms, legs, engine_came))
    legs.connect(rooms, engine)
    ice = IceServers(turn_config(settings), clock)
    door = RoomDoor(rooms, RoomSessions(rooms, engine, legs), tokens, ice)
    return RoomEdge(door, build_room_router(door), build_api_router(door, ice))
