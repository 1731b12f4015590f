"""TCP connections of the SIP edge on real sockets of this machine; patience is short here and nothing is slept for."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from fakes.servers import free_port
from fakes.waiting import eventually

from gateways.sip.connection import StreamLimits
from gateways.sip.streams import StreamTransport, source_of
from gateways.sip.transport import Hop

HELLO = b"OPTIONS sip:hub SIP/2.0\r\nContent-Length: 0\r\n\r\n"
OTHER = HELLO.replace(b"hub", b"peer")


class Side:
    """A listening transport and what it was told."""

    def __init__(self, stack, **limits):
        self._stack = stack
        self.got, self.unreadable, self.lost = [], [], []
        self.transport = StreamTransport(
            "127.0.0.1",
            0,
            StreamLimits(**limits),
            lambda data, hop: self.got.append((data, hop)),
            lambda error, hop: self.unreadable.append((error, hop)),
            lambda hop, reason: self.lost.append((hop, reason)),
        )

    @property
    def hop(self):
        return Hop("127.0.0.1", self.transport.port, "TCP")

    async def connect(self):
        """A bare client: its reader and writer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.transport.port)
        self._stack.callback(writer.close)
        return reader, writer

    async def hello(self):
        """A client that has said something; with the hop by which it is known here."""
        before = len(self.got)
        reader, writer = await self.connect()
        writer.write(HELLO)
        await eventually(lambda: len(self.got) > before)
        return reader, writer, self.got[-1][1]


@pytest.fixture
async def side():
    """Makes sides, and closes them and their clients."""
    async with AsyncExitStack() as stack:

        async def make(**limits):
            made = Side(stack, **limits)
            await stack.enter_async_context(made.transport)
            return made

        yield make


async def is_closed(reader):
    """Whether the far end has gone, once everything it said is read."""
    try:
        async with asyncio.timeout(5):
            await reader.read()
    except ConnectionError:
        return True
    return reader.at_eof()


async def test_an_answer_goes_back_by_the_connection_the_request_came_by(side):
    hub = await side()
    reader, writer, hop = await hub.hello()
    hub.transport.send(OTHER, hop)

    assert await reader.readexactly(len(OTHER)) == OTHER
    assert hop.flow
    assert hop.transport == "TCP"
    assert hop.port == writer.get_extra_info("sockname")[1]


async def test_a_ping_between_messages_is_answered(side):
    hub = await side()
    reader, writer = await hub.connect()
    writer.write(b"\r\n\r\n" + HELLO + b"\r\n\r\n")

    assert await reader.readexactly(4) == b"\r\n\r\n"
    assert [data for data, _ in hub.got] == [HELLO]


async def test_one_connection_serves_both_hubs_that_talk(side):
    here, there = await side(), await side()
    for _ in range(3):
        here.transport.send(HELLO, there.hop)
    await eventually(lambda: len(there.got) == 3)
    there.transport.send(OTHER, there.got[0][1])
    await eventually(lambda: here.got)

    assert (here.transport.connections, there.transport.connections) == (1, 1)
    assert here.got[0] == (OTHER, there.hop)
    assert not here.got[0][1].flow


async def test_a_message_begun_and_not_finished_ends_its_connection(side):
    hub = await side(message_within_s=0.15)
    reader, writer, _ = await hub.hello()
    writer.write(HELLO[:20])
    dribble = asyncio.create_task(_dribble(writer, HELLO[20:-1]))

    assert await is_closed(reader)
    dribble.cancel()
    assert len(hub.got) == 1


async def _dribble(writer, data):
    """A byte now and then, as the slow loris eats."""
    for i in range(len(data)):
        writer.write(data[i : i + 1])
        await asyncio.sleep(0.02)


async def test_a_connection_that_says_nothing_is_ended(side):
    hub = await side(first_message_within_s=0.1)
    reader, _ = await hub.connect()

    assert await is_closed(reader)
    await eventually(lambda: hub.transport.connections == 0)


async def test_a_connection_that_fell_silent_is_ended_later_and_a_ping_keeps_it(side):
    hub = await side(idle_s=0.4)
    silent, _, _ = await hub.hello()
    kept, writer, hop = await hub.hello()
    pinging = asyncio.create_task(_dribble(writer, b"\r\n\r\n" * 100))

    assert await is_closed(silent)
    assert hub.transport.is_open(hop)
    pinging.cancel()
    assert await is_closed(kept)


async def test_garbage_ends_a_connection_and_is_told(side):
    hub = await side()
    reader, writer = await hub.connect()
    writer.write(b"\x16\x03\x01")

    assert await is_closed(reader)
    assert len(hub.unreadable) == 1
    assert hub.got == []


