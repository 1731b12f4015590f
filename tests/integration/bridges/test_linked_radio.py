"""A radio group whose floor is on one worker, in a call that lives on another: by tone, both ways."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from fakes.rtp import Phone, tone_samples
from fakes.servers import free_port
from fakes.waiting import eventually
from fakes.worker_process import Deaf
from fakes.workers import FakePlacements

from bridges.audio.config import AudioConfig, RadioCodec
from bridges.audio.g711 import Law, decode, encode
from bridges.client import ClientConfig
from bridges.pool import MediaPool, PoolConfig, WorkerAddress
from bridges.worker import MediaWorker, WorkerConfig
from commhub.kit.clock import SystemClock
from commhub.ports.media import LegShape, MediaOrder, RadioStanding
from commhub.ports.voice import VoiceFrame
from simulators.tones import ToneMeter

pytestmark = pytest.mark.audio

PHONE_HZ, OTHER_HZ, RADIO_HZ = 400.0, 700.0, 1100.0
GROUP = "street-a"


@dataclass
class Air:
    """The voice link of a worker, with one radio on it."""

    meter: ToneMeter = field(default_factory=ToneMeter)
    answers: list = field(default_factory=list)
    states: list = field(default_factory=list)

    def send_frame(self, group, frame):
        del group
        self.meter.hear(decode(frame.payload, Law.PCMA))

    def send_floor(self, device_id, message):
        self.answers.append((device_id, message))

    def publish_floor(self, group, message):
        self.states.append((group, message))


class Core(Deaf):
    def __init__(self):
        self.floors = []

    async def floor_moved(self, group, event, talker, calls, *_):
        self.floors.append((group, event, talker, tuple(calls)))


class Stage:
    def __init__(self):
        self.air = Air()
        self.core = Core()
        self.placements = FakePlacements()
        self.phones = {}
        self.radio_talk = None
        self._sent = 0

    async def add(self, call, leg, tone):
        phone = self.phones[leg] = Phone(tone)
        self.placements.legs.setdefault(call, set()).add(leg)
        address = await self.pool.reserve(MediaOrder(call_id=call, leg_id=leg))
        phone.goal = (address.host, address.port)
        await self.pool.connect(leg, phone.remote())

    async def talk(self, until, *, silent=(), within_s=15.0):
        """Everybody but the `silent` speaks, in real time, until it is true."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        while not until():
            assert loop.time() - began < within_s, {
                **{leg: self.levels(phone.meter) for leg, phone in self.phones.items()},
                "air": self.levels(self.air.meter),
                "floors": self.core.floors,
            }
            due += 0.02
            for leg, phone in self.phones.items():
                if leg not in silent:
                    phone.speak()
                phone.listen()
            self._radio_speaks()
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _radio_speaks(self):
        if self.radio_talk is None:
            return
        at = self._sent % 50 * 160
        frame = VoiceFrame(
            codec="PCMA",
            duration_ms=20,
            talk_id=self.radio_talk,
            sequence=self._sent,
            timestamp=self._sent * 160,
            payload=encode(self.voice[at : at + 160], Law.PCMA),
        )
        self._sent += 1
        self.sink.frame_received("r1", GROUP, frame)

    voice = tone_samples(RADIO_HZ)

    @staticmethod
    def levels(meter):
        return meter.levels([PHONE_HZ, OTHER_HZ, RADIO_HZ])

    def heard(self, meter, tone):
        levels = self.levels(meter)
        return levels[f"{tone:g}"] >= levels["floor"] + 20 and levels[f"{tone:g}"] > -20

    def absent(self, meter, tone):
        return self.levels(meter)[f"{tone:g}"] < -42

    async def grant(self):
        """The radio presses its key; the talk id of its grant."""
        self.sink.floor_received("r1", {"op": "request", "group": GROUP})
        return await eventually(
            lambda: next((m["talk_id"] for _, m in self.air.answers if m["op"] == "granted"), None)
        )


@pytest.fixture
async def stage(tmp_path):
    stage, first = Stage(), 28_000 + free_port() % 20 * 200
    async with AsyncExitStack() as stack:
        addresses = []
        for n, name in enumerate(("w0", "w1")):
            ports = first + 100 * n
            audio = AudioConfig(
                recordings=tmp_path / "rec",
                port_min=ports,
                port_max=ports + 99,
                radio_codec=RadioCodec.PCMA,
            )
            # The second is reached as if it were on another machine.
            control = f"unix:{tmp_path}/{name}.sock" if n == 0 else f"tcp:127.0.0.1:{free_port()}"
            secret = None if n == 0 else "between us"
            config = WorkerConfig(name=name, control=control, secret=secret, audio=audio)
            worker = MediaWorker(config, stage.air if name == "w0" else None)
            if name == "w0":
                stage.sink = worker.sink
            await stack.enter_async_context(worker)
            client = ClientConfig(address=control, secret=secret)
            addresses.append(WorkerAddress(name=name, client=client, has_radio=n == 0))
        stage.pool = MediaPool(
            addresses, stage.core, stage.placements, SystemClock(), PoolConfig(beat_s=0.2)
        )
        await stack.enter_async_context(stage.pool)
        await eventually(lambda: all(member.is_up for member in stage.pool.members))
        yield stage
        for phone in stage.phones.values():
            phone.close()


async def test_a_group_that_joins_a_call_of_another_worker_hears_it_and_is_heard(stage):
    stage.placements.workers["c1"] = "w1"
    await stage.pool.enroll([RadioStanding(device_id="r1", groups=(GROUP,))], True)
    await stage.add("c1", "a1", PHONE_HZ)
    await stage.add("c1", "a2", OTHER_HZ)
    await stage.pool.join_group("c1", "g1", GROUP)
    a1, a2, air = (stage.phones["a1"].meter, stage.phones["a2"].meter, stage.air.meter)

    # The phones' voice takes the floor of the group, as the call itself.
    await stage.talk(lambda: stage.heard(air, PHONE_HZ) and stage.heard(air, OTHER_HZ))
    assert (GROUP, "taken", "call:c1", ("c1",)) in stage.core.floors
    assert stage.heard(a1, OTHER_HZ)
    assert stage.absent(a1, PHONE_HZ)

    # They fall silent, the radio gets the floor, and both hear it.
    everybody = ("a1", "a2")
    await stage.talk(lambda: stage.core.floors[-1][1] == "idle", silent=everybody)
    stage.radio_talk = await stage.grant()
    await stage.talk(
        lambda: stage.heard(a1, RADIO_HZ) and stage.heard(a2, RADIO_HZ), silent=everybody
    )
    assert stage.core.floors[-1] == (GROUP, "taken", "radio:r1", ("c1",))

    # The group's leg is shaped where it is.
    await stage.pool.shape("g1", LegShape(muted=True))
    await stage.talk(lambda: stage.absent(a1, RADIO_HZ), silent=everybody)

    status = await stage.pool.status()
    assert {leg.leg_id for leg in status.legs} == {"a1", "a2", "g1"}
    await stage.pool.release("g1")
    assert [len(member.journal.legs) for member in stage.pool.members] == [0, 2]
