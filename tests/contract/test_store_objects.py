"""Every field of every domain object comes back as it went in, on both databases."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from fakes.clock import ScriptedClock
from fakes.objects import (
    a_call,
    a_message,
    a_report,
    a_responder,
    a_task,
    a_unit,
    an_incident,
)
from fakes.strategies import objects
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commhub.db import SqlStore
from commhub.domain import call_facts, facts, room_facts, tier_facts
from commhub.domain.account import ApiKey, Session, User
from commhub.domain.call import Call, Leg
from commhub.domain.device import Device, DeviceCommand, DeviceKind
from commhub.domain.duty import DutyCall
from commhub.domain.facts import Fact, TaskDispatched
from commhub.domain.incident import Incident
from commhub.domain.message import Ack, Delivery, Message
from commhub.domain.people import Endpoint, Responder, Role, Unit
from commhub.domain.recording import Prompt, Recording
from commhub.domain.report import Report
from commhub.domain.task import Task
from commhub.domain.timer import Timer
from commhub.ports.edge_store import SipAccount, SipBinding, SipDialog, SipSubscription, TwilioLeg
from commhub.ports.store import InboundEvent, StoredResponse, UnitOfWork

FAR = datetime(2300, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """How one kind of object is written and read back. `fixed` are the references to what is there."""

    kind: type[Any]
    write: Callable[[UnitOfWork, Any], Awaitable[object]]
    read: Callable[[UnitOfWork, Any], Awaitable[object]]
    fixed: dict[str, object]

    @property
    def key(self) -> tuple[str, ...]:
        """The field by which the store knows the object."""
        names = {field.name for field in fields(self.kind)}
        keys = ("id", "contact", "leg_id", "token_hash", "name")
        return tuple(name for name in keys if name in names)[:1]

    def __str__(self) -> str:
        return self.kind.__name__


def case(
    kind: type[Any],
    write: Callable[[UnitOfWork, Any], Awaitable[object]],
    read: Callable[[UnitOfWork, Any], Awaitable[object]],
    **fixed: object,
) -> Case:
    return Case(kind, write, read, fixed)


async def only(rows: Awaitable[Sequence[object]]) -> object:
    (row,) = await rows
    return row


CASES = [
    case(
        Report,
        lambda u, x: u.reports.add(x, "h"),
        lambda u, x: u.reports.get(x.id),
        incident_id="i",
    ),
    case(
        Incident,
        lambda u, x: u.incidents.add(x),
        lambda u, x: u.incidents.get(x.id),
        id="i2",
        merged_into="i",
    ),
    case(
        Task,
        lambda u, x: u.tasks.add(x),
        lambda u, x: u.tasks.get(x.id),
        id="t2",
        incident_id="i",
    ),
    case(
        Timer,
        lambda u, x: u.timers.arm(x),
        lambda u, x: only(u.timers.of_incident("i")),
        incident_id="i",
        task_id="t",
    ),
    case(
        Message,
        lambda u, x: u.messages.add(x, []),
        lambda u, x: u.messages.get(x.id),
        id="m2",
        dedup_key="d2",
        incident_id="i",
        task_id="t",
    ),
    case(
        Delivery,
        lambda u, x: u.messages.add_delivery(x),
        lambda u, x: u.messages.get_delivery(x.id),
        message_id="m",
    ),
    case(
        Ack,
        lambda u, x: u.messages.add_ack(x),
        lambda u, x: only(u.messages.acks_of("m")),
        message_id="m",
    ),
    case(
        InboundEvent,
        lambda u, x: u.messages.add_inbound(x),
        lambda u, x: only(u.messages.waiting_inbound(9)),
        handled=False,
    ),
    case(
        Unit,
        lambda u, x: u.directory.put_unit(x),
        lambda u, x: u.directory.get_unit(x.id),
    ),
    case(
        Responder,
        lambda u, x: u.directory.put_responder(x),
        lambda u, x: u.directory.get_responder(x.id),
        unit_id="u1",
    ),
    case(Call, lambda u, x: u.calls.add(x), lambda u, x: u.calls.get(x.id), incident_id="i"),
    case(
        Leg,
        lambda u, x: u.calls.add_leg(x),
        lambda u, x: u.calls.find_leg(x.id),
        call_id="c",
    ),
    case(
        DutyCall,
        lambda u, x: u.duty.add(x),
        lambda u, x: u.duty.get(x.id),
        id="c",
        incident_id="i",
    ),
    case(
        Recording,
        lambda u, x: u.recordings.add(x),
        lambda u, x: u.recordings.get(x.id),
        call_id="c",
        incident_id="i",
    ),
    case(
        Prompt,
        lambda u, x: u.recordings.add_prompt(x),
        lambda u, x: u.recordings.get_prompt(x.id),
    ),
    case(
        SipAccount,
        lambda u, x: u.sip.put_account(x),
        lambda u, x: u.sip.find_account(x.name),
    ),
    case(
        SipBinding,
        lambda u, x: u.sip.put_binding(x),
        lambda u, x: only(u.sip.bindings_of("1001")),
        account="1001",
    ),
    case(SipDialog, lambda u, x: u.sip.put_dialog(x), lambda u, x: only(u.sip.dialogs())),
    case(
        SipSubscription,
        lambda u, x: u.sip.put_subscription(x),
        lambda u, x: only(u.sip.subscriptions()),
    ),
    case(TwilioLeg, lambda u, x: u.twilio.put(x), lambda u, x: only(u.twilio.list())),
    case(Device, lambda u, x: u.fleet.put(x), lambda u, x: u.fleet.get(x.id)),
    case(
        DeviceCommand,
        lambda u, x: u.fleet.add_command(x),
        lambda u, x: u.fleet.find_command(x.id),
        device_id="b7",
    ),
    case(User, lambda u, x: u.accounts.add_user(x), lambda u, x: u.accounts.get_user(x.id)),
    case(
        Session,
        lambda u, x: u.accounts.add_session(x),
        lambda u, x: u.accounts.find_session(x.token_hash),
        user_id="li",
        expires_at=FAR,
    ),
    case(
        ApiKey,
        lambda u, x: u.accounts.add_key(x),
        lambda u, x: u.accounts.find_key(x.token_hash),
    ),
    case(
        StoredResponse,
        lambda u, x: u.idempotency.put("s", "k", x, FAR),
        lambda u, x: u.idempotency.find("s", "k"),
    ),
]

# What is changed as a whole: everything but the key.
UPDATES: dict[type[Any], Callable[[UnitOfWork, Any], Awaitable[object]]] = {
    Report: lambda u, x: u.reports.update(x),
    Incident: lambda u, x: u.incidents.update(x),
    Task: lambda u, x: u.tasks.update(x),
    Timer: lambda u, x: u.timers.update(x),
    Delivery: lambda u, x: u.messages.update_delivery(x),
    InboundEvent: lambda u, x: u.messages.update_inbound(x),
    Call: lambda u, x: u.calls.update(x),
    DutyCall: lambda u, x: u.duty.update(x),
    Recording: lambda u, x: u.recordings.update(x),
    Leg: lambda u, x: u.calls.update_leg(x),
    DeviceCommand: lambda u, x: u.fleet.update_command(x),
    User: lambda u, x: u.accounts.update_user(x),
    Session: lambda u, x: u.accounts.update_session(x),
    ApiKey: lambda u, x: u.accounts.update_key(x),
    # Putting again replaces.
    Unit: lambda u, x: u.directory.put_unit(x),
    Responder: lambda u, x: u.directory.put_responder(x),
    SipAccount: lambda u, x: u.sip.put_account(x),
    SipBinding: lambda u, x: u.sip.put_binding(x),
    SipDialog: lambda u, x: u.sip.put_dialog(x),
    SipSubscription: lambda u, x: u.sip.put_subscription(x),
    TwilioLeg: lambda u, x: u.twilio.put(x),
    Device: lambda u, x: u.fleet.put(x),
}

drawn = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def world(sql_store: SqlStore, clock: ScriptedClock) -> SqlStore:
    """A store with one of everything that others refer to."""
    async with sql_store.begin() as uow:
        await uow.incidents.add(an_incident(id="i"))
        await uow.tasks.add(a_task("i", id="t"))
        await uow.messages.add(a_message(id="m", dedup_key="d"), [])
        await uow.directory.put_unit(a_unit())
        await uow.calls.add(a_call(id="c"))
        await uow.sip.put_account(
            SipAccount(name="1001", display_name="", ha1_md5="", ha1_sha256="")
        )
        await uow.fleet.put(Device(id="b7", kind=DeviceKind.BODYCAM, name="b7"))
        await uow.accounts.add_user(
            User(
                id="li",
                name="li",
                display_name="",
                password_hash="",
                roles=frozenset({Role.VIEWER}),
                created_at=clock.now(),
            )
        )
    return sql_store


@asynccontextmanager
async def undone(store: SqlStore) -> AsyncIterator[UnitOfWork]:
    """A unit of work that leaves no trace, so that the next example begins in the same world."""
    with suppress(UndoneError):
        async with store.begin() as uow:
            yield uow
            undo()


class UndoneError(Exception):
    pass


def undo() -> None:
    raise UndoneError


@pytest.mark.parametrize("kind", CASES, ids=str)
@given(data=st.data())
@drawn
async def test_every_field_comes_back_and_can_change(
    world: SqlStore, kind: Case, data: st.DataObject
) -> None:
    thing = data.draw(objects(kind.kind, **kind.fixed))
    other = data.draw(objects(kind.kind, **kind.fixed))
    changed = replace(other, **{name: getattr(thing, name) for name in kind.key})
    async with undone(world) as uow:
        await kind.write(uow, thing)
        found = await kind.read(uow, thing)
        assert found == thing
        assert type(found) is type(thing)
        if (change := UPDATES.get(kind.kind)) is not None:
            await change(uow, changed)
            assert await kind.read(uow, changed) == changed


async def test_enums_and_times_come_back_as_themselves(
    sql_store: SqlStore,
) -> None:
    at = datetime(2026, 3, 2, 16, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    report = a_report(received_at=at, occurred_at=at.replace(microsecond=0))
    async with sql_store.begin() as uow:
        await uow.reports.add(report, "h")
    async with sql_store.read() as uow:
        found = await uow.reports.get(report.id)
    assert found.received_at.isoformat() == "2026-03-02T08:00:00.123456+00:00"
    assert found.occurred_at is not None
    assert found.occurred_at.tzinfo is UTC or found.occurred_at.utcoffset() == timedelta(0)
    assert isinstance(found.source, StrEnum)


async def test_a_responder_put_again_is_found_at_the_new_addresses_only(
    world: SqlStore,
) -> None:
    old, new, shared = (Endpoint.parse(text) for text in ("sip:1001", "sip:1002", "radio:g1"))
    async with world.begin() as uow:
        await uow.directory.put_responder(a_responder(endpoints=(old, shared, old)))
        await uow.directory.put_responder(a_responder(id="li", endpoints=(shared,)))
    async with world.begin() as uow:
        await uow.directory.put_responder(a_responder(endpoints=(new, shared)))
        assert await uow.directory.find_by_endpoint(old) is None
        assert await uow.directory.find_by_endpoint(new) == a_responder(endpoints=(new, shared))
        found = await uow.directory.find_by_endpoint(shared)
        assert found is not None
        assert found.id == "li"


def every_fact() -> list[type[Fact]]:
    return [
        kind
        for module in (facts, call_facts, room_facts, tier_facts)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Fact)
        and kind.__module__ == module.__name__
        and kind is not Fact
    ]


def as_json(value: object) -> object:
    """What a client of the API would see."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case tuple():
            return [as_json(member) for member in value]
        case dict():
            return {name: as_json(member) for name, member in value.items()}
        case _:
            return value


@given(data=st.data())
@drawn
async def test_every_fact_becomes_a_line(world: SqlStore, data: st.DataObject) -> None:
    facts = [data.draw(objects(kind, incident_id="i")) for kind in every_fact()]
    async with undone(world) as uow:
        for fact in facts:
            uow.record(fact)
        entries = await uow.timeline.of_incident("i")
    assert [(entry.kind, entry.at, entry.actor, entry.hub) for entry in entries] == [
        (fact.kind, fact.at, fact.actor, "street-a") for fact in facts
    ]
    assert [entry.data for entry in entries] == [as_json(fact.data) for fact in facts]


async def test_facts_without_an_incident_leave_no_line(
    world: SqlStore, clock: ScriptedClock
) -> None:
    async with world.begin() as uow:
        uow.record(
            TaskDispatched(
                at=clock.now(), task_id="t", responder_id="r", responder="R", unit="u", attempt=1
            )
        )
        assert await uow.timeline.of_incident("i") == []