async def test_a_far_end_that_says_too_much_is_hung_up_on_and_the_rest_is_not_read(side):
    hub = await side()
    reader, writer, hop = await hub.hello()
    hub.transport._receive = lambda data, source: (
        hub.got.append((data, source)),
        hub.transport.hang_up_on(source),
    )
    writer.write(HELLO * 3)

    assert await is_closed(reader)
    assert len(hub.got) == 2
    assert not hub.transport.is_open(hop)


async def test_a_far_end_that_reads_nothing_is_not_written_to_for_ever(side):
    hub = await side(unsent_bytes=64_000)
    _, _, hop = await hub.hello()
    for _ in range(10_000):
        hub.transport.send(b"x" * 10_000, hop)
        if not hub.transport.is_open(hop):
            break

    assert not hub.transport.is_open(hop)
    await eventually(lambda: hub.lost)
    assert hub.lost[0][0] == hop


async def test_a_source_has_only_so_many_connections(side):
    hub = await side(connections_per_source=3)
    clients = [await hub.hello() for _ in range(3)]
    reader, _ = await hub.connect()
    assert await is_closed(reader)

    clients[0][1].close()
    await eventually(lambda: hub.transport.connections == 2)
    await hub.hello()


async def test_when_all_are_taken_the_longest_silent_stranger_makes_room_and_no_phone(side):
    hub = await side(connections=3)
    phone, old, new = [await hub.hello() for _ in range(3)]
    hub.transport.bind(phone[2])
    old[1].write(HELLO)
    await eventually(lambda: len(hub.got) == 4)

    await hub.hello()
    assert await is_closed(new[0])
    assert hub.transport.is_open(phone[2])
    assert hub.transport.is_open(old[2])


async def test_when_all_belong_to_phones_a_stranger_is_not_let_in(side):
    hub = await side(connections=2)
    for _ in range(2):
        hub.transport.bind((await hub.hello())[2])
    reader, _ = await hub.connect()

    assert await is_closed(reader)
    assert hub.transport.connections == 2


async def test_what_is_sent_to_a_phone_whose_connection_is_gone_is_told_as_lost(side):
    hub = await side()
    _, writer, hop = await hub.hello()
    writer.close()
    await eventually(lambda: hub.lost)
    hub.transport.send(HELLO, hop)

    assert len(hub.lost) == 1
    await eventually(lambda: len(hub.lost) == 2)
    assert hub.lost[1] == (hop, "the connection of the phone is gone")


async def test_a_connection_is_opened_to_where_the_phone_said_when_its_own_is_gone(side):
    hub, phone = await side(), await side()
    gone = Hop("127.0.0.1", free_port(), "TCP").as_flow(phone.hop)
    hub.transport.send(HELLO, gone)
    hub.transport.send(OTHER, gone)
    await eventually(lambda: len(phone.got) == 2)

    assert [data for data, _ in phone.got] == [HELLO, OTHER]
    assert hub.transport.connections == 1
    assert hub.transport.is_open(gone)
    await phone.transport.__aexit__(None, None, None)
    await eventually(lambda: len(hub.lost) == 2)
    assert {hop for hop, _ in hub.lost} == {gone, phone.hop}


async def test_a_connection_that_is_refused_is_told_to_everybody_who_waits(side):
    hub = await side()
    nobody = Hop("127.0.0.1", free_port(), "TCP")
    hub.transport.send(HELLO, nobody)
    hub.transport.send(HELLO, nobody)

    assert hub.lost == []
    await eventually(lambda: hub.lost)
    assert [hop for hop, _ in hub.lost] == [nobody]
    assert not await hub.transport.reach(nobody, 1.0)


async def test_a_connection_nobody_accepts_is_given_up_in_time(side):
    hub = await side(connect_within_s=0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        hop = Hop(*deaf.getsockname(), "TCP")
        # A full backlog: the kernel of the far end answers no further handshake.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        hub.transport.send(HELLO, hop)
        await eventually(lambda: hub.lost)
        for filler in fillers:
            filler.close()

    assert hub.lost == [(hop, "no connection in time")]


async def test_a_transport_that_stops_closes_its_connections_and_frees_its_port(side):
    hub = await side()
    reader, _, _ = await hub.hello()
    port = hub.transport.port
    await hub.transport.__aexit__(None, None, None)

    assert await is_closed(reader)
    assert hub.lost == []
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_the_network_of_an_ipv6_customer_is_one_source():
    assert source_of("2001:db8:1:2::5") == source_of("2001:db8:1:2:ffff::9")
    assert source_of("2001:db8:1:2::5") != source_of("2001:db8:1:3::5")
    assert source_of("192.0.2.1") == "192.0.2.1"
