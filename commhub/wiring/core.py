"""The dispatch model of one hub with its store and rules: what every protocol is then connected to."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from commhub.calls.alerts import AlertService
from commhub.calls.duty import DutyDesk
from commhub.calls.service import CallService
from commhub.db import migrate, open_store
from commhub.domain.facts import Fact
from commhub.fleet.presence import FleetPresence
from commhub.incidents.config import IncidentConfig
from commhub.incidents.service import IncidentService
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock, SystemClock
from commhub.kit.load import Load
from commhub.messages.outbox import Outbox
from commhub.messages.service import MessageService
from commhub.ports.store import Store
from commhub.reports.service import ReportService
from commhub.settings import Settings
from commhub.wiring.alerts import alert_channels, alert_service
from commhub.wiring.duty import duty_lines
from commhub.wiring.health import Health
from commhub.wiring.sound import recording_rule
from commhub.wiring.wecom import open_channels
from gateways.sip.text_channel import SipTextChannel
from rules.book import RuleBook
from rules.engine import RuleEngine


@dataclass(frozen=True, slots=True)
class Core:
    """The dispatch model with its rules, before any protocol is connected to it."""

    clock: Clock
    bus: Bus[Fact]
    store: Store
    book: RuleBook
    outbox: Outbox
    incidents: IncidentService
    reports: ReportService
    messages: MessageService
    presence: FleetPresence
    calls: CallService
    alerts: AlertService
    texts: SipTextChannel | None
    """Texts to SIP phones, not connected yet; None where the settings want none."""
    duty: DutyDesk
    health: Health
    load: Load


async def open_core(settings: Settings, stack: AsyncExitStack) -> Core:
    """Open the store, read the rules and make the features; what is opened here is closed by `stack`."""
    clock, bus = SystemClock(), Bus[Fact]()
    await migrate(settings.database)
    store = await stack.enter_async_context(
        open_store(
            settings.database, bus=bus, tenant=settings.tenant, hub=settings.hub, clock=clock
        )
    )
    load = Load(clock)
    load.watch("store", lambda: store.behind_s)
    health = Health(bus, clock)
    book = RuleBook(settings.data_dir.resolve() / "rules")
    await asyncio.to_thread(book.load)
    health.watch("rules", lambda: not book.troubles, needed=False)
    decisions = RuleEngine(book.current)
    lines = duty_lines(settings)
    calls = CallService(store, clock, recording=recording_rule(settings), lines=lines)
    alerts = alert_service(settings, calls, store, clock)
    texts = SipTextChannel() if settings.sip.texts else None
    channels = [
        *await open_channels(settings, clock, stack),
        *alert_channels(settings, alerts),
        *([texts] if texts is not None else []),
    ]
    outbox = Outbox(clock, [channel.name for channel in channels])
    incidents = IncidentService(
        store,
        clock,
        decisions,
        outbox,
        IncidentConfig(
            time_zone=ZoneInfo(settings.time_zone),
            origin=settings.hub,
            link=f"{settings.public_url}/incidents/{{incident_id}}",
        ),
    )
    reports = ReportService(store, clock, decisions, incidents)
    return Core(
        clock=clock,
        bus=bus,
        store=store,
        book=book,
        outbox=outbox,
        incidents=incidents,
        reports=reports,
        messages=MessageService(store, clock, channels, outbox, incidents, incidents),
        presence=FleetPresence(store, clock),
        calls=calls,
        alerts=alerts,
        texts=texts,
        duty=DutyDesk(store, clock, calls, reports, lines),
        health=health,
        load=load,
    )
