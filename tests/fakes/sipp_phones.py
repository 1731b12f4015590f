"""Phones that SIPp plays, each with a scenario of `tests/integration/sip/scenarios` and an account of its own."""

import socket
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.servers import free_port
from fakes.sipp import sipp

SCENARIOS = Path(__file__).parents[1] / "integration" / "sip" / "scenarios"
PASSWORD = "kept-between-us"


@asynccontextmanager
async def phone(edge, scenario, port=None, **more):
    """A phone that plays its scenario from the beginning."""
    port = port or free_port(socket.SOCK_DGRAM)
    path = SCENARIOS / f"{scenario}.xml"
    async with sipp(path, edge.port, port, password=PASSWORD, **more) as peer:
        yield peer


@asynccontextmanager
async def registered(edge, scenario, *, user="1001", **more):
    """A phone that is registered and then plays its scenario for the call it gets."""
    port = free_port(socket.SOCK_DGRAM)
    async with phone(edge, "register", port, user=user, to=user) as registering:
        await registering.finish()
    async with phone(edge, scenario, port, user=user, **more) as peer:
        yield peer
