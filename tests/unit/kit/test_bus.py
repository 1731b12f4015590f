"""The bus wakes nobody for what they do not want."""

import asyncio

from commhub.kit.bus import Bus


async def test_what_is_not_wanted_is_not_queued_and_pushes_nothing_out() -> None:
    bus: Bus[int] = Bus()
    with bus.subscribe(2, lambda number: number % 2 == 0) as even, bus.subscribe(8) as every:
        for number in (2, 3, 5, 7, 4):
            bus.publish(number)
        async with asyncio.timeout(30):
            assert [await even.get() for _ in range(2)] == [2, 4]
            assert [await every.get() for _ in range(5)] == [2, 3, 5, 7, 4]
    assert even.dropped == 0
