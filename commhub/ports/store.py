"""The store: one transaction spans features, so that a step and whatever follows from it are one commit.

`store.begin()` is a write transaction: it commits on a clean exit, then publishes the recorded facts on the
bus; an exception rolls all of it back. `store.read()` is a consistent snapshot that cannot write. Repositories
return frozen domain objects; `get` raises NotFoundError, `find` answers None. Lists are newest first, bounded
by `limit`, and continue `before` the id of the last row seen (ids sort by time).
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from commhub.domain.account import ApiKey, AuditEntry, Session, User
from commhub.domain.device import Device, DeviceCommand
from commhub.domain.facts import Fact, TimelineEntry
from commhub.domain.incident import Incident, Stage
from commhub.domain.message import Ack, Delivery, Message
from commhub.domain.people import Endpoint, Responder, Unit
from commhub.domain.report import Report, Source
from commhub.domain.task import Task
from commhub.domain.timer import ClockName, Timer
from commhub.ports.call_store import Calls, Duty, Recordings
from commhub.ports.room_store import RoomRecords, Rooms
from commhub.ports.tier_store import Cascades, Peerings, SharedDirectory, Shares


class Reports(Protocol):
    async def add(self, report: Report, payload_hash: str) -> None: ...
    async def get(self, report_id: str) -> Report: ...
    async def find_by_key(self, source: Source, key: str) -> tuple[Report, str] | None:
        """The report with that key, and its payload hash."""
        ...

    async def waiting(self, limit: int) -> Sequence[Report]:
        """RECEIVED reports, oldest first; rows another hub process holds are skipped."""
        ...

    async def update(self, report: Report) -> None: ...
    async def of_incident(self, incident_id: str) -> Sequence[Report]: ...
    async def open_of(self, category: str) -> Sequence[Report]:
        """Those of the category that still wait for the rules, or whose incident is neither handled nor over."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentQuery:
    """`text` matches number, title and place."""

    stages: Collection[Stage] = ()
    open_only: bool = False
    text: str | None = None
    before: str | None = None
    limit: int = 50


class Incidents(Protocol):
    async def add(self, incident: Incident) -> None: ...
    async def get(self, incident_id: str) -> Incident:
        """In a write transaction the row is locked until its end."""
        ...

    async def update(self, incident: Incident) -> None: ...
    async def list(self, query: IncidentQuery) -> Sequence[Incident]: ...
    async def next_number(self, day: str) -> int:
        """The next count of that day, from 1; never given twice."""
        ...


class Tasks(Protocol):
    async def add(self, task: Task) -> None: ...
    async def get(self, task_id: str) -> Task: ...
    async def update(self, task: Task) -> None: ...
    async def of_incident(self, incident_id: str) -> Sequence[Task]:
        """Oldest first."""
        ...

    async def open_counts(self) -> Mapping[str, int]:
        """Open tasks per responder id; who has none is absent. In a write transaction the counts hold still
        until its end: whoever else asks waits, so nobody is given more than they can hold."""
        ...


class Timeline(Protocol):
    async def of_incident(
        self, incident_id: str, after: int = 0, limit: int = 500
    ) -> Sequence[TimelineEntry]:
        """In the order written, from the entry after `after`."""
        ...

    async def untold(
        self, incident_id: str, peer: str, after: int, limit: int
    ) -> Sequence[TimelineEntry]:
        """The same without what that neighbour wrote, or what came to us by it."""
        ...

    async def newest(self) -> int:
        """The place of the newest line of all; 0 while there is none."""
        ...

    async def merge(self, entries: Sequence[TimelineEntry]) -> None:
        """Write lines of other hubs: `hub`, `origin_seq` and `came_by` as they say. Lines that are there already are left out;
        the incident must be here."""
        ...


class Timers(Protocol):
    async def arm(self, timer: Timer) -> None: ...
    async def cancel(self, incident_id: str, clock: ClockName) -> None: ...
    async def due(self, now: datetime, limit: int) -> Sequence[Timer]:
        """ARMED timers whose time has come, oldest first; rows another process holds are skipped."""
        ...

    async def update(self, timer: Timer) -> None: ...
    async def next_due(self) -> datetime | None: ...
    async def of_incident(self, incident_id: str) -> Sequence[Timer]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundEvent:
    """A raw event from a channel, committed before its sender is answered. `payload` is JSON."""

    id: str
    channel: str
    event_key: str
    payload: Mapping[str, object]
    received_at: datetime
    handled: bool = False
    error: str | None = None


