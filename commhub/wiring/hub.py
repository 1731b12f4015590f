"""The control process: every feature with its adapters, on one page.

What is made here is made in the order of need and lives until the process is told to stop. Features get ports,
adapters get features as inward ports; nothing else in the project knows both.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter

from commhub import __version__
from commhub.accounts import routes as account_routes
from commhub.accounts.passwords import Passwords
from commhub.accounts.service import AccountService
from commhub.accounts.sessions import SessionService
from commhub.calls import duty_routes
from commhub.calls import routes as call_routes
from commhub.directory import routes as directory_routes
from commhub.directory.service import DirectoryService
from commhub.domain.errors import UnavailableError
from commhub.domain.facts import Fact
from commhub.domain.people import Scheme
from commhub.domain.report import Report
from commhub.fleet import routes as fleet_routes
from commhub.fleet.phones import Phones
from commhub.fleet.service import FleetService
from commhub.fleet.standings import RadioStandings
from commhub.incidents import routes as incident_routes
from commhub.incidents.crew import Crew
from commhub.kit import garbage
from commhub.kit.supervise import run_forever
from commhub.live import routes as live_routes
from commhub.live.service import HubIdentity, LiveService
from commhub.messages import routes as message_routes
from commhub.ports.decisions import Candidate, Decision
from commhub.ports.devices import CommandOrder, DeviceControl
from commhub.ports.edge_store import SipAccount
from commhub.reports import routes as report_routes
from commhub.rooms.people import unit_of
from commhub.settings import Settings
from commhub.web.app import create_app
from commhub.web.server import ServerConfig, serve
from commhub.wiring.core import Core, open_core
from commhub.wiring.facts_wire import FactsWire
from commhub.wiring.media import media_pool
from commhub.wiring.rooms import RoomNeighbours, room_part
from commhub.wiring.secrets import own_secret
from commhub.wiring.shared import (
    broker_config,
    control_secret,
    mqtt_address,
)
from commhub.wiring.sip_pictures import PictureFollower
from commhub.wiring.sound import recording_service, sound_routers
from commhub.wiring.telephone import open_telephones
from commhub.wiring.tier_directory import shared_part
from commhub.wiring.tier_incidents import tier_incidents_part
from commhub.wiring.tiers import tier_part
from commhub.wiring.urgent import emergency_numbers, urgent_numbers
from commhub.wiring.wecom import wecom_routers
from devices.broker_files import CONTROL_USER
from devices.connection import DeviceGateway, GatewayConfig
from devices.credentials import BrokerCredentials
from devices.link import MqttAddress
from devices.radio_legs import RadioLegs
from gateways.sip.core import Inward
from gateways.sip.digest import hash_account
from gateways.webrtc.config import WebRtcConfig
from gateways.webrtc.legs import DeskLegs
from gateways.webrtc.room_legs import RoomLegs
from gateways.webrtc.routes import build_router as build_webrtc_router
from gateways.webrtc.routes import build_token_router
from rules.routes import build_router as build_rules_router

if TYPE_CHECKING:
    from commhub.kit.relay import Relay

log = structlog.get_logger(__name__)

STATIC = Path(__file__).parents[1] / "web" / "static"


async def run_control(settings: Settings) -> None:
    """Run the control process until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    async with AsyncExitStack() as stack:
        await _enter(settings, stack)
        await stop.wait()
        log.info("control_stopping")


