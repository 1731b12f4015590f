"""Phones that SIPp plays, each with a scenario of `tests/integration/sip/scenarios` and an account of its own.

Each plays it over UDP, TCP or TLS (`over`). The distribution's SIPp has no TLS, so a phone that calls over it goes through a
relay, and one that is called is called over TCP.
"""

import socket
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.tls_relay import tls_relay
from fakes.waiting import eventually

SCENARIOS = Path(__file__).parents[1] / "integration" / "sip" / "scenarios"
PASSWORD = "kept-between-us"


@asynccontextmanager
async def phone(edge, scenario, port=None, *, over="udp", **more):
    """A phone that plays its scenario from the beginning."""
    port = port or free_port(socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM)
    async with AsyncExitStack() as stack:
        hub_port = edge.port
        if over == "tls":
            relay = tls_relay(edge.gateway.tls_port, edge.config.tls.certificate)
            hub_port = await stack.enter_async_context(relay)
        peer = sipp(
            SCENARIOS / f"{scenario}.xml",
            hub_port,
            port,
            password=PASSWORD,
            transport="u1" if over == "udp" else "t1",
            **more,
        )
        yield await stack.enter_async_context(peer)


@asynccontextmanager
async def registered(edge, scenario, *, user="1001", over="udp", **more):
    """A phone that is registered and then plays its scenario for the call it gets."""
    over = "tcp" if over == "tls" else over
    port = free_port(socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM)
    async with phone(edge, "register", port, user=user, to=user, over=over) as registering:
        await registering.finish()
    async with phone(edge, scenario, port, user=user, over=over, **more) as peer:
        if over == "tcp":
            # An INVITE by UDP comes again; a connection is refused once and for all.
            await eventually(lambda: _listens(port), within_s=30)
        yield peer


def _listens(port):
    """Whether somebody does, without connecting: SIPp would take that for its call."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines
    )
