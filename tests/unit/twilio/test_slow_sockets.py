"""A stream whose socket takes nothing: bounded, and fresh when it takes again."""

import asyncio
import base64
import json

import pytest
from fakes.clock import ScriptedClock
from fakes.twilio import config_at
from fakes.waiting import eventually

from gateways.twilio.messages import Start
from gateways.twilio.stream import MediaStream

START = Start(stream_sid="MZ1", account_sid="AC1", call_sid="CA1", ticket="")


class StuckSocket:
    """Takes a message only when the gate is open; the test says what comes in."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.sent = []
        self.coming = asyncio.Queue()

    async def send_text(self, data):
        await self.gate.wait()
        self.sent.append(json.loads(data))

    async def receive_text(self):
        return await self.coming.get()

    def sounds(self):
        return [
            base64.b64decode(message["media"]["payload"])
            for message in self.sent
            if message["event"] == "media"
        ]


class SilentTrunk:
    async def keep(self, silent_s):
        await asyncio.Event().wait()

    def send(self, packet):
        raise AssertionError("nobody spoke")


@pytest.fixture
async def stuck():
    """(stream, socket, clock), running."""
    socket, clock = StuckSocket(), ScriptedClock()
    stream = MediaStream(socket, START, config_at("https://hub.test"), clock)
    running = asyncio.create_task(stream.run(SilentTrunk()))
    yield stream, socket, clock
    stream.stop()
    assert await running is False


def sound(number):
    return number.to_bytes(2, "big") * 80


async def test_of_what_waits_too_long_the_oldest_is_dropped(stuck):
    stream, socket, _ = stuck
    stream.hear(sound(0))
    await asyncio.sleep(0)
    for number in range(1, 500):
        stream.hear(sound(number))
    socket.gate.set()
    await eventually(lambda: sound(499) in socket.sounds())
    heard = socket.sounds()
    assert len(heard) <= 26
    assert heard[-25:] == [sound(number) for number in range(475, 500)]


async def test_a_late_mark_clears_what_twilio_holds_before_more_is_sent(stuck):
    stream, socket, clock = stuck
    socket.gate.set()

    async def say_a_second():
        marks = len([message for message in socket.sent if message["event"] == "mark"])
        for number in range(50):
            stream.hear(sound(number))
            await eventually(lambda: not stream._waiting)
        clock.advance(1.0)
        await eventually(lambda: len([m for m in socket.sent if m["event"] == "mark"]) == marks + 1)

    def echo(name):
        socket.coming.put_nowait(json.dumps({"event": "mark", "mark": {"name": name}}))

    await say_a_second()
    clock.advance(2.0)
    echo("at1")
    await eventually(lambda: stream.backlog.seconds == 3.0)
    await say_a_second()
    assert [message["event"] for message in socket.sent[-2:]] == ["clear", "mark"]


async def test_a_stop_of_twilios_is_told_from_a_lost_socket():
    socket = StuckSocket()
    stream = MediaStream(socket, START, config_at("https://hub.test"), ScriptedClock())
    socket.coming.put_nowait('{"event":"stop","stop":{}}')
    assert await stream.run(SilentTrunk()) is True
