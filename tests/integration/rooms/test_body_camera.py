"""A body camera's live view at a whole hub: asked over MQTT, the simulated camera publishes by WHIP, a viewer decodes and listens."""

import asyncio
import os
import signal
import sys
from contextlib import ExitStack
from functools import partial

import pytest
from fakes.servers import free_port, listens, running
from fakes.simulators import Simulator
from fakes.waiting import eventually

from commhub.domain.people import Role
from commhub.wiring.demo.settle import Desk, add_people
from commhub.wiring.hub_process import HubProcess
from simulators.footage import FPS, PICTURES

TONE = 1300
"""What the camera's microphone hears, in hertz."""
BEHIND = FPS * 2
"""Pictures a viewer may be behind the camera: decoding on a busy machine."""


@pytest.fixture
async def hub(tmp_path):
    hub = HubProcess(tmp_path / "hub", {"COMMHUB_ROOMS__CAMERA_IDLE_S": "5"})
    await asyncio.to_thread(hub.__enter__)
    try:
        yield hub
    finally:
        await asyncio.to_thread(hub.stop)


@pytest.fixture
async def desk(hub):
    people = {"li": [Role.DISPATCHER, Role.SYSTEM_ADMIN]}
    passwords = await asyncio.to_thread(add_people, hub, people)
    desk = await asyncio.to_thread(Desk, hub.url, "li", passwords["li"])
    yield desk
    desk.close()


@pytest.fixture
def processes():
    with ExitStack() as stack:
        yield stack


async def simulator(processes, module, *options):
    port = free_port()
    command = [sys.executable, "-m", f"simulators.{module}", "--http-port", str(port), *options]
    process = await asyncio.to_thread(
        processes.enter_context, running(command, lambda: listens(port))
    )
    return Simulator(port, process.pid)


@pytest.fixture
async def camera(hub, desk, processes):
    made = await asyncio.to_thread(
        desk.post, "/fleet", {"id": "b7", "kind": "bodycam", "name": "执法仪 7"}
    )
    options = ("--id", "b7", f"--secret={made['secret']}", "--mqtt-port", str(hub.port("mqtt")))
    sees = ("--lat", "31.2", "--lon", "121.4", f"--tone={TONE}")
    camera = await simulator(processes, "bodycam", *options, *sees)
    await camera.shows(connected=True)
    return camera


@pytest.fixture
async def viewer(processes):
    return await simulator(processes, "viewer")


class LiveView:
    """The camera's room, seen by the desk."""

    def __init__(self, hub, desk, room):
        self.hub, self.desk, self.id = hub, desk, room["id"]
        self.source = room["sources"][0]["id"]

    @classmethod
    async def open(cls, hub, desk):
        room = await asyncio.to_thread(desk.post, "/rooms/live", {"camera": "b7"})
        return cls(hub, desk, room)

    async def watch(self, viewer, layer="main", **more):
        cookie = "; ".join(f"{name}={value}" for name, value in self.desk.cookies.items())
        await viewer.do(
            "watch",
            whep=f"{self.hub.url}/whep/{self.id}/{self.source}?layer={layer}",
            headers={"Cookie": cookie, "Origin": self.hub.url},
            **more,
        )

    async def state(self):
        room = await asyncio.to_thread(self.desk.get, f"/rooms/{self.id}")
        return room["sources"][0]["state"]


def layers_of(state):
    return state["live"][0]["layers"] if state["live"] else {}


async def is_fresh(camera, viewer):
    """What is seen is what the camera shows just now, and not a picture that was kept."""
    showing = layers_of(await camera.state())["main"]["showing"]
    seen = (await viewer.state()).get("number")
    return seen is not None and (showing - seen) % PICTURES <= BEHIND


