"""All transports of one gateway: our names on each, large requests, IPv6, and phones that come back by another
connection."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fakes.servers import free_port
from fakes.waiting import eventually

from gateways.sip.config import SipConfig, TlsConfig
from gateways.sip.dialogs import hop_of, nearest_hop
from gateways.sip.machines import reply_hop
from gateways.sip.message import Request, parse
from gateways.sip.tls import make_identity
from gateways.sip.transport import Hop, plain_address
from gateways.sip.wires import Wires, is_secure

HELLO = b"OPTIONS sip:hub SIP/2.0\r\nContent-Length: 0\r\n\r\n"
SIX = Hop("2001:db8::9", 5060)


class Side:
    def __init__(self, config):
        self.got, self.lost = [], []
        self.wires = Wires(
            config,
            lambda data, hop: self.got.append((data, hop)),
            lambda error, hop: None,
            lambda hop, reason: self.lost.append((hop, reason)),
        )


@pytest.fixture
async def wires():
    async with AsyncExitStack() as stack:

        async def make(**config):
            side = Side(SipConfig(port=0, **config))
            await stack.enter_async_context(side.wires)
            return side

        yield make


@pytest.fixture
def tls(tmp_path: Path):
    certificate, key = make_identity(tmp_path, ["127.0.0.1"])
    return TlsConfig(certificate=certificate, key=key)


def hop(port, transport="UDP", host="127.0.0.1"):
    return Hop(host, port, transport)


# --- our names -----------------------------------------------------------------------------------------------


async def test_each_far_end_is_told_the_name_it_can_reach_us_by(wires, tls):
    side = await wires(
        advertised_host="hub.example.net",
        ipv6_host="::1",
        ipv6_advertised_host="2001:db8::1",
        tls=tls,
        tls_port=0,
    )
    port, secure = side.wires.port, side.wires.tls_port

    assert side.wires.authority(hop(1)) == f"hub.example.net:{port}"
    assert side.wires.authority(SIX) == f"[2001:db8::1]:{port}"
    assert side.wires.contact(hop(1)) == f"<sip:commhub@hub.example.net:{port}>"
    assert side.wires.contact(hop(1, "TCP")).endswith(f":{port};transport=tcp>")
    assert side.wires.contact(hop(1, "TLS")).endswith(f":{secure};transport=tls>")
    assert side.wires.contact(hop(1, "TLS"), secure=True) == (
        f"<sips:commhub@hub.example.net:{secure}>"
    )


async def test_a_response_is_ours_by_any_of_our_names_and_by_no_other(wires):
    side = await wires(
        advertised_host="Hub.Example.Net", ipv6_host="::1", ipv6_advertised_host="2001:db8::1"
    )
    port = side.wires.port

    assert side.wires.is_ours("hub.example.net", port, "TCP")
    assert side.wires.is_ours("[2001:DB8:0::1]", port, "UDP")
    assert not side.wires.is_ours("hub.example.net", None, "UDP")
    assert not side.wires.is_ours("hub.example.net", port, "TLS")
    assert not side.wires.is_ours("192.0.2.1", port, "UDP")


async def test_every_transport_of_both_families_listens(wires, tls):
    side = await wires(ipv6_host="::1", tls=tls, tls_port=0)
    for host in ("127.0.0.1", "::1"):
        _, writer = await asyncio.open_connection(host, side.wires.port)
        writer.write(HELLO)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(host, side.wires.port)
        )
        transport.sendto(HELLO)
        await eventually(lambda host=host: len([h for _, h in side.got if h.host == host]) == 2)
        writer.close()
        transport.close()

    assert {h.transport for _, h in side.got} == {"UDP", "TCP"}


async def test_without_a_socket_of_its_family_a_stream_is_lost_and_a_datagram_only_logged(wires):
    side = await wires()
    side.wires.send(HELLO, SIX)
    side.wires.send(HELLO, Hop(SIX.host, 5060, "TCP"))
    side.wires.send(HELLO, hop(5061, "TLS"))

    await eventually(lambda: len(side.lost) == 2)
    assert [str(h) for h, _ in side.lost] == ["[2001:db8::9]:5060", "127.0.0.1:5061"]


# --- large requests (RFC 3261 §18.1.1) -----------------------------------------------------------------------


async def test_a_large_request_goes_by_tcp_to_who_speaks_it_and_a_small_one_by_udp(wires):
    here, there = await wires(), await wires()
    far = hop(there.wires.port)

    assert (await here.wires.choose(1300, far)).transport == "UDP"
    chosen = await here.wires.choose(1301, far)
    assert chosen == hop(there.wires.port, "TCP")
    here.wires.send(HELLO, chosen)
    await eventually(lambda: there.got)


async def test_a_large_request_goes_by_udp_to_who_speaks_nothing_else_and_is_asked_once(wires):
    here, there = await wires(), await wires(tcp=False)
    far = hop(there.wires.port)
    assert (await here.wires.choose(5000, far)).transport == "UDP"

    late = await asyncio.start_server(lambda r, w: None, "127.0.0.1", there.wires.port)
    assert (await here.wires.choose(5000, far)).transport == "UDP"
    late.close()


async def test_a_hub_without_tcp_sends_everything_by_udp(wires):
    here, there = await wires(tcp=False), await wires()

    assert (await here.wires.choose(5000, hop(there.wires.port))).transport == "UDP"


# --- phones that come back -----------------------------------------------------------------------------------


async def flow_to(side, count):
    """A connection of a phone to this side: its writer, and its hop."""
    _, writer = await asyncio.open_connection("127.0.0.1", side.wires.port)
    writer.write(HELLO)
    await eventually(lambda: len(side.got) == count)
    return writer, side.got[-1][1]


async def test_a_phone_that_registered_again_is_reached_by_its_new_connection(wires):
    side = await wires()
    writer, former = await flow_to(side, 1)
    side.wires.bind("1001", "sip:1001@192.0.2.1", former)
    _, later = await flow_to(side, 2)
    side.wires.bind("1001", "sip:1001@192.0.2.1", later)
    assert side.wires.current(former, "1001", "sip:1001@192.0.2.1") == former

    writer.close()
    await eventually(lambda: side.lost)
    assert side.wires.current(former, "1001", "sip:1001@192.0.2.1") == later
    assert side.wires.current(former, "1001", "sip:1001@192.0.2.1:4711") == later
    assert side.wires.current(former, "1002", "sip:1001@192.0.2.1") == former


async def test_nobody_else_is_reached_by_a_connection_that_was_another_phones(wires):
    side = await wires()
    writer, former = await flow_to(side, 1)
    side.wires.bind("1001", "sip:1001@192.0.2.1", former)
    writer.close()
    await eventually(lambda: side.lost)

    assert side.wires.current(former, "1001", "sip:1001@192.0.2.1") == former
    assert side.wires.flows._of == {}
    assert side.wires.flows._users == {}


# --- where things go -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "transport", "expected"),
    [
        ("sip:a@192.0.2.1", "UDP", Hop("192.0.2.1", 5060, "UDP")),
        ("sip:a@192.0.2.1;transport=tcp", "UDP", Hop("192.0.2.1", 5060, "TCP")),
        ("sip:a@192.0.2.1:5070;transport=UDP", "TCP", Hop("192.0.2.1", 5070, "UDP")),
        ("sip:a@192.0.2.1;transport=tls", "UDP", Hop("192.0.2.1", 5061, "TLS")),
        ("sips:a@192.0.2.1", "UDP", Hop("192.0.2.1", 5061, "TLS")),
        ("sips:a@192.0.2.1:5099;transport=tcp", "UDP", Hop("192.0.2.1", 5099, "TLS")),
        ("sip:a@192.0.2.1", "TCP", Hop("192.0.2.1", 5060, "TCP")),
        ("sip:a@[2001:DB8::0:1]:5080", "UDP", Hop("2001:db8::1", 5080, "UDP")),
    ],
)
def test_a_uri_names_its_transport_and_port(uri, transport, expected):
    assert hop_of(uri, transport) == expected


def test_a_transport_nobody_here_speaks_is_an_error():
    with pytest.raises(ValueError, match="SCTP"):
        hop_of("sip:a@192.0.2.1;transport=sctp", "UDP")


def test_a_phone_is_reached_by_its_connection_and_where_it_listens_unless_a_nat_is_between():
    learned = Hop("192.0.2.1", 49152, "TCP")
    near = nearest_hop(learned, Hop("192.0.2.1", 5060, "TCP"))
    assert (near, near.flow, near.then) == (learned, True, Hop("192.0.2.1", 5060, "TCP"))
    assert nearest_hop(learned, Hop("10.0.0.7", 5060, "TCP")).then is None
    assert nearest_hop(Hop("192.0.2.1", 1024), Hop("10.0.0.7", 5060)) == Hop("192.0.2.1", 1024)
    assert nearest_hop(Hop("192.0.2.1", 1024), Hop("192.0.2.1", 5060)) == Hop("192.0.2.1", 5060)


def request(via):
    text = f"OPTIONS sip:hub SIP/2.0\r\nVia: {via}\r\n\r\n"
    found = parse(text.encode())
    assert isinstance(found, Request)
    return found


@pytest.mark.parametrize(
    ("via", "source", "expected", "then"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5070;rport", Hop("192.0.2.1", 999), Hop("192.0.2.1", 999), None),
        ("SIP/2.0/UDP 192.0.2.1:5070", Hop("192.0.2.1", 999), Hop("192.0.2.1", 5070), None),
        ("SIP/2.0/UDP 10.0.0.7:5070", Hop("192.0.2.1", 999), Hop("192.0.2.1", 999), None),
        (
            "SIP/2.0/UDP [2001:DB8:0:0::1]:5070",
            Hop("2001:db8::1", 999),
            Hop("2001:db8::1", 5070),
            None,
        ),
        (
            "SIP/2.0/TCP 10.0.0.7:5070;rport",
            Hop("192.0.2.1", 999, "TCP"),
            Hop("192.0.2.1", 999, "TCP"),
            Hop("192.0.2.1", 5070, "TCP"),
        ),
        (
            "SIP/2.0/TLS 10.0.0.7",
            Hop("192.0.2.1", 999, "TLS"),
            Hop("192.0.2.1", 999, "TLS"),
            Hop("192.0.2.1", 5061, "TLS"),
        ),
    ],
)
def test_a_response_goes_where_the_request_came_from(via, source, expected, then):
    found = reply_hop(request(via), source)

    assert found == expected
    assert found.then == then


def test_a_dialog_is_one_of_sips_uris_by_its_target_or_its_topmost_proxy():
    plain, asked, routed = (request("SIP/2.0/TLS x") for _ in range(3))
    asked.uri = "SIPS:2000@hub"
    routed.headers.setlist("Record-Route", ['"a" <sips:proxy;lr>', "<sip:other;lr>"])

    assert [is_secure(one) for one in (plain, asked, routed)] == [False, True, True]


def test_an_address_has_one_spelling():
    assert plain_address("[2001:DB8:0::1]") == "2001:db8::1"
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("Hub.Example.NET") == "hub.example.net"


def test_listening_on_every_ipv6_address_needs_a_name_for_it():
    with pytest.raises(ValueError, match="advertised_host"):
        SipConfig(ipv6_host="::")
    SipConfig(ipv6_host="::", ipv6_advertised_host="2001:db8::1", port=free_port())
