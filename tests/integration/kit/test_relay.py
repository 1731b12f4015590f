"""The Redis relay with a real Redis: two buses that hear each other and never themselves."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from fakes.servers import running_redis
from fakes.waiting import eventually

from commhub.kit.bus import Bus
from commhub.kit.relay import Relay


@pytest.fixture(scope="module")
def redis_url():
    with running_redis() as url:
        yield url


@asynccontextmanager
async def relayed(bus: Bus[str], url: str):
    relay = Relay(
        bus, url, "test", encode=str, decode=lambda text: None if text == "strange" else text
    )
    task = asyncio.create_task(relay.run())
    await eventually(lambda: relay.connected)
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_one_process_publishes_the_other_hears_once_and_the_first_not_again(redis_url):
    first, second = Bus[str](), Bus[str]()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relayed(first, redis_url))
        await stack.enter_async_context(relayed(second, redis_url))
        with first.subscribe() as at_first, second.subscribe() as at_second:
            first.publish("one")
            second.publish("two")
            async with asyncio.timeout(5):
                assert [await at_first.get(), await at_first.get()] == ["one", "two"]
                assert sorted([await at_second.get(), await at_second.get()]) == ["one", "two"]
            first.publish("three")
            async with asyncio.timeout(5):
                assert await at_second.get() == "three"
                # Had «one» or «two» come back, it would stand before «three».
                assert await at_first.get() == "three"


async def test_a_message_nobody_can_read_is_counted_and_disturbs_nothing(redis_url):
    first, second = Bus[str](), Bus[str]()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relayed(first, redis_url))
        reader = await stack.enter_async_context(relayed(second, redis_url))
        with second.subscribe() as at_second:
            first.publish("strange")
            first.publish("plain")
            async with asyncio.timeout(5):
                assert await at_second.get() == "plain"
        assert reader.unreadable == 1
