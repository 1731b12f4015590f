"""TLS for a peer that has none: what it says over TCP goes on as TLS, and back.

The distribution's SIPp is built without TLS. Behind these its scenarios run over the hub's TLS port; its Via says TCP, as
one of a phone behind a box that encrypts does. `tls_relay` is for a phone that calls, `tls_flow` for one that is called,
`tls_front` for a carrier that the hub connects to.
"""

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager, suppress


@asynccontextmanager
async def tls_relay(hub_port, authority):
    """The TCP port where to speak with the hub's TLS port in the clear; its certificate must be by `authority`."""
    context = ssl.create_default_context(cafile=str(authority))

    async def relay(reader, writer):
        inner = await asyncio.open_connection("127.0.0.1", hub_port, ssl=context)
        await asyncio.gather(_pass_on(reader, inner[1]), _pass_on(inner[0], writer))

    async with _listening(relay) as port:
        yield port


@asynccontextmanager
async def tls_front(port, certificate, key):
    """The TLS port of somebody who listens for TCP at `port`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def relay(reader, writer):
        inner = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, inner[1]), _pass_on(inner[0], writer))

    async with _listening(relay, ssl=context) as front:
        yield front


@asynccontextmanager
async def tls_flow(hub_port, authority, phone_port):
    """The TCP port for a phone that is called by the TLS connection it registered by (RFC 5626), and for that listens
    at `phone_port`: the one connection to the hub stays, whatever becomes of the phone's own."""
    context = ssl.create_default_context(cafile=str(authority))
    inner = await asyncio.open_connection("127.0.0.1", hub_port, ssl=context)
    flow = _Flow(*inner, phone_port)
    async with AsyncExitStack() as stack:
        stack.callback(inner[1].close)
        port = await stack.enter_async_context(_listening(flow.from_phone))
        outward = asyncio.create_task(flow.from_hub())
        stack.push_async_callback(_end, {outward})
        yield port


class _Flow:
    """The phone speaks by its newest connection, or by one that is made to it when the hub has something to say."""

    def __init__(self, reader, writer, phone_port):
        self._hub_reader = reader
        self._hub = writer
        self._phone_port = phone_port
        self._phone = None

    async def from_phone(self, reader, writer):
        self._phone = writer
        try:
            await _pass_on(reader, self._hub, ends=False)
        finally:
            writer.close()
            if self._phone is writer:
                self._phone = None

    async def from_hub(self):
        made = set()
        try:
            while data := await self._hub_reader.read(65_536):
                if self._phone is None:
                    phone = await asyncio.open_connection("127.0.0.1", self._phone_port)
                    self._phone = phone[1]
                    made.add(asyncio.create_task(self.from_phone(*phone)))
                self._phone.write(data)
                await self._phone.drain()
        finally:
            await _end(made)


@asynccontextmanager
async def _listening(relay, **more):
    """The port where `relay` is begun for each connection; all of them end with it."""
    running = set()

    async def begin(reader, writer):
        running.add(asyncio.current_task())
        with suppress(ConnectionError):
            await relay(reader, writer)

    server = await asyncio.start_server(begin, "127.0.0.1", 0, **more)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _end(running)


async def _end(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(reader, writer, *, ends=True):
    """Until the end of one direction, which `ends` the other."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        if ends:
            writer.close()
