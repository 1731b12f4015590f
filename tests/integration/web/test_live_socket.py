"""The live socket over a real server and a real WebSocket client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from fakes.desks import FakeDesk
from fakes.rooms import RoomTown, a_guest
from fakes.waiting import eventually
from fakes.web import FakePrincipals, someone
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from commhub.domain.call_facts import FloorMoved
from commhub.domain.device import Device, DeviceKind
from commhub.domain.facts import DeviceSeen
from commhub.domain.people import Role
from commhub.live.metrics import CLOSED
from commhub.live.routes import build_router
from commhub.live.service import LiveConfig, LiveService
from commhub.web.app import create_app
from commhub.web.server import ServerConfig, WebError, serve

KEY = {"Authorization": "Bearer k"}
HELLO = json.dumps({"op": "hello", "epoch": None, "seq": 0})


class Hub:
    """A store, a live service and a server around them."""

    def __init__(self, store, bus, clock, config: LiveConfig) -> None:
        self.store = store
        self.bus = bus
        self.clock = clock
        self.principals = FakePrincipals(
            keys={"k": someone(), "deaf": someone(Role.INTEGRATION), "none": someone(Role.VIEWER)},
            sessions={"tok": someone()},
        )
        self.service = LiveService(store, bus, clock, config=config)
        self.url = ""

    async def see(self, device_id: str) -> None:
        device = Device(id=device_id, kind=DeviceKind.RADIO, name=device_id, online=True)
        async with self.store.begin() as uow:
            await uow.fleet.put(device)
            uow.record(DeviceSeen(at=self.clock.now(), device_id=device_id, online=True))

    def talk(self, group: str) -> None:
        self.bus.publish(FloorMoved(at=self.clock.now(), group=group, event="taken"))

    def connect(self, headers: dict[str, str] = KEY, **options: object) -> connect:
        return connect(self.url, additional_headers=headers, proxy=None, max_size=None, **options)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Hub"]:
        async def readiness() -> dict[str, str]:
            return {}

        app = create_app(
            routers=[build_router(self.service)],
            principals=self.principals,
            readiness=readiness,
            static_dir=None,
            version="0",
            clock=self.clock,
        )
        task = asyncio.create_task(self.service.run())
        async with serve(app, ServerConfig(port=0, drain_s=1)) as url:
            self.url = url.replace("http", "ws") + "/api/v1/live"
            yield self
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def hub(store, bus, clock) -> AsyncIterator[Hub]:
    config = LiveConfig(
        state_every_s=0.01,
        events_every_s=0,
        patience_s=1.0,
        hello_within_s=0.2,
        ask_again_s=0.05,
        log_size=10_000,
    )
    async with Hub(store, bus, clock, config).running() as running:
        yield running


async def listen(socket: ClientConnection, desk: FakeDesk, until) -> None:
    while not until():
        async with asyncio.timeout(5):
            desk.take(await socket.recv())


async def test_hello_brings_the_state_and_then_its_changes(hub):
    await hub.see("r1")
    desk = FakeDesk()
    async with hub.connect() as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: "r1" in desk.state.get("fleet", {}))
        await hub.see("r2")
        hub.talk("g1")
        await listen(socket, desk, lambda: "r2" in desk.state["fleet"] and desk.events)
    assert desk.frames[0] == "snapshot"
    assert set(desk.frames[1:]) == {"delta"}


async def test_a_desk_resumes_where_it_was(hub):
    desk = FakeDesk()
    async with hub.connect() as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: desk.frames)
    hub.talk("while away")
    await hub.see("r1")
    async with hub.connect() as socket:
        await socket.send(json.dumps({"op": "hello", "epoch": desk.epoch, "seq": desk.seq}))
        await listen(socket, desk, lambda: "r1" in desk.state["fleet"] and desk.events)
    assert desk.frames.count("snapshot") == 1
    assert [event["value"]["group"] for event in desk.events] == ["while away"]


async def test_resync_brings_the_whole_state_again(hub):
    await hub.see("r1")
    desk = FakeDesk()
    async with hub.connect() as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: "r1" in desk.state.get("fleet", {}))
        desk.state["fleet"].clear()
        await socket.send('{"op":"resync"}')
        await listen(socket, desk, lambda: desk.state["fleet"])
    assert "r1" in desk.state["fleet"]
    assert desk.frames[-1] == "snapshot"


async def test_a_desk_that_takes_nothing_is_closed_and_has_lost_nothing_when_it_is_back(hub):
    desk = FakeDesk()
    closed = CLOSED.labels("behind for too long")._value
    closed_before = closed.get()
    told = 0
    # One message held and no more: then the client's buffers fill, and after them the server's.
    async with hub.connect(max_queue=1) as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: desk.frames)
        while closed.get() == closed_before:
            hub.talk(f"{told}:" + "x" * 50_000)
            told += 1
            # Each is an event, and the state of its group.
            await eventually(lambda to=told: hub.service.snapshot().to == 2 * to)
        with suppress(ConnectionClosed):
            await listen(socket, desk, lambda: False)
    assert socket.close_code == 4008
    assert len(desk.events) < told
    async with hub.connect() as socket:
        await socket.send(json.dumps({"op": "hello", "epoch": desk.epoch, "seq": desk.seq}))
        await listen(socket, desk, lambda: len(desk.events) >= told)
    heard = [int(event["value"]["group"].split(":")[0]) for event in desk.events]
    assert heard == list(range(told))
    assert desk.frames.count("snapshot") == 1


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        "{}",
        '{"op":"resync"}',
        '{"op":"hello","seq":-1}',
        '{"op":"hello","topics":["x"]}',
        b"\x00\x01",
        "[" * 60_000,
    ],
)
async def test_a_message_of_the_wrong_form_ends_the_socket_with_a_reason(hub, message):
    async with hub.connect() as socket:
        await socket.send(message)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 4000
    assert socket.close_reason


async def test_a_desk_says_nothing_but_resync_after_hello(hub):
    desk = FakeDesk()
    async with hub.connect() as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: desk.frames)
        await socket.send(HELLO)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 4000


async def test_who_says_nothing_is_not_waited_for(hub):
    async with hub.connect() as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 4000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Cookie": "commhub_session=tok"}, 403),
        ({"Cookie": "commhub_session=tok", "Origin": "http://evil.test"}, 403),
    ],
)
async def test_strangers_and_other_sites_are_refused_at_the_handshake(hub, headers, status):
    with pytest.raises(InvalidStatus) as refused:
        async with hub.connect(headers):
            pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["status"] == status


async def test_our_own_page_is_let_in_by_its_cookie(hub):
    origin = hub.url.replace("ws:", "http:").removesuffix("/api/v1/live")
    desk = FakeDesk()
    async with hub.connect({"Cookie": "commhub_session=tok", "Origin": origin}) as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: desk.frames)


async def test_a_desk_whose_key_is_revoked_is_closed(hub):
    desk = FakeDesk()
    async with hub.connect() as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: desk.frames)
        del hub.principals.keys["k"]
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 4001


async def test_a_port_that_is_taken_is_said_plainly(hub):
    port = int(hub.url.split(":")[2].split("/")[0])
    with pytest.raises(WebError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with serve(None, ServerConfig(port=port)):
            pass


async def test_whose_roles_change_gets_what_the_new_ones_may_see(hub, tmp_path):
    town = RoomTown(hub.store, hub.bus, hub.clock, tmp_path)
    room = await town.open()
    await a_guest(town, room, "赵来宾")
    desk = FakeDesk()
    async with hub.connect() as socket:
        await socket.send(HELLO)
        await listen(socket, desk, lambda: desk.epoch)
        assert desk.state["rooms"][room.id]["participants"]
        hub.principals.keys["k"] = someone(Role.SYSTEM_ADMIN, name="root")
        await listen(socket, desk, lambda: not desk.state["rooms"][room.id]["participants"])
