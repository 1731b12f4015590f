"""One lane a device."""

import asyncio

from fakes.waiting import eventually

from devices.lanes import Lanes


async def test_a_lane_keeps_its_order_and_waits_for_no_other() -> None:
    done: list[tuple[str, int]] = []
    gate = asyncio.Event()

    async def work(lane: str, item: int) -> None:
        if lane == "stuck":
            await gate.wait()
        done.append((lane, item))

    async with Lanes("test", work, 10) as lanes:
        for item in range(3):
            assert lanes.put("stuck", item)
            assert lanes.put("free", item)
        await eventually(lambda: len(done) == 3)
        assert done == [("free", 0), ("free", 1), ("free", 2)]
        gate.set()
        await eventually(lambda: len(done) == 6)
        assert done[3:] == [("stuck", 0), ("stuck", 1), ("stuck", 2)]


async def test_a_full_lane_takes_no_more_until_it_moves() -> None:
    gate = asyncio.Event()
    done: list[int] = []

    async def work(lane: str, item: int) -> None:
        await gate.wait()
        done.append(item)

    async with Lanes("test", work, 2) as lanes:
        assert lanes.put("a", 0)
        await asyncio.sleep(0)
        assert [lanes.put("a", item) for item in (1, 2, 3)] == [True, True, False]
        gate.set()
        await eventually(lambda: done == [0, 1, 2])
        assert lanes.put("a", 4)
        await eventually(lambda: done[-1] == 4)


async def test_leaving_cancels_what_is_under_way() -> None:
    cancelled = asyncio.Event()

    async def work(lane: str, item: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with Lanes("test", work, 2) as lanes:
        lanes.put("a", 1)
        await asyncio.sleep(0)
    assert cancelled.is_set()
