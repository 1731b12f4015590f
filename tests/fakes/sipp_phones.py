"""Phones that SIPp plays, each with a scenario of `tests/integration/sip/scenarios` and an account of its own.

Each plays it over UDP, TCP or TLS (`over`). The distribution's SIPp has no TLS, so over it something stands between that
encrypts (`fakes.tls_relay`).
"""

import socket
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fakes.servers import free_port, is_bound
from fakes.sipp import sipp
from fakes.tls_relay import tls_flow, tls_relay
from fakes.waiting import eventually

SCENARIOS = Path(__file__).parents[1] / "integration" / "sip" / "scenarios"
PASSWORD = "kept-between-us"


@asynccontextmanager
async def phone(edge, scenario, port=None, *, over="udp", hub_port=None, **more):
    """A phone that plays its scenario from the beginning; `hub_port`: where it finds the hub, if not at the edge's own."""
    port = port or free_port(socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM)
    async with AsyncExitStack() as stack:
        hub_port = hub_port or edge.port
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
    port = free_port(socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM)
    async with AsyncExitStack() as stack:
        options = {"user": user, "over": over}
        if over == "tls":
            flow = tls_flow(edge.gateway.tls_port, edge.config.tls.certificate, port)
            options = {
                "user": user,
                "over": "tcp",
                "hub_port": await stack.enter_async_context(flow),
            }
        async with phone(edge, "register", port, to=user, **options) as registering:
            await registering.finish()
        peer = await stack.enter_async_context(phone(edge, scenario, port, **options, **more))
        if over != "udp":
            # An INVITE by UDP comes again; a connection is refused once and for all.
            await eventually(lambda: is_bound(port), within_s=30)
        yield peer
