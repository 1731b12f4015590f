"""Speech and floor between a fake engine and devices, through the real broker."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.field import FakeVoiceSink, Field, RawDevice, running_field
from fakes.waiting import eventually
from prometheus_client import REGISTRY

from commhub.ports.voice import VoiceFrame
from devices import frames
from devices.broker_files import VOICE_USER
from devices.voice import VoiceConfig, VoiceConnection

FRAME = VoiceFrame("PCMA", 20, 7, 0, 0, b"\xd5" * 160)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Field]:
    async with running_field(tmp_path) as running:
        await running.admit({"r12": ["north"], "r13": ["north"]})
        yield running


@pytest.fixture
def sink() -> FakeVoiceSink:
    return FakeVoiceSink()


def config_of(site: Field, **changes: int) -> VoiceConfig:
    return VoiceConfig(address=site.address(VOICE_USER), tenant="test", **changes)


@pytest.fixture
async def voice(site: Field, sink: FakeVoiceSink) -> AsyncIterator[VoiceConnection]:
    connection = VoiceConnection(config_of(site))
    connection.deliver_to(sink)
    async with connection:
        await connection.wait_up()
        yield connection


@pytest.fixture
async def radio(site: Field) -> AsyncIterator[RawDevice]:
    async with site.device("r12") as device:
        await device.subscribe("d/r12/dn/floor", "g/north/floor", "g/north/ptt")
        yield device


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_speech_travels_both_ways_unchanged(
    voice: VoiceConnection, sink: FakeVoiceSink, radio: RawDevice
) -> None:
    spoken = [replace(FRAME, sequence=n, timestamp=160 * n) for n in range(100)]
    for frame in spoken:
        await radio.up("ptt/north", frames.encode(frame), qos=0)
    await eventually(lambda: len(sink.frames) == 100)
    assert sink.frames == [("r12", "north", frame) for frame in spoken]

    for frame in spoken:
        voice.send_frame("north", frame)
    await eventually(lambda: len(radio.heard) == 100)
    assert [frames.decode(data) for _, data in radio.heard] == spoken


async def test_floor_messages_travel_both_ways(
    voice: VoiceConnection, sink: FakeVoiceSink, radio: RawDevice
) -> None:
    await radio.up("floor", {"op": "request", "group": "north", "priority": "emergency"})
    await radio.up("floor", {"op": "release", "group": "north"})
    await eventually(lambda: len(sink.floor) == 2)
    assert sink.floor == [
        ("r12", {"op": "request", "group": "north", "priority": "emergency"}),
        ("r12", {"op": "release", "group": "north", "priority": "normal"}),
    ]

    granted = {"op": "granted", "group": "north", "talk_id": 7, "limit_s": 60.0}
    voice.send_floor("r12", granted)
    await eventually(lambda: radio.on("d/r12/dn/floor") == [granted])


async def test_a_late_comer_learns_who_has_the_floor(
    voice: VoiceConnection, radio: RawDevice, site: Field
) -> None:
    taken = {"state": "taken", "talker": "radio:r12", "talk_id": 7, "limit_s": 60.0}
    voice.publish_floor("north", taken)
    await eventually(lambda: radio.on("g/north/floor") == [taken])
    async with site.device("r13") as late:
        await late.subscribe("g/north/floor")
        await eventually(lambda: late.on("g/north/floor") == [taken])


async def test_the_last_will_frees_the_floor_and_an_old_one_does_not(
    site: Field, sink: FakeVoiceSink
) -> None:
    async with site.device("r13") as gone_long_ago:
        await gone_long_ago.up("death", {"boot": "old"}, retain=True)
    connection = VoiceConnection(config_of(site))
    connection.deliver_to(sink)
    async with connection:
        await connection.wait_up()
        async with site.device("r12", will={"boot": "now"}) as talker:
            await talker.vanish()
            await eventually(lambda: sink.left == ["r12"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "short"),
        (b"x" * 16, "short"),
        (b"\x02" + frames.encode(FRAME)[1:], "version"),
        (b"\x01\x09" + frames.encode(FRAME)[2:], "codec"),
        (b"\x01\x02\x00" + frames.encode(FRAME)[3:], "duration"),
        (frames.encode(FRAME)[:-1], "length"),
    ],
)
async def test_bad_frames_are_counted_and_disturb_nobody(
    voice: VoiceConnection, sink: FakeVoiceSink, radio: RawDevice, data: bytes, reason: str
) -> None:
    before = count("commhub_devices_voice_frames_bad_total", reason=reason)
    await radio.up("ptt/north", data, qos=0)
    await radio.up("ptt/north", frames.encode(FRAME), qos=0)
    await eventually(lambda: sink.frames)
    assert sink.frames == [("r12", "north", FRAME)]
    assert count("commhub_devices_voice_frames_bad_total", reason=reason) == before + 1


async def test_bad_floor_messages_are_refused_and_disturb_nobody(
    voice: VoiceConnection, sink: FakeVoiceSink, radio: RawDevice
) -> None:
    bad = [
        b"{",
        {"op": "seize", "group": "north"},
        {"op": "request", "group": "a/#"},
        {"op": "request", "group": "north", "priority": "dispatcher"},
        {"op": "request", "group": "north", "device": "r13"},
    ]
    for message in bad:
        await radio.up("floor", message)
    await radio.up("floor", {"op": "release", "group": "north"})
    await eventually(lambda: sink.floor)
    assert len(sink.floor) == 1


async def test_an_engine_that_fails_once_hears_the_next(
    voice: VoiceConnection, radio: RawDevice
) -> None:
    class Clumsy(FakeVoiceSink):
        def frame_received(self, device_id: str, group: str, frame: VoiceFrame) -> None:
            super().frame_received(device_id, group, frame)
            if len(self.frames) == 1:
                raise RuntimeError("clumsy")

        def device_left(self, device_id: str) -> None:
            super().device_left(device_id)
            raise RuntimeError("clumsy")

    clumsy = Clumsy()
    voice.deliver_to(clumsy)
    await radio.up("death", {"boot": "1"})
    await radio.up("floor", {"op": "release", "group": "north"})
    for _ in range(2):
        await radio.up("ptt/north", frames.encode(FRAME), qos=0)
    await eventually(lambda: len(clumsy.frames) == 2 and clumsy.floor)


async def test_more_speech_than_the_queue_holds_drops_the_oldest(
    site: Field, radio: RawDevice
) -> None:
    async with VoiceConnection(config_of(site, queue_frames=10)) as voice:
        await voice.wait_up()
        before = count("commhub_devices_voice_frames_dropped_total")
        # All in one turn of the loop: the window takes the first ones, the queue the last ten.
        for n in range(2000):
            voice.send_frame("north", replace(FRAME, sequence=n))

        def last_arrived() -> bool:
            return bool(radio.heard) and frames.decode(radio.heard[-1][1]).sequence == 1999

        await eventually(last_arrived)
    heard = [frames.decode(data).sequence for _, data in radio.heard]
    assert heard == sorted(heard)
    dropped = count("commhub_devices_voice_frames_dropped_total") - before
    assert dropped == 2000 - len(heard) > 0
    assert heard[-10:] == list(range(1990, 2000))


async def test_after_an_outage_the_last_floor_state_arrives_and_old_speech_does_not(
    voice: VoiceConnection, sink: FakeVoiceSink, site: Field
) -> None:
    pid = site.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not voice.is_up)
    voice.send_frame("north", FRAME)
    voice.publish_floor("north", {"state": "taken", "talker": "radio:r12"})
    voice.send_floor("r12", {"op": "granted", "group": "north", "talk_id": 1})
    voice.publish_floor("north", {"state": "idle"})
    voice.send_floor("r12", {"op": "revoked", "group": "north", "cause": "left"})

    await eventually(lambda: voice.is_up, within_s=10)
    async with site.device("r13") as late:
        await late.subscribe("g/north/floor", "g/north/ptt")
        await eventually(lambda: late.heard)
        assert late.on("g/north/floor") == [{"state": "idle"}]
        voice.send_frame("north", replace(FRAME, sequence=5))
        await eventually(lambda: len(late.heard) == 2)
    assert frames.decode(late.heard[1][1]).sequence == 5
