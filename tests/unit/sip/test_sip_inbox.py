"""The inbox of a leg: events are taken in their order, however they came."""

import asyncio

import pytest

from gateways.sip.inbox import Inbox


async def test_events_are_taken_in_the_order_they_came():
    inbox = Inbox()
    for number in range(5):
        inbox.put(number)
    assert list(inbox) == [0, 1, 2, 3, 4]
    assert [await inbox.take() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert list(inbox) == []


async def test_whoever_waits_is_woken_and_several_events_wake_once():
    inbox = Inbox()
    taken = []

    async def actor():
        while len(taken) < 3:
            taken.append(await inbox.take())

    task = asyncio.create_task(actor())
    await asyncio.sleep(0)
    for number in range(3):
        inbox.put(number)
    async with asyncio.timeout(30):
        await task
    assert taken == [0, 1, 2]


async def test_an_event_that_comes_while_one_is_handled_is_taken_next():
    inbox = Inbox()
    inbox.put("first")
    assert await inbox.take() == "first"
    inbox.put("second")
    async with asyncio.timeout(30):
        assert await inbox.take() == "second"


async def test_an_actor_that_is_cancelled_leaves_events_for_the_next():
    inbox = Inbox()
    task = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    task.cancel()
    inbox.put("late")
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        assert await inbox.take() == "late"
