"""Two worker processes, their pool, and phones that speak tones: one is killed, and what its callers and the others
hear of it."""

import asyncio
import os
import signal
import subprocess
import sys
import wave
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fakes import worker_process
from fakes.rtp import Phone
from fakes.servers import free_port
from fakes.waiting import eventually
from fakes.worker_process import Deaf
from fakes.workers import FakePlacements

from bridges.client import ClientConfig
from bridges.pool import MediaPool, PoolConfig, WorkerAddress
from commhub.kit.clock import SystemClock
from commhub.ports.media import MediaOrder

pytestmark = pytest.mark.audio

ROOT = Path(__file__).parents[3]
FIRST_PORT = 27_000
BACK_WITHIN_S = 5.0
LONGEST_GAP_S = 0.2
"""Between two packets to a phone whose worker nothing happened to: ten frames, on a machine that does other things."""


class Worker:
    """One worker process, with its socket, its ports and its journal."""

    def __init__(self, folder, name, first_port):
        self.name = name
        self.address = f"unix:{folder}/{name}.sock"
        self.first_port = first_port
        self.arguments = [
            self.address, str(folder / "rec"), str(first_port), name, str(folder / f"{name}.journal"),
        ]  # fmt: skip
        self.process = None

    def start(self):
        command = [sys.executable, str(worker_process.__file__), *self.arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment)

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Core(Deaf):
    """Remembers recordings and statuses."""

    def __init__(self):
        self.statuses = []
        self.recordings = []
        self.readdressed = []

    async def engine_status(self, status):
        self.statuses.append(frozenset(leg.leg_id for leg in status.legs))

    async def leg_readdressed(self, leg_id, address):
        self.readdressed.append((leg_id, address))

    async def recording_stored(self, file):
        self.recordings.append(file)