async def test_a_camera_is_asked_for_its_picture_and_seen_in_1080p(hub, desk, camera, viewer):
    live = await LiveView.open(hub, desk)
    assert (await camera.state())["live"] == []
    await live.watch(viewer)

    async def is_seen():
        seen = await viewer.state()
        return seen["frames"] >= 20 and (seen["width"], seen["height"]) == (1920, 1080)

    await eventually(is_seen, within_s=40)
    await eventually(partial(is_fresh, camera, viewer), within_s=20)
    state = await camera.state()
    assert set(layers_of(state)) == {"main", "sub"}
    (command,) = state["commands"].values()
    assert (command["op"], command["state"], command["args"]["token"]) == (
        "live.start",
        "done",
        "…",
    )

    async def is_measured():
        meters = await asyncio.to_thread(desk.get, f"/rooms/{live.id}/meters")
        rates = {one["layer"]: one for meter in meters["sources"] for one in meter["layers"]}
        return (
            set(rates) == {"main", "sub"}
            and (rates["main"]["height"], rates["sub"]["height"]) == (1080, 540)
            and 3000 < rates["main"]["kbps"] < 5000
            and 25 < rates["main"]["fps"] < 35
        )

    await eventually(is_measured, within_s=30)

    await live.watch(viewer, layer="sub")

    async def is_smaller():
        return (await viewer.state()).get("height") == 540

    await eventually(is_smaller, within_s=30)

    await viewer.do("stop")

    async def has_stopped():
        return (await camera.state())["live"] == []

    await eventually(has_stopped, within_s=40)
    assert await live.state() == "idle"


async def hears_the_camera(viewer):
    levels = (await viewer.state())["levels"]
    return levels.get(str(TONE), -99) - levels["floor"] >= 20


async def test_whoever_watches_a_camera_hears_it_with_and_without_a_media_worker(
    hub, desk, camera, viewer
):
    live = await LiveView.open(hub, desk)
    await live.watch(viewer, layer="sub", listen=[TONE])
    await eventually(partial(hears_the_camera, viewer), within_s=60)
    assert (await viewer.state())["frames"] > 0
    assert await asyncio.to_thread(desk.get, "/calls") == {"items": [], "next": None}

    os.kill(hub.pid_of("worker-w0"), signal.SIGKILL)
    heard = (await viewer.state())["heard"]

    async def goes_on():
        return (await viewer.state())["heard"] > heard + 16_000

    await eventually(goes_on, within_s=30)
    await eventually(partial(hears_the_camera, viewer), within_s=30)


async def test_a_camera_whose_worker_was_killed_publishes_again(hub, desk, camera, viewer):
    live = await LiveView.open(hub, desk)
    await live.watch(viewer)

    async def is_seen():
        return (await viewer.state())["frames"] >= 5

    await eventually(is_seen, within_s=40)
    os.kill(hub.pid_of("worker-v0"), signal.SIGKILL)

    async def has_begun_anew():
        state = await camera.state()
        return state["live"][0]["starts"] >= 2 and state["live"][0]["trouble"] is None

    await eventually(has_begun_anew, within_s=40)
    await live.watch(viewer)
    await eventually(is_seen, within_s=40)
    await eventually(partial(is_fresh, camera, viewer), within_s=20)


async def test_a_camera_that_is_not_let_in_says_so(hub, desk, camera):
    live = await LiveView.open(hub, desk)
    command = {
        "op": "live.start",
        "args": {
            "source": live.source,
            "whip": f"{hub.url}/whip/{live.id}?source={live.source}",
            "token": "room.e30.AAAA",
            "layers": ["main"],
        },
    }
    made = await asyncio.to_thread(desk.post, "/fleet/b7/commands", command)

    async def has_failed():
        commands = await asyncio.to_thread(desk.get, "/fleet/b7/commands")
        found = {one["id"]: one for one in commands.get("items", commands)}[made["id"]]
        return found if found["state"] == "failed" else None

    assert "401" in (await eventually(has_failed, within_s=30))["answer"]
    assert await live.state() == "idle"