class Messages(Protocol):
    async def add(self, message: Message, deliveries: Sequence[Delivery]) -> bool:
        """False, and nothing written, when the message's dedup key was there already."""
        ...

    async def get(self, message_id: str) -> Message: ...
    async def find_of_task(self, task_id: str) -> Message | None: ...
    async def list(
        self, incident_id: str | None, before: str | None, limit: int
    ) -> Sequence[Message]: ...
    async def add_delivery(self, delivery: Delivery) -> None: ...
    async def claim(self, now: datetime, lease_until: datetime, limit: int) -> Sequence[Delivery]:
        """Take due deliveries (and those whose lease ran out) as SENDING, under a lease, attempt + 1."""
        ...

    async def end_leases(self, now: datetime) -> None:
        """Let every lease run out now. Only for a process that knows it is the only sender, at its start:
        whoever held them is dead."""
        ...

    async def get_delivery(self, delivery_id: str) -> Delivery: ...
    async def update_delivery(self, delivery: Delivery) -> None: ...
    async def deliveries_of(self, message_id: str) -> Sequence[Delivery]: ...
    async def next_delivery_at(self) -> datetime | None: ...
    async def add_ack(self, ack: Ack) -> bool:
        """False when that actor's action on that message is there already."""
        ...

    async def acks_of(self, message_id: str) -> Sequence[Ack]: ...
    async def add_inbound(self, event: InboundEvent) -> bool:
        """False when the channel's event key is there already."""
        ...

    async def waiting_inbound(self, limit: int) -> Sequence[InboundEvent]: ...
    async def update_inbound(self, event: InboundEvent) -> None: ...


class Directory(Protocol):
    async def put_unit(self, unit: Unit) -> None: ...
    async def get_unit(self, unit_id: str) -> Unit: ...
    async def units(self) -> Sequence[Unit]: ...
    async def put_responder(self, responder: Responder) -> None: ...
    async def get_responder(self, responder_id: str) -> Responder:
        """In a write transaction the row is locked until its end. Get several in the order of their ids."""
        ...

    async def responders(self) -> Sequence[Responder]: ...
    async def find_by_endpoint(self, endpoint: Endpoint) -> Responder | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SipAccount:
    """A phone's account: HA1 = H(user:realm:password) per algorithm (RFC 7616 §3.4.2); no password is kept."""

    name: str
    display_name: str
    ha1_md5: str
    ha1_sha256: str
    responder_id: str | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SipBinding:
    """A registered contact (RFC 3261 §10). `received` is the source «host:port» behind NAT (RFC 3581); `path` the
    proxies before it, as Route values (RFC 3327); `q` its preference, 0 to 1; `instance` and `reg_id` the phone and
    which of its flows this is (RFC 5626)."""

    account: str
    contact: str
    call_id: str
    cseq: int
    expires_at: datetime
    received: str
    transport: str
    path: tuple[str, ...] = ()
    agent: str | None = None
    q: float = 1.0
    instance: str | None = None
    reg_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSubscription:
    """Somebody watches an account's calls (RFC 6665): the dialog and its counters, as the SIP edge wrote them."""

    id: str
    expires_at: datetime
    state: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SipDialog:
    """A dialog's state (RFC 3261 §12) as the SIP edge wrote it, keyed by its leg, for life after a restart."""

    leg_id: str
    call_id: str
    state: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioLeg:
    """A telephone leg's state as the Twilio edge wrote it, for life after a restart."""

    leg_id: str
    state: Mapping[str, object]


class TwilioLegs(Protocol):
    async def put(self, leg: TwilioLeg) -> None:
        """Insert or replace by leg."""
        ...

    async def delete(self, leg_id: str) -> None: ...
    async def list(self) -> Sequence[TwilioLeg]: ...


class Sip(Protocol):
    async def put_account(self, account: SipAccount) -> None: ...
    async def find_account(self, name: str) -> SipAccount | None: ...
    async def accounts(self) -> Sequence[SipAccount]: ...
    async def put_binding(self, binding: SipBinding) -> None:
        """Insert or replace by (account, contact)."""
        ...

    async def delete_binding(self, account: str, contact: str) -> None: ...
    async def bindings_of(self, account: str) -> Sequence[SipBinding]: ...
    async def bindings(self) -> Sequence[SipBinding]: ...
    async def bindings_until(self, moment: datetime) -> Sequence[SipBinding]:
        """Those that expire by then, the first to do so first."""
        ...

    async def put_dialog(self, dialog: SipDialog) -> None: ...
    async def delete_dialog(self, leg_id: str) -> None: ...
    async def dialogs(self) -> Sequence[SipDialog]:
        """Those of this hub: another one on the same store takes up its own after a restart."""
        ...

    async def put_subscription(self, subscription: SipSubscription) -> None: ...
    async def delete_subscription(self, subscription_id: str) -> None: ...
    async def subscriptions(self) -> Sequence[SipSubscription]: ...


