"""TLS for a peer that has none: what it says over TCP goes on as TLS, each connection as one of its own.

The distribution's SIPp is built without TLS. Behind this relay its scenarios run over the hub's TLS port; its Via says
TCP, as one of a phone behind a box that encrypts does.
"""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def tls_relay(hub_port, authority):
    """The TCP port where to speak with the hub's TLS port in the clear; its certificate must be by `authority`."""
    context = ssl.create_default_context(cafile=str(authority))
    running = set()

    async def relay(reader, writer):
        running.add(asyncio.current_task())
        with suppress(ConnectionError):
            inner = await asyncio.open_connection("127.0.0.1", hub_port, ssl=context)
            both = (_pass_on(reader, inner[1]), _pass_on(inner[0], writer))
            await asyncio.gather(*both)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _pass_on(reader, writer):
    """Until the end of one direction, which ends the other."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
