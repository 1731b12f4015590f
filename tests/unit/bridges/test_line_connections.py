"""Lines over a socket: what leaves together, what comes in pieces, and who is given up."""

import asyncio
import socket

import pytest
from fakes.waiting import eventually

from bridges import protocol, wire
from bridges.errors import ProtocolError, WorkerLostError
from bridges.reach import Connection
from commhub.domain.errors import InvalidError

HELLO = b'{"hello":{"protocol":3}}\n{"welcome":{}}\n'


class Far:
    """The worker's end, by hand."""

    def __init__(self, sock):
        self._sock = sock
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()

    async def read(self):
        return await asyncio.wait_for(self._loop.sock_recv(self._sock, 1 << 20), 30)

    async def say(self, data):
        await self._loop.sock_sendall(self._sock, data)

    def close(self):
        self._sock.close()


async def join(patience_s=30.0):
    """A connection and its far end."""
    here, there = socket.socketpair()
    told = []
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(protocol.WORDS, patience_s, told.append), sock=here
    )
    return connection, Far(there), told


@pytest.fixture
async def greeted():
    connection, far, told = await join()
    await far.say(HELLO)
    await connection.greetings()
    yield connection, far, told
    connection.abort()
    far.close()


async def test_the_orders_of_one_turn_leave_in_one_write(greeted):
    connection, far, _ = greeted
    waiting = [connection.request(protocol.ReleaseArgs(f"leg{n}")) for n in range(50)]
    data = await far.read()
    assert [wire.parse(line)["args"]["leg_id"] for line in data.splitlines()] == [
        f"leg{n}" for n in range(50)
    ]
    await far.say(b"".join(wire.answer_line(n + 1, n) for n in reversed(range(50))))
    assert await asyncio.wait_for(asyncio.gather(*waiting), 30) == list(range(50))


async def test_a_line_in_pieces_is_a_line(greeted):
    connection, far, told = greeted
    waiting = connection.request(protocol.ReleaseArgs("leg"))
    for byte in b'{"event":"x"}\n{"id":1,"ok":null}\n':
        await far.say(bytes([byte]))
    assert await asyncio.wait_for(waiting, 30) is None
    assert told == [{"event": "x"}]


async def test_a_request_without_an_answer_is_given_up_and_the_others_are_not():
    connection, far, _ = await join(patience_s=0.05)
    await far.say(HELLO)
    await connection.greetings()
    lost = connection.request(protocol.ReleaseArgs("lost"))
    with pytest.raises(WorkerLostError, match="does not answer"):
        await asyncio.wait_for(lost, 30)
    answered = connection.request(protocol.ReleaseArgs("answered"))
    await far.say(b'{"id":1,"ok":7}\n{"id":2,"ok":8}\n')
    assert await asyncio.wait_for(answered, 30) == 8
    connection.abort()
    far.close()


async def test_requests_fail_when_the_connection_ends_and_so_do_later_ones(greeted):
    connection, far, _ = greeted
    waiting = connection.request(protocol.ReleaseArgs("leg"))
    far.close()
    for request in (waiting, None):
        with pytest.raises(WorkerLostError, match="went away"):
            await asyncio.wait_for(request or connection.request(protocol.StatusArgs()), 30)


async def test_a_worker_that_hangs_up_before_its_welcome_has_said_too_little():
    connection, far, _ = await join()
    await far.say(b'{"hello":{"protocol":3}}\n')
    far.close()
    with pytest.raises(ProtocolError):
        await asyncio.wait_for(connection.greetings(), 30)


async def test_a_line_without_an_end_ends_the_connection(greeted, monkeypatch):
    connection, far, _ = greeted
    monkeypatch.setattr(wire, "LINE_LIMIT", 100)
    await far.say(b"x" * 200)
    with pytest.raises(ProtocolError, match="without an end"):
        await asyncio.wait_for(connection.ending(), 30)
    await eventually(lambda: connection.unread == 0)


async def test_what_cannot_be_written_is_invalid_and_nobody_elses_affair(greeted):
    connection, far, _ = greeted
    with pytest.raises(InvalidError):
        connection.request(protocol.ReleaseArgs("\ud800"))
    waiting = connection.request(protocol.ReleaseArgs("leg"))
    number = wire.parse((await far.read()).splitlines()[0])["id"]
    await far.say(wire.answer_line(number, None))
    assert await asyncio.wait_for(waiting, 30) is None
