"""SIP over UDP: what has come is read in its order, and how long it waits is known before it is."""

import socket

import pytest
from fakes.waiting import eventually

from gateways.sip.datagrams import UdpTransport
from gateways.sip.transport import Hop


@pytest.fixture
def got():
    return []


@pytest.fixture
async def udp(got):
    async with UdpTransport("127.0.0.1", 0, lambda data, hop: got.append((data, hop))) as transport:
        yield transport


@pytest.fixture
def phone():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


async def test_more_than_one_turn_takes_are_read_in_their_order(udp, phone, got):
    sent = [b"%d" % number for number in range(100)]
    for data in sent:
        phone.sendto(data, ("127.0.0.1", udp.port))
    await eventually(lambda: len(got) == len(sent))
    assert [data for data, _ in got] == sent
    assert {hop for _, hop in got} == {Hop(*phone.getsockname())}


async def test_what_waits_grows_old_until_it_is_read(udp, phone, got):
    assert udp.waited_s == 0.0
    phone.sendto(b"one", ("127.0.0.1", udp.port))
    first = udp.waited_s
    phone.sendto(b"two", ("127.0.0.1", udp.port))
    # The loop has not turned: the older one counts, and looking took nothing out of the queue.
    assert udp.waited_s > first > 0.0
    await eventually(lambda: len(got) == 2)
    assert udp.waited_s == 0.0


async def test_a_name_is_not_looked_up_and_an_unreachable_place_raises_nothing(udp, phone, got):
    udp.send(b"lost", Hop("localhost", phone.getsockname()[1]))
    udp.send(b"lost", Hop("127.0.0.1", 70_000))
    udp.send(b"lost", Hop("::1", phone.getsockname()[1]))
    udp.send(b"heard", Hop("127.0.0.1", phone.getsockname()[1]))
    assert phone.recv(100) == b"heard"


async def test_nothing_waits_and_nothing_is_sent_once_it_is_closed(phone):
    transport = UdpTransport("127.0.0.1", 0, lambda data, hop: None)
    async with transport:
        port = transport.port
    transport.send(b"late", Hop("127.0.0.1", phone.getsockname()[1]))
    assert transport.waited_s == 0.0
    # And the port is free at once: a new process wants the same.
    async with UdpTransport("127.0.0.1", port, lambda data, hop: None) as again:
        assert again.port == port