async def _enter(settings: Settings, stack: AsyncExitStack) -> None:
    """Open everything, edges last: nobody is served before what serves them is there."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    tasks = await stack.enter_async_context(_Background())
    core = await open_core(settings, stack)
    standings = RadioStandings(core.store, core.bus)
    media = await stack.enter_async_context(
        media_pool(
            settings, core.calls, core.store, core.health, core.clock, standings, core.alerts
        )
    )
    standings.connect(media)
    telephones = open_telephones(
        settings,
        core,
        media,
        Inward(
            transfers=core.calls.transfers,
            digits=media.inward,
            reports=core.reports,
            is_urgent=urgent_numbers(settings),
            is_emergency=emergency_numbers(settings),
            is_behind=lambda: core.load.is_behind,
        ),
    )
    core.load.watch("sip", lambda: telephones.sip.waited_s)
    codec = settings.media.radio_codec.upper()
    radio = await stack.enter_async_context(RadioLegs(core.store, media, core.calls, codec))
    webrtc = WebRtcConfig(token_secret=own_secret(settings.data_dir, "leg-tokens").encode())
    desks = await stack.enter_async_context(
        DeskLegs(webrtc, core.store, media, core.calls, core.clock)
    )
    guests = await stack.enter_async_context(RoomLegs(webrtc, core.store, media, core.calls))
    drivers = {
        **telephones.drivers,
        Scheme.RADIO: radio,
        Scheme.DESK: desks,
        Scheme.ROOM: guests,
    }
    core.calls.connect(media, drivers)
    core.alerts.connect(media, core.messages)
    devices = await _device_control(settings, core, stack)
    fleet = FleetService(
        core.store, BrokerCredentials(broker_config(settings)), devices, core.clock
    )
    await _admit_devices(fleet)
    tiers = tier_part(settings, core.store, core.clock)
    rooms = room_part(
        settings,
        RoomNeighbours(
            store=core.store,
            clock=core.clock,
            bus=core.bus,
            media=media,
            calls=core.calls,
            fleet=fleet,
            messages=core.messages,
            legs=guests,
            health=core.health,
            sip=telephones.sip,
            tiers=tiers,
        ),
    )
    await stack.enter_async_context(rooms.outward)
    await stack.enter_async_context(rooms.video)
    accounts, sessions = await _open_accounts(core)
    live = LiveService(
        core.store,
        core.bus,
        core.clock,
        services=core.health.readiness,
        neighbours=tiers.neighbours,
        unit_of=partial(unit_of, core.store),
        hub=HubIdentity(id=settings.hub, name=settings.name, tier=settings.tier),
    )
    recordings = recording_service(settings, core.store, core.clock, media)
    routers, edges = _routers(settings, core, fleet, accounts, sessions, live)
    routers[:0] = sound_routers(settings, core.store, core.clock, media, recordings)
    routers.append(build_token_router(desks, webrtc, core.clock))
    routers += rooms.routers
    edges.append(build_webrtc_router(desks, webrtc, core.clock, rooms.edge.door))
    edges += [rooms.edge.router, *telephones.routers, tiers.edge]
    between = tier_incidents_part(settings, core, tiers)
    shared = await shared_part(settings, core, tiers, telephones.sip, fleet, stack)
    routers += [tiers.router, between.router, shared.router]
    app = create_app(
        routers=routers,
        edge_routers=edges,
        principals=sessions,
        readiness=core.health.readiness,
        static_dir=STATIC if (STATIC / "index.html").is_file() else None,
        version=__version__,
        clock=core.clock,
    )
    await stack.enter_async_context(telephones)
    core.health.watch("sip", lambda: True)
    if settings.database_url is None:
        # Nobody else can share the embedded database, so whoever held a lease is dead.
        await core.messages.take_over()
    loops: dict[str, Callable[[], Awaitable[None]]] = {
        "load": core.load.run,
        "garbage": partial(garbage.run, lambda: core.load.is_behind),
        "live": live.run,
        "health": core.health.run,
        "standings": standings.run,
        "reports": core.reports.run,
        "incidents": core.incidents.run,
        "messages": core.messages.run,
        "alerts": partial(core.alerts.run, core.bus),
        "recordings": recordings.run,
        "duty": core.duty.run,
        "rooms": rooms.feature.run,
        "tiers": tiers.run,
        "tier-incidents": between.run,
        "shared": shared.run,
        "pictures": PictureFollower(core.store, core.bus, telephones.sip).run,
    }
    for name, work in loops.items():
        tasks.run(name, work)
    if settings.redis_url is not None:
        tasks.run("relay", _relay(settings.redis_url, settings, core).run)
    await core.calls.resume()
    await stack.enter_async_context(
        serve(app, ServerConfig(host=settings.http.host, port=settings.http.port))
    )
    await stack.enter_async_context(tiers.links)
    garbage.settle()
    log.info("control_ready", url=settings.public_url, hub=settings.hub)


async def _admit_devices(fleet: FleetService) -> None:
    """Tell the broker whom to let in. A broker that cannot be told must not keep the phones from ringing."""
    try:
        await fleet.publish_credentials()
    except UnavailableError as error:
        log.error("devices_not_admitted", reason=str(error))  # noqa: TRY400 - the reason is the whole story


def _relay(redis_url: str, settings: Settings, core: Core) -> "Relay[Fact]":
    from commhub.kit.relay import Relay  # noqa: PLC0415 - a hub without Redis need not wait for its client

    wire = FactsWire()
    relay = Relay(
        core.bus,
        redis_url,
        f"commhub:{settings.tenant}:{settings.hub}:facts",
        encode=wire.encode,
        decode=wire.decode,
    )
    core.health.watch("redis", lambda: relay.connected, needed=False)
    return relay


class _Background:
    """Loops that are restarted when they fail, and cancelled when the process stops."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(run_forever(name, work), name=name))

    async def __aenter__(self) -> "_Background":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _open_accounts(core: Core) -> tuple[AccountService, SessionService]:
    passwords = Passwords()
    accounts = AccountService(core.store, core.clock, passwords)
    first = await accounts.ensure_first_admin()
    if first is not None:
        # Said once, and stored nowhere: whoever starts the hub for the first time reads it here.
        print(f"commhub: first_admin name=admin password={first}", flush=True)  # noqa: T201 - for a person, not for the log
    return accounts, SessionService(core.store, core.clock, passwords)


