"""A worker is killed while it records: its files are whole, hashed and told, whoever comes back first."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import wave
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fakes import worker_process
from fakes.rtp import Phone
from fakes.servers import free_port
from fakes.waiting import eventually
from fakes.worker_process import PCMU, Deaf

from bridges.client import ClientConfig, MediaClient
from commhub.kit.clock import SystemClock
from commhub.ports.media import MediaOrder, Playback, RtpAddress, RtpRemote
from simulators.tones import ToneMeter

ROOT = Path(__file__).parents[3]
TONES = {"leg0": 400.0, "leg1": 700.0}


@contextmanager
def worker(address: str, recordings: Path, first_port: str):
    command = [sys.executable, str(worker_process.__file__), address, str(recordings), first_port]
    child = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        yield child
    finally:
        child.kill()
        child.wait()


class Control(Deaf):
    """A control that remembers what it was told."""

    def __init__(self):
        self.statuses = []
        self.files = []
        self.ended = []

    async def engine_status(self, status):
        self.statuses.append(status)

    async def recording_stored(self, file):
        self.files.append(file)

    async def playback_ended(self, playback_id, call_id, reason):
        self.ended.append((playback_id, reason))


def client(address: str, inward: Control) -> MediaClient:
    config = ClientConfig(address=address, first_delay_s=0.02, max_delay_s=0.2)
    return MediaClient(config, inward, SystemClock())


@pytest.fixture
def phones():
    made = {leg: Phone(tone) for leg, tone in TONES.items()}
    yield made
    for phone in made.values():
        phone.close()


@pytest.fixture
def address(tmp_path):
    return f"unix:{tmp_path}/worker.sock"


@pytest.fixture
def first_port():
    return str(27_000 + free_port() % 20 * 100)


async def converse(phones, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(round(seconds * 50)):
        due += 0.02
        for phone in phones.values():
            phone.speak()
            phone.listen()
        await asyncio.sleep(max(0.0, due - loop.time()))


async def join(media: MediaClient, phones) -> None:
    for leg, phone in phones.items():
        got = await media.reserve(MediaOrder(call_id="call1", leg_id=leg))
        phone.goal = (got.host, got.port)
        remote = RtpRemote(address=RtpAddress("127.0.0.1", phone.port), audio=PCMU)
        await media.connect(leg, remote)


def levels(path: Path) -> dict[str, float]:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    meter = ToneMeter()
    meter.hear(samples)
    found = meter.levels(TONES.values())
    return {leg: found[f"{tone:g}"] for leg, tone in TONES.items()}


@pytest.mark.audio
async def test_a_killed_worker_loses_at_most_a_second_and_the_next_one_tells_each_file_once(
    tmp_path, phones, address, first_port
):
    folder, seconds = tmp_path / "rec", 3.0
    first = Control()
    with worker(address, folder, first_port) as child:
        async with client(address, first) as media:
            await eventually(lambda: first.statuses, within_s=10)
            await join(media, phones)
            await media.record("call1", True, per_leg=True)
            await converse(phones, seconds)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
    assert first.files == []
    assert len(list(folder.glob("*/*.wav.part"))) == 3

    # No control is there when the next worker finds what the last one left.
    with worker(address, folder, first_port):
        await eventually(lambda: len(list(folder.glob("*/*.wav"))) == 3, within_s=10)
        second, third = Control(), Control()
        async with client(address, second):
            await eventually(lambda: len(second.files) == 3, within_s=10)
            await eventually(lambda: not list(folder.glob("*/*.json")), within_s=10)
        async with client(address, third) as media:
            await media.status()
            assert third.files == []

    files = {file.leg_id: file for file in second.files}
    assert set(files) == {None, *TONES}
    for leg, file in files.items():
        path = folder / file.path
        assert seconds - 1.0 <= file.seconds <= seconds + 0.5
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file.size == path.stat().st_size
        heard = levels(path)
        for tone, level in heard.items():
            assert level > -20 if leg in {None, tone} else level < -42, (leg, heard)
    assert len({file.started_at for file in files.values()}) == 1
    assert not list(folder.glob("*/*.part"))


@pytest.mark.audio
async def test_a_prompt_is_played_by_a_worker_process_and_its_end_is_told(
    tmp_path, phones, address, first_port
):
    inward = Control()
    with worker(address, tmp_path / "rec", first_port):
        async with client(address, inward) as media:
            await eventually(lambda: inward.statuses, within_s=10)
            await join(media, phones)
            await media.play(
                Playback(id="p1", call_id="call1", prompt="ringback", leg_ids=("leg0",), loop=True)
            )
            await media.play(Playback(id="p2", call_id="call1", prompt="beep", leg_ids=("leg1",)))
            await converse(phones, 1.2)
            assert phones["leg0"].levels(450)[0] >= 20
            assert phones["leg1"].lacks(450)
            await eventually(lambda: inward.ended)
            await media.stop_playing("p1")
            await eventually(lambda: len(inward.ended) == 2)
    assert inward.ended == [("p2", "finished"), ("p1", "stopped")]