class Stage:
    """Two calls of two phones each, on two workers, in real time."""

    def __init__(self, folder):
        first = FIRST_PORT + free_port() % 20 * 200
        self.workers = {n: Worker(folder, n, first + 100 * i) for i, n in enumerate(("w0", "w1"))}
        self.placements = FakePlacements()
        self.core = Core()
        self.folder = folder / "rec"
        self.phones = {}
        self.tones = {}
        self.config = PoolConfig(beat_s=0.2, dead_after_s=2.0)
        self.pool = self.new_pool()
        self.gaps = {}

    def new_pool(self):
        addresses = [
            WorkerAddress(
                name=worker.name,
                client=ClientConfig(address=worker.address, first_delay_s=0.02, max_delay_s=0.2),
                has_radio=worker.name == "w0",
            )
            for worker in self.workers.values()
        ]
        return MediaPool(addresses, self.core, self.placements, SystemClock(), self.config)

    def ports_of(self, worker):
        first = self.workers[worker].first_port
        return range(first, first + 100)

    def add(self, leg, tone):
        self.phones[leg], self.tones[leg] = Phone(tone), tone
        return self.phones[leg]

    async def connect(self, call, leg, *, near=True):
        phone = self.phones[leg]
        self.placements.legs.setdefault(call, set()).add(leg)
        order = MediaOrder(call_id=call, leg_id=leg, near_signalling=near)
        address = await self.pool.reserve(order)
        phone.goal = (address.host, address.port)
        await self.pool.connect(leg, phone.remote())

    async def talk(self, until, *, within_s=20.0):
        """Everybody speaks and listens until `until()` is true; how long that took. `gaps` are each phone's
        longest silences on the wire meanwhile."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        last = dict.fromkeys(self.phones, began)
        self.gaps = dict.fromkeys(self.phones, 0.0)
        while not until():
            assert loop.time() - began < within_s, {
                leg: phone.levels(*self.tones.values()) for leg, phone in self.phones.items()
            }
            due += 0.02
            for leg, phone in self.phones.items():
                phone.speak()
                phone.listen()
                now = loop.time()
                self.gaps[leg] = max(self.gaps[leg], now - last[leg])
                if phone.packets:
                    last[leg] = now
            await asyncio.sleep(max(0.0, due - loop.time()))
        return loop.time() - began

    async def talk_for(self, seconds):
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await self.talk(lambda: loop.time() >= end)

    def hears(self, listener, speaker):
        phone, tone = self.phones[listener], self.tones[speaker]
        return phone.levels(tone)[0] >= 20 and phone.hears(tone)

    def forget(self):
        for phone in self.phones.values():
            phone.meter.clear()


@pytest.fixture
async def stage(tmp_path):
    stage = Stage(tmp_path)
    async with AsyncExitStack() as stack:
        for worker in stage.workers.values():
            worker.start()
            stack.callback(worker.kill)
        for leg, tone in (("a1", 400.0), ("a2", 700.0), ("b1", 1100.0), ("b2", 1500.0)):
            stack.callback(stage.add(leg, tone).close)
        await stack.enter_async_context(stage.pool)
        await eventually(lambda: all(m.is_up for m in stage.pool.members), within_s=20)
        yield stage


async def two_calls(stage):
    """a1 and a2 in one call, b1 and b2 in another; the names of their workers. On record beforehand: by load, a
    machine that does other things might put both on one."""
    homes = stage.placements.workers = {"ca": "w0", "cb": "w1"}
    for call, legs in (("ca", ("a1", "a2")), ("cb", ("b1", "b2"))):
        for n, leg in enumerate(legs):
            await stage.connect(call, leg, near=n == 0)
        await stage.pool.record(call, True)
    await stage.talk(
        lambda: all(stage.hears(*pair) for pair in (("a1", "a2"), ("a2", "a1"), ("b1", "b2")))
    )
    for call, name in homes.items():
        member = next(one for one in stage.pool.members if one.name == name)
        assert member.journal.calls == (call,)
    return homes["ca"], homes["cb"]


def a_call_hears(stage):
    return lambda: stage.hears("a1", "a2") and stage.hears("a2", "a1")


async def test_a_killed_workers_call_is_back_on_its_ports_and_the_others_notice_nothing(stage):
    killed, other = await two_calls(stage)
    goals = {leg: phone.goal for leg, phone in stage.phones.items()}
    process = stage.workers[other].process.pid
    await stage.talk_for(1.2)
    stage.workers[killed].kill()
    stage.forget()
    stage.workers[killed].start()
    took = await stage.talk(a_call_hears(stage))
    assert took <= BACK_WITHIN_S
    assert max(stage.gaps["b1"], stage.gaps["b2"]) <= LONGEST_GAP_S
    assert stage.hears("b1", "b2")
    assert stage.workers[other].process.pid == process
    assert {leg: phone.goal for leg, phone in stage.phones.items()} == goals
    assert stage.core.readdressed == []
    await eventually(lambda: stage.core.statuses[-1] == frozenset(stage.phones))
    # The recording that was cut short is finished, and another goes on.
    first = await eventually(lambda: [one for one in stage.core.recordings if one.call_id == "ca"])
    assert first[0].seconds >= 0.7
    await stage.talk_for(1.2)
    await stage.pool.record("ca", False)
    both = await eventually(
        lambda: (found := [r for r in stage.core.recordings if r.call_id == "ca"])[1:] and found
    )
    for file in both:
        with wave.open(str(stage.folder / file.path)) as opened:
            assert opened.getnframes() / opened.getframerate() == pytest.approx(file.seconds)
    assert not any(one.call_id == "cb" for one in stage.core.recordings)


async def test_worker_and_control_are_killed_together_and_the_calls_go_on(stage):
    killed, _ = await two_calls(stage)
    await stage.pool.__aexit__(None, None, None)
    stage.workers[killed].kill()
    stage.forget()
    stage.workers[killed].start()
    took = await stage.talk(a_call_hears(stage))
    assert took <= BACK_WITHIN_S
    stage.core.statuses.clear()
    stage.pool = stage.new_pool()
    async with stage.pool:
        await eventually(lambda: stage.core.statuses, within_s=10)
        assert stage.core.statuses[-1] == frozenset(stage.phones)
        stage.add("a3", 2000.0)
        try:
            await stage.connect("ca", "a3")
            await stage.talk(lambda: stage.hears("a3", "a1") and stage.hears("a1", "a3"))
        finally:
            stage.phones.pop("a3").close()


async def test_a_worker_that_stays_dead_loses_its_call_to_the_other(stage):
    killed, other = await two_calls(stage)
    stage.workers[killed].kill()
    await stage.talk(lambda: len(stage.core.readdressed) == 2)
    moved = stage.core.readdressed
    assert {leg for leg, _ in moved} == {"a1", "a2"}
    for leg, address in moved:
        assert address.port in stage.ports_of(other)
        stage.phones[leg].goal = (address.host, address.port)
    stage.forget()
    await stage.talk(a_call_hears(stage))
    await stage.talk_for(1.2)
    assert stage.hears("b1", "b2")
    assert not stage.hears("b1", "a1")
    stage.workers[killed].start()
    await stage.talk(lambda: all(m.is_up for m in stage.pool.members))
    status = await stage.pool.status()
    assert {leg.leg_id for leg in status.legs} == set(stage.phones)
    assert a_call_hears(stage)()


async def test_legs_of_one_call_on_two_workers_hear_each_other(stage):
    """What a radio group at another worker than its call's is to it: here a phone that was moved to the call."""
    await two_calls(stage)
    stage.placements.legs["cb"].add("a2")
    goal = stage.phones["a2"].goal
    await stage.pool.move("a2", "cb")
    stage.forget()
    await stage.talk(
        lambda: all(
            stage.hears(*pair) for pair in (("a2", "b1"), ("a2", "b2"), ("b1", "a2"), ("b2", "a2"))
        )
    )
    await stage.talk_for(1.2)
    assert stage.phones["a2"].goal == goal
    for leg in ("a2", "b1", "b2"):
        assert stage.phones[leg].lacks(stage.tones[leg]), leg
    assert not stage.hears("a1", "a2")
