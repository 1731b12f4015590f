"""The media stream's WebSocket, on a real server: who gets in, what is carried, and what breaks nothing."""

import asyncio
import base64
import json
import struct

import pytest
from fakes.servers import free_port
from fakes.twilio import SID, Edge, resume_path, serving, sign, ticket_of
from fakes.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from commhub.domain.call import Cause
from gateways.twilio.tickets import Ticket

CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
SOUND = bytes(range(160))


class Line:
    """A leg that was answered, and sockets to its stream."""

    def __init__(self, edge, port):
        self.edge = edge
        self.url = f"ws://127.0.0.1:{port}/twilio/stream"
        self.leg = ""
        self.answer = None

    async def pick_up(self):
        self.leg = await self.edge.place()
        self.answer = await self.edge.answered(self.leg)
        return ticket_of(self.answer)

    def start(self, ticket, *, call=None, account=SID):
        start = {
            "accountSid": account,
            "streamSid": "MZ1",
            "callSid": call or self.edge.api.sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"ticket": ticket},
        }
        return {"event": "start", "start": start, "streamSid": "MZ1"}

    async def say(self, socket, *messages):
        for message in messages:
            await socket.send(message if isinstance(message, str) else json.dumps(message))

    async def is_refused(self, *messages):
        """Whether a socket that says this is closed for breaking the rules."""
        async with connect(self.url) as socket:
            await self.say(socket, *messages)
            with pytest.raises(ConnectionClosed) as caught:
                async with asyncio.timeout(3):
                    await socket.recv()
            return caught.value.rcvd.code == 1008

    async def streaming(self, ticket):
        """A socket whose stream the core was told of."""
        socket = await connect(self.url).__aenter__()
        before = len(self.edge.calls.told("connected", self.leg))
        await self.say(socket, CONNECTED, self.start(ticket))
        await eventually(lambda: len(self.edge.calls.told("connected", self.leg)) > before)
        return socket


def media(payload=SOUND, ms=0):
    sound = {"timestamp": str(ms), "payload": base64.b64encode(payload).decode()}
    return {"event": "media", "streamSid": "MZ1", "media": sound}


@pytest.fixture
async def line(store):
    edge = Edge(store, start_within_s=0.5, max_unproven=2, engine_silent_s=0.3)
    await edge.start()
    port = free_port()
    async with serving(edge.app, port):
        yield Line(edge, port)
    await edge.stop()
    edge.media.close()


async def test_audio_goes_both_ways_as_rtp(line):
    socket = await line.streaming(await line.pick_up())
    engine, remote = line.edge.media.socket_of(line.leg), line.edge.media.connected[line.leg]
    engine.setblocking(False)
    loop = asyncio.get_running_loop()
    await line.say(socket, media(SOUND[:100]), media(SOUND[100:], 12))
    packet = await asyncio.wait_for(loop.sock_recv(engine, 2048), 2)
    assert packet[12:] == SOUND
    assert packet[1] & 0x7F == remote.audio.payload_type == 0
    rtp = struct.pack("!BBHII", 0x80, 0, 1, 2, 3) + SOUND
    engine.sendto(rtp, (remote.address.host, remote.address.port))
    heard = json.loads(await asyncio.wait_for(socket.recv(), 2))
    assert heard["streamSid"] == "MZ1"
    assert base64.b64decode(heard["media"]["payload"]) == SOUND
    assert line.edge.calls.states(line.leg) == ["connected"]
    await socket.close()


async def test_a_ticket_opens_one_stream_of_its_own_call(line):
    ticket = await line.pick_up()
    other = "CA" + "9" * 32
    assert await line.is_refused(CONNECTED, line.start(ticket, call=other))
    assert await line.is_refused(CONNECTED, line.start(ticket, account="AC" + "9" * 32))
    assert await line.is_refused(CONNECTED, line.start(""))
    assert await line.is_refused(CONNECTED, line.start(ticket[:-2]))
    expired = Ticket("stream", line.leg, line.edge.api.sid, 1, 1_000)
    assert await line.is_refused(
        CONNECTED, line.start(line.edge.gateway._desk.tickets.write(expired))
    )
    socket = await line.streaming(ticket)
    assert await line.is_refused(CONNECTED, line.start(ticket))
    # The refusals left the stream that is there alone.
    await line.say(socket, media())
    await socket.ping()
    await socket.close()


