"""The heart of the hub on a real store: reports, incidents and messages wired as the hub wires them, with fake
rules and channels, a scripted clock, and no loops: a test says when a step is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fakes.channels import FakeChannel
from fakes.clock import ScriptedClock
from fakes.decisions import FakeDecisions
from fakes.web import someone

from commhub.domain.facts import TimelineEntry
from commhub.domain.incident import Action, Incident
from commhub.domain.message import Delivery, DeliveryKind, Message
from commhub.domain.people import Endpoint, Responder, Unit
from commhub.domain.report import Source
from commhub.domain.task import Task
from commhub.domain.timer import Timer
from commhub.incidents.config import IncidentConfig
from commhub.incidents.service import IncidentService
from commhub.kit.ids import new_id
from commhub.messages.config import MessageConfig
from commhub.messages.outbox import Outbox
from commhub.messages.service import MessageService
from commhub.ports.channels import Channel
from commhub.ports.inward import NewAck, NewReport
from commhub.ports.store import IncidentQuery, Store
from commhub.reports.deciding import DecidingConfig
from commhub.reports.service import ReportService

PEOPLE = ("zhang", "wang", "zhao")
DESK = someone()


def sos(key: str | None = None, text: str = "help", **more: object) -> NewReport:
    """A body camera's alarm."""
    content = {"source": Source.DEVICE, "category": "sos", "reporter": "cam:b7", **more}
    return NewReport(idempotency_key=key or new_id(), text=text, **content)


def responder(name: str, **more: object) -> Responder:
    """Somebody of the unit `u1` who is reached by WeCom under their own name."""
    content = {
        "id": name,
        "name": f"{name}-name",
        "unit_id": "u1",
        "endpoints": (Endpoint.parse(f"wecom:{name}"),),
        **more,
    }
    return Responder(**content)


@dataclass
class Town:
    """Everything of one hub's heart."""

    store: Store
    clock: ScriptedClock
    decisions: FakeDecisions = field(default_factory=FakeDecisions)
    channels: Sequence[Channel] = ()
    incident_config: IncidentConfig = field(default_factory=IncidentConfig)
    message_config: MessageConfig = field(default_factory=MessageConfig)
    deciding_config: DecidingConfig = field(default_factory=DecidingConfig)

    def __post_init__(self) -> None:
        self.channels = self.channels or (FakeChannel(),)
        names = [channel.name for channel in self.channels]
        self.outbox = Outbox(self.clock, names, self.message_config)
        self.incidents = IncidentService(
            self.store, self.clock, self.decisions, self.outbox, self.incident_config
        )
        self.messages = MessageService(
            self.store,
            self.clock,
            self.channels,
            self.outbox,
            task_moves=self.incidents,
            attention=self.incidents,
            config=self.message_config,
        )
        self.reports = ReportService(
            self.store, self.clock, self.decisions, self.incidents, self.deciding_config
        )

    @property
    def wecom(self) -> FakeChannel:
        channel = self.channels[0]
        assert isinstance(channel, FakeChannel)
        return channel

    # --- people ----------------------------------------------------------------------------------------

    async def settle(self, *people: Responder, leader: bool = True) -> None:
        """Put people into the directory; by default zhang, wang and zhao, and chief who leads."""
        async with self.store.begin() as uow:
            await uow.directory.put_unit(Unit(id="u1", name="Grid one", team="grid"))
            for person in people or [responder(name) for name in PEOPLE]:
                await uow.directory.put_responder(person)
            if leader:
                await uow.directory.put_responder(responder("chief", leads=True))

    # --- steps -----------------------------------------------------------------------------------------

    async def report(self, **more: object) -> Incident:
        """Submit a report and decide on it."""
        receipt = await self.reports.submit(sos(**more))
        await self.reports.decide_waiting()
        return await self.incidents.get(
            await self.reports.wait_for_incident(receipt.report_id, 1.0)
        )

    async def pass_time(self, seconds: float) -> int:
        """Let time pass and fire what is due then."""
        self.clock.advance(seconds)
        return await self.incidents.fire_due()

    async def send(self) -> int:
        """Send until nothing is due now."""
        total = 0
        while sent := await self.messages.send_due():
            total += sent
        return total

    async def send_later(self, seconds: float = 2.0) -> int:
        """Send what is due now, and what that put off for a moment."""
        sent = await self.send()
        self.clock.advance(seconds)
        return sent + await self.send()

    async def tap(
        self, name: str, action: str, *, card_of: str | None = None, key: str | None = None
    ) -> NewAck:
        """`name` taps `action` on the newest card sent to `card_of` (default: their own), and gets a new code."""
        recipient = f"wecom:{card_of or name}"
        card = [o.delivery for o in self.wecom.sent if o.delivery.recipient == recipient][-1]
        ack = NewAck(
            channel="wecom",
            event_key=key or new_id(),
            delivery_id=card.id,
            actor=f"wecom:{name}",
            action=action,
            at=self.clock.now(),
            response_code=self.wecom.new_code(card),
        )
        await self.messages.acknowledge(ack)
        return ack

    async def act(self, incident: Incident, action: Action, **more: object) -> Incident:
        return await self.incidents.act(incident.id, action, DESK, **more)

    # --- what there is ---------------------------------------------------------------------------------

    async def incident(self, incident: Incident) -> Incident:
        return await self.incidents.get(incident.id)

    async def all_incidents(self) -> Sequence[Incident]:
        return await self.incidents.list(IncidentQuery(limit=10_000))

    async def tasks(self, incident: Incident) -> Sequence[Task]:
        async with self.store.read() as uow:
            return await uow.tasks.of_incident(incident.id)

    async def holders(self, incident: Incident) -> list[tuple[str, str]]:
        """Everybody's task: who, and its stage."""
        return [(task.responder_id, str(task.stage)) for task in await self.tasks(incident)]

    async def timers(self, incident: Incident) -> Sequence[Timer]:
        async with self.store.read() as uow:
            return await uow.timers.of_incident(incident.id)

    async def timeline(self, incident: Incident) -> Sequence[TimelineEntry]:
        return await self.incidents.timeline(incident.id)

    async def kinds(self, incident: Incident) -> list[str]:
        return [entry.kind for entry in await self.timeline(incident)]

    async def last(self, incident: Incident, kind: str) -> TimelineEntry:
        return [e for e in await self.timeline(incident) if e.kind == kind][-1]

    async def deliveries(
        self, incident: Incident, kind: DeliveryKind = DeliveryKind.SEND
    ) -> list[Delivery]:
        """Of all messages of the incident, oldest first."""
        async with self.store.read() as uow:
            messages: Sequence[Message] = await uow.messages.list(incident.id, None, 100)
            found = [await uow.messages.deliveries_of(m.id) for m in reversed(messages)]
        return [d for deliveries in found for d in deliveries if d.kind is kind]