class Fleet(Protocol):
    async def put(self, device: Device) -> None: ...
    async def get(self, device_id: str) -> Device:
        """In a write transaction the row is locked until its end; so it is by `find`."""
        ...

    async def find(self, device_id: str) -> Device | None: ...
    async def list(self) -> Sequence[Device]: ...
    async def put_credential(self, device_id: str, password_hash: str) -> None: ...
    async def delete_credential(self, device_id: str) -> None: ...
    async def credentials(self) -> Mapping[str, str]:
        """Password hash per device id."""
        ...

    async def add_command(self, command: DeviceCommand) -> None: ...
    async def find_command(self, command_id: str) -> DeviceCommand | None: ...
    async def update_command(self, command: DeviceCommand) -> None: ...
    async def commands_of(self, device_id: str, limit: int) -> Sequence[DeviceCommand]: ...


class Accounts(Protocol):
    async def add_user(self, user: User) -> None:
        """Raises ConflictError when the name is taken."""
        ...

    async def update_user(self, user: User) -> None: ...
    async def find_user(self, name: str) -> User | None: ...
    async def get_user(self, user_id: str) -> User: ...
    async def users(self) -> Sequence[User]: ...
    async def add_session(self, session: Session) -> None: ...
    async def find_session(self, token_hash: str) -> Session | None: ...
    async def update_session(self, session: Session) -> None: ...
    async def delete_session(self, token_hash: str) -> None: ...
    async def delete_sessions_of(self, user_id: str, seen_before: datetime | None = None) -> None:
        """All sessions of the user, or only those last seen before that."""
        ...

    async def add_key(self, key: ApiKey) -> None: ...
    async def find_key(self, token_hash: str) -> ApiKey | None: ...
    async def keys(self) -> Sequence[ApiKey]: ...
    async def update_key(self, key: ApiKey) -> None: ...


class Audit(Protocol):
    async def append(
        self, at: datetime, actor: str, action: str, subject: str, outcome: str, detail: str = ""
    ) -> None:
        """Write the next row of the hash chain in this transaction."""
        ...

    async def list(self, before: int | None, limit: int) -> Sequence[AuditEntry]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """The first answer to an Idempotency-Key, given again to every repeat of the same body."""

    body_hash: str
    status: int
    body: str


class Idempotency(Protocol):
    async def find(self, scope: str, key: str) -> StoredResponse | None: ...
    async def put(self, scope: str, key: str, response: StoredResponse, at: datetime) -> None:
        """Raises ConflictError when another request stored the key first."""
        ...


class UnitOfWork(Protocol):
    """All repositories in one transaction."""

    @property
    def reports(self) -> Reports: ...
    @property
    def incidents(self) -> Incidents: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def timers(self) -> Timers: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def duty(self) -> Duty: ...
    @property
    def recordings(self) -> Recordings: ...
    @property
    def rooms(self) -> Rooms: ...
    @property
    def room_records(self) -> RoomRecords: ...
    @property
    def sip(self) -> Sip: ...
    @property
    def twilio(self) -> TwilioLegs: ...
    @property
    def fleet(self) -> Fleet: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def idempotency(self) -> Idempotency: ...

    @property
    def peerings(self) -> Peerings: ...
    @property
    def shares(self) -> Shares: ...
    @property
    def shared_directory(self) -> SharedDirectory: ...
    @property
    def cascades(self) -> Cascades: ...

    def record(self, fact: Fact) -> None:
        """Note what happened: a timeline row when it has an incident, and on the bus after the commit."""
        ...


Also = Callable[[UnitOfWork], Awaitable[None]]
"""What somebody wants written in a transaction of somebody else's: with it or not at all. It does nothing but write
rows of its owner, because it may be run again."""


class Store(Protocol):
    """Where the truth is."""

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]: ...

    def read(self) -> AbstractAsyncContextManager[UnitOfWork]: ...