@pytest.mark.parametrize(
    "first",
    [
        [media()],
        [{"event": "stop"}],
        ["{"],
        ["[" * 20_000],
        [CONNECTED, CONNECTED],
        [CONNECTED, media()],
        [CONNECTED, '{"event":"start","start":{}}'],
    ],
)
async def test_what_does_not_begin_as_a_stream_is_closed(line, first):
    assert await line.is_refused(*first)


async def test_a_socket_that_says_nothing_is_closed_in_time(line):
    assert await line.is_refused()


async def test_binary_and_oversized_messages_end_at_the_socket(line):
    async with connect(line.url) as socket:
        await socket.send(b"\x00\xff")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    socket = await line.streaming(await line.pick_up())
    await line.say(socket, "x" * 100_000)
    await asyncio.wait_for(socket.wait_closed(), 3)
    assert socket.close_code == 1009
    # Twilio goes on to the redirect, and the leg is still there.
    again = await line.edge.post(resume_path(line.answer), line.edge.fields())
    await (await line.streaming(ticket_of(again))).close()


async def test_a_stream_of_nothing_but_nonsense_is_closed_after_a_while(line):
    socket = await line.streaming(await line.pick_up())
    for _ in range(60):
        await line.say(socket, '{"event":"media"}')
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), 3)
    assert line.edge.calls.end_of(line.leg) is None


async def test_the_next_stream_takes_the_place_of_the_one_before(line):
    first = await line.streaming(await line.pick_up())
    answer = await line.edge.post(resume_path(line.answer), line.edge.fields())
    second = await line.streaming(ticket_of(answer))
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(first.recv(), 3)
    await line.say(second, media())
    loop, engine = asyncio.get_running_loop(), line.edge.media.socket_of(line.leg)
    engine.setblocking(False)
    assert (await asyncio.wait_for(loop.sock_recv(engine, 2048), 2))[12:] == SOUND
    await second.close()


async def test_strangers_cannot_keep_twilio_out(line):
    ticket = await line.pick_up()
    held = [await connect(line.url).__aenter__() for _ in range(2)]
    with pytest.raises(InvalidStatus):
        await connect(line.url).__aenter__()
    headers = {"X-Twilio-Signature": sign("wss://hub.test/twilio/stream")}
    async with connect(line.url, additional_headers=headers) as socket:
        await line.say(socket, CONNECTED, line.start(ticket))
        await eventually(lambda: line.edge.calls.told("connected", line.leg))
    for one in held:
        await one.close()


async def test_hanging_up_closes_the_socket(line):
    socket = await line.streaming(await line.pick_up())
    await line.edge.gateway.hang_up(line.leg, Cause.DESK)
    with pytest.raises(ConnectionClosed) as caught:
        await asyncio.wait_for(socket.recv(), 3)
    assert caught.value.rcvd.code == 1000
    assert line.edge.media.released == [line.leg]


async def test_an_engine_that_moved_the_leg_is_found_again(line):
    socket = await line.streaming(await line.pick_up())
    await line.edge.media.release(line.leg)
    await eventually(lambda: line.leg in line.edge.media.connected)
    engine = line.edge.media.socket_of(line.leg)
    engine.setblocking(False)
    await line.say(socket, media())
    loop = asyncio.get_running_loop()
    assert (await asyncio.wait_for(loop.sock_recv(engine, 2048), 2))[12:] == SOUND
    await socket.close()


async def test_a_lost_worker_is_looked_for_as_soon_as_the_core_says_so(line):
    socket = await line.streaming(await line.pick_up())
    orders = len(line.edge.media.orders)
    assert await line.edge.gateway.recover(line.leg)
    await eventually(lambda: len(line.edge.media.orders) >= orders + 2)
    assert not await line.edge.gateway.recover("of somebody else")
    await socket.close()


async def test_without_a_worker_the_stream_ends_and_after_some_tries_the_leg(line):
    ticket = await line.pick_up()
    line.edge.media.unavailable = True
    answer = line.answer
    for attempt in range(4):
        async with connect(line.url) as socket:
            await line.say(socket, CONNECTED, line.start(ticket))
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 3)
        assert (line.edge.calls.end_of(line.leg) is None) == (attempt < 3)
        if attempt < 3:
            answer = await line.edge.post(resume_path(answer), line.edge.fields())
            ticket = ticket_of(answer)
    assert line.edge.calls.end_of(line.leg)[0] is Cause.MEDIA_LOST
