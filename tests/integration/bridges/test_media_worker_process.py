"""A worker process, a control process and phones on real sockets: who dies, and what is still heard."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import worker_process
from fakes.rtp import Phone
from fakes.servers import free_port
from fakes.waiting import eventually
from fakes.worker_process import PCMU, Deaf

from bridges.client import ClientConfig, MediaClient
from commhub.kit.clock import SystemClock
from commhub.ports.media import MediaOrder, RtpAddress, RtpRemote

TONES = [400.0, 700.0, 1100.0]
ROOT = Path(__file__).parents[3]
FIRST_PORT = 26_000


@contextmanager
def process(*arguments: str):
    """A Python process of this repository, killed at the end."""
    command = [sys.executable, str(worker_process.__file__), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def kill_9(child: subprocess.Popen) -> None:
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


async def first_line(child: subprocess.Popen) -> list[int]:
    """What the control prints when its legs are connected."""
    return json.loads(await asyncio.to_thread(child.stdout.readline))


async def converse(phones: list[Phone], seconds: float) -> None:
    """All speak and listen in real time."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(round(seconds * 50)):
        due += 0.02
        for phone in phones:
            phone.speak()
            phone.listen()
        await asyncio.sleep(max(0.0, due - loop.time()))


def assert_everybody_hears_the_others(phones: list[Phone]) -> None:
    for phone, own in zip(phones, TONES, strict=True):
        assert phone.lacks(own), (own, phone.meter.levels(TONES))
        for other in TONES:
            assert other == own or phone.levels(other)[0] >= 20
            assert other == own or phone.hears(other), (own, phone.meter.levels(TONES))


class Control(Deaf):
    """A control that remembers the statuses and recordings it was told."""

    def __init__(self):
        self.statuses = []
        self.recordings = []

    async def engine_status(self, status):
        self.statuses.append(status)

    async def recording_stored(self, file):
        self.recordings.append(file)


@pytest.fixture
def phones():
    made = [Phone(tone) for tone in TONES]
    yield made
    for phone in made:
        phone.close()


@pytest.fixture
def address(tmp_path):
    return f"unix:{tmp_path}/worker.sock"


@pytest.fixture
def first_port():
    """A range nobody listens in now; parallel runs get others."""
    return str(FIRST_PORT + free_port() % 20 * 100)


def client(address: str, inward: Control) -> MediaClient:
    config = ClientConfig(address=address, first_delay_s=0.02, max_delay_s=0.2)
    return MediaClient(config, inward, SystemClock())


@pytest.mark.audio
async def test_control_is_killed_and_the_audio_goes_on(tmp_path, phones, address, first_port):
    with process(address, str(tmp_path / "rec"), first_port):
        ports = [str(phone.port) for phone in phones]
        with process("--control", address, "call1", *ports) as control:
            for phone, port in zip(phones, await first_line(control), strict=True):
                phone.goal = ("127.0.0.1", port)
            await converse(phones, 1.2)
            assert_everybody_hears_the_others(phones)
            kill_9(control)
        for phone in phones:
            phone.meter.clear()
        heard = phones[0].heard
        await converse(phones, 1.5)
        assert_everybody_hears_the_others(phones)
        assert phones[0].heard - heard >= 70

        inward = Control()
        async with client(address, inward) as media:
            status = (await eventually(lambda: inward.statuses))[0]
            assert {leg.leg_id for leg in status.legs} == {"leg0", "leg1", "leg2"}
            assert all(leg.lost == 0 for leg in status.legs)
            for leg in status.legs:
                await media.release(leg.leg_id)
            recordings = await eventually(lambda: inward.recordings)
        assert recordings[0].call_id == "call1"
        assert recordings[0].seconds >= 2.5
        assert (tmp_path / "rec" / recordings[0].path).exists()


@pytest.mark.audio
async def test_a_killed_worker_comes_back_and_the_call_goes_on(
    tmp_path, phones, address, first_port
):
    inward = Control()
    remotes = {
        f"leg{n}": RtpRemote(address=RtpAddress("127.0.0.1", phone.port), audio=PCMU)
        for n, phone in enumerate(phones)
    }

    async def join(media: MediaClient) -> None:
        for n, (leg, remote) in enumerate(remotes.items()):
            had = phones[n].goal[1] if phones[n].goal else 0
            order = MediaOrder(call_id="call1", leg_id=leg, near_signalling=n != 1, port=had)
            got = await media.reserve(order)
            assert had in {0, got.port}
            phones[n].goal = (got.host, got.port)
            await media.connect(leg, remote)
        await media.record("call1", True)

    async with client(address, inward) as media:
        with process(address, str(tmp_path / "rec"), first_port) as worker:
            await eventually(lambda: inward.statuses, within_s=10)
            await join(media)
            await converse(phones, 1.5)
            assert_everybody_hears_the_others(phones)
            kill_9(worker)
        await eventually(lambda: not media.is_connected)
        with process(address, str(tmp_path / "rec"), first_port):
            await eventually(lambda: len(inward.statuses) == 2, within_s=10)
            assert list(inward.statuses[1].legs) == []
            assert inward.statuses[0].boot_id != inward.statuses[1].boot_id
            await join(media)
            for phone in phones:
                phone.meter.clear()
            await converse(phones, 1.3)
            assert_everybody_hears_the_others(phones)
            recordings = await eventually(lambda: inward.recordings)
    assert recordings[0].call_id == "call1"
    assert recordings[0].seconds >= 0.5
