"""The simulated body camera and radio as real processes, against the real broker and the hub's own connections."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from fakes.clock import ScriptedClock
from fakes.field import FakePresence, FakeReports, FakeVoiceSink, Field, running_field
from fakes.simulators import Simulator, start
from fakes.waiting import eventually

from commhub.kit.clock import SystemClock
from commhub.ports.devices import CommandOrder
from commhub.ports.voice import VoiceFrame
from devices.broker_files import CONTROL_USER, VOICE_USER
from devices.connection import DeviceGateway, GatewayConfig
from devices.voice import VoiceConfig, VoiceConnection
from simulators import pcma
from simulators.tones import Tone, ToneMeter


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Field]:
    async with running_field(tmp_path) as opened:
        await opened.admit({"b7": [], "r12": ["north"], "r13": ["north"]})
        yield opened


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def camera_options() -> tuple[str, ...]:
    return ("--lat", "31.2304", "--lon", "121.4737", "--every", "0.2")


def radio_options(tone: float) -> tuple[str, ...]:
    return (
        "--group",
        "north",
        "--tone",
        str(tone),
        "--listen",
        "440,1250,1700",
        "--lat",
        "31.23",
        "--lon",
        "121.47",
    )


async def test_the_camera_is_born_walks_calls_for_help_and_obeys(
    site: Field, processes: ExitStack
) -> None:
    reports, presence = FakeReports(), FakePresence()
    config = GatewayConfig(address=site.address(CONTROL_USER), tenant="test", coalesce_s=0.05)
    async with DeviceGateway(config, reports, presence, SystemClock()) as gateway:
        await gateway.wait_up()
        camera = await start(processes, site, "bodycam", "b7", *camera_options())
        await eventually(lambda: presence.births)
        await eventually(lambda: len({t.point for t in presence.telemetry}) > 2, within_s=10)

        reports.gate.clear()
        assert (await camera.do("sos", text="help")) == {"sos": "sos-1"}
        await eventually(lambda: reports.attempts)
        assert (await camera.state())["acknowledged"] is False
        reports.gate.set()
        state = await camera.shows(acknowledged=True)
        (report,) = reports.committed.values()
        assert report.text == "help"
        assert report.point is not None
        assert state["sos"][0]["report"] == f"report of {report.idempotency_key}"

        await gateway.command(CommandOrder(id="c1", device_id="b7", op="text", args={"text": "hi"}))
        await eventually(lambda: len(presence.answers) == 3)
        assert [state for _, _, state, _ in presence.answers] == ["delivered", "read", "done"]

        os.kill(camera.pid, signal.SIGKILL)
        await eventually(lambda: presence.deaths == [("b7", presence.births[0].boot_id)])


async def test_the_camera_repeats_its_alarm_until_somebody_is_there(
    site: Field, processes: ExitStack, clock: ScriptedClock
) -> None:
    camera = await start(processes, site, "bodycam", "b7", *camera_options())
    await camera.shows(connected=True)
    await camera.do("sos")
    state = await eventually(lambda: sent_twice(camera), within_s=10)
    assert state["acknowledged"] is False

    reports = FakeReports()
    config = GatewayConfig(address=site.address(CONTROL_USER), tenant="test")
    async with DeviceGateway(config, reports, FakePresence(), clock):
        await camera.shows(acknowledged=True)
    assert len(reports.committed) == 1


async def sent_twice(camera: Simulator) -> dict | None:
    state = await camera.state()
    return state if state["sos"][0]["sent"] >= 2 else None


async def test_both_come_back_after_the_broker(site: Field, processes: ExitStack) -> None:
    camera = await start(processes, site, "bodycam", "b7", *camera_options())
    radio = await start(processes, site, "radio", "r12", *radio_options(1250))
    await camera.shows(connected=True, connections=1)
    await radio.shows(connected=True, connections=1)
    pid = site.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await camera.shows(connected=True, connections=2)
    await radio.shows(connected=True, connections=2)


@pytest.mark.audio
async def test_radios_ask_for_the_floor_and_hear_each_other_but_not_themselves(
    site: Field, processes: ExitStack
) -> None:
    loop = asyncio.get_running_loop()

    class Engine(FakeVoiceSink):
        """Grants everything and hands every frame on, as the engine does for a talker with the floor."""

        def frame_received(self, device_id: str, group: str, frame: VoiceFrame) -> None:
            super().frame_received(device_id, group, frame)
            loop.call_soon_threadsafe(voice.send_frame, group, frame)

    engine = Engine()
    voice = VoiceConnection(VoiceConfig(address=site.address(VOICE_USER), tenant="test"))
    voice.deliver_to(engine)
    async with voice:
        await voice.wait_up()
        speaker = await start(processes, site, "radio", "r12", *radio_options(1250))
        listener = await start(processes, site, "radio", "r13", *radio_options(1700))
        await speaker.shows(connected=True)
        await listener.shows(connected=True)

        await speaker.do("ptt", down=True)
        await eventually(lambda: engine.floor)
        assert engine.floor[0] == (
            "r12",
            {"op": "request", "group": "north", "priority": "normal"},
        )
        voice.send_floor("r12", {"op": "queued", "group": "north", "position": 2})
        await speaker.shows(phase="queued", queue_position=2)
        voice.send_floor("r12", {"op": "granted", "group": "north", "talk_id": 9, "limit_s": 60.0})
        voice.publish_floor("north", {"state": "taken", "talker": "radio:r12", "limit_s": 60.0})
        await speaker.shows(phase="talking", talk_id=9)
        state = await eventually(lambda: heard_a_second(listener), within_s=10)
        assert state["floor"]["talker"] == "radio:r12"
        assert state["levels"]["1250"] - state["levels"]["floor"] >= 20
        # What the talker hears of itself comes with its own talk id, and is ignored.
        assert (await speaker.state())["frames_received"] == 0

        sent = {frame.sequence for _, _, frame in engine.frames}
        assert sent == set(range(len(sent)))

        voice.send_floor("r12", {"op": "revoked", "group": "north", "cause": "talk_limit"})
        await speaker.shows(phase="idle", revoked="talk_limit")
        await listener.do("ptt", down=True)
        voice.send_floor("r13", {"op": "denied", "group": "north", "cause": "busy"})
        await listener.shows(phase="denied", denied="busy")
        await listener.do("ptt", down=False)
        await eventually(
            lambda: engine.floor[-1][1]["op"] == "release" and engine.floor[-1][0] == "r13"
        )


async def heard_a_second(radio: Simulator) -> dict | None:
    state = await radio.state()
    return state if state["samples_heard"] >= 8000 else None


def test_the_radios_a_law_keeps_a_tone_a_tone() -> None:
    meter = ToneMeter()
    tone = Tone(1250)
    for _ in range(50):
        meter.hear(pcma.decode(pcma.encode(tone.take(160))))
    levels = meter.levels([1250, 440])
    assert levels["1250"] == pytest.approx(-12, abs=0.5)
    assert levels["440"] < -50


def test_the_radios_a_law_is_the_standards() -> None:
    # ITU-T G.711 table 1a: the smallest and the largest decoder outputs, in 16-bit units.
    decoded = pcma.decode(bytes([0xD5, 0x55, 0xAA, 0x2A]))
    assert decoded.tolist() == [8, -8, 32256, -32256]
    every = np.arange(256, dtype=np.uint8).tobytes()
    assert pcma.encode(pcma.decode(every)) == every
