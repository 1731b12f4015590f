"""What arrives together is written together, and nobody pays for another."""

import asyncio
from collections.abc import Sequence

import pytest
from fakes.waiting import eventually

from commhub.kit.together import Together


class Writer:
    """Writes batches when it is let; answers twice the number, an error for a negative one."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def write(self, batch: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(batch))
        await asyncio.sleep(0)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [ValueError(str(n)) if n < 0 else 2 * n for n in batch]


@pytest.fixture
def writer() -> Writer:
    return Writer()


async def started(together: Together[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(together.put(n)) for n in numbers]
    await asyncio.sleep(0)
    return tasks


async def test_those_who_come_during_a_write_share_the_next(writer: Writer) -> None:
    together: Together[int, int] = Together(writer.write)
    writer.gate.clear()
    first = await started(together, 1)
    others = await started(together, 2, 3, 4)
    writer.gate.set()

    assert await asyncio.gather(*first, *others) == [2, 4, 6, 8]
    assert writer.batches == [[1], [2, 3, 4]]


async def test_an_answer_that_is_an_error_is_raised_to_its_own_caller_alone(writer: Writer) -> None:
    together: Together[int, int] = Together(writer.write)

    results = await asyncio.gather(*await started(together, 1, -2, 3), return_exceptions=True)

    assert [type(result) for result in results] == [int, ValueError, int]


async def test_a_write_that_raises_is_raised_to_all_of_its_batch_and_the_next_goes_on(
    writer: Writer,
) -> None:
    together: Together[int, int] = Together(writer.write)
    writer.error = OSError("disk full")
    results = await asyncio.gather(*await started(together, 1), return_exceptions=True)
    assert isinstance(results[0], OSError)

    writer.error = None
    assert await together.put(5) == 10


async def test_a_batch_is_bounded(writer: Writer) -> None:
    together: Together[int, int] = Together(writer.write, at_most=2)
    writer.gate.clear()
    tasks = await started(together, 1, 2, 3, 4, 5)
    writer.gate.set()
    await asyncio.gather(*tasks)

    assert max(map(len, writer.batches)) == 2


async def test_a_cancelled_writer_leaves_its_batch_to_the_next(writer: Writer) -> None:
    together: Together[int, int] = Together(writer.write)
    writer.gate.clear()
    (first,) = await started(together, 0)
    leader, *others = await started(together, 1, 2, 3)
    writer.gate.set()
    await first
    writer.gate.clear()  # the leader has just begun and waits
    await eventually(lambda: len(writer.batches) == 2)

    leader.cancel()
    await eventually(leader.done)
    writer.gate.set()

    assert await asyncio.gather(*others) == [4, 6]
    assert leader.cancelled()
    assert writer.batches == [[0], [1, 2, 3], [2, 3]]


async def test_a_cancelled_waiter_is_not_written_at_all(writer: Writer) -> None:
    together: Together[int, int] = Together(writer.write)
    writer.gate.clear()
    first = await started(together, 1)
    (gone,) = await started(together, 2)
    gone.cancel()
    await asyncio.sleep(0)
    writer.gate.set()
    await asyncio.gather(*first)

    assert writer.batches == [[1]]
