"""What came over a link and is not worked on yet: in order, bounded, and nothing of it lost at the end."""

import asyncio

import pytest

from gateways.tiers.errors import GoneError
from gateways.tiers.frames import MAX_FRAME
from gateways.tiers.inbox import Inbox


async def is_kept_waiting(putting: "asyncio.Task[None]") -> bool:
    """Whether it does not get in, however often it may try."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not putting.done()


async def test_all_there_are_are_taken_in_their_order_and_then_the_end() -> None:
    inbox = Inbox()
    for n in range(3):
        await inbox.put({"t": "tell", "n": n}, 20)
    await inbox.end(GoneError())
    assert [frame["n"] for frame in await inbox.take()] == [0, 1, 2]
    with pytest.raises(GoneError):
        await inbox.take()


async def test_who_takes_waits_for_the_first() -> None:
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take())
    await inbox.put({"t": "tell"}, 20)
    assert await taking == [{"t": "tell"}]


async def test_a_full_one_lets_nothing_in_until_it_is_taken() -> None:
    inbox = Inbox()
    for _ in range(64):
        await inbox.put({"t": "tell"}, 20)
    putting = asyncio.create_task(inbox.put({"t": "tell", "n": 64}, 20))
    assert await is_kept_waiting(putting)
    assert len(await inbox.take()) == 64
    await putting
    assert await inbox.take() == [{"t": "tell", "n": 64}]


async def test_long_frames_fill_it_as_well_and_one_alone_always_has_room() -> None:
    inbox = Inbox()
    await inbox.put({"n": 0}, 3 * MAX_FRAME)
    putting = asyncio.create_task(inbox.put({"n": 1}, 1))
    assert await is_kept_waiting(putting)
    assert await inbox.take() == [{"n": 0}]
    await putting
