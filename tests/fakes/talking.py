"""A phone that talks in real time, for tests of whole workers."""

import asyncio
from contextlib import asynccontextmanager

from fakes.rtp import Phone

from commhub.ports.media import MediaOrder


@asynccontextmanager
async def talking(media, frequency, leg):
    """A phone in the call that speaks and listens in real time."""
    phone = Phone(frequency)
    address = await media.reserve(MediaOrder(call_id="c1", leg_id=leg))
    phone.goal = (address.host, address.port)
    await media.connect(leg, phone.remote())

    async def converse():
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 0.02
            phone.speak()
            phone.listen()
            await asyncio.sleep(max(0.0, due - loop.time()))

    task = asyncio.create_task(converse())
    try:
        yield phone
    finally:
        task.cancel()
        phone.close()
