"""What happens in the store is what desks show, and what happened is told once."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.desks import FakeDesk
from fakes.waiting import eventually

from commhub.calls.duty_moves import received
from commhub.domain.call import Call, Leg, LegState
from commhub.domain.call_facts import (
    CallEnded,
    CallStarted,
    DutyCallClosed,
    DutyCallMissed,
    FloorMoved,
    LegMoved,
)
from commhub.domain.device import Device, DeviceKind
from commhub.domain.duty import DutyCall
from commhub.domain.facts import (
    DeviceSeen,
    IncidentRegistered,
    LineAlarm,
    PhoneSeen,
    ServiceMoved,
    StageMoved,
)
from commhub.domain.geo import Point, Position
from commhub.domain.incident import Incident, Stage
from commhub.domain.people import Endpoint, Loop
from commhub.domain.tier_facts import CascadeMoved, LinkMoved, SharedMoved
from commhub.kit.ids import new_id
from commhub.live import service as live_service
from commhub.live.service import HubIdentity, LiveConfig, LiveService
from commhub.ports.edge_store import SipAccount, SipBinding

QUICK = LiveConfig(state_every_s=0, events_every_s=0, compare_every_s=3600)


class Town:
    """Makes things happen in the store, with the facts that features record."""

    def __init__(self, store, clock) -> None:
        self.store = store
        self.clock = clock

    async def open_incident(self, title: str = "积水") -> Incident:
        now = self.clock.advance(1)
        incident = Incident(
            id=new_id(),
            number="20260302-1",
            category="flood",
            title=title,
            level=3,
            loop=Loop.STREET,
            stage=Stage.REGISTERED,
            opened_at=now,
            updated_at=now,
        )
        async with self.store.begin() as uow:
            await uow.incidents.add(incident)
            uow.record(
                IncidentRegistered(
                    at=now,
                    incident_id=incident.id,
                    number=incident.number,
                    category="flood",
                    level=3,
                    loop="street",
                    team="water",
                )
            )
        return incident

    async def move(self, incident: Incident, stage: Stage, *, told: bool = True) -> Incident:
        now = self.clock.advance(1)
        moved = replace(incident, stage=stage, updated_at=now)
        async with self.store.begin() as uow:
            await uow.incidents.update(moved)
            if told:
                uow.record(
                    StageMoved(
                        at=now,
                        incident_id=incident.id,
                        action="move",
                        before=incident.stage,
                        after=stage,
                    )
                )
        return moved

    async def see_device(self, device_id: str, lat: float = 30.0, *, told: bool = True) -> None:
        now = self.clock.advance(1)
        device = Device(
            id=device_id,
            kind=DeviceKind.BODYCAM,
            name=device_id,
            online=True,
            seen_at=now,
            position=Position(point=Point(lat=lat, lon=120.0), at=now),
        )
        async with self.store.begin() as uow:
            await uow.fleet.put(device)
            if told:
                uow.record(DeviceSeen(at=now, device_id=device_id, online=True, lat=lat, lon=120.0))

    async def start_call(self) -> tuple[Call, Leg]:
        now = self.clock.advance(1)
        call = Call(id=new_id(), created_at=now, created_by="user:li")
        leg = Leg(id=new_id(), call_id=call.id, endpoint=Endpoint.parse("sip:1001"), created_at=now)
        async with self.store.begin() as uow:
            await uow.calls.add(call)
            await uow.calls.add_leg(leg)
            uow.record(CallStarted(at=now, call_id=call.id, legs=("sip:1001",)))
        return call, leg

    async def move_leg(self, leg: Leg, state: LegState) -> None:
        now = self.clock.advance(1)
        async with self.store.begin() as uow:
            await uow.calls.update_leg(replace(leg, state=state))
            uow.record(
                LegMoved(
                    at=now, call_id=leg.call_id, leg_id=leg.id, endpoint="sip:1001", state=state
                )
            )

    async def end_call(self, call: Call) -> None:
        now = self.clock.advance(1)
        async with self.store.begin() as uow:
            await uow.calls.update(replace(call, ended_at=now))
            uow.record(CallEnded(at=now, call_id=call.id, duration_s=1.0))

    async def add_phone(self, name: str) -> None:
        account = SipAccount(name=name, display_name=name, ha1_md5="a", ha1_sha256="b")
        async with self.store.begin() as uow:
            await uow.sip.put_account(account)

    async def register_phone(self, name: str, for_s: float = 600) -> None:
        now = self.clock.advance(1)
        binding = SipBinding(
            account=name,
            contact=f"sip:{name}@192.0.2.1",
            call_id="x",
            cseq=1,
            expires_at=now + timedelta(seconds=for_s),
            received="192.0.2.1:5060",
            transport="udp",
            agent="phone/1",
        )
        async with self.store.begin() as uow:
            await uow.sip.put_binding(binding)
            uow.record(PhoneSeen(at=now, account=name, online=True, agent="phone/1"))


class Desk(FakeDesk):
    """A desk that follows a service until its block ends."""

    def __init__(self, service: LiveService) -> None:
        super().__init__()
        self._service = service

    async def follow(self) -> None:
        frame = await self._service.first(self.epoch, self.seq)
        while frame is not None:
            self.take(frame.text)
            frame = await self._service.after(frame)


@asynccontextmanager
async def running(service: LiveService) -> AsyncIterator[Desk]:
    desk = Desk(service)
    tasks = [asyncio.create_task(service.run()), asyncio.create_task(desk.follow())]
    try:
        await eventually(lambda: desk.frames)
        yield desk
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def town(store, clock) -> Town:
    return Town(store, clock)


@pytest.fixture
def service(store, bus, clock) -> LiveService:
    return LiveService(store, bus, clock, config=QUICK)


async def test_a_new_desk_gets_open_incidents_live_calls_devices_and_phones(service, town):
    incident = await town.open_incident()
    closed = await town.open_incident()
    await town.move(closed, Stage.CLOSED)
    call, leg = await town.start_call()
    over, _ = await town.start_call()
    await town.end_call(over)
    await town.see_device("b7")
    await town.add_phone("1001")
    await town.add_phone("1002")
    await town.register_phone("1002")
    async with running(service) as desk:
        state = desk.state
    assert list(state["incidents"]) == [incident.id]
    assert list(state["calls"]) == [call.id]
    assert [item["id"] for item in state["calls"][call.id]["legs"]] == [leg.id]
    assert state["fleet"]["b7"]["position"]["point"] == {"lat": 30.0, "lon": 120.0}
    assert {name: phone["online"] for name, phone in state["phones"].items()} == {
        "1001": False,
        "1002": True,
    }
    assert state["phones"]["1002"]["agent"] == "phone/1"
    assert desk.events == []


async def test_more_open_incidents_than_one_query_takes_are_all_there(service, town, monkeypatch):
    monkeypatch.setattr("commhub.live.rendering.STEP", 2)
    opened = {(await town.open_incident()).id for _ in range(5)}
    calls = {(await town.start_call())[0].id for _ in range(4)}
    async with running(service) as desk:
        assert desk.state["incidents"].keys() == opened
        assert desk.state["calls"].keys() == calls


async def test_an_incident_appears_changes_and_goes_with_its_timeline(service, town):
    async with running(service) as desk:
        incident = await town.open_incident("火情")
        await eventually(lambda: incident.id in desk.state["incidents"])
        incident = await town.move(incident, Stage.DISPATCHED)
        await eventually(lambda: desk.state["incidents"][incident.id]["stage"] == Stage.DISPATCHED)
        await town.move(incident, Stage.CLOSED)
        await eventually(lambda: incident.id not in desk.state["incidents"])
        await eventually(lambda: len(desk.events) == 3)
    kinds = [event["value"]["kind"] for event in desk.events]
    assert kinds == ["incident_registered", "stage_moved", "stage_moved"]
    numbers = [event["value"]["seq"] for event in desk.events]
    assert numbers == sorted(set(numbers))


async def test_the_history_of_an_incident_is_no_news(service, town):
    incident = await town.open_incident()
    incident = await town.move(incident, Stage.DISPATCHED)
    async with running(service) as desk:
        await town.move(incident, Stage.ACCEPTED)
        await eventually(lambda: desk.events)
    assert [event["value"]["data"]["after"] for event in desk.events] == ["accepted"]


async def test_the_legs_of_a_call_move_before_the_eyes_of_the_desk(service, town):
    async with running(service) as desk:
        call, leg = await town.start_call()
        await eventually(lambda: call.id in desk.state["calls"])
        await town.move_leg(leg, LegState.RINGING)
        await eventually(lambda: desk.state["calls"][call.id]["legs"][0]["state"] == "ringing")
        await town.end_call(call)
        await eventually(lambda: call.id not in desk.state["calls"])


async def test_who_waits_at_the_duty_number_is_shown_until_that_is_history(service, store, clock):
    now = clock.now()
    call = Call(id=new_id(), created_at=now, created_by="phone:1001", line="值班电话")
    caller = DutyCall(
        id=call.id,
        line="值班电话",
        dialled="8000",
        caller=Endpoint.parse("sip:1001"),
        offered_at=now,
    )
    async with running(service) as desk:
        async with store.begin() as uow:
            await uow.calls.add(call)
            await uow.duty.add(caller)
            uow.record(received(caller))
        await eventually(lambda: desk.state["duty"].get(call.id))
        assert desk.state["duty"][call.id]["state"] == "waiting"
        missed = caller.end(now)
        async with store.begin() as uow:
            await uow.duty.update(missed)
            uow.record(DutyCallMissed(at=now, duty_id=call.id, waited_s=0.0))
        await eventually(lambda: desk.state["duty"][call.id]["state"] == "missed")
        async with store.begin() as uow:
            await uow.duty.update(missed.settle("user:li"))
            uow.record(DutyCallClosed(at=now, duty_id=call.id, how="dismissed"))
        await eventually(lambda: call.id not in desk.state["duty"])


async def test_a_phone_comes_and_its_registration_runs_out(service, town, clock):
    await town.add_phone("1001")
    async with running(service) as desk:
        await town.register_phone("1001", for_s=60)
        await eventually(lambda: desk.state["phones"]["1001"]["online"])
        clock.advance(61)
        async with town.store.begin() as uow:
            uow.record(PhoneSeen(at=clock.now(), account="1001", online=False))
        await eventually(lambda: not desk.state["phones"]["1001"]["online"])


async def test_the_floor_is_an_event_that_names_the_talker(service, bus, clock):
    async with running(service) as desk:
        bus.publish(
            FloorMoved(
                at=clock.now(), group="g1", event="taken", talker="radio:r12", queue=("radio:r13",)
            )
        )
        bus.publish(FloorMoved(at=clock.now(), group="g1", event="idle"))
        await eventually(lambda: len(desk.events) == 2)
    assert desk.events[0] == {
        "event": "floor",
        "value": {
            "group": "g1",
            "event": "taken",
            "talker": "radio:r12",
            "call_id": None,
            "cause": None,
            "queue": ["radio:r13"],
        },
    }
    assert desk.events[1]["value"]["talker"] is None


async def test_an_alarm_of_the_lines_reaches_the_desk(service, bus, clock):
    async with running(service) as desk:
        bus.publish(LineAlarm(at=clock.now(), alarm="emergency_call", text="by user:li"))
        await eventually(lambda: desk.events)
    (event,) = desk.events
    assert event["event"] == "alarm"
    assert (event["value"]["alarm"], event["value"]["text"]) == ("emergency_call", "by user:li")


async def test_a_desk_that_comes_later_sees_who_has_the_floor_and_whose_hub_it_is(
    store, bus, clock
):
    identity = HubIdentity(name="东街", tier="street", id="street-a")
    service = LiveService(store, bus, clock, hub=identity, config=QUICK)
    async with running(service) as desk:
        bus.publish(FloorMoved(at=clock.now(), group="g1", event="taken", talker="radio:r12"))
        await eventually(lambda: desk.events)
    whole = json.loads(service.snapshot().text)
    assert whole["state"]["floors"]["g1"]["talker"] == "radio:r12"
    assert whole["hub"] == {"name": "东街", "tier": "street", "mode": "normal", "id": "street-a"}


async def test_services_are_known_from_the_start_and_followed(store, bus, clock):
    async def services() -> dict[str, str]:
        return {"mqtt": "up", "sip": "down"}

    service = LiveService(store, bus, clock, services=services, config=QUICK)
    async with running(service) as desk:
        assert desk.state["services"]["sip"] == {"name": "sip", "state": "down", "detail": None}
        bus.publish(ServiceMoved(at=clock.now(), service="sip", state="up", detail="5060"))
        await eventually(lambda: desk.state["services"]["sip"]["state"] == "up")
    assert desk.state["services"]["sip"]["detail"] == "5060"
    assert desk.state["services"]["mqtt"]["state"] == "up"


async def test_a_link_that_goes_down_is_shown_at_once_and_what_waits_a_little_later(
    store, bus, clock
):
    links = {"district": {"peer": "district", "up": True, "waiting": 0}}

    async def neighbours() -> dict[str, str]:
        return {peer: json.dumps(link) for peer, link in links.items()}

    seldom = replace(QUICK, neighbours_every_s=3600)
    async with running(
        LiveService(store, bus, clock, neighbours=neighbours, config=seldom)
    ) as desk:
        assert desk.state["peerings"]["district"]["up"] is True
        links["district"] = {"peer": "district", "up": False, "waiting": 0}
        bus.publish(LinkMoved(at=clock.now(), peer="district", up=False, reason="no answer"))
        await eventually(lambda: desk.state["peerings"]["district"]["up"] is False, within_s=30)

    often = replace(QUICK, neighbours_every_s=0.01)
    async with running(LiveService(store, bus, clock, neighbours=neighbours, config=often)) as desk:
        links["district"] = {"peer": "district", "up": False, "waiting": 12}
        await eventually(lambda: desk.state["peerings"]["district"]["waiting"] == 12, within_s=30)
        links.clear()
        await eventually(lambda: desk.state["peerings"] == {}, within_s=30)


async def test_what_a_neighbour_shares_and_a_room_joined_with_it_are_events(store, bus, clock):
    async with running(LiveService(store, bus, clock, config=QUICK)) as desk:
        bus.publish(SharedMoved(at=clock.now(), peer="street-a", subjects=("radio:r12@street-a",)))
        bus.publish(CascadeMoved(at=clock.now(), room_id="r1", peer="street-a", state="joined"))
        await eventually(lambda: len(desk.events) == 2, within_s=30)
    assert desk.events == [
        {"event": "shared", "value": {"peer": "street-a"}},
        {"event": "cascade", "value": {"room_id": "r1", "peer": "street-a", "state": "joined"}},
    ]


async def test_a_change_that_nobody_told_is_found_by_comparing(store, bus, clock, town):
    config = LiveConfig(state_every_s=0, events_every_s=0, compare_every_s=0.05)
    async with running(LiveService(store, bus, clock, config=config)) as desk:
        await town.see_device("b7", told=False)
        await eventually(lambda: "b7" in desk.state["fleet"])
        incident = await town.open_incident()
        await eventually(lambda: incident.id in desk.state["incidents"])
        await town.move(incident, Stage.CLOSED, told=False)
        await eventually(lambda: incident.id not in desk.state["incidents"])
    assert desk.frames.count("snapshot") == 1


async def test_a_bus_that_lost_facts_ends_the_epoch(service, town, bus, clock, monkeypatch):
    monkeypatch.setattr(live_service, "FACTS", 4)
    async with running(service) as desk:
        first = desk.epoch
        for number in range(10):
            bus.publish(FloorMoved(at=clock.now(), group=f"g{number}", event="idle"))
        await eventually(lambda: desk.epoch != first)
        await town.see_device("b7")
        await eventually(lambda: "b7" in desk.state["fleet"])
    assert desk.frames.count("snapshot") == 2


async def test_a_desk_that_comes_back_gets_only_what_it_missed(service, town):
    async with running(service) as desk:
        await town.see_device("b7")
        await eventually(lambda: "b7" in desk.state["fleet"])
        late = Desk(service)
        late.take((await service.first(None, 0)).text)
        await town.see_device("b8")
        await eventually(lambda: "b8" in desk.state["fleet"])
        late.take((await service.first(late.epoch, late.seq)).text)
        assert late.frames == ["snapshot", "delta"]
        assert late.state == desk.state


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_story_every_desk_shows_what_the_store_holds(
    service, store, bus, clock, town, seed
):
    chance = random.Random(seed)
    incidents: list[Incident] = []
    calls: list[tuple[Call, Leg]] = []
    async with running(service) as desk:
        late = Desk(service)
        joined: asyncio.Task[None] | None = None
        for step in range(60):
            match chance.randrange(6):
                case 0:
                    incidents.append(await town.open_incident())
                case 1 if incidents:
                    place = chance.randrange(len(incidents))
                    stage = chance.choice([Stage.DISPATCHED, Stage.HANDLED, Stage.CLOSED])
                    incidents[place] = await town.move(incidents[place], stage)
                case 2:
                    calls.append(await town.start_call())
                case 3 if calls:
                    call, leg = calls.pop(chance.randrange(len(calls)))
                    await town.move_leg(leg, LegState.CONNECTED)
                    if chance.random() < 0.5:
                        await town.end_call(call)
                case 4:
                    for number in range(chance.choice([1, 12])):
                        await town.see_device(f"b{number}", lat=chance.uniform(20, 40))
                case _:
                    name = f"10{chance.randrange(12):02}"
                    await town.add_phone(name)
                    await town.register_phone(name)
            if step == 30:
                joined = asyncio.create_task(late.follow())
        fresh_service = LiveService(store, bus, clock, config=QUICK)
        async with running(fresh_service) as fresh:
            await eventually(lambda: desk.state == fresh.state == late.state, within_s=10)
        assert joined is not None
        joined.cancel()


class CountedReads:
    """A store that counts its readers."""

    def __init__(self, store) -> None:
        self._store = store
        self.reads = 0

    def read(self):
        self.reads += 1
        return self._store.read()


async def test_while_no_desk_looks_nothing_is_rendered_and_the_next_one_misses_nothing(
    store, bus, clock, town
):
    counted = CountedReads(store)
    service = LiveService(counted, bus, clock, config=replace(QUICK, idle_after_s=0))
    task = asyncio.create_task(service.run())
    with bus.subscribe() as facts:
        for _ in range(20):
            call, _ = await town.start_call()
        async with store.begin() as uow:
            uow.record(FloorMoved(at=clock.now(), group="g", event="taken", talker="r12"))
        for _ in range(21):
            await facts.get()
    frame = json.loads((await service.first(None, 0)).text)
    assert counted.reads == 1
    assert len(frame["state"]["calls"]) == 20
    assert call.id in frame["state"]["calls"]
    await eventually(lambda: not service._is_loaded.is_set())
    reads = counted.reads
    _, leg = await town.start_call()
    await town.move_leg(leg, LegState.RINGING)
    desk = Desk(service)
    following = asyncio.create_task(desk.follow())
    await eventually(lambda: desk.frames)
    assert counted.reads == reads + 1
    assert len(desk.state["calls"]) == 21
    assert desk.state["floors"]["g"]["talker"] == "r12"
    # Whoever looks keeps it awake, however quiet the hub is.
    await town.move_leg(leg, LegState.CONNECTED)
    await eventually(lambda: desk.state["calls"][leg.call_id]["legs"][0]["state"] == "connected")
    assert desk.frames.count("snapshot") == 1
    for one in (following, task):
        one.cancel()
    await asyncio.gather(following, task, return_exceptions=True)