class NoDevices:
    """Of a hub that has no broker."""

    async def command(self, order: CommandOrder) -> None:
        del order
        raise UnavailableError("this hub has no devices of its own (setting mqtt.enabled)")


async def _device_control(settings: Settings, core: Core, stack: AsyncExitStack) -> DeviceControl:
    if not settings.mqtt.enabled:
        return NoDevices()
    devices = await stack.enter_async_context(_device_gateway(settings, core))
    core.health.watch("mqtt", lambda: devices.is_up)
    return devices


def _device_gateway(settings: Settings, core: Core) -> DeviceGateway:
    host, port = mqtt_address(settings)
    address = MqttAddress(host=host, port=port, user=CONTROL_USER, secret=control_secret(settings))
    return DeviceGateway(
        GatewayConfig(address=address, tenant=settings.tenant),
        core.reports,
        core.presence,
        core.clock,
    )


def _routers(
    settings: Settings,
    core: Core,
    fleet: FleetService,
    accounts: AccountService,
    sessions: SessionService,
    live: LiveService,
) -> tuple[list[APIRouter], list[APIRouter]]:
    """Routers under /api/v1, and those of protocols at the root."""

    def account_of(name: str, password: str) -> SipAccount:
        return hash_account(name, settings.sip.realm, password)

    async def candidates(decision: Decision, report: Report) -> Sequence[Candidate]:
        del decision, report
        async with core.store.read() as uow:
            return (await Crew.load(uow)).candidates()

    routers = [
        account_routes.build_router(accounts, sessions, core.store),
        report_routes.build_router(core.reports),
        incident_routes.build_router(core.incidents, core.reports, core.store),
        directory_routes.build_router(DirectoryService(core.store, core.clock), core.store),
        duty_routes.build_router(core.duty, core.store),
        call_routes.build_router(core.calls, core.store),
        message_routes.build_router(core.messages, core.store),
        fleet_routes.build_router(fleet, Phones(core.store, account_of, core.clock), core.store),
        build_rules_router(core.book, candidates, core.clock, core.store),
        live_routes.build_router(live),
    ]
    return routers, wecom_routers(settings, core.messages, core.reports, core.clock)
