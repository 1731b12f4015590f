"""Carriers and PBXs that SIPp plays, each with a scenario of `tests/integration/sip/scenarios`, and our lines to them."""

import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from fakes.servers import free_port, is_bound
from fakes.sipp import sipp
from fakes.sipp_phones import SCENARIOS
from fakes.tls_relay import tls_front, tls_relay
from fakes.waiting import eventually

from commhub.domain.people import Endpoint
from commhub.kit.ids import new_id
from commhub.ports.telephony import LegOrder
from gateways.sip.trunks.config import TrunkConfig
from gateways.sip.trunks.numbers import Route

PASSWORD = "between-carrier-and-us"


def line(name, port, **changes):
    """A line to a carrier on this machine."""
    given = {
        "name": name,
        "server": f"127.0.0.1:{port}",
        "domain": "pbx.test",
        "number": "+862112345678",
        "probe_every_s": 0.0,
        "out_prefixes": {"+86": "0"},
        "in_prefixes": {"0": "+86"},
    }
    return TrunkConfig(**given | changes)


@asynccontextmanager
async def far_end(edge, scenario, port, **more):
    """A carrier that plays its scenario over UDP at `port`."""
    path = SCENARIOS / f"{scenario}.xml"
    async with sipp(path, edge.port, port, user="hub", password=PASSWORD, **more) as peer:
        yield peer


@asynccontextmanager
async def called_over(edge, scenario, over, **more):
    """(peer, port) of a carrier that waits for the hub's connection by TCP or TLS."""
    port = free_port(socket.SOCK_STREAM)
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(
            far_end(edge, scenario, port, transport="t1", **more)
        )
        # A connection is refused once and for all.
        await eventually(lambda: is_bound(port), within_s=30)
        if over == "tls":
            tls = edge.config.tls
            port = await stack.enter_async_context(tls_front(port, tls.certificate, tls.key))
        yield peer, port


@asynccontextmanager
async def calling_over(edge, scenario, over, **more):
    """A PBX that connects to the hub by TCP or TLS and plays its scenario."""
    async with AsyncExitStack() as stack:
        hub_port = edge.port
        if over == "tls":
            relay = tls_relay(edge.gateway.tls_port, edge.config.tls.certificate)
            hub_port = await stack.enter_async_context(relay)
        port = free_port(socket.SOCK_STREAM)
        peer = sipp(SCENARIOS / f"{scenario}.xml", hub_port, port, transport="t1", **more)
        yield await stack.enter_async_context(peer)


async def lines_of(edge, *trunks):
    """The lines of an edge that has these and no others."""
    edge.config = replace(edge.config, trunks=trunks)
    await edge.restart()
    return edge.gateway.lines


async def dial(edge, number="+8613800000000", via=("first", "second"), **route):
    """Place a leg outside; its id."""
    order = LegOrder(call_id=new_id(), leg_id=new_id(), endpoint=Endpoint.parse(f"tel:{number}"))
    await edge.gateway.dial(order, Route(number, via, **route))
    return order.leg_id
